"""`powderlens corpus audit`, as a user calls it: leaks that were planted, and splits that are what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from powderlens.corpus.store.build import build_corpus
from powderlens.crystal.common import common_minerals
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

Run = Callable[..., Any]
PLANTED = 100


def in_another_setting(crystal: Structure, name: str, rng: np.random.Generator) -> Structure:
    """Other axes of the same lattice, another origin, atoms in another order."""
    upper, lower = np.eye(3), np.eye(3)
    upper[np.triu_indices(3, 1)] = rng.integers(-2, 3, 3)
    lower[np.tril_indices(3, -1)] = rng.integers(-2, 3, 3)
    axes, order = upper @ lower, rng.permutation(len(crystal.elements))
    return Structure(
        lattice=axes @ crystal.lattice,
        elements=tuple(crystal.elements[row] for row in order),
        frac=(crystal.frac[order] @ np.linalg.inv(axes) + rng.random(3)) % 1.0,
        occupancy=crystal.occupancy[order],
        u_iso_A2=np.full(len(order), np.nan),
        source=name,
    )


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The common minerals, each with four copies in other settings."""
    rng = np.random.default_rng(3)
    originals = common_minerals()
    copies = [in_another_setting(originals[i % len(originals)], f"planted:{i}", rng) for i in range(PLANTED)]
    path = tmp_path_factory.mktemp("audit") / "crystals.parquet"
    rows = [crystal_row(find_symmetry(crystal)) for crystal in (*originals, *copies)]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


@pytest.fixture(scope="module")
def corpus(crystals: Path) -> Callable[[str], Path]:
    def of(split: str) -> Path:
        output = crystals.with_name(Path(split).stem)
        if not output.exists():
            build_corpus(crystals, output, protocol="ideal", per_crystal=2, split=split, workers=1)
        return output

    return of


def test_a_hundred_planted_duplicates(run: Run, corpus: Callable[[str], Path], crystals: Path) -> None:
    names = [f"{mineral.source},train\n" for mineral in common_minerals()]
    listed = crystals.with_name("leaking.csv")
    listed.write_text("id,part\n" + "".join(names) + "".join(f"planted:{i},test\n" for i in range(PLANTED)))
    result = run("corpus", "audit", corpus(str(listed)), "--json")
    assert (result.code, result.err) == (1, "")
    told = json.loads(result.out)
    assert told["broken"]
    assert told["crystals"] == {"train": len(names), "test": PLANTED}
    leak = next(entry for entry in told["shared"] if entry["measure"] == "duplicates")
    assert (leak["broken"], leak["crystals_b"], leak["kinds"]) == (True, PLANTED, len(names))
    assert all(b.startswith("planted:") for _, b in leak["examples"])
    shown = run("corpus", "audit", corpus(str(listed)))
    assert shown.code == 1
    assert "Split leaking.csv: As leaking.csv lists the crystals" in shown.out
    assert "BROKEN" in shown.out
    assert shown.out.splitlines()[-1] == "The split is not what it says."


@pytest.mark.parametrize("split", ["structure-type", "out-of-library"])
def test_a_split_keeps_copies_together(run: Run, corpus: Callable[[str], Path], split: str) -> None:
    """However the copies are set, they are dealt to one side."""
    result = run("corpus", "audit", corpus(split), "--json")
    assert result.code == 0
    told = json.loads(result.out)
    assert not told["broken"]
    held = ("rows", "duplicates", "types") if split == "structure-type" else ("rows", "duplicates")
    assert all(entry["kinds"] == 0 for entry in told["shared"] if entry["measure"] in held)
    assert sum(told["crystals"].values()) == PLANTED + len(common_minerals())
    shown = run("corpus", "audit", corpus(split)).out
    assert shown.splitlines()[-1] == "The split is what it says."
    assert "BROKEN" not in shown


def test_no_corpus(run: Run, tmp_path: Path) -> None:
    assert run("corpus", "audit", tmp_path / "nix").complaint == (
        f"{tmp_path / 'nix'}: no such corpus; make one with `powderlens corpus build`"
    )


def test_stored_patterns_have_no_split(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    rows = "".join(f"{angle:.2f} {10 + 90 * (abs(angle - 30) < 0.3):.1f}\n" for angle in np.arange(20, 40, 0.1))
    (tmp_path / "p" / "a.xy").write_text(rows)
    (tmp_path / "p" / "labels.csv").write_text("file,space_group\na.xy,1\n")
    assert run("corpus", "import", tmp_path / "p", "--format", "folder", "--output", tmp_path / "c").code == 0
    result = run("corpus", "audit", tmp_path / "c")
    assert result.code == 2
    assert result.complaint == f"{tmp_path / 'c'}: its patterns are measured, not drawn; they cannot be drawn anew"
