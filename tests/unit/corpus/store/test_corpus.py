"""Patterns of a corpus: a pure function of their number, equal to what `simulate` draws, with the right labels."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.store import drawn as module
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.manifest import NAME, read_manifest, write_manifest
from powderlens.corpus.store.prepared import phase_for
from powderlens.diffraction.draw import draw_patterns
from powderlens.symmetry.groups import SYSTEMS

Built = Callable[[str], Path]


@pytest.mark.parametrize(("protocol", "tolerance"), [("simxrd", 0.0), ("lab", 1e-5), ("ml4pxrds-measured", 1e-5)])
def test_a_pattern_is_what_the_simulator_draws(built: Built, protocol: str, tolerance: float) -> None:
    corpus = Corpus.open(built(protocol))
    numbers = np.array([149, 0, 77, 40])
    patterns = corpus.draw(numbers, np.float64)
    for number, pattern in zip(numbers.tolist(), patterns, strict=True):
        structure = corpus.crystals.structure(number // 6)
        drawn = draw_patterns(structure, protocol, first=number, seed=0).intensity[0]
        np.testing.assert_allclose(pattern, drawn, rtol=0, atol=tolerance * corpus.protocol.scale)
        assert pattern.max() == pytest.approx(corpus.protocol.scale, rel=1e-15)


@pytest.mark.parametrize("protocol", ["simxrd", "lab"])
def test_the_same_bytes_in_any_company(built: Built, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus.open(built(protocol))
    numbers = np.random.default_rng(0).permutation(150)
    whole = corpus.draw(numbers)
    assert whole.dtype == np.float32
    assert whole.shape == (150, corpus.grid.points)
    assert len({pattern.tobytes() for pattern in whole}) == 150
    monkeypatch.setattr(module, "PHASES_KEPT", 2)
    monkeypatch.setattr(module, "TOGETHER", 7)
    again = Corpus.open(built(protocol)).draw(np.sort(numbers))
    assert again[numbers].tobytes() == whole.tobytes()
    alone = Corpus.open(built(protocol)).draw(numbers[70:71])
    assert alone.tobytes() == whole[70].tobytes()
    half = corpus.draw(numbers[:5], np.float16)
    assert half.tobytes() == corpus.draw(numbers[:5], np.float64).astype(np.float16).tobytes()
    records = corpus.conditions(numbers[:5])
    assert corpus.draw(numbers[:5], records=records).tobytes() == whole[:5].tobytes()


def drawn_by(corpus: Corpus, numbers: list[int]) -> bytes:
    return corpus.draw(np.array(numbers)).tobytes()


def test_the_same_bytes_in_other_processes(built: Built) -> None:
    corpus = Corpus.open(built("lab"))
    numbers = list(range(0, 150, 7))
    with ProcessPoolExecutor(2) as pool:
        halves = list(pool.map(drawn_by, [corpus] * 2, [numbers[:10], numbers[10:]]))
    assert b"".join(halves) == drawn_by(corpus, numbers)
    assert repr(pickle.loads(pickle.dumps(corpus))) == repr(corpus) == "Corpus('minerals': 25 crystals x 6)"


def test_parts_labels_and_conditions(built: Built) -> None:
    corpus = Corpus.open(built("simxrd"))
    assert (len(corpus), corpus.per_crystal, corpus.seed) == (150, 6, 0)
    assert corpus.parts == ("train", "validation", "test")
    numbers = np.concatenate([corpus.numbers(part) for part in corpus.parts])
    assert sorted(numbers.tolist()) == list(range(150))
    assert corpus.numbers("train").tolist() == [n for n in range(150) if n % 6 < 4]
    assert corpus.crystal_of(np.array([5, 6, 149])).tolist() == [0, 1, 24]
    quartz, calcite = (corpus.crystals.column("name").index(name) for name in ("Quartz", "Calcite"))
    labels = corpus.labels(np.array([6 * quartz + 1, 6 * calcite]))
    assert labels.space_group.tolist() == [152, 167]
    assert [SYSTEMS[s] for s in labels.crystal_system] == ["trigonal", "trigonal"]
    assert labels.extinction_class.tolist() == corpus.crystals.column("extinction_class")[[quartz, calcite]].tolist()
    assert labels.cell[0] == pytest.approx(corpus.crystals.structure(quartz).cell)
    assert labels.niggli.shape == (2, 6)
    records = corpus.conditions(np.array([3, 140]))
    assert records.tobytes() == corpus.protocol.draw(0, np.array([3, 140])).tobytes()


def test_stored_reflections_are_those_of_the_crystals(built: Built) -> None:
    corpus = Corpus.open(built("lab"))
    for i in range(len(corpus.crystals)):
        stored, made = corpus.phase(i), phase_for(corpus.crystals.structure(i), corpus.protocol)
        for name in ("lattice", "rotations", "hkl", "strength"):
            assert getattr(stored, name).tobytes() == getattr(made, name).tobytes()
            assert getattr(stored, name).dtype == getattr(made, name).dtype
        for name in ("mean_mass_u", "space_group", "name", "source"):
            assert getattr(stored, name) == getattr(made, name)


def test_unpacked_reflections_are_shared_and_may_be_deleted(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(built("lab"), tmp_path / "minerals"))
    for left in folder.glob(".unpacked-*"):
        shutil.rmtree(left)
    first = Corpus.open(folder).draw(np.arange(3))
    unpacked = list(folder.glob(".unpack*"))
    assert len(unpacked) == 1
    made = unpacked[0].stat().st_mtime_ns
    assert Corpus.open(folder).draw(np.arange(3)).tobytes() == first.tobytes()
    assert unpacked[0].stat().st_mtime_ns == made
    shutil.rmtree(unpacked[0])

    def refused(**_: object) -> str:
        raise OSError("read-only file system")

    monkeypatch.setattr("powderlens.corpus.store.reflection_map.tempfile.mkdtemp", refused)
    monkeypatch.setattr("tempfile.TemporaryDirectory", lambda prefix: FixedFolder(tmp_path / "elsewhere"))
    assert Corpus.open(folder).draw(np.arange(3)).tobytes() == first.tobytes()
    assert not list(folder.glob(".unpack*"))
    assert (tmp_path / "elsewhere" / "hkl").is_file()


class FixedFolder:
    """Stands for a temporary directory."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.name = str(path)


