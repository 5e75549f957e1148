"""Building a corpus: the same bytes however often it is interrupted, every crystal kept or counted, nothing half."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError, PowderlensError
from powderlens.corpus.store import build as module
from powderlens.corpus.store.build import CONDITIONS, build_corpus
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.drawn import ATTEMPT
from powderlens.corpus.store.prepared import SCHEMA as REFLECTIONS
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA as CRYSTALS
from powderlens.crystals.table import crystal_row, write_crystals
from powderlens.diffraction.protocol import load_protocol


def make(crystals: Path, output: Path, **options: Any) -> dict[str, Any]:
    how = {"protocol": "simxrd", "per_crystal": 6, "split": "in-library", "workers": 1, **options}
    return build_corpus(crystals, output, **how)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 4)


def sha_of(folder: Path) -> dict[str, str]:
    from powderlens.core.files import file_sha256

    return {
        str(path.relative_to(folder)): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.parent.name.startswith(".")
    }


def test_what_is_on_disk(built: Callable[[str], Path], mineral_table: Path) -> None:
    folder = built("simxrd")
    assert not folder.with_name("minerals.parts").exists()
    assert sorted(sha_of(folder)) == [
        "conditions.parquet", "crystals.parquet", "manifest.json", "probe.npy", "reflections.parquet",
        "split/test.parquet", "split/train.parquet", "split/validation.parquet",
    ]  # fmt: skip
    corpus = Corpus.open(folder)
    manifest = corpus.manifest
    assert (manifest["crystals_in"], manifest["crystals"], manifest["patterns"]) == (25, 25, 150)
    assert (manifest["rejects"], manifest["redrawn"]) == ({}, 0)
    assert manifest["protocol"] == {"name": "simxrd", "text": load_protocol("simxrd").text}
    assert (folder / "crystals.parquet").read_bytes() == mineral_table.read_bytes()

    conditions = pq.read_table(folder / "conditions.parquet")
    assert conditions.schema.equals(CONDITIONS)
    assert conditions["crystal"].to_pylist() == np.repeat(np.arange(25), 6).tolist()
    assert conditions["condition"].to_pylist() == list(range(6)) * 25
    assert conditions["index"].to_pylist() == list(range(150))
    parts = manifest["split"]["parts"]
    assert {part: conditions["part"].to_pylist().count(part) for part in parts} == {
        part: n["patterns"] for part, n in parts.items()
    }
    ids = pq.read_table(folder / "split" / "test.parquet")
    assert ids["id"].to_pylist() == corpus.crystals.ids

    reflections = pq.read_table(folder / "reflections.parquet")
    assert reflections.schema.equals(REFLECTIONS)
    assert reflections["id"].to_pylist() == corpus.crystals.ids
    halite = reflections.to_pylist()[corpus.crystals.column("name").index("Halite")]
    families = np.array(halite["hkl"]).reshape(-1, 3).tolist()
    assert halite["multiplicity"][families.index([2, 0, 0])] == 6
    assert halite["multiplicity"][families.index([4, 2, 0])] == 24
    assert int(np.argmax(halite["strength"])) == families.index([4, 2, 0])
    assert manifest["families"] == sum(map(len, reflections["strength"].to_pylist()))


def test_the_same_bytes_in_parts_and_in_processes(
    built: Callable[[str], Path], mineral_table: Path, tmp_path: Path, small_blocks: None
) -> None:
    one, two = tmp_path / "one" / "minerals", tmp_path / "two" / "minerals"
    for folder, workers in ((one, 1), (two, 2)):
        folder.parent.mkdir()
        make(mineral_table, folder, workers=workers)
    assert sha_of(one) == sha_of(two)
    names = ("crystals.parquet", "conditions.parquet", "probe.npy")
    assert {name: sha_of(one)[name] for name in names} == {name: sha_of(built("simxrd"))[name] for name in names}


def test_interrupted_at_every_rename_it_goes_on(
    mineral_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_blocks: None
) -> None:
    whole = tmp_path / "whole" / "minerals"
    whole.parent.mkdir()
    make(mineral_table, whole)
    expected = sha_of(whole)

    class Killed(BaseException):
        pass

    rename = Path.replace
    for stop_before in range(1, 40):
        folder = tmp_path / str(stop_before) / "minerals"
        folder.parent.mkdir()
        renamed = 0

        def count(path: Path, target: Path, *, stop: int = stop_before) -> Path:
            nonlocal renamed
            renamed += 1
            if renamed == stop:
                raise Killed
            return rename(path, target)

        monkeypatch.setattr(Path, "replace", count)
        try:
            make(mineral_table, folder)
        except Killed:
            assert not folder.exists(), "half a corpus has the name of a whole one"
        else:
            assert stop_before > 12, "so few renames do not make parts and files"
            break
        finally:
            monkeypatch.setattr(Path, "replace", rename)
        make(mineral_table, folder)
        assert sha_of(folder) == expected, f"stopped before rename {stop_before}"
    else:
        pytest.fail("the build never ended")


BUILD = '''
import sys
import time
from pathlib import Path
from powderlens.core import parts
from powderlens.corpus.store import build
build.BLOCK = 1
write, begun = parts.atomic_write, [0]


def four_times(path):
    """The settings and three parts are written; then this process waits, its workers busy, until it is killed."""
    begun[0] += 1
    if begun[0] > 4:
        time.sleep(3600)
    return write(path)


parts.atomic_write = four_times
how = dict(protocol="simxrd", per_crystal=6, split="in-library", workers=2)
build.build_corpus(Path(sys.argv[1]), Path(sys.argv[2]), **how)
'''


def test_killed_with_its_workers_busy_it_goes_on(
    mineral_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 1)
    folder, whole = tmp_path / "minerals", tmp_path / "whole" / "minerals"
    whole.parent.mkdir()
    child = subprocess.Popen([sys.executable, "-c", BUILD, str(mineral_table), str(folder)], start_new_session=True)
    parts = folder.with_name("minerals.parts")
    while len(list(parts.glob("part-*"))) < 3:
        assert child.poll() is None, "it ended by itself"
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    end = time.monotonic() + 600
    while _alive(child.pid):
        assert time.monotonic() < end, "the workers go by themselves when their master has gone"
        time.sleep(0.05)
    assert len(list(parts.glob("part-*"))) == 3
    make(mineral_table, folder)
    make(mineral_table, whole)
    assert sha_of(folder) == sha_of(whole)


def _alive(session: int) -> bool:
    """Whether any process of a session is there."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                return True
    return False


