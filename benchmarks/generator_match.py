r"""How well synthetic crystals follow the statistics of a database that they have not seen.

    pip install spglib
    python benchmarks/generator_match.py CRYSTALS.parquet --output results/generator-match.json \
        --figure docs/figures/generator-match.png

CRYSTALS.parquet is a table of `powderlens crystals curate`. Its crystals are shuffled with a seed and halved. From the
statistics of the first half 20,000 crystals are drawn; they and as many of the first half itself are compared with the
second half, and so are the whole halves. Of each pair of samples:

- Kolmogorov-Smirnov distance of volume, density factor, summed atomic volume, sites, atoms, number of elements;
- total variation of elements (crystals that hold them, and sites) and of Wyckoff letters, within each group, weighted
  by the second half's sites.

The same is done for crystals drawn with no distance asked for, as published, and with one candidate filling. How many
crystals have two atoms nearer than 1 A, and nearer than the generator's distance, is counted for 2,000 of each kind.

spglib confirms the group of every drawn crystal, at 0.01 A. Groups of the first half without statistics of their own
are left out of all samples. Exit code 1 when spglib disagrees once.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
import spglib
from numpy.typing import NDArray

from powderlens.core.files import atomic_write, file_sha256
from powderlens.crystal.elements import NUMBER
from powderlens.crystal.label import SYMPREC_A, find_symmetry
from powderlens.crystal.structure import Structure
from powderlens.crystals.statistics import occupations
from powderlens.crystals.table import CrystalTable
from powderlens.evaluate.record import write_result
from powderlens.generate.distance import lattice_shifts, pair_distances_A
from powderlens.generate.draw import CANDIDATES, CrystalGenerator, Limits, SyntheticCrystal
from powderlens.generate.extract import MAX_SITES, MAX_VOLUME_A3, extract_statistics
from powderlens.generate.occupation import Occupation

DESCRIPTORS: dict[str, Callable[[Occupation], float]] = {
    "volume_A3": lambda one: one.volume_A3,
    "density_factor": lambda one: one.volume_A3 / one.atomic_A3,
    "atomic_volume_A3": lambda one: one.atomic_A3,
    "sites_in_asymmetric_unit": lambda one: len(one.letters),
    "atoms_in_cell": lambda one: one.atoms,
    "number_of_elements": lambda one: len(set(one.elements)),
}
NEARNESS = 2000
SPREAD = (5, 25, 50, 75, 95)


def ks_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Largest difference of the two cumulative distributions."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    share = np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
    return float(np.abs(share).max())


def total_variation(a: Counter[str], b: Counter[str]) -> float:
    """Half the summed difference of the shares."""
    return 0.5 * sum(abs(a[key] / a.total() - b[key] / b.total()) for key in a | b)


def letters_variation(a: Sequence[Occupation], b: Sequence[Occupation]) -> float:
    """Mean over the groups of both, weighted by the sites of the second."""
    tables: list[defaultdict[int, Counter[str]]] = [defaultdict(Counter), defaultdict(Counter)]
    for table, sample in zip(tables, (a, b), strict=True):
        for one in sample:
            table[one.space_group].update(one.letters)
    shared = tables[0].keys() & tables[1].keys()
    weights = {g: tables[1][g].total() for g in shared}
    return sum(n * total_variation(tables[0][g], tables[1][g]) for g, n in weights.items()) / sum(weights.values())


def compare(a: Sequence[Occupation], b: Sequence[Occupation]) -> dict[str, dict[str, float]]:
    ks = {name: ks_distance(values(a, name), values(b, name)) for name in DESCRIPTORS}
    tv = {
        "elements_of_crystals": total_variation(
            Counter(e for one in a for e in set(one.elements)), Counter(e for one in b for e in set(one.elements))
        ),
        "elements_of_sites": total_variation(
            Counter(e for one in a for e in one.elements), Counter(e for one in b for e in one.elements)
        ),
        "wyckoff_letters_within_groups": letters_variation(a, b),
    }
    return {
        "ks_distance": {name: round(value, 4) for name, value in ks.items()},
        "total_variation": {name: round(value, 4) for name, value in tv.items()},
    }


def values(sample: Sequence[Occupation], name: str) -> NDArray[np.float64]:
    return np.array([DESCRIPTORS[name](one) for one in sample], dtype=float)


def nearness(structures: Sequence[Structure]) -> dict[str, float]:
    """Shares of crystals with two atoms nearer than 1 A, and nearer than the generator lets them be."""
    near = close = 0
    for one in structures:
        limits = pair_distances_A(one.elements, 0.0, "covalent")
        shifts = lattice_shifts(one.lattice, max(1.0, limits.max()))
        shortest, share = np.inf, np.inf
        for first in np.unique(find_symmetry(one).orbit):
            difference = one.frac - one.frac[first]
            difference -= np.round(difference)
            lengths = np.linalg.norm((difference[:, None, :] + shifts) @ one.lattice, axis=2)
            lengths[first, 0] = np.inf
            apart = lengths.min(axis=1)
            shortest, share = min(shortest, apart.min()), min(share, (apart / limits[first]).min())
        near, close = near + (shortest < 1.0), close + (share < 1 - 1e-9)
    return {
        "crystals": len(structures),
        "atoms_nearer_than_1_A": round(float(near) / len(structures), 4),
        "atoms_nearer_than_by_default": round(float(close) / len(structures), 4),
    }


def confirmed(crystals: Sequence[SyntheticCrystal]) -> list[dict[str, object]]:
    """The crystals that spglib gives another group."""
    wrong: list[dict[str, object]] = []
    for i, crystal in enumerate(crystals):
        whole = crystal.structure()
        numbers = [NUMBER[element] for element in whole.elements]
        found = spglib.get_symmetry_dataset((whole.lattice, whole.frac, numbers), symprec=SYMPREC_A)
        if found is None or found.number != whole.space_group:
            wrong.append({"index": i, "requested": whole.space_group, "spglib": found and found.number})
    return wrong


def draw_figure(held_out: Sequence[Occupation], drawn: Sequence[Occupation], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels = (
        ("density_factor", "density factor (cell / atoms)", np.linspace(0, 3, 76)),
        ("volume_A3", "volume of the conventional cell (Å³)", np.linspace(0, 3000, 76)),
        ("sites_in_asymmetric_unit", "sites in the asymmetric unit", np.arange(0.5, 40.5)),
        ("number_of_elements", "number of elements", np.arange(0.5, 9.5)),
    )
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.4), layout="constrained")
    for axis, (name, label, bins) in zip(axes.flat, panels, strict=True):
        axis.hist(values(held_out, name), bins, density=True, color="#b8c7d9", label="held-out half of the databases")
        axis.hist(values(drawn, name), bins, density=True, histtype="step", color="#0b3c78", lw=1.4, label="synthetic")
        axis.set(xlabel=label, xlim=(bins[0], bins[-1]), yticks=[])
        axis.spines[["top", "right", "left"]].set_visible(False)
    axes[0, 0].set_ylabel("share of crystals")
    axes[1, 0].set_ylabel("share of crystals")
    axes[0, 1].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as aside:
        figure.savefig(aside, dpi=130)
    plt.close(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    table = CrystalTable.load(options.crystals)
    everything = list(occupations(table))
    order = np.random.default_rng(options.seed).permutation(len(everything))
    halves = [[everything[i] for i in part] for part in np.array_split(order, 2)]
    statistics = extract_statistics(halves[0])
    kept = [
        [
            one
            for one in half
            if one.space_group in statistics.groups and len(one.letters) <= MAX_SITES and one.volume_A3 <= MAX_VOLUME_A3
        ]
        for half in halves
    ]
    generator = CrystalGenerator(statistics, seed=options.seed)
    crystals, start = [], time.process_time()
    for i in range(options.count):
        crystals.append(generator.crystal(i))
    seconds = time.process_time() - start
    drawn = [crystal.occupation for crystal in crystals]
    plain = [
        c.occupation
        for c in map(CrystalGenerator(statistics, seed=options.seed, candidates=1).crystal, range(options.count))
    ]
    loose = CrystalGenerator(statistics, seed=options.seed, limits=Limits(distances="published"))
    published = [loose.crystal(i) for i in range(options.count)]
    real = (table.structure(int(i)) for i in order[::-1])
    whole = [one for one in islice(real, 2 * NEARNESS) if (one.occupancy > 0.999).all()][:NEARNESS]
    wrong = confirmed(crystals)
    if options.figure:
        draw_figure(kept[1], drawn, options.figure)
    body = {
        "data": {"table": options.crystals.name, "sha256": file_sha256(options.crystals), "crystals": len(everything)},
        "split": f"shuffled with seed {options.seed}, halved; groups with statistics in the first half, at most "
        f"{MAX_SITES} sites and {MAX_VOLUME_A3:g} A^3",
        "crystals": {"first_half": len(kept[0]), "held_out_half": len(kept[1]), "synthetic": len(drawn)},
        "seed": options.seed,
        "space_groups": {
            "in_first_half": len(statistics.counts),
            "with_statistics_of_their_own": len(statistics.groups),
            "drawn": len({one.space_group for one in drawn}),
        },
        "candidates": CANDIDATES,
        "against_the_held_out_half": {
            "synthetic": compare(drawn, kept[1]),
            "synthetic_published_distances": compare([crystal.occupation for crystal in published], kept[1]),
            "synthetic_one_candidate": compare(plain, kept[1]),
            "as_many_of_the_first_half": compare(kept[0][: options.count], kept[1]),
            "the_first_half": compare(kept[0], kept[1]),
        },
        "nearness": {
            "held_out_half": nearness(whole),
            "synthetic": nearness([crystal.structure() for crystal in crystals[:NEARNESS]]),
            "synthetic_published_distances": nearness([crystal.structure() for crystal in published[:NEARNESS]]),
        },
        "percentiles": {
            name: {
                "percent": list(SPREAD),
                "held_out_half": np.percentile(values(kept[1], name), SPREAD).round(3).tolist(),
                "synthetic": np.percentile(values(drawn, name), SPREAD).round(3).tolist(),
            }
            for name in DESCRIPTORS
        },
        "group_confirmed_by_spglib": {
            "crystals": len(crystals),
            "confirmed": len(crystals) - len(wrong),
            "others": wrong[:20],
        },
        "tries_per_crystal": round(float(np.mean([crystal.tries for crystal in crystals])), 4),
        "crystals_per_processor_second": round(options.count / seconds),
        "versions": {name: version(name) for name in ("spglib", "moyopy", "numpy")},
    }
    command = (
        f"python benchmarks/generator_match.py {options.crystals.name} --count {options.count} --seed {options.seed} "
        f"--output {options.output}"
    )
    write_result(options.output, command=command, body=body)
    print(body["against_the_held_out_half"], body["group_confirmed_by_spglib"])
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