def test_a_pattern_that_shows_nothing_is_drawn_anew(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = Corpus.open(built("simxrd"))
    draw, n = module.draw_phases, 8
    expected = draw([corpus.phase(1)], corpus.protocol.draw(0, np.array([n + 2 * module.ATTEMPT])), corpus.protocol, 0,
                    np.array([n + 2 * module.ATTEMPT]))  # fmt: skip

    def blind(phases, records, protocol, seed, index):
        out = draw(phases, records, protocol, seed, index)
        out[(index % module.ATTEMPT == n) & (index < n + 2 * module.ATTEMPT)] = 0
        return out

    monkeypatch.setattr(module, "draw_phases", blind)
    assert corpus.draw(np.array([7, n]), np.float64)[1].tobytes() == expected.tobytes()
    monkeypatch.setattr(module, "draw_phases", lambda phases, *_: np.zeros((len(phases), 3501)))
    with pytest.raises(InputError, match="no line in the measured range under 64 conditions of protocol simxrd"):
        corpus.draw(np.array([n]))


@pytest.mark.parametrize("number", [-1, 150])
def test_no_such_pattern(built: Built, number: int) -> None:
    corpus = Corpus.open(built("simxrd"))
    with pytest.raises(InputError, match=f"pattern {number}: the corpus has 150"):
        corpus.draw(np.array([3, number]))
    with pytest.raises(IndexError):
        corpus.phase(number)
    with pytest.raises(InputError, match="no part 'x'; it has train, validation, test"):
        corpus.numbers("x")


def test_what_is_no_corpus(own_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such corpus; make one with `powderlens corpus build`"):
        Corpus.open(tmp_path / "nix")
    with pytest.raises(InputError, match=r"not a corpus, it has no manifest\.json"):
        Corpus.open(tmp_path)
    missing = own_copy / "reflections.parquet"
    content = missing.read_bytes()
    missing.write_bytes(content[:-7])
    with pytest.raises(InputError, match=f"has {len(content) - 7:,} bytes and should have {len(content):,}"):
        Corpus.open(own_copy)
    missing.unlink()
    with pytest.raises(InputError, match=r"reflections\.parquet: this file of the corpus is missing; copy it again"):
        Corpus.open(own_copy)


def test_changed_reflections_are_not_drawn_from(built: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(built("lab"), tmp_path / "c", ignore=shutil.ignore_patterns(".*")))
    path = folder / "reflections.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"reflections\.parquet: was changed, its sha256 is not that of the manifest"):
        Corpus.open(folder).draw(np.array([0]))


def test_a_newer_version_is_refused_by_name(own_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = read_manifest(own_copy)
    monkeypatch.setattr("powderlens.corpus.store.manifest.SCHEMA_VERSION", 2)
    write_manifest(own_copy, {key: value for key, value in manifest.items() if key != "schema_version"})
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"a corpus of version 2, .* reads version 1: update powderlens"):
        Corpus.open(own_copy)


def test_stored_patterns_cannot_be_drawn(own_copy: Path) -> None:
    write_manifest(own_copy, {**read_manifest(own_copy), "kind": "stored"})
    with pytest.raises(InputError, match="its patterns are stored, not drawn"):
        DrawnCorpus.open(own_copy)


def test_a_changed_manifest_is_refused(own_copy: Path) -> None:
    path = own_copy / NAME
    text = path.read_text(encoding="utf-8")
    for changed in (text.replace('"seed": 0', '"seed": 1'), text.replace(' "seed"', '\t"seed"'), text[:-30], "[]"):
        assert changed != text
        path.write_text(changed, encoding="utf-8")
        with pytest.raises(InputError, match=r"manifest\.json: (does not agree with its own checksum|damaged)"):
            Corpus.open(own_copy)
