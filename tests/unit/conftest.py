"""What tests of several packages use.

Structures to calculate with, textbook ones and random ones of every crystal system; small tables and corpora;
measured-looking sets made of textbook minerals under a protocol, stored as RRUFF's set is; the folder of a run whose
network has learnt nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from powderlens.crystal.expand import expand_sites
from powderlens.crystal.operators import operators_from_triplets
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.diffraction.phase import phase_of
from powderlens.diffraction.protocol import Protocol, parse_protocol
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid

TOML = """
name = "bench"
summary = "Sharp lines with counting noise on a pedestal"
citation = "made for tests"
scale = 1.0

[grid]
start_deg = 5.0
step_deg = 0.02
points = 4250
wavelength_A = 1.541838

[specimen]
intensity_jitter = { uniform = [0.05, 0.3] }

[profile]
caglioti_w_deg2 = { squared = [0.06, 0.12] }

[geometry]
zero_shift_deg = { normal = [0.0, 0.02] }

[counting]
noise_sigma = { log_normal = [0.01, 0.3] }
background_share = 0.05
pedestal = 4.5
raw_points = 2
"""
RAW = Grid(start_deg=5.0, step_deg=0.01, points=8500, wavelength_A=1.541838)


@pytest.fixture(scope="session")
def bench() -> Protocol:
    """A protocol of a twentieth of a second."""
    return parse_protocol(TOML)


@pytest.fixture(scope="session")
def stored_set(bench: Protocol, minerals: dict[str, Structure]) -> Callable[[Path, int], Path]:
    """`NAME.npz` and `NAME.csv` of so many scans a mineral: drawn in steps of 0.01 degrees, whole thousandths kept."""

    def make(npz: Path, each: int) -> Path:
        rows, scans = ["index,space_group,mineral_inferred,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted"], []
        for number, (name, structure) in enumerate(minerals.items()):
            records = bench.draw(99, each, number * each)
            records["raw_points"] = 1
            phase = phase_of(structure, d_min_A=bench.d_min_A)
            drawn = render([phase] * each, records, RAW, seed=99, index=number * each)
            scans += [np.floor(1000 * np.abs(y) / y.max()).astype(np.int16) for y in drawn]
            cell = ",".join(f"{value:.5f}" for value in structure.cell)
            rows += [f"{len(rows)},{structure.space_group},{name},{cell},1"] * each
        np.savez(npz, intensity=np.array(scans))
        npz.with_suffix(".csv").write_text("\n".join(rows) + "\n")
        return npz

    return make


COARSE = """
name = "coarse"
summary = "Broad lines on a coarse grid"
citation = "made for tests"
scale = 100.0

[grid]
start_deg = 10.0
step_deg = 0.1
points = 701
wavelength_A = 1.5405929

[profile]
shape = "gaussian"
size_shape = "gaussian"
caglioti_w_deg2 = 0.04
crystallite_size_nm = { uniform = [10.0, 100.0] }
"""


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Drawn ones, split in-library: `learnt`, 9 minerals x 6; `fresh`, 5 others x 3; `leaky`, these and one of the nine
    under another id, in other axes and at another origin. And `measured`: three patterns, the last without a
    label; `groups`, these without cells; `stored`, these as if simulated elsewhere."""
    from powderlens.corpus.store.build import build_corpus
    from powderlens.corpus.store.manifest import write_manifest
    from powderlens.corpus.store.stored import stored_schema
    from powderlens.crystal.common import common_minerals
    from powderlens.crystal.label import find_symmetry
    from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

    place = tmp_path_factory.mktemp("corpora")
    (place / "coarse.toml").write_text(COARSE)
    some = common_minerals()[:14]
    turned = [1, 2, 0]
    first = some[0]
    copy = replace(
        first, lattice=first.lattice[turned], frac=(first.frac[:, turned] + 0.1) % 1.0, source="test:copy", name="Copy"
    )
    made = {}
    for name, crystals, per_crystal in (
        ("learnt", some[:9], 6),
        ("fresh", some[9:], 3),
        ("leaky", (*some[9:], copy), 3),
    ):
        rows = [crystal_row(find_symmetry(crystal)) for crystal in crystals]
        write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), place / f"{name}.parquet")
        how: dict[str, Any] = {"protocol": str(place / "coarse.toml"), "split": "in-library", "workers": 1}
        made[name] = place / name
        build_corpus(place / f"{name}.parquet", made[name], per_crystal=per_crystal, **how)
    x = np.arange(10.0, 80.05, 0.05)
    quartz = {"space_group": 152, "crystal_system": "trigonal", "niggli": [4.9, 4.9, 5.4, 90, 90, 120]}
    for name, kind in (("measured", "measured"), ("groups", "measured"), ("stored", "stored")):
        made[name] = place / name
        made[name].mkdir()
        known = {**quartz, "niggli": None} if name == "groups" else quartz
        scans = [{**known, "id": "a"}, {**known, "id": "b"}, {"id": "c"}]
        for at, scan in enumerate(scans):
            line = np.exp(-((x - 26.6 - at) ** 2))
            scan.update(two_theta_deg=x.tolist(), intensity=line.tolist(), wavelength_A=1.5406)
        pq.write_table(
            pa.Table.from_pylist(scans, schema=stored_schema("two_theta_deg")), made[name] / "patterns.parquet"
        )
        write_manifest(made[name], {"kind": kind, "axis": "two_theta_deg", "format": "simxrd"})
    return made


