"""`verify` finds any single flipped bit and says where it is; patterns drawn twice are compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.store import verify as module
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.manifest import BLOCK_BYTES, NAME, read_manifest, write_manifest
from powderlens.corpus.store.verify import verify


def test_a_whole_corpus(own_copy: Path) -> None:
    report = verify(own_copy, draw=20)
    assert report.whole
    assert (report.damage, report.unlisted, report.drawn, report.probe_difference) == ((), (), 20, 0.0)
    assert report.files == 8
    assert report.bytes == sum(path.stat().st_size for path in own_copy.rglob("*") if path.is_file())


def test_any_flipped_bit_is_found_in_its_file(own_copy: Path) -> None:
    generator = np.random.default_rng(5)
    names = [*read_manifest(own_copy)["files"], NAME]
    assert len(names) == 8
    for name in names:
        path = own_copy / name
        content = bytearray(path.read_bytes())
        for at in [0, len(content) - 1, *generator.integers(0, len(content), 25).tolist()]:
            bit = 1 << int(generator.integers(0, 8))
            content[at] ^= bit
            path.write_bytes(content)
            report = verify(own_copy)
            assert [(damage.file, damage.mib) for damage in report.damage] == [(name, at // BLOCK_BYTES)], (at, bit)
            content[at] ^= bit
        path.write_bytes(content)
    assert verify(own_copy).whole


def test_the_block_and_its_rows_are_named(own_copy: Path) -> None:
    """A file of three MiB, a row group each."""
    path = own_copy / "large.parquet"
    rows = pa.table({"n": np.arange(400_000), "x": np.random.default_rng(0).random(400_000)})
    pq.write_table(rows, path, row_group_size=100_000, compression="none", use_dictionary=False)
    write_manifest(own_copy, read_manifest(own_copy))
    content = bytearray(path.read_bytes())
    assert len(content) > 5 * BLOCK_BYTES
    content[3 * BLOCK_BYTES + 5] ^= 64
    path.write_bytes(content)
    (damage,) = verify(own_copy).damage
    assert (damage.file, damage.mib) == ("large.parquet", 3)
    # 16 bytes a row: the fourth MiB holds bytes 3,145,728 to 4,194,303 of 400,000 rows in groups of 1.6 MB.
    assert damage.holds == "rows 100,000 to 299,999, x, n"
    assert str(damage) == "large.parquet, MiB 3: was changed (rows 100,000 to 299,999, x, n)"
    content[-3] ^= 1
    path.write_bytes(content)
    assert [damage.holds for damage in verify(own_copy).damage] == ["its directory cannot be read"] * 2


def test_missing_cut_and_unlisted_files(own_copy: Path) -> None:
    (own_copy / "probe.npy").unlink()
    (own_copy / "split" / "test.parquet").write_bytes(b"PAR1")
    (own_copy / "notes.txt").write_text("mine")
    (own_copy / ".hidden").write_text("mine")
    report = verify(own_copy, draw=5)
    assert str(report.damage[0]) == "probe.npy: is missing"
    assert report.damage[1].what.startswith("has 4 bytes and should have ")
    assert {damage.file for damage in report.damage} == {"probe.npy", "split/test.parquet"}
    assert report.unlisted == ("notes.txt",)
    assert (report.drawn, report.probe_difference) == (0, None)


def test_a_block_sum_alone_is_not_trusted(own_copy: Path) -> None:
    """The sha256 of the whole file is compared as well."""
    manifest = read_manifest(own_copy)
    path = own_copy / "probe.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    changed = write_manifest(own_copy, manifest)
    changed["files"]["probe.npy"]["sha256"] = manifest["files"]["probe.npy"]["sha256"]
    assert [damage.what for damage in module._damage_of(path, "probe.npy", changed["files"]["probe.npy"])] == [
        "was changed; its sha256 is another"
    ]


def test_patterns_that_come_out_otherwise_are_named(own_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw, calls = DrawnCorpus.draw, 0

    def unsteady(self: DrawnCorpus, numbers, *more):
        nonlocal calls
        calls += 1
        out = draw(self, numbers, *more)
        if calls == 3:
            out[0, 1000] = np.nextafter(out[0, 1000], 1e9)
        return out

    monkeypatch.setattr(DrawnCorpus, "draw", unsteady)
    (damage,) = verify(own_copy, draw=9).damage
    assert damage.file == "patterns"
    assert "is another when it is drawn again" in damage.what


def test_another_program_than_the_one_that_built_it_shows(own_copy: Path) -> None:
    kept = np.load(own_copy / "probe.npy")
    kept[2, 50] += 0.5
    np.save(own_copy / "probe.npy", kept)
    write_manifest(own_copy, read_manifest(own_copy))
    report = verify(own_copy, draw=3)
    assert report.whole
    assert report.probe_difference == pytest.approx(0.005, rel=1e-3)


def test_a_newer_version_or_none(own_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such corpus"):
        verify(tmp_path / "nix")
    manifest = json.loads((own_copy / NAME).read_text(encoding="utf-8"))
    (own_copy / NAME).write_text(json.dumps({**manifest, "schema_version": 7}), encoding="utf-8")
    (damage,) = verify(own_copy).damage
    assert "of version 7, while this program reads 1, or changed" in damage.what