def die(task: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_named(mineral_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "make_part", die)
    with pytest.raises(PowderlensError, match=r"a worker process died .* give the same command again"):
        make(mineral_table, tmp_path / "minerals", workers=2)
    assert not (tmp_path / "minerals").exists()


def test_a_part_that_does_not_come_back_is_named(mineral_table: Path, tmp_path: Path) -> None:
    def loses_all(function: Callable[[Any], Any], tasks: Any, /) -> Iterator[Any]:
        return iter([])

    with pytest.raises(InputError, match="part 0 was handed out and did not come back"):
        make(mineral_table, tmp_path / "minerals", mapper=loses_all)


def test_a_full_disk_leaves_nothing_half(mineral_table: Path, tmp_path: Path, built: Callable[[str], Path]) -> None:
    built("simxrd")  # all is compiled
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\); choose another place"):
            make(mineral_table, tmp_path / "minerals")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "minerals").exists()
    assert not [path for path in tmp_path.rglob("*.parquet") if path.stat().st_size]
    make(mineral_table, tmp_path / "minerals")


NARROW = """
name = "narrow"
summary = "half of the scans end before the only line of polonium"
citation = "this test"
scale = 1.0

[grid]
start_deg = 30.0
step_deg = 0.02
points = 501
wavelength_A = 1.5405929

[source]
ka2_ratio = 0.0

[profile]
shape = "gaussian"
caglioti_w_deg2 = 0.0025
crystallite_size_nm = inf

[counting]
last_deg = { uniform = [36.0, 40.0] }
"""


@pytest.fixture
def cubes(tmp_path: Path) -> Path:
    """Polonium (110 at 38.0 degrees), the same with 2 A and with 20 A edges, and copper (111 at 43.3 degrees)."""

    def row(name: str, element: str, a_A: float, places: list[tuple[float, ...]]) -> dict[str, Any]:
        cell = Structure.from_cell((a_A, a_A, a_A, 90, 90, 90), (element,) * len(places), np.array(places))
        return crystal_row(find_symmetry(replace(cell, name=name, source=f"test:{name}")))

    corner = [(0.0, 0.0, 0.0)]
    face = [*corner, (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5)]
    rows = [
        row("copper", "Cu", 3.615, face),
        row("polonium", "Po", 3.352, corner),
        row("tight", "Po", 1.0, corner),
        row("wide", "Po", 20.0, corner),
    ]
    write_crystals(pa.Table.from_pylist(rows, schema=CRYSTALS), tmp_path / "cubes.parquet")
    (tmp_path / "narrow.toml").write_text(NARROW)
    return tmp_path / "cubes.parquet"


