"""From listed sites to whole cells."""

import gemmi
import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.displacement import believable, beta_from_u, u_equivalent, u_from_beta
from powderlens.crystal.expand import Sites, asymmetric_rows, check_metric, check_sites, expand_sites, without_repeats
from powderlens.crystal.operators import check_group, operators_from_triplets, space_group_number, triplet
from powderlens.crystal.structure import Structure, lattice_from_cell

CUBE = np.diag([5.0, 5.0, 5.0])
SPINEL = [[0.125] * 3, [0.5] * 3, [0.2624] * 3]


def group(name: str) -> tuple[np.ndarray, np.ndarray]:
    return operators_from_triplets(op.triplet() for op in gemmi.SpaceGroup(name).operations())


def expand(name: str, cell, elements, frac, occupancy=None, u=None, beta=None) -> Sites:
    rotations, translations = group(name)
    n = len(elements)
    return expand_sites(
        lattice_from_cell(cell),
        elements,
        np.array(frac, dtype=float),
        np.ones(n) if occupancy is None else np.array(occupancy),
        np.full(n, np.nan) if u is None else np.array(u),
        beta,
        rotations,
        translations,
    )


@pytest.mark.parametrize(
    ("name", "cell", "elements", "frac", "counts"),
    [
        ("F m -3 m", (5.64, 5.64, 5.64, 90, 90, 90), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]], {"Na": 4, "Cl": 4}),
        (
            "P 42/m n m",
            (4.594, 4.594, 2.959, 90, 90, 90),
            ["Ti", "O"],
            [[0, 0, 0], [0.305, 0.305, 0]],
            {"Ti": 2, "O": 4},
        ),
        (
            "P 32 2 1",
            (4.913, 4.913, 5.405, 90, 90, 120),
            ["Si", "O"],
            [[0.4697, 0, 0.6667], [0.4133, 0.2672, 0.7855]],
            {"Si": 3, "O": 6},
        ),
        ("F d -3 m:2", (8.08, 8.08, 8.08, 90, 90, 90), ["Mg", "Al", "O"], SPINEL, {"Mg": 8, "Al": 16, "O": 32}),
        ("R -3 m:H", (3.0, 3.0, 15.0, 90, 90, 120), ["Bi"], [[0, 0, 0.2]], {"Bi": 6}),
    ],
)
def test_cells_hold_the_atoms_they_should(name, cell, elements, frac, counts) -> None:
    sites = expand(name, cell, elements, frac)
    assert {e: sites.elements.count(e) for e in set(sites.elements)} == counts
    assert ((sites.frac >= 0) & (sites.frac < 1)).all()


def test_a_third_printed_as_333_is_moved_onto_the_axis() -> None:
    sites = expand("P 63/m m c", (2.5, 2.5, 4.1, 90, 90, 120), ["Mg"], [[0.333, 0.667, 0.25]])
    assert len(sites.elements) == 2
    assert sites.frac[0] == pytest.approx([1 / 3, 2 / 3, 0.25], abs=1e-12)


def test_a_split_site_is_not_merged() -> None:
    sites = expand("P m -3 m", (4.0, 4.0, 4.0, 90, 90, 90), ["Pb"], [[0.02, 0, 0]], occupancy=[1 / 6])
    assert len(sites.elements) == 6
    assert sites.occupancy.sum() == pytest.approx(1.0)


def test_distance_not_fraction_decides_what_merges() -> None:
    long = expand("P -1", (3, 3, 100, 90, 90, 90), ["H"], [[0, 0, 0.004]])
    short = expand("P -1", (3, 3, 5, 90, 90, 90), ["H"], [[0, 0, 0.004]])
    assert (len(long.elements), len(short.elements)) == (2, 1)


@pytest.mark.parametrize(
    ("place", "atoms"),
    [
        ((0.0, 0.0, 0.2), 2), ((0.05, 0.0, 0.2), 2), ((0.02, 0.05, 0.2), 2), ((0.05, 0.0, 0.02), 1),
        ((0.0, 0.0, 0.07), 2), ((0.5, 0.02, 0.0), 3), ((0.2, 0.0, 0.2), 12), ((0.2, 0.03, 0.2), 12),
        ((0.2, 0.05, 0.2), 24),
    ],
)  # fmt: skip
def test_images_of_a_full_site_within_half_an_angstrom_are_one_atom(place: tuple[float, ...], atoms: int) -> None:
    """About a sixfold axis the nearest images come first, and bring the farther ones within reach."""
    cell = (8.0, 8.0, 6.0, 90, 90, 120)
    sites = expand("P 6/m m m", cell, ["H"], [place])
    assert len(sites.elements) == atoms
    apart = sites.frac[:, None] - sites.frac[None]
    apart -= np.round(apart)
    lengths = np.linalg.norm(apart @ lattice_from_cell(cell), axis=-1)
    assert lengths[~np.eye(atoms, dtype=bool)].min(initial=9.0) > 0.5


