"""Whether the duplicate finder finds planted copies, and nothing else, in whole databases.

    python benchmarks/duplicate_recovery.py CRYSTALS... --output results/duplicates.json

CRYSTALS are databases or crystal tables. Into all their crystals go 1,000 copies, as many of each database, and as many
controls that only resemble a crystal; then one search runs over the lot.

Copies: another setting (random axes of the same lattice), another origin, a supercell of two to four cells, the mirror
image, atoms moved by 0.01 A (standard deviation along each axis, so 0.017 A in space), and all of these together. All
are turned in space and have their atoms shuffled. A copy counts as found when it is given the same first crystal as
its original.

Controls: a cell strained by 3 % along one direction; two atoms of different elements exchanged in a doubled cell; the
occupancies of one orbit changed by 0.1; and every stacking of up to nine close-packed layers, where the sequence of
cubic and hexagonal layers says which are the same. A control is a false pair when it is given to its original, or to
another crystal from which pymatgen's StructureMatcher parts it.

Of the pairs found in the databases themselves a sample goes to StructureMatcher (default tolerances; on a shared site
it sees the first of its elements in the alphabet), which shares no code with the finder. It first makes cells
primitive, with a tolerance of 0.25 A that now and then folds one of two like crystals and not the other; a pair that it
denies goes to it once more in the primitive cells of the finder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from crystal_sample import hardware, origin
from numpy.typing import NDArray

import powderlens
from powderlens.core.files import file_sha256
from powderlens.crystal.convert import shared_sites, to_pymatgen
from powderlens.crystal.duplicates import (
    PrimitiveCrystal,
    composition_bucket,
    find_duplicates,
    primitive_crystals,
    same_structure,
)
from powderlens.crystal.sources import open_source
from powderlens.crystal.structure import Reject, Structure, right_handed

if TYPE_CHECKING:
    from pymatgen.core import Structure as PymatgenStructure

SEED, COPIES, CONTROLS, CHECKED = 20261121, 1000, 300, 2000
MAX_ATOMS = 150
NOISE_A, STRAIN, OCCUPANCY_STEP = 0.01, 0.03, 0.1
LAYERS = 9

Change = Callable[[Structure, np.random.Generator], Structure]


class Planted(NamedTuple):
    """A crystal put into the databases: what was done, the index of its original, and the crystal."""

    kind: str
    of: int
    crystal: Structure


def crystals_of(path: Path) -> Iterator[Structure]:
    if path.suffix == ".parquet":
        from powderlens.crystals.table import CrystalTable

        table = CrystalTable.load(path)
        yield from (table.structure(row) for row in range(len(table)))
    else:
        yield from (item for item in open_source(path) if not isinstance(item, Reject))


# --- what a crystal may go through and stay the same --------------------------------------------------------------


def in_axes(crystal: Structure, axes: NDArray[np.int64]) -> Structure:
    """The crystal in a cell whose rows are whole-number combinations of its own."""
    inverse = np.linalg.inv(axes)
    size = round(abs(np.linalg.det(axes)))
    corners = np.array(list(itertools.product((0, 1), repeat=3))) @ axes
    ranges = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    points = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = points @ inverse
    points = points[((inside > -1e-9) & (inside < 1 - 1e-9)).all(axis=1)]
    assert len(points) == size
    rows = np.repeat(np.arange(len(crystal.elements)), size)
    frac = (crystal.frac[:, None, :] + points).reshape(-1, 3) @ inverse
    return bare(axes @ crystal.lattice, crystal, rows, frac)


def bare(
    lattice: NDArray[np.float64], crystal: Structure, rows: NDArray[np.intp], frac: NDArray[np.float64]
) -> Structure:
    """Rows of a crystal at other places of another cell, without symmetry or displacements."""
    return Structure(
        lattice=lattice,
        elements=tuple(crystal.elements[row] for row in rows),
        frac=frac % 1.0,
        occupancy=crystal.occupancy[rows],
        u_iso_A2=np.full(len(rows), np.nan),
        source=crystal.source,
    )


def other_setting(crystal: Structure, rng: np.random.Generator) -> Structure:
    upper, lower = np.eye(3, dtype=np.int64), np.eye(3, dtype=np.int64)
    upper[np.triu_indices(3, 1)] = rng.integers(-2, 3, 3)
    lower[np.tril_indices(3, -1)] = rng.integers(-2, 3, 3)
    return in_axes(crystal, upper @ lower)


def other_origin(crystal: Structure, rng: np.random.Generator) -> Structure:
    return replace(crystal, frac=(crystal.frac + rng.random(3)) % 1.0)


def supercell(crystal: Structure, rng: np.random.Generator) -> Structure:
    sizes = [sizes for sizes in itertools.product((1, 2, 3, 4), repeat=3) if 2 <= np.prod(sizes) <= 4]
    axes = np.diag(sizes[rng.integers(len(sizes))])
    axes[np.triu_indices(3, 1)] = [rng.integers(0, axes[j, j]) for _, j in zip(*np.triu_indices(3, 1), strict=True)]
    return in_axes(crystal, axes)


def mirror_image(crystal: Structure, rng: np.random.Generator) -> Structure:
    lattice, frac = right_handed(crystal.lattice * [1, 1, -1], crystal.frac)
    return replace(crystal, lattice=lattice, frac=frac, translations=-crystal.translations % 1.0)


def moved_atoms(crystal: Structure, rng: np.random.Generator) -> Structure:
    """What shares a site moves together."""
    frac, inverse = crystal.frac.copy(), np.linalg.inv(crystal.lattice)
    for rows in shared_sites(crystal):
        frac[rows] += rng.normal(0, NOISE_A, 3) @ inverse
    return replace(crystal, frac=frac % 1.0)


def all_together(crystal: Structure, rng: np.random.Generator) -> Structure:
    for change in (supercell, other_setting, other_origin, mirror_image, moved_atoms):
        crystal = change(crystal, rng)
    return crystal


def turned(crystal: Structure, rng: np.random.Generator) -> Structure:
    """In another orientation, atoms in another order, nothing known of its symmetry."""
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    order = rng.permutation(len(crystal.elements))
    return bare(crystal.lattice @ rotation, crystal, order, crystal.frac[order])


COPIES_BY_KIND: dict[str, Change] = {
    "setting": other_setting,
    "origin": other_origin,
    "supercell": supercell,
    "mirror image": mirror_image,
    "noise": moved_atoms,
    "all together": all_together,
}


# --- what only resembles it ---------------------------------------------------------------------------------------


def strained(crystal: Structure, rng: np.random.Generator) -> Structure:
    along = rng.normal(size=3)
    along /= np.linalg.norm(along)
    sign = rng.choice([-1, 1])
    return replace(crystal, lattice=crystal.lattice @ (np.eye(3) + sign * STRAIN * np.outer(along, along)))


def exchanged(crystal: Structure, rng: np.random.Generator) -> Structure:
    doubled = in_axes(crystal, np.diag(rng.permutation([2, 1, 1])))
    elements = np.array(doubled.elements)
    one, other = rng.choice(np.unique(elements), 2, replace=False)
    i, j = (rng.choice(np.flatnonzero(elements == name)) for name in (one, other))
    elements[[i, j]] = elements[[j, i]]
    return replace(doubled, elements=tuple(elements.tolist()))


def other_occupancy(crystal: Structure, rng: np.random.Generator) -> Structure:
    """Every site as full as a part-filled one drawn by chance, 0.1 less or more of one element."""
    mixed = np.flatnonzero((crystal.occupancy > 0.15) & (crystal.occupancy < 0.85))
    row = rng.choice(mixed)
    same = (np.array(crystal.elements) == crystal.elements[row]) & (
        np.abs(crystal.occupancy - crystal.occupancy[row]) < 1e-6
    )
    step = OCCUPANCY_STEP * rng.choice([-1, 1])
    return replace(crystal, occupancy=np.where(same, crystal.occupancy + step, crystal.occupancy))


CONTROLS_BY_KIND: dict[str, tuple[Change, Callable[[Structure], bool]]] = {
    "3 % strain": (strained, lambda c: True),
    "exchanged atoms": (
        exchanged,
        lambda c: bool(c.occupancy.min() >= 0.999) and len(set(c.elements)) > 1 and len(c.elements) > 3,
    ),
    "other occupancy": (other_occupancy, lambda c: bool(((c.occupancy > 0.15) & (c.occupancy < 0.85)).any())),
}


def stackings(rng: np.random.Generator) -> list[tuple[str, Structure]]:
    """Every stacking of 2 to `LAYERS` close-packed layers of cobalt, turned and noisy, with its word.

    The word has an h for a layer between two alike and a c for the others; its shortest period, turned, reversed and
    put first in the alphabet, says which stackings are one crystal.
    """
    places = np.array([[0, 0], [1 / 3, 2 / 3], [2 / 3, 1 / 3]])
    found = []
    for count in range(2, LAYERS + 1):
        for rest in itertools.product(range(3), repeat=count - 1):
            layers = (0, *rest)
            if any(layers[i] == layers[i - 1] for i in range(count)):
                continue
            word = "".join("h" if layers[i - 1] == layers[(i + 1) % count] else "c" for i in range(count))
            period = next(p for p in range(1, count + 1) if count % p == 0 and word == word[:p] * (count // p))
            short = word[:period]
            name = min(w[i:] + w[:i] for w in (short, short[::-1]) for i in range(period))
            frac = [[*places[layer], level / count] for level, layer in enumerate(layers)]
            crystal = Structure.from_cell((2.507, 2.507, 2.035 * count, 90, 90, 120), ["Co"] * count, frac)
            found.append((name, turned(moved_atoms(crystal, rng), rng)))
    return found


# --- the figures --------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path, nargs="+", metavar="CRYSTALS")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--checked", type=int, default=CHECKED, help="natural pairs given to StructureMatcher")
    args = parser.parse_args()
    rng = np.random.default_rng(SEED)
    crystals = [crystal for path in args.crystals for crystal in crystals_of(path)]
    warm_up(crystals[0])
    started = time.process_time()
    buckets = [composition_bucket(crystal) for crystal in crystals]
    alone = find_duplicates(buckets, crystals.__getitem__)
    seconds = time.process_time() - started
    print(f"{len(crystals)} crystals searched in {seconds:.0f} s", flush=True)

    copies = list(planted_copies(crystals, rng))
    controls = list(planted_controls(crystals, alone, rng))
    planted = [*copies, *controls]
    everything = crystals + [item.crystal for item in planted]
    first = find_duplicates(buckets + [composition_bucket(item.crystal) for item in planted], everything.__getitem__)
    given = first[len(crystals) :]
    matcher = Matcher()
    of_copies, wrong_copies = judge_copies(copies, given[: len(copies)], first, everything, matcher)
    of_controls, wrong_controls = judge_controls(controls, given[len(copies) :], everything, matcher)
    stacked = judge_stackings(stackings(rng))
    natural = judge_natural(crystals, alone, args.checked, rng, matcher)
    paired = int((given != np.arange(len(crystals), len(everything))).sum())
    found = sum(kind["found"] for kind in of_copies.values())
    pairs = max(matcher.pairs, 1)
    record = {
        "what": "planted copies found among all crystals, and false pairs; see benchmarks/duplicate_recovery.py",
        "command": "python benchmarks/duplicate_recovery.py CRYSTALS... --output results/duplicates.json",
        "data": {path.name: file_sha256(path) for path in args.crystals},
        "seed": SEED,
        "versions": {name: version(name) for name in ("numpy", "numba", "moyopy", "pymatgen")}
        | {"powderlens": powderlens.__version__, "python": platform.python_version()},
        "hardware": hardware(),
        "date": datetime.now(UTC).date().isoformat(),
        "search": {
            "crystals": len(crystals),
            "buckets": len(set(buckets)),
            "largest_bucket": max(Counter(buckets).values()),
            "core_seconds": round(seconds, 1),
            "duplicates": int((alone != np.arange(len(alone))).sum()),
            "duplicates_by_database": duplicates_by_database(crystals, alone),
        },
        "copies": {"planted": len(copies), "found": found, "share": found / len(copies), "by_kind": of_copies},
        "controls": {"planted": len(controls), "by_kind": of_controls},
        "false_pairs": {
            "of_planted_crystals": len(wrong_copies) + len(wrong_controls),
            "compared": len(planted),
            "pairs_reported_of_planted": paired,
            "which": wrong_copies + wrong_controls,
        },
        "stackings": stacked,
        "natural_pairs": natural,
        "seconds_a_pair": {"powderlens": matcher.ours_s / pairs, "StructureMatcher": matcher.s / pairs},
    }
    text = json.dumps(record, indent=1) + "\n"
    if args.output:
        args.output.write_text(text)
    print(text)


def warm_up(crystal: Structure) -> None:
    """Compile before the clock runs."""
    doubled = in_axes(crystal, np.diag([2, 1, 1]))
    assert same_structure(crystal, doubled)


def planted_copies(crystals: list[Structure], rng: np.random.Generator) -> Iterator[Planted]:
    databases = sorted({origin(crystal.source) for crystal in crystals})
    small = {
        name: [i for i, c in enumerate(crystals) if origin(c.source) == name and len(c.elements) <= MAX_ATOMS]
        for name in databases
    }
    kinds = list(COPIES_BY_KIND)
    for number in range(COPIES):
        of = int(rng.choice(small[databases[number % len(databases)]]))
        kind = kinds[number // len(databases) % len(kinds)]
        yield Planted(kind, of, turned(COPIES_BY_KIND[kind](crystals[of], rng), rng))


def planted_controls(
    crystals: list[Structure], alone: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[Planted]:
    """Of crystals that are the first of their kind: what such a control is given to is told apart from its original."""
    heads = np.flatnonzero(alone == np.arange(len(alone)))
    for kind, (change, usable) in CONTROLS_BY_KIND.items():
        left = CONTROLS
        for of in rng.permutation(heads):
            if left and len(crystals[of].elements) <= MAX_ATOMS and usable(crystals[of]):
                left -= 1
                yield Planted(kind, int(of), turned(change(crystals[of], rng), rng))


class Matcher:
    """pymatgen's verdict, and how long it and ours took on the same pairs."""

    def __init__(self) -> None:
        from pymatgen.core.structure_matcher import StructureMatcher

        self.judge = StructureMatcher()
        self.pairs, self.s, self.ours_s = 0, 0.0, 0.0

    def same(self, a: Structure, b: Structure) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one, other = to_pymatgen(one_element_each(a)), to_pymatgen(one_element_each(b))
            started = time.process_time()
            verdict = bool(self.judge.fit(one, other))
        between = time.process_time()
        same_structure(a, b)
        self.s, self.ours_s, self.pairs = (
            self.s + between - started,
            self.ours_s + time.process_time() - between,
            self.pairs + 1,
        )
        return verdict

    def same_in_our_cells(self, a: Structure, b: Structure) -> bool:
        """Without pymatgen's own search for primitive cells."""
        from pymatgen.core.structure_matcher import StructureMatcher

        judge = StructureMatcher(primitive_cell=False)
        pairs = itertools.product(*(primitive_crystals(one_element_each(c)) for c in (a, b)))
        return any(judge.fit(*map(in_pymatgen, pair)) for pair in pairs)


