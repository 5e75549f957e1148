"""Patterns of several phases."""

from __future__ import annotations

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.core.random import Purpose
from powderlens.crystal.common import common_minerals
from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.structure import Structure
from powderlens.diffraction import background, noise, render_numpy
from powderlens.diffraction.conditions import Conditions, to_record
from powderlens.diffraction.draw import prepare
from powderlens.diffraction.instrument import polarisation_ratio
from powderlens.diffraction.mixture import as_measured, lines_alone, scale_of_weight
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.diffraction.protocol import load_protocol
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid

GRID = Grid(start_deg=10.0, step_deg=0.02, points=3001, wavelength_A=1.5418711)
MINERALS = {mineral.name: mineral for mineral in common_minerals()}


def mass_u(structure: Structure) -> float:
    return float(np.dot([atomic_mass_u(element) for element in structure.elements], structure.occupancy))


@pytest.fixture(scope="module")
def two() -> tuple[Phase, Phase]:
    lab = load_protocol("lab")
    return prepare(MINERALS["Halite"], lab), prepare(MINERALS["Quartz"], lab)


@pytest.mark.parametrize(("name", "stated"), [("Halite", 4.40), ("Rutile", 3.40), ("Fluorite", 3.84)])
def test_equal_weights_with_corundum(name: str, stated: float) -> None:
    """I/Ic: strongest line of a phase over that of corundum in a mixture of equal weights.

    Stated by PDF-2 cards 5-628, 21-1276 and 35-816, measured.
    """
    one, corundum = MINERALS[name], MINERALS["Corundum"]
    c = to_record([Conditions.of(ka2_ratio=0.0)] * 2)
    phases = [phase_of(structure, d_min_A=1.2) for structure in (one, corundum)]
    curves = lines_alone(phases, c, GRID, seed=0, index=np.arange(2))
    tall = [
        scale_of_weight(0.5, mass_u(structure), structure.volume_A3) * curve.max()
        for structure, curve in zip((one, corundum), curves, strict=True)
    ]
    # Lines of 0.07 degrees and 200 nm, nearly alike in width: heights stand for areas.
    assert tall[0] / tall[1] == pytest.approx(stated, rel=0.1)


def test_the_same_by_the_renderer_to_read(two: tuple[Phase, Phase]) -> None:
    c = load_protocol("lab").draw(3, np.array([4, 5]))
    index = np.array([4, 5])
    found = lines_alone(two, c, GRID, seed=3, index=index)
    total = (np.array([0.2, 3.0])[:, None] * found).sum(axis=0)
    measured = as_measured(total[None], c[:1], GRID, seed=3, index=index[:1])[0]
    inside = render_numpy.inside(c[0], GRID.two_theta_deg)
    expected = np.zeros(GRID.points)
    for phase, record, i, share in zip(two, c, index, (0.2, 3.0), strict=True):
        lines = render_numpy.lines_of(
            phase, record, 3, int(i), Purpose.INTENSITIES, Purpose.PERTURBATION, Purpose.OFFSETS
        )
        # The scale of LP is free: the compiled renderer divides by 1 + A, the one to read does not.
        ratio = polarisation_ratio(record["monochromator_deg"], record["polarised_share"])
        expected += share * render_numpy.smeared(lines, record, GRID) / (1 + ratio)
    np.testing.assert_allclose(total, expected, atol=1e-5 * expected.max())
    y = render_numpy.scaled(expected, inside) + background.under(c[0], GRID.two_theta_deg)
    np.testing.assert_allclose(measured, noise.counted(y, c[0], 3, 4, inside), atol=2e-5)


def test_one_phase_is_what_render_draws(two: tuple[Phase, Phase]) -> None:
    index = np.array([7])
    c = load_protocol("lab").draw(1, index)
    c["impurity_share"] = 0
    alone = lines_alone(two[:1], c, GRID, seed=1, index=index)
    np.testing.assert_array_equal(
        as_measured(alone, c, GRID, seed=1, index=index), render(two[:1], c, GRID, seed=1, index=index)
    )


def test_nothing_but_background_and_noise() -> None:
    c = load_protocol("lab").draw(1, np.array([2]))
    c["first_deg"], c["last_deg"] = 20.0, 50.0
    (y,) = as_measured(np.zeros((1, GRID.points)), c, GRID, seed=1, index=np.array([2]))
    inside = render_numpy.inside(c[0], GRID.two_theta_deg)
    assert np.flatnonzero(y).tolist() == np.flatnonzero(inside).tolist()
    level = background.under(c[0], GRID.two_theta_deg)[inside]
    assert y[inside].max() < 20 * float(c["noise_sigma"][0]) + np.abs(level).max()


def test_what_does_not_fit_is_refused(two: tuple[Phase, Phase]) -> None:
    c = to_record([Conditions()] * 2)
    with pytest.raises(InputError, match="2 phases, 1 records and 2 indices"):
        lines_alone(two, c[:1], GRID, seed=0, index=np.arange(2))
    c["thermal_offset_A"] = 0.1
    with pytest.raises(InputError, match="offsets need its atoms"):
        lines_alone(two, c, GRID, seed=0, index=np.arange(2))