@pytest.mark.parametrize(("occupancy", "atoms"), [(1.0, 2), (0.6, 2), (0.525, 12), (0.5, 12), (1 / 6, 12)])
def test_part_filled_images_may_be_near(occupancy: float, atoms: int) -> None:
    sites = expand("P 6/m m m", (8.0, 8.0, 6.0, 90, 90, 120), ["H"], [(0.05, 0.0, 0.2)], occupancy=[occupancy])
    assert len(sites.elements) == atoms


def test_two_atoms_on_one_site_are_refused_and_a_little_too_much_is_a_doubt() -> None:
    frac = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 1.3], [0.5, 0.5, 0.5]])
    nearly, apart = frac.copy(), frac.copy()
    nearly[1] += 0.004
    apart[1] += 0.006
    with pytest.raises(StructureError, match=r"2 atoms on one site, 'Na and Cl' at 0.1, 0.2, 0.3; give"):
        check_sites(CUBE, ["Na", "Cl", "K"], frac, np.ones(3))
    assert check_sites(CUBE, ["Na", "Cl", "K"], frac, np.array([0.5, 0.5, 1.0])) == []
    assert check_sites(CUBE, ["Na", "Cl", "K"], frac, np.array([0.55, 0.54, 1.0])) == []
    (doubt,) = check_sites(CUBE, ["Na", "Cl", "K"], frac, np.array([0.7, 0.6, 1.0]))
    assert doubt == ("site", "1.3 atoms on one site, 'Na and Cl' at 0.1, 0.2, 0.3")
    assert check_sites(CUBE, ["Na", "Cl", "K"], apart, np.ones(3)) == []
    with pytest.raises(StructureError, match="2 atoms on one site"):
        check_sites(CUBE, ["Na", "Cl", "K"], nearly, np.ones(3))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 50, 501])
