"""Retrieval: the right phase first, whatever the wavelength, scale and range; elements; what is taken out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals
from powderlens.crystal.structure import Structure
from powderlens.diffraction.simulate import simulate
from powderlens.library.make import PhaseSource, build
from powderlens.library.retrieve import Retrieved, first_look, matched, on_axis, overlapped
from powderlens.library.shelf import ElementFilter, Shelf


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("library") / "common.phases"
    build([PhaseSource("common", "0", lambda: iter(common_minerals()))], out, workers=0)
    return out


@pytest.fixture(scope="module")
def shelf(path: Path) -> Shelf:
    return Shelf([path], shipped=False)


def names(shelf: Shelf, found: Retrieved) -> list[str]:
    return [shelf.name(row) for row in found.row.tolist()]


def look(
    shelf: Shelf, structure: Structure, wavelength: str = "CuKa", span: tuple[float, float] = (5, 90)
) -> Retrieved:
    made = simulate(structure, wavelength, two_theta_deg=span)
    assert made.wavelength_A is not None
    everywhere = np.ones(len(made.intensity), bool)
    return shelf.retrieve(on_axis(made.two_theta_deg, made.intensity, everywhere, made.wavelength_A), 5)


@pytest.mark.parametrize(
    ("wavelength", "span"),
    [("CuKa", (5, 90)), ("MoKa", (5, 45)), ("20keV", (3, 40)), ("CrKa", (15, 120)), ("CuKa", (20, 60))],
)
@pytest.mark.parametrize("name", ["Quartz", "Calcite", "Rutile", "Halite"])
def test_the_right_phase_comes_first(
    shelf: Shelf, minerals: Mapping[str, Structure], name: str, wavelength: str, span: tuple[float, float]
) -> None:
    found = look(shelf, minerals[name], wavelength, span)
    assert names(shelf, found)[0] == name
    assert found.score[0] > 0.85
    assert found.scale[0] == pytest.approx(1.0, abs=0.003)


@pytest.mark.parametrize("scale", [0.975, 1.012, 1.028])
def test_a_cell_of_another_scale_is_found_with_its_scale(
    shelf: Shelf, minerals: Mapping[str, Structure], scale: float
) -> None:
    larger = replace(minerals["Fluorite"], lattice=minerals["Fluorite"].lattice * scale)
    found = look(shelf, larger)
    at = names(shelf, found).index("Fluorite")
    assert found.scale[at] == pytest.approx(scale, abs=0.002)
    assert found.score[at] > 0.87


def test_a_glance_misses_nothing_that_a_look_finds(shelf: Shelf, minerals: Mapping[str, Structure]) -> None:
    library, reach = shelf.libraries[0], 15
    made = simulate(minerals["Quartz"], "CuKa")
    assert made.wavelength_A is not None
    axis = on_axis(made.two_theta_deg, made.intensity, np.ones(len(made.intensity), bool), made.wavelength_A)
    rows = np.arange(len(library))
    share = overlapped(library.key_start, library.key_log_d, library.key_amplitude)
    lines = (library.key_start, library.key_log_d, library.key_amplitude, share, matched(axis))
    factor = np.sqrt(axis.factor).astype(np.float32)
    kind, free = np.zeros(len(rows), np.int64), np.zeros((1, 64), np.float32)
    glance, _ = first_look(rows, *lines, factor, reach, 12, 2, kind, free)
    whole, shift = first_look(rows, *lines, factor, reach, 64, 1, kind, free)
    right = [library.name(row) for row in rows.tolist()].index("Quartz")
    assert glance.argmax() == whole.argmax() == right
    assert shift[right] == pytest.approx(reach, abs=1)


def test_lines_that_stand_together_add_their_intensities() -> None:
    """Two equal lines at one place are one of twice the intensity; far apart each stays what it is."""
    start, amplitude = np.array([0, 2], np.uint32), np.array([200, 200], np.uint8)
    together = overlapped(start, np.array([30000, 30000], np.uint16), amplitude)
    apart = overlapped(start, np.array([30000, 40000], np.uint16), amplitude)
    assert together.tolist() == [141, 141]
    assert apart.tolist() == [200, 200]


def test_elements_choose_the_phases(path: Path, minerals: Mapping[str, Structure]) -> None:
    only = Shelf([path], shipped=False, elements=ElementFilter(only=("Si", "O")))
    assert set(names(only, look(only, minerals["Quartz"]))) <= {
        "Quartz",
        "Cristobalite",
        "Tridymite",
        "Coesite",
        "Stishovite",
    }
    needed = Shelf([path], shipped=False, elements=ElementFilter(required=("Ca",), without=("C",)))
    found = needed.retrievals[0].rows.tolist()
    assert found
    assert all("Ca" in needed.formula(row) and "CO" not in needed.formula(row) for row in found)


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        (ElementFilter(only=("Xx",)), "element 'Xx' does not exist"),
        (ElementFilter(only=("He",)), "exclude every phase"),
    ],
)
def test_elements_that_make_no_sense_are_refused(path: Path, elements: ElementFilter, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Shelf([path], shipped=False, elements=elements)


def test_no_library_is_refused() -> None:
    with pytest.raises(InputError, match="no library"):
        Shelf(shipped=False)


def test_phases_that_are_taken_out_are_not_found(shelf: Shelf, minerals: Mapping[str, Structure]) -> None:
    row = look(shelf, minerals["Quartz"]).row[0]
    assert row not in look(shelf.without(np.array([row])), minerals["Quartz"]).row


def test_two_libraries_are_one(path: Path, minerals: Mapping[str, Structure]) -> None:
    both = Shelf([path, path], shipped=False)
    assert len(both) == 2 * len(both.libraries[0])
    found = look(both, minerals["Quartz"])
    assert names(both, found)[:2] == ["Quartz", "Quartz"]
    assert abs(int(found.row[1] - found.row[0])) == len(both.libraries[0])
    assert both.cell_mass_u(int(found.row[0])) == pytest.approx(3 * 60.084, abs=0.05)