def test_every_crystal_is_kept_or_counted_and_every_pattern_shows_a_line(cubes: Path, tmp_path: Path) -> None:
    folder = tmp_path / "narrow"
    manifest = make(cubes, folder, protocol=str(tmp_path / "narrow.toml"), per_crystal=50)
    assert manifest["rejects"] == {"no line on the grid of the protocol": 2}
    corpus = Corpus.open(folder)
    assert corpus.crystals.column("name") == ["polonium", "wide"]
    index = corpus.index_of(np.arange(100))
    attempts, rest = np.divmod(index - np.arange(100), ATTEMPT)
    assert not rest.any()
    assert not attempts[50:].any()  # the large cell has a line everywhere
    assert manifest["redrawn"] == (attempts > 0).sum() > 10
    assert pq.read_table(folder / "conditions.parquet")["index"].to_pylist() == index.tolist()
    # Drawn anew exactly where the scan ends before the line, each time under the first number that reaches it.
    for number in range(50):
        for attempt in range(attempts[number] + 1):
            end = corpus.protocol.conditions(0, number + attempt * ATTEMPT).counting.last_deg
            assert (end >= 37.9) == (attempt == attempts[number]), number
    patterns = corpus.draw(np.arange(100))
    assert (patterns.max(axis=1) == corpus.protocol.scale).all()


def test_too_many_families_are_a_reason(cubes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from powderlens.corpus.store import prepared

    monkeypatch.setattr(prepared, "MAX_FAMILIES", 100)
    manifest = make(cubes, tmp_path / "few", protocol="ideal")
    assert manifest["rejects"] == {"more than 100 families of reflections": 1, "no line on the grid of the protocol": 1}


def test_nothing_that_can_be_drawn(cubes: Path, tmp_path: Path) -> None:
    table = pq.read_table(cubes).slice(2, 1)
    write_crystals(table, tmp_path / "one.parquet")
    with pytest.raises(InputError, match=r"no crystal of 1 can be drawn: no line on the grid of the protocol \(1\)"):
        make(tmp_path / "one.parquet", tmp_path / "none", protocol="ideal")
    assert not (tmp_path / "none").exists()


def test_finished_once_is_finished(own_copy: Path, mineral_table: Path) -> None:
    before = sha_of(own_copy)
    assert make(mineral_table, own_copy)["sha256"] == Corpus.open(own_copy).manifest["sha256"]
    assert sha_of(own_copy) == before
    with pytest.raises(InputError, match="there is something else of that name"):
        make(mineral_table, own_copy, seed=1)
    assert sha_of(own_copy) == before


def test_parts_of_other_crystals_are_thrown_away(
    mineral_table: Path, cubes: Path, tmp_path: Path, small_blocks: None
) -> None:
    folder = tmp_path / "minerals"

    def half_way(message: str) -> None:
        if message.startswith("writing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(cubes, folder, progress=half_way)
    heard: list[str] = []
    make(mineral_table, folder, progress=heard.append)
    assert heard[0] == "minerals.parts was made of other crystals, or with another protocol: starting anew"
    assert len(Corpus.open(folder).crystals) == 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_crystal": 0}, "per_crystal 0: give 1 to 100,000"),
        ({"seed": -1}, "seed -1: give a whole number"),
        ({"protocol": "nix"}, "no protocol 'nix'"),
        ({"split": "nix"}, "split 'nix': there are in-library"),
        ({"per_crystal": 2}, "split in-library has 3 parts and needs at least 3"),
        ({"workers": 0}, "workers 0: at least 1"),
    ],
)
def test_what_cannot_be_had(mineral_table: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(mineral_table, tmp_path / "minerals", **options)
    assert not (tmp_path / "minerals").exists()


def test_no_such_table(mineral_table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such table of crystals"):
        make(tmp_path / "nix.parquet", tmp_path / "minerals")
    with pytest.raises(InputError, match="no directory"):
        make(mineral_table, tmp_path / "nix" / "minerals")