def in_pymatgen(crystal: PrimitiveCrystal) -> PymatgenStructure:
    from pymatgen.core import Structure as PymatgenStructure

    return PymatgenStructure(crystal.lattice, [crystal.names[kind] for kind in crystal.kinds], crystal.frac)


def one_element_each(crystal: Structure) -> Structure:
    """Every site full of the first of its elements in the alphabet."""
    rows = np.array([min(site, key=lambda row: crystal.elements[row]) for site in shared_sites(crystal)])
    plain = bare(crystal.lattice, crystal, rows, crystal.frac[rows])
    return replace(plain, occupancy=np.ones(len(rows)))


def judge_copies(
    copies: list[Planted],
    given: NDArray[np.int64],
    first: NDArray[np.int64],
    everything: list[Structure],
    matcher: Matcher,
) -> tuple[dict[str, dict[str, object]], list[dict[str, object]]]:
    by_kind: dict[str, dict[str, object]] = {}
    wrong = []
    for copy, to in zip(copies, given.tolist(), strict=True):
        entry = by_kind.setdefault(copy.kind, {"planted": 0, "found": 0, "missed": []})
        entry["planted"] += 1  # type: ignore[operator]
        if to == first[copy.of]:
            entry["found"] += 1  # type: ignore[operator]
            continue
        entry["missed"].append(copy.crystal.source)  # type: ignore[attr-defined]
        if everything[to] is not copy.crystal and not matcher.same(copy.crystal, everything[to]):
            wrong.append({"kind": copy.kind, "of": copy.crystal.source, "given_to": everything[to].source})
    return by_kind, wrong


