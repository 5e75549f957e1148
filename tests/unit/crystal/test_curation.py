"""Each rule: one crystal that obeys it, one that breaks it."""

from dataclasses import replace

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.curation import (
    PROTOCOLS,
    RULES,
    Candidate,
    chosen_rules,
    declared_group,
    niggli_misfit,
    shortest_distance_A,
)
from powderlens.crystal.label import find_symmetry
from powderlens.crystal.structure import Structure, lattice_from_cell


def objection(rule: str, structure: Structure) -> str | None:
    check = RULES[rule].objection
    assert check is not None
    return check(Candidate(find_symmetry(structure)))


def strained(structure: Structure, cell: tuple[float, ...]) -> Structure:
    return replace(structure, lattice=lattice_from_cell(cell), space_group=None, rotations=structure.rotations[:1],
                   translations=structure.translations[:1])  # fmt: skip


def broken_halite(halite: Structure) -> Structure:
    return strained(halite, (5.64, 5.64, 5.70, 90, 90, 90))


def big(n: int, edge_A: float = 60.0) -> Structure:
    rng = np.random.default_rng(n)
    grid = np.stack(np.meshgrid(*[np.arange(10)] * 3), axis=-1).reshape(-1, 3)[:n] / 10
    frac = grid + rng.uniform(-0.02, 0.02, (n, 3))
    return Structure.from_cell([edge_A, edge_A * 1.1, edge_A * 1.2, 80, 85, 87], ["Cu"] * n, frac)


@pytest.mark.parametrize("rule", [name for name, rule in RULES.items() if rule.objection is not None])
@pytest.mark.parametrize("name", ["Rutile", "Quartz", "Halite", "Corundum"])
def test_good_crystals_pass_every_rule(minerals: dict[str, Structure], name: str, rule: str) -> None:
    assert objection(rule, minerals[name]) is None


def test_atoms_are_counted_in_the_primitive_cell() -> None:
    assert objection("atoms", big(500)) is None
    assert objection("atoms", big(501)) == "501 atoms"


def test_a_shared_site_counts_once(minerals: dict[str, Structure]) -> None:
    crystal = big(400)
    mixed = replace(
        crystal, elements=("Cu",) * 400 + ("Ni",) * 400, frac=np.tile(crystal.frac, (2, 1)),
        occupancy=np.full(800, 0.5), u_iso_A2=np.full(800, np.nan),
    )  # fmt: skip
    assert objection("atoms", mixed) is None


def test_distances(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    frac = halite.frac.copy()
    frac[0] = frac[4] + [0.08, 0, 0]
    found = objection("distances", strained(replace(halite, frac=frac), (5.64, 5.64, 5.64, 90, 90, 90)))
    assert found == "0.451 A"


@pytest.mark.parametrize(
    ("occupancy", "shortest"), [((1, 1), 0.3), ((0.5, 0.5), 0.5), ((0.5, 0.6), 0.3), ((0.52, 0.52), 0.5)]
)
def test_sites_that_are_never_filled_together_may_be_close(occupancy: tuple[float, float], shortest: float) -> None:
    lattice, frac = np.diag([5.0, 5.0, 5.0]), np.array([[0.02, 0, 0], [0.96, 0, 0]])
    assert shortest_distance_A(lattice, frac, np.array(occupancy, dtype=float), 0.5) == pytest.approx(shortest)


def test_an_atom_may_be_too_close_to_itself() -> None:
    lattice = np.array([[0.4, 0, 0], [0, 5.0, 0], [0, 0, 5.0]])
    assert shortest_distance_A(lattice, np.zeros((1, 3)), np.ones(1), 0.5) == pytest.approx(0.4)


def test_declared(minerals: dict[str, Structure]) -> None:
    halite = strained(minerals["Halite"], (5.64, 5.64, 5.64, 90, 90, 90))
    assert objection("declared", replace(halite, labels={"spacegroup": 225})) is None
    assert objection("declared", replace(halite, labels={"spacegroup": 216})) == "declared 216, found 225"
    assert objection("declared", replace(halite, labels={"spacegroup": 1})) == "declared 1, found 225"
    assert objection("declared", halite) is None, "every atom listed is no statement"


@pytest.mark.parametrize(
    ("label", "group"), [(225, 225), ("14", 14), (2.0, None), ("P1", None), (0, None), (231, None), (None, None)]
)
def test_declared_group_of_a_label(minerals: dict[str, Structure], label: object, group: int | None) -> None:
    crystal = strained(minerals["Halite"], (5.64,) * 3 + (90,) * 3)
    assert declared_group(replace(crystal, labels={"spacegroup": label})) == group


def test_declared_group_of_operators(minerals: dict[str, Structure]) -> None:
    assert declared_group(minerals["Halite"]) == 225


@pytest.mark.parametrize("rule", ["broken-symmetry", "stable"])
def test_symmetry_that_is_nearly_there(minerals: dict[str, Structure], rule: str) -> None:
    found = objection(rule, broken_halite(minerals["Halite"]))
    assert found is not None
    assert found.startswith("139, ")
    assert found.endswith("225")


def test_niggli_as_given_and_as_its_system_wants_it(minerals: dict[str, Structure]) -> None:
    halite = minerals["Halite"]
    small = strained(halite, (5.64, 5.64, 5.648, 90, 90, 90))
    assert find_symmetry(small).number == 225
    assert 0 < niggli_misfit(find_symmetry(small)) < 1e-3
    assert objection("niggli", small) is None
    # A thin crystal, whose short edge takes 0.009 A for a change of a third of a percent.
    iron = Structure.from_cell((2.5, 2.509, 9.0, 90, 90, 90), ["Fe"], [[0, 0, 0]])
    symmetry = find_symmetry(iron)
    assert symmetry.number == 123
    assert objection("niggli", iron) == "not tetragonal by 0.0018"


def test_niggli_does_not_mind_the_basis(minerals: dict[str, Structure]) -> None:
    quartz = strained(minerals["Quartz"], (4.916, 4.9165, 5.4054, 90, 90, 120))
    change = np.array([[1, 2, 0], [0, 1, 0], [3, 0, 1]])
    other = replace(quartz, lattice=change @ quartz.lattice, frac=quartz.frac @ np.linalg.inv(change))
    a, b = niggli_misfit(find_symmetry(quartz)), niggli_misfit(find_symmetry(other))
    assert a == pytest.approx(b, rel=0.01)
    assert a > 2e-5


def test_volume() -> None:
    assert objection("volume", big(20, 40.0)) is None
    assert str(objection("volume", big(20, 60.0))).endswith(" A^3")


def test_protocols_and_their_rules() -> None:
    assert set(PROTOCOLS) == {"simxrd", "alphadiffract"}
    assert {name for names in PROTOCOLS.values() for name in names} == set(RULES)
    kept = [rule.name for rule in chosen_rules("alphadiffract", ["niggli", "volume"])]
    assert kept == ["content", "stated-symmetry", "atoms", "distances", "stable"]


@pytest.mark.parametrize(
    ("protocol", "without", "message"),
    [
        ("icsd", [], "there are simxrd"),
        ("simxrd", ["niggli"], "simxrd has content, stated-symm"),
        ("simxrd", ["readable"], "has"),
    ],
)
def test_what_there_is_not(protocol: str, without: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        chosen_rules(protocol, without)
