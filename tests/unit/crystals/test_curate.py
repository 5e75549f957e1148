"""Curation: counts that add up, the same bytes however it is run, whole files."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.core.files import file_sha256
from powderlens.crystal.structure import Reject, Structure, lattice_from_cell
from powderlens.crystals import curate as curate_module
from powderlens.crystals import curate_part
from powderlens.crystals.curate import CrystalSource, curate, rejects_path
from powderlens.crystals.table import CrystalTable


def shifted(structure: Structure, source: str) -> Structure:
    """The same crystal, with another origin and a cell of twice the size."""
    frac = np.vstack([structure.frac + 0.123, structure.frac + np.array([0.123, 0.123, 1.123])])
    return replace(
        structure, source=source, lattice=structure.lattice * np.array([[1], [1], [2]]), frac=frac / [1, 1, 2],
        elements=structure.elements * 2, occupancy=np.tile(structure.occupancy, 2), space_group=None, beta=None,
        u_iso_A2=np.full(len(frac), np.nan), rotations=structure.rotations[:1], translations=structure.translations[:1],
    )  # fmt: skip


@pytest.fixture
def crystals(minerals: dict[str, Structure]) -> list[Structure | Reject]:
    halite, rutile, quartz = (minerals[name] for name in ("Halite", "Rutile", "Quartz"))
    alone = {"space_group": None, "rotations": halite.rotations[:1], "translations": halite.translations[:1]}
    broken = replace(halite, source="test:broken", lattice=lattice_from_cell((5.64, 5.64, 5.7, 90, 90, 90)), **alone)
    clash = replace(quartz, source="test:clash", space_group=None, frac=np.vstack([quartz.frac[:-1], quartz.frac[:1]]),
                    rotations=halite.rotations[:1], translations=halite.translations[:1])  # fmt: skip
    return [
        broken,
        halite,
        Reject("test:12", "cell lengths 0, 1, 1 A: all must be positive numbers"),
        Reject("test:13", "cell lengths 5, 0, 1 A: all must be positive numbers"),
        rutile,
        replace(halite, source="test:wrong", labels={"spacegroup": 216}, **alone),
        clash,
        shifted(halite, "test:copy"),
        rutile,
        shifted(rutile, "test:turned"),
        quartz,
    ]


def run(crystals: Sequence[object], output: Path, **more: Any) -> dict[str, Any]:
    return curate([CrystalSource.of_objects(crystals, "test")], output, **{"protocol": "simxrd", "workers": 0, **more})


SIMXRD = {
    "declared": 1, "distances": 1, "duplicates": 2, "broken-symmetry": 1, "identity: listed before": 1,
    "unreadable: cell lengths N, N, N A: all must be positive numbers": 2,
}  # fmt: skip


def test_what_goes_by_which_rule(crystals: list[Structure | Reject], tmp_path: Path) -> None:
    manifest = run(crystals, tmp_path / "t.parquet")
    assert manifest["rejects"] == SIMXRD
    assert (manifest["crystals_in"], manifest["crystals_kept"]) == (11, 3)
    assert CrystalTable.load(tmp_path / "t.parquet").ids == ["test:Halite", "test:Rutile", "test:Quartz"]
    assert manifest["each_rule_alone"] == {
        "content": 0, "stated-symmetry": 0,
        "atoms": 0, "distances": 1, "declared": 1, "broken-symmetry": 1, "duplicates": 5,
    }  # fmt: skip
    assert manifest["sha256"] == file_sha256(tmp_path / "t.parquet")
    assert manifest == json.loads((tmp_path / "t.json").read_text())
    assert set(manifest["rules"]) == {
        "content",
        "stated-symmetry",
        "atoms",
        "distances",
        "declared",
        "broken-symmetry",
        "duplicates",
    }


@pytest.mark.parametrize(("protocol", "without"), [("simxrd", []), ("simxrd", ["duplicates"]), ("alphadiffract", []),
                                                   ("alphadiffract", ["stable", "distances"])])  # fmt: skip
def test_the_rejects_add_up(
    crystals: list[Structure | Reject], tmp_path: Path, protocol: str, without: list[str]
) -> None:
    output = tmp_path / "t.parquet"
    sources = [CrystalSource.of_objects(crystals, "test"), CrystalSource.of_objects(crystals[:2], "again")]
    manifest = curate(sources, output, protocol=protocol, without=without, workers=0)
    assert manifest["crystals_in"] == 13 == manifest["crystals_kept"] + sum(manifest["rejects"].values())
    for source in manifest["by_source"]:
        assert source["in"] == source["kept"] + sum(source["rejects"].values())
    for name in ("in", "kept"):
        assert sum(source[name] for source in manifest["by_source"]) == manifest[f"crystals_{name}"]
    with rejects_path(output).open() as handle:
        listed = list(csv.DictReader(handle))
    assert len(listed) == sum(manifest["rejects"].values())
    assert len(CrystalTable.load(output)) == manifest["crystals_kept"]
    assert not set(without) & {row["rule"] for row in listed}


def test_a_copy_of_what_is_out_takes_its_place(minerals: dict[str, Structure], tmp_path: Path) -> None:
    """The first of two equal crystals goes for another reason: the second is then no duplicate."""
    halite = minerals["Halite"]
    wrong = replace(halite, source="test:wrong", labels={"spacegroup": 216}, space_group=None,
                    rotations=halite.rotations[:1], translations=halite.translations[:1])  # fmt: skip
    manifest = run([wrong, shifted(halite, "test:a"), shifted(halite, "test:b")], tmp_path / "t.parquet")
    assert CrystalTable.load(tmp_path / "t.parquet").ids == ["test:a"]
    assert manifest["rejects"] == {"declared": 1, "duplicates": 1}
    assert manifest["each_rule_alone"]["duplicates"] == 2
    with rejects_path(tmp_path / "t.parquet").open() as handle:
        assert {row["id"]: row["detail"] for row in csv.DictReader(handle)}["test:b"] == "test:a"


@pytest.fixture
def database(crystals: list[Structure | Reject], tmp_path: Path) -> Path:
    """Flat lines: twelve times five crystals, more than the blocks of the next tests hold."""
    path = tmp_path / "mp.jsonl"
    good = [item for item in crystals if isinstance(item, Structure)][:5]
    with path.open("w") as handle:
        for n in range(12):
            for k, item in enumerate(good):
                cell = [v * (1 + n / 20) for v in item.cell[:3]] + list(item.cell[3:])
                record = {"id": f"mp-{n}{k}", "cell": cell, "el": list(item.elements), "x": item.frac.tolist()}
                handle.write(json.dumps(record) + "\n")
    return path


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (curate_module, curate_part):
        monkeypatch.setattr(module, "BLOCK", 7)


@pytest.mark.usefixtures("small_blocks")
def test_the_same_bytes_on_any_number_of_workers(database: Path, tmp_path: Path) -> None:
    made = []
    for name, workers in (("a", 0), ("b", 1), ("c", 3)):
        output = tmp_path / name / "t.parquet"
        output.parent.mkdir()
        curate([CrystalSource.of_path(database)], output, protocol="simxrd", workers=workers)
        made.append({path.name: path.read_bytes() for path in output.parent.iterdir()})
    assert made[0] == made[1] == made[2]
    assert set(made[0]) == {"t.parquet", "t.json", "t.rejects.csv"}, "the parts are cleared away"


@pytest.mark.usefixtures("small_blocks")
def test_what_was_done_is_not_done_again(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, output = tmp_path / "whole.parquet", tmp_path / "t.parquet"
    curate([CrystalSource.of_path(database)], whole, protocol="alphadiffract", workers=0)
    done: list[int] = []

    def failing(task: curate_part.CrystalBlock, **more: Any) -> None:
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(task.number)
        curate_part.make_part(task, **more)

    monkeypatch.setattr(curate_module, "make_part", failing)
    with pytest.raises(KeyboardInterrupt):
        curate([CrystalSource.of_path(database)], output, protocol="alphadiffract", workers=0)
    assert not output.exists()
    (output.with_name("t.parquet.parts") / ".half-written.parquet").write_text("half")
    again: list[int] = []

    def counting(task: curate_part.CrystalBlock, **more: Any) -> None:
        again.append(task.number)
        curate_part.make_part(task, **more)

    monkeypatch.setattr(curate_module, "make_part", counting)
    curate([CrystalSource.of_path(database)], output, protocol="alphadiffract", workers=0)
    assert (done, again) == ([0, 1, 2, 3], [4, 5, 6, 7, 8])
    assert output.read_bytes() == whole.read_bytes()
    assert output.with_suffix(".json").read_text() == whole.with_suffix(".json").read_text()


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("change", ["protocol", "without", "limit", "source"])
def test_parts_of_other_settings_are_not_used(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    settings: dict[str, Any] = {"protocol": "alphadiffract", "workers": 0}
    output, said = tmp_path / "t.parquet", []

    def interrupted(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(curate_module, "_join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            curate([CrystalSource.of_path(database)], output, **settings)
    if change == "source":
        database.write_text("".join(database.read_text().splitlines(keepends=True)[:9]))
    settings |= {"protocol": {"protocol": "simxrd"}, "without": {"without": ["volume"]}, "limit": {"limit": 9}}.get(
        change, {}
    )
    curate([CrystalSource.of_path(database)], output, **settings, progress=said.append)
    assert any("starting anew" in message for message in said)
    fresh = tmp_path / "fresh.parquet"
    curate([CrystalSource.of_path(database)], fresh, **settings)
    assert output.read_bytes() == fresh.read_bytes()


PROGRAM = '''
import signal
import sys
import time
from pathlib import Path
from powderlens.core import guarded
from powderlens.crystals import curate, curate_part
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that works in the background has it ignored
curate.BLOCK = curate_part.BLOCK = 1
done, seen = guarded._Report.done, [0]


def five_times(self, task, *, before=False):
    """Told of five parts, this process waits, its workers busy, until the signal comes."""
    seen[0] += 1
    if seen[0] > 5:
        time.sleep(3600)
    done(self, task, before=before)


guarded._Report.done = five_times
sources = [curate.CrystalSource.of_path(Path(sys.argv[1]))]
curate.curate(sources, Path(sys.argv[2]), protocol="simxrd", workers=2)
'''


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_given_again(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    output, parts = tmp_path / "t.parquet", tmp_path / "t.parquet.parts"
    command = [sys.executable, "-c", PROGRAM, str(database), str(output)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(parts.glob("part-*.parquet"))) < 6:
        assert process.poll() is None, "it ended by itself"
        time.sleep(0.01)
    process.send_signal(how)
    process.wait(600)
    assert not output.exists()
    deadline = time.monotonic() + 600
    while _left(process.pid):
        assert time.monotonic() < deadline, "its workers went with it"
        time.sleep(0.05)
    assert 6 <= len(list(parts.glob("part-*.parquet"))) < 60
    for module in (curate_module, curate_part):
        monkeypatch.setattr(module, "BLOCK", 1)
    said: list[str] = []
    curate([CrystalSource.of_path(database)], output, protocol="simxrd", workers=0, progress=said.append)
    assert any("of them from before" in message for message in said)
    whole = tmp_path / "whole.parquet"
    curate([CrystalSource.of_path(database)], whole, protocol="simxrd", workers=0)
    assert output.read_bytes() == whole.read_bytes()
    assert rejects_path(output).read_bytes() == rejects_path(whole).read_bytes()


def _left(session: int) -> bool:
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_cannot_be_had(crystals: list[Structure | Reject], tmp_path: Path) -> None:
    for more, message in (
        ({"protocol": "icsd"}, "there are simxrd"),
        ({"without": ["volume"]}, "simxrd has"),
        ({"output": tmp_path / "t.csv"}, r"ends in \.parquet"),
        ({"output": tmp_path / "none" / "t.parquet"}, "no directory|no folder"),
    ):
        with pytest.raises(InputError, match=message):
            run(crystals, **{"output": tmp_path / "t.parquet", **more})
    with pytest.raises(InputError, match="no crystal of 2 is kept: unreadable"):
        run(crystals[2:4], tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no source"):
        curate([], tmp_path / "t.parquet", protocol="simxrd")
    assert not (tmp_path / "t.parquet").exists()


def test_a_source_that_is_not_whole_is_refused(database: Path, tmp_path: Path) -> None:
    import gzip

    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(database.read_bytes())[:-20])
    with pytest.raises(InputError, match="not a whole gzip file"):
        curate([CrystalSource.of_path(cut)], tmp_path / "t.parquet", protocol="simxrd", workers=0)
    assert not (tmp_path / "t.parquet").exists()