def judge_controls(
    controls: list[Planted], given: NDArray[np.int64], everything: list[Structure], matcher: Matcher
) -> tuple[dict[str, dict[str, int]], list[dict[str, object]]]:
    by_kind: dict[str, dict[str, int]] = {}
    wrong = []
    for control, to in zip(controls, given.tolist(), strict=True):
        entry = by_kind.setdefault(
            control.kind, {"planted": 0, "given_to_its_original": 0, "given_to_another_crystal": 0}
        )
        entry["planted"] += 1
        if everything[to] is control.crystal:
            continue
        own = to == control.of
        entry["given_to_its_original" if own else "given_to_another_crystal"] += 1
        if own or not matcher.same(control.crystal, everything[to]):
            wrong.append({"kind": control.kind, "of": control.crystal.source, "given_to": everything[to].source})
    return by_kind, wrong


def judge_stackings(found: list[tuple[str, Structure]]) -> dict[str, object]:
    first = find_duplicates(["Co"] * len(found), lambda i: found[i][1])
    words = [word for word, _ in found]
    return {
        "stackings": len(found),
        "distinct_by_word": len(set(words)),
        "distinct_found": len(set(first.tolist())),
        "wrong": int(sum(words[i] != words[j] or words.index(words[i]) != j for i, j in enumerate(first.tolist()))),
    }


def judge_natural(
    crystals: list[Structure], alone: NDArray[np.int64], wanted: int, rng: np.random.Generator, matcher: Matcher
) -> dict[str, object]:
    pairs = np.flatnonzero(alone != np.arange(len(alone)))
    pairs = rng.permutation(pairs)[:wanted]
    denied = [i for i in pairs if not matcher.same(crystals[i], crystals[alone[i]])]
    still = [i for i in denied if not matcher.same_in_our_cells(crystals[i], crystals[alone[i]])]

    def named(which: list[int]) -> list[tuple[str, str]]:
        return [(crystals[i].source, crystals[alone[i]].source) for i in which]

    return {
        "checked": len(pairs),
        "denied_by_StructureMatcher": named(denied),
        "denied_in_our_primitive_cells_too": named(still),
    }


def duplicates_by_database(crystals: list[Structure], alone: NDArray[np.int64]) -> dict[str, int]:
    pairs = Counter(
        f"{origin(crystals[i].source)} equals {origin(crystals[j].source)}"
        for i, j in enumerate(alone.tolist())
        if i != j
    )
    return dict(sorted(pairs.items()))


if __name__ == "__main__":
    main()