@pytest.fixture(scope="session")
def make_run(corpora: dict[str, Path]) -> Callable[..., Path]:
    """`make_run(folder, tasks=..., **changes of the recipe)`: the folder of an ended run of cnn5 on `learnt`."""

    def make(folder: Path, *, tasks: tuple[str, ...] = ("space_group",), **changes: Any) -> Path:
        import torch

        from powderlens.corpus.store.corpus import Corpus
        from powderlens.models.registry import build
        from powderlens.models.task import TASKS
        from powderlens.train.components.checkpoint import describe
        from powderlens.train.recipe import parse_recipe

        def loss(task: str) -> str:
            return "squared" if task == "lattice" else "cross_entropy"

        content = {
            "format": 2,
            "name": "made",
            "seed": 5,
            "batch": 8,
            "network": {"name": "cnn5", "size": "small"},
            "tasks": {task: {"loss": {"kind": loss(task)}} for task in tasks},
            "data": {"kind": "corpus"},
            "optimiser": {"kind": "adam", "learning_rate": 1e-3},
            "schedule": {"kind": "constant"},
            "limits": {"epochs": 2},
            **changes,
        }
        recipe = parse_recipe(content, "made")
        corpus = Corpus.open(corpora["learnt"])
        heads = [TASKS[task]() for task in tasks]
        network = build("cnn5", heads, points=corpus.grid.points, size="small", seed=1)
        about = describe(recipe, heads, corpus.grid)
        state = {f"network.{name}": value for name, value in network.state_dict().items()}
        folder.mkdir()
        for name in ("best", "last"):
            torch.save({"state_dict": state, "global_step": 12, "powderlens": about}, folder / f"{name}.ckpt")
        run = {
            "powderlens": "0.1.0",
            "recipe": recipe.model_dump(mode="json"),
            "data": {
                "corpus": "learnt",
                "sha256": corpus.manifest["sha256"],
                "patterns": {"train": 36, "validation": 9},
            },
            "network": {"parameters": sum(p.numel() for p in network.parameters())},
            "machine": {"torch": "2", "device": "cpu", "devices": 1, "threads": 2, "processor": "z80", "cores": 3},
        }
        outcome = {
            "stopped_by": "steps",
            "steps": 12,
            "patterns": 96,
            "seconds": 1.5,
            "cpu_seconds": 2.5,
            "checkpoint": f"{recipe.keep}.ckpt",
        }
        (folder / "run.json").write_text(json.dumps(run))
        (folder / "outcome.json").write_text(json.dumps(outcome))
        (folder / "metrics.csv").write_text(
            "step,epoch,patterns,seconds,learning_rate,train_loss,val_loss,val_space_group,val_length_A\n"
            "6,1.0,48.0,0.7,0.001,5.5,5.4,0.25,1.5\n12,2.0,96.0,1.5,0.001,,5.3,0.5,1.25\n"
        )
        return folder

    return make


