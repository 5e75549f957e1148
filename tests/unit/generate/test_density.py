"""Density estimates: exact volumes, positive edges, and the volume that goes with the atoms."""

import numpy as np
import pytest

from powderlens.core.errors import StructureError
from powderlens.crystal.structure import lattice_from_cell
from powderlens.generate.density import SHAPE_PARAMETERS, LatticeShapes, Volumes, cell_of_shape, shape_of, thinned
from powderlens.generate.stream import Stream
from powderlens.symmetry.groups import SYSTEMS

CELLS = {
    "triclinic": (5.0, 6.0, 8.0, 80.0, 95.0, 100.0),
    "monoclinic": (5.0, 6.0, 8.0, 90.0, 104.0, 90.0),
    "orthorhombic": (5.0, 6.0, 8.0, 90.0, 90.0, 90.0),
    "tetragonal": (5.0, 5.0, 8.0, 90.0, 90.0, 90.0),
    "trigonal": (5.0, 5.0, 13.0, 90.0, 90.0, 120.0),
    "hexagonal": (5.0, 5.0, 8.0, 90.0, 90.0, 120.0),
    "cubic": (5.0, 5.0, 5.0, 90.0, 90.0, 90.0),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_cell_comes_back_from_its_shape_and_volume(system: str):
    volume = float(np.linalg.det(lattice_from_cell(CELLS[system])))
    again = cell_of_shape(system, np.array(shape_of(system, CELLS[system])), volume)
    assert again == pytest.approx(CELLS[system], rel=1e-12)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_draw_has_exactly_the_volume_asked_for(system: str):
    rng = np.random.default_rng(0)
    base = np.array(shape_of(system, CELLS[system]))
    wide = np.array([5.0 if name.endswith("deg") else 0.3 for name in SHAPE_PARAMETERS[system]])
    shapes = LatticeShapes.of(system, base + wide * rng.standard_normal((300, len(base))), 200)
    stream, cells = Stream(0, 0), []
    for _ in range(100):
        cell = shapes.draw(stream, 321.0)
        assert np.linalg.det(lattice_from_cell(cell)) == pytest.approx(321.0, rel=1e-9)
        cells.append(cell)
    assert len(set(cells)) == (1 if system == "cubic" else 100)
    drawn = np.array([shape_of(system, cell) for cell in cells])
    assert np.allclose(drawn.mean(axis=0), base, atol=4 * 1.1 * wide / np.sqrt(100)) if len(base) else True


def test_angles_that_close_no_cell_are_an_error_and_no_number():
    shapes = LatticeShapes("triclinic", 2, np.array([[0.0, 0.0, 170.0, 60.0, 60.0]]), np.zeros((5, 5)))
    with pytest.raises(StructureError, match="close no cell"):
        shapes.draw(Stream(0, 0), 100.0)


def test_the_volume_goes_with_the_atoms():
    rng = np.random.default_rng(1)
    atomic = np.exp(rng.uniform(np.log(20), np.log(2000), 2000))
    factor = np.where(atomic < 200, 1.0, 2.0) * np.exp(0.02 * rng.standard_normal(2000))
    volumes = Volumes.of(atomic, atomic * factor, np.ones(2000, dtype=np.int64), 500)
    stream = Stream(0, 0)
    small, large = ([volumes.draw(stream, at) / at for _ in range(200)] for at in (30.0, 1500.0))
    assert np.median(small) == pytest.approx(1.0, abs=0.05)
    assert np.median(large) == pytest.approx(2.0, abs=0.05)
    assert volumes.draw(stream, 1e6) > 1e6  # far from every example: as the nearest one


def test_wanted_volumes_are_of_crystals_with_as_many_elements():
    atomic, many = np.array([10.0, 20.0, 30.0, 40.0]), np.array([1, 2, 2, 1])
    volumes = Volumes.of(atomic, atomic, many, 10)
    stream = Stream(0, 0)
    assert {volumes.draw_atomic(stream, 2) for _ in range(50)} == {20.0, 30.0}
    assert {volumes.draw_atomic(stream, 9) for _ in range(100)} == {10.0, 20.0, 30.0, 40.0}


def test_thinning_keeps_the_spread():
    kept = thinned(np.arange(1000), 10)
    assert kept.tolist() == list(range(0, 1000, 100))
    assert thinned(np.arange(5), 10).tolist() == [0, 1, 2, 3, 4]