def test_one_shared_place_is_found_wherever_it_is(n: int) -> None:
    rng = np.random.default_rng(n)
    lattice = lattice_from_cell((20, 23, 29, 80, 95, 110))
    frac = rng.uniform(0, 1, (n, 3))
    assert check_sites(lattice, ["Na"] * n, frac, np.ones(n)) == []
    for row in range(0, n, max(1, n // 7)):
        twin = frac.copy()
        twin[row - 1] = frac[row] + rng.integers(-2, 3, 3) + rng.uniform(-1, 1, 3) * 0.02 / 29
        with pytest.raises(StructureError, match="2 atoms on one site, 'Na and Na'"):
            check_sites(lattice, ["Na"] * n, twin, np.ones(n))


def test_a_listed_site_near_an_image_of_another_is_that_image() -> None:
    cell = (20.0, 20.0, 20.0, 90, 90, 90)
    sites = expand("P -1", cell, ["Fe", "Fe", "O"], [(0.11, 0.22, 0.33), (0.89, 0.78, 0.68), (0.88, 0.78, 0.67)])
    assert without_repeats(sites, lattice_from_cell(cell)).elements == ("Fe", "Fe", "O", "O")
    halves = expand("P -1", cell, ["Fe", "Fe"], [(0.11, 0.22, 0.33), (0.89, 0.78, 0.68)], occupancy=[0.5, 0.5])
    assert len(without_repeats(halves, lattice_from_cell(cell)).elements) == 4


def test_tensors_turn_with_their_atoms() -> None:
    beta = np.diag([0.010, 0.002, 0.001])[None]
    sites = expand("P 4", (4, 4, 6, 90, 90, 90), ["Fe"], [[0.1, 0.2, 0.3]], beta=beta)
    turned = [tuple(np.diag(tensor).round(4)) for tensor in sites.beta]
    assert sorted(turned) == [(0.002, 0.01, 0.001)] * 2 + [(0.01, 0.002, 0.001)] * 2


def test_a_tensor_on_a_fourfold_axis_is_made_to_obey_it() -> None:
    beta = np.array([[[0.010, 0.003, 0], [0.003, 0.002, 0], [0, 0, 0.001]]])
    sites = expand("P 4", (4, 4, 6, 90, 90, 90), ["Fe"], [[0, 0, 0.3]], beta=beta)
    assert sites.beta[0] == pytest.approx(np.diag([0.006, 0.006, 0.001]))


def test_a_hexagonal_tensor_keeps_its_equivalent_under_the_operators() -> None:
    cell = (5.0, 5.0, 12.0, 90, 90, 120)
    u = np.array([[[0.02, 0.004, 0.001], [0.004, 0.01, 0.002], [0.001, 0.002, 0.03]]])
    lattice = lattice_from_cell(cell)
    sites = expand("P 6/m m m", cell, ["O"], [[0.10, 0.35, 0.35]], beta=beta_from_u(u, lattice))
    assert len(sites.elements) == 24
    assert u_equivalent(sites.beta, lattice) == pytest.approx(u_equivalent(sites.beta, lattice)[0])


def test_u_and_beta_are_inverses_and_isotropic_u_has_itself_as_equivalent() -> None:
    lattice = lattice_from_cell((5, 6, 7, 80, 95, 110))
    reciprocal = np.linalg.inv(lattice).T
    lengths = np.linalg.norm(reciprocal, axis=1)
    isotropic = 0.02 * (reciprocal @ reciprocal.T) / np.outer(lengths, lengths)
    beta = beta_from_u(isotropic[None], lattice)
    assert u_equivalent(beta, lattice) == pytest.approx([0.02])
    assert u_from_beta(beta, lattice)[0] == pytest.approx(isotropic)
    # exp(-h beta h) must be the Debye-Waller factor exp(-2 pi^2 U / d^2)
    h = np.array([2, -1, 3])
    assert h @ beta[0] @ h == pytest.approx(2 * np.pi**2 * 0.02 * np.sum((h @ reciprocal) ** 2))


def test_displacements_that_are_none_are_dropped_and_counted() -> None:
    lattice = np.eye(3) * 5
    u_iso = np.array([0.01, -0.02, 2.0, np.nan, 0.0])
    u = np.full((5, 3, 3), np.nan)
    u[0] = np.diag([0.01, 0.01, -0.05])
    u[3] = np.diag([0.01, 0.02, 0.03])
    left = believable(u_iso, u, lattice)
    assert left.dropped == 3
    assert left.u_iso_A2 == pytest.approx([0.01, np.nan, np.nan, 0.02, np.nan], nan_ok=True)
    assert np.isnan(left.beta[[0, 1, 2, 4]]).all()
    assert np.isfinite(left.beta[3]).all()


def test_cell_and_operators_that_clash_are_refused() -> None:
    rotations, _ = group("P 4/m m m")
    with pytest.raises(StructureError, match="do not fit the cell"):
        check_metric(lattice_from_cell((4, 5, 6, 90, 90, 90)), rotations)
    check_metric(lattice_from_cell((4, 4.01, 6, 90, 90, 90)), rotations)


def test_operators_that_are_no_group_are_refused() -> None:
    rotations, translations = operators_from_triplets(["x,y,z", "-x,y+1/2,z"])
    check_group(*operators_from_triplets(["x,y,z", "-x,y+1/2,-z"]))
    with pytest.raises(StructureError, match="no group"):
        check_group(*operators_from_triplets(["x,y,z", "y,z,x"]))
    check_group(rotations, translations)
    with pytest.raises(StructureError, match="lack the identity"):
        check_group(*operators_from_triplets(["-x,-y,-z"]))


@pytest.mark.parametrize("text", ["x,y", "x,y,w", "", "1/2*x,y,z"])
def test_text_that_is_no_operator_is_refused(text: str) -> None:
    with pytest.raises(StructureError, match="is no operator"):
        operators_from_triplets([text])


@pytest.mark.parametrize("number", range(1, 231))
def test_operators_give_back_their_group_in_unusual_origins_too(number: int) -> None:
    rotations, translations = operators_from_triplets(
        op.triplet() for op in gemmi.find_spacegroup_by_number(number).operations()
    )
    assert space_group_number(rotations, translations) == number
    shift = np.array([1, 2, 3]) / 24
    moved = (translations + shift - rotations @ shift) % 1.0
    assert space_group_number(rotations, moved) == number


def test_triplet_is_the_inverse_of_reading() -> None:
    texts = ["x,y,z", "-y,x-y,z+1/3", "y+3/4,x+1/4,-z+5/6"]
    rotations, translations = operators_from_triplets(texts)
    assert [triplet(r, t) for r, t in zip(rotations, translations, strict=True)] == texts


def test_a_site_listed_twice_is_counted_once_but_mixed_sites_stay() -> None:
    cell = (5.64, 5.64, 5.64, 90, 90, 90)
    listed = expand("F m -3 m", cell, ["Na", "Na", "Cl", "K"], [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 0]])
    left = without_repeats(listed, lattice_from_cell(cell))
    assert {e: left.elements.count(e) for e in ("Na", "Cl", "K")} == {"Na": 4, "Cl": 4, "K": 4}
    halves = expand("P 1", cell, ["Fe", "Fe"], [[0, 0, 0], [0, 0, 0]], occupancy=[0.3, 0.6])
    assert len(without_repeats(halves, lattice_from_cell(cell)).elements) == 2


def test_asymmetric_rows_are_one_of_each_orbit_or_none() -> None:
    rotations, translations = group("P 42/m n m")
    cell = (4.594, 4.594, 2.959, 90, 90, 90)
    sites = expand("P 42/m n m", cell, ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]])
    more = {"rotations": rotations, "translations": translations}
    assert asymmetric_rows(Structure.from_cell(cell, sites.elements, sites.frac, **more)).tolist() == [0, 2]
    broken = sites.frac.copy()
    broken[2] += 0.1
    assert asymmetric_rows(Structure.from_cell(cell, sites.elements, broken, **more)) is None