@pytest.fixture(scope="session")
def mineral_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 25 minerals that ship with powderlens as a table of crystals."""
    import pyarrow as pa

    from powderlens.crystal.common import common_minerals
    from powderlens.crystal.label import find_symmetry
    from powderlens.crystals.table import SCHEMA, crystal_row, write_crystals

    path = tmp_path_factory.mktemp("crystals") / "minerals.parquet"
    rows = [crystal_row(find_symmetry(mineral)) for mineral in common_minerals()]
    write_crystals(pa.Table.from_pylist(rows, schema=SCHEMA), path)
    return path


@pytest.fixture(scope="session")
def built(mineral_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The corpus "minerals" of a protocol, 6 patterns of each mineral, in-library; not to be changed."""
    from powderlens.corpus.store.build import build_corpus

    made: dict[str, Path] = {}

    def of(protocol: str) -> Path:
        if protocol not in made:
            made[protocol] = tmp_path_factory.mktemp("corpus") / "minerals"
            build_corpus(mineral_table, made[protocol], protocol=protocol, per_crystal=6, split="in-library", workers=1)
        return made[protocol]

    return of


@pytest.fixture
def own_copy(built: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the simxrd corpus that a test may damage."""
    return Path(shutil.copytree(built("simxrd"), tmp_path / "minerals"))


# One group of each system with glides, screws or centring, and cells that fit them.
SYSTEMS = {
    "triclinic": ("P -1", (5.1, 6.3, 7.2, 82.0, 101.0, 95.0)),
    "monoclinic": ("P 1 21/c 1", (6.2, 5.3, 7.9, 90.0, 104.0, 90.0)),
    "orthorhombic": ("C m c m", (4.1, 9.7, 6.6, 90.0, 90.0, 90.0)),
    "tetragonal": ("P 41 21 2", (5.2, 5.2, 8.3, 90.0, 90.0, 90.0)),
    "trigonal": ("R 3 c", (5.3, 5.3, 12.9, 90.0, 90.0, 120.0)),
    "hexagonal": ("P 61", (5.7, 5.7, 9.1, 90.0, 90.0, 120.0)),
    "cubic": ("I a -3", (8.4, 8.4, 8.4, 90.0, 90.0, 90.0)),
}


def build(
    group: str,
    cell: tuple[float, ...],
    atoms: list[tuple[str, tuple[float, float, float]]],
    *,
    occupancy: list[float] | None = None,
    u_iso_A2: list[float] | None = None,
) -> Structure:
    """Every atom of the cell from an asymmetric unit and a Hermann-Mauguin symbol."""
    operations = gemmi.find_spacegroup_by_name(group).operations()
    rotations, translations = operators_from_triplets(operation.triplet() for operation in operations)
    lattice = lattice_from_cell(cell)
    n = len(atoms)
    sites = expand_sites(
        lattice,
        [element for element, _ in atoms],
        np.array([place for _, place in atoms]),
        np.ones(n) if occupancy is None else np.array(occupancy),
        np.full(n, np.nan) if u_iso_A2 is None else np.array(u_iso_A2),
        None,
        rotations,
        translations,
    )
    return Structure(
        lattice=lattice,
        elements=sites.elements,
        frac=sites.frac,
        occupancy=sites.occupancy,
        u_iso_A2=sites.u_iso_A2,
        rotations=rotations,
        translations=translations,
        space_group=gemmi.find_spacegroup_by_name(group).number,
        name=group,
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Structure]:
    return build


@pytest.fixture(scope="session")
def rock_salt() -> Structure:
    return build("F m -3 m", (5.64,) * 3 + (90.0,) * 3, [("Na", (0, 0, 0)), ("Cl", (0.5, 0.5, 0.5))])


@pytest.fixture(scope="session")
def zinc_blende() -> Structure:
    return build("F -4 3 m", (5.41,) * 3 + (90.0,) * 3, [("Zn", (0, 0, 0)), ("S", (0.25, 0.25, 0.25))])


@pytest.fixture(params=SYSTEMS, scope="session")
def random_structure(request: pytest.FixtureRequest) -> Structure:
    """Four atoms in general position, partly filled and moving, in a group of each system."""
    rng = np.random.default_rng(list(SYSTEMS).index(request.param))
    group, cell = SYSTEMS[request.param]
    while True:
        places = [tuple(rng.uniform(0.02, 0.98, 3)) for _ in range(4)]
        made = build(
            group,
            cell,
            list(zip(["Pb", "Fe", "O", "H"], places, strict=True)),
            occupancy=[1.0, 0.7, 1.0, 0.5],
            u_iso_A2=[0.004, 0.01, np.nan, 0.03],
        )
        if len(made.elements) == 4 * len(made.rotations):  # none so near its own image that the two are one atom
            return made
