"""Trials: the same by their number, what they claim, and what each kind is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.elements import atomic_mass_u
from powderlens.crystal.reduce import niggli_cell
from powderlens.crystal.same_cell import same_lattice
from powderlens.crystal.structure import lattice_from_cell
from powderlens.diffraction.protocol import load_protocol
from powderlens.diffraction.reflections import reflections
from powderlens.evaluate.trials.draw import MAKERS, draw_trials
from powderlens.evaluate.trials.of_minerals import SCANS
from powderlens.evaluate.trials.of_phases import on_one_instrument
from powderlens.evaluate.trials.pool import Pool
from powderlens.evaluate.trials.specimen import LARGEST_STRAIN, Loosening, prepared_phase, specimen_of, strained
from powderlens.evaluate.trials.spoilt import FEW
from powderlens.evaluate.trials.trial import KINDS, Kind, Trial
from powderlens.library.store import PhaseLibrary
from powderlens.symmetry.settings import operators

COPPER_A = 1.5418711


def trials(pool: Pool, kind: Kind, count: int, seed: int = 4, **more: object) -> list[Trial]:
    return list(draw_trials(pool, kind, count, seed, **more))  # type: ignore[arg-type]


def test_every_kind_has_its_maker() -> None:
    assert tuple(MAKERS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_alone_or_among_others(pool: Pool, kind: Kind) -> None:
    among = trials(pool, kind, 3, first=31)  # over the edge of a block
    for number, trial in enumerate(among, start=31):
        (alone,) = trials(pool, kind, 1, first=number)
        assert (alone.kind, alone.number, alone.setting, alone.impurity) == (
            kind,
            number,
            trial.setting,
            trial.impurity,
        )
        np.testing.assert_array_equal(alone.pattern.intensity, trial.pattern.intensity)
        np.testing.assert_array_equal(alone.hidden, trial.hidden)
        assert [phase.cell for phase in alone.phases] == [phase.cell for phase in trial.phases]
    assert among[0].pattern.intensity.max() == pytest.approx(100)
    assert sum(phase.weight_fraction for phase in among[0].phases) == pytest.approx(1 if among[0].phases else 0)


def test_kinds_and_seeds_share_no_numbers(pool: Pool) -> None:
    found = [trials(pool, kind, 1, seed)[0] for kind in ("known", "removed", "single") for seed in (1, 2)]
    noise = {trial.pattern.intensity[:40].tobytes() for trial in found}
    assert len(noise) == len(found)


def test_a_known_phase_is_never_its_entry(known: PhaseLibrary, pool: Pool) -> None:
    for trial in trials(pool, "known", 12):
        (phase,) = trial.phases
        entry = known.cell[phase.row].astype(float)
        off = np.abs(np.array(phase.cell[:3]) / entry[:3] - 1)
        assert 0 < off.max() < LARGEST_STRAIN + 0.012  # the protocol strains by 0.9 % at most
        assert phase.name == known.name(phase.row)
        assert phase.space_group == known.space_group[phase.row]
        assert len(trial.hidden) == 0


def test_the_truth_is_where_the_lines_are(pool: Pool) -> None:
    """The strongest line stands where the stated cell has one."""
    for trial in trials(pool, "single", 10):
        (phase,) = trial.phases
        top = trial.pattern.two_theta_deg[trial.pattern.intensity.argmax()]
        reciprocal = np.linalg.inv(lattice_from_cell(phase.cell)).T
        hkl = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 3), axis=-1).reshape(-1, 3)
        inv_d = np.linalg.norm(hkl @ reciprocal, axis=1)
        sine = COPPER_A / 2 * inv_d[(inv_d > 0) & (inv_d < 2 / COPPER_A)]
        assert np.abs(np.degrees(2 * np.arcsin(sine)) - top).min() < 0.25  # zero shift, displacement, doublet
        cell = niggli_cell(phase.structure)
        assert same_lattice(phase.reduced, [cell], length=0.04, angle_deg=2)[0]


def test_another_determination_comes_first(pool: Pool, amcsd: Path, row_of: dict[str, int]) -> None:
    quartz = Pool.of(pool.library, [row_of["Quartz"]], {"measured": 1.0})
    one, two = trials(quartz, "single", 2, amcsd=amcsd, protocol="ideal")
    (phase,) = one.phases
    assert phase.origin == "amcsd:77"
    assert phase.row == row_of["Quartz"]
    assert phase.cell == pytest.approx((4.92, 4.92, 5.41, 90, 90, 120)), "as it stands"
    np.testing.assert_array_equal(one.pattern.intensity, two.pattern.intensity)
    (phase,) = trials(quartz, "single", 1)[0].phases
    assert phase.origin == "loosened"


@pytest.mark.parametrize("group", [225, 136, 166, 62, 14, 2])
def test_strain_has_its_width_whatever_the_symmetry(group: int) -> None:
    cell = {225: (5, 5, 5, 90, 90, 90), 136: (4, 4, 6, 90, 90, 90), 166: (5, 5, 9, 90, 90, 120)}.get(
        group, (4, 5, 6, *{62: (90, 90, 90), 14: (90, 100, 90)}.get(group, (85, 95, 100)))
    )
    lattice, rotations = lattice_from_cell(cell), operators(group)[0]
    rotations = np.unique(rotations, axis=0)
    made = [strained(lattice, rotations, group, 0.003, 1, number) for number in range(600)]
    off = np.array([np.linalg.norm(one, axis=1) for one in made]) / cell[:3] - 1
    assert np.sqrt((off**2).mean()) == pytest.approx(0.003, rel=0.12)
    assert np.abs(off).max() < LARGEST_STRAIN
    turned = np.einsum("rki,nkl,rlj->nrij", rotations, made @ np.swapaxes(made, 1, 2), rotations)
    np.testing.assert_allclose(turned, (made @ np.swapaxes(made, 1, 2))[:, None] + 0 * turned, atol=1e-9)


def test_strains_beyond_the_limit_are_drawn_anew() -> None:
    lattice, rotations = lattice_from_cell((4, 5, 6, 90, 90, 90)), np.unique(operators(62)[0], axis=0)
    made = [strained(lattice, rotations, 62, 0.015, 1, number) for number in range(300)]
    off = np.array([np.linalg.norm(one, axis=1) for one in made]) / (4, 5, 6) - 1
    assert np.abs(off).max() <= LARGEST_STRAIN
    assert 0.01 < off.std() < 0.015
    assert (np.abs(off) > 0.0299).mean() < 0.01


def test_strengths_of_families_are_jittered(pool: Pool, row_of: dict[str, int]) -> None:
    lab, row = load_protocol("lab"), row_of["Gypsum"]
    how: dict[str, Any] = {"seed": 1, "wavelength_ratio": 1.0, "amcsd": None, "loosening": Loosening()}
    one, two = (specimen_of(pool, row, lab, number=number, **how).phase for number in (1, 2))
    entry = prepared_phase(pool.library.structure(row), lab, 1.0)
    for phase in (one, two):
        assert np.log(phase.strength / entry.strength).std() == pytest.approx(0.28, abs=0.03)
    assert np.corrcoef(*np.log([one.strength / entry.strength, two.strength / entry.strength]))[0, 1] < 0.3


def test_looser_specimens_are_farther_off(known: PhaseLibrary, pool: Pool) -> None:
    far = trials(pool.only("measured"), "single", 8, loosening=Loosening(measured_strain=0.015))
    off = [np.abs(np.array(t.phases[0].cell[:3]) / known.cell[t.phases[0].row][:3] - 1).max() for t in far]
    assert np.median(off) > 0.008


def test_a_removed_phase_is_hidden(pool: Pool) -> None:
    for trial in trials(pool, "removed", 6):
        assert trial.phases[0].row in trial.hidden
        assert trial.hidden.tolist() == pool.hidden_with(trial.phases[0].row).tolist()


def test_the_trace_of_a_second_phase_is_the_known_ones_alone(pool: Pool) -> None:
    assert any(trial.impurity for trial in trials(pool, "known", 8))
    assert not any(trial.impurity for trial in trials(pool, "single", 8))


def test_phases_of_a_mixture_share_the_instrument() -> None:
    records = load_protocol("lab").draw(1, 4)
    on_one_instrument(records)
    alike = {name for name in records.dtype.names or () if (records[name] == records[name][0]).all()}
    assert alike >= {"zero_shift_deg", "caglioti_w_deg2", "noise_sigma", "first_deg", "ka2_ratio", "slit_tilt"}
    assert not alike & {"strain", "march_r", "texture_axis", "intensity_jitter", "microstrain", "u_overall_A2"}


def test_mixtures(pool: Pool) -> None:
    found = trials(pool, "mixture", 24)
    assert {len(trial.phases) for trial in found} == {2, 3, 4}
    for trial in found:
        weights = [phase.weight_fraction for phase in trial.phases]
        shares = [phase.intensity_share for phase in trial.phases]
        assert min(weights) >= 0.05
        assert max(weights) <= 0.95
        assert sum(shares) == pytest.approx(1)
        assert shares == sorted(shares, reverse=True)
        assert len({phase.row for phase in trial.phases}) == len(trial.phases)
        assert trial.impurity == ""


def test_shares_of_intensity_follow_from_weights(pool: Pool, row_of: dict[str, int]) -> None:
    """Of ideal lines, each phase has W / (mass V) times the sum of multiplicity |F|^2 LP."""
    two = Pool.of(pool.library, [row_of["Galena"], row_of["Gypsum"]], {"measured": 1.0})
    exact = Loosening(measured_strain=0.0, jitter=0.0)
    for trial in trials(two, "mixture", 3, protocol="ideal", loosening=exact):
        expected = []
        for phase in trial.phases:
            s = phase.structure
            mass_u = sum(atomic_mass_u(e) * float(o) for e, o in zip(s.elements, s.occupancy, strict=True))
            found = reflections(s, d_min_A=0.8)
            angle = found.two_theta_deg(COPPER_A)
            inside = (angle > trial.pattern.two_theta_deg[0]) & (angle < trial.pattern.two_theta_deg[-1])
            lines = found.intensity(COPPER_A)[inside].sum()
            expected.append(phase.weight_fraction / (mass_u * s.volume_A3) * lines)
        shares = [phase.intensity_share for phase in trial.phases]
        assert shares == pytest.approx(np.array(expected) / sum(expected), rel=0.03)


def test_noise_and_humps_have_no_lines(pool: Pool) -> None:
    for trial in trials(pool, "noise", 4):
        assert trial.phases == ()
        assert np.median(trial.pattern.intensity) > 2  # noise reaches far beyond its own median, lines much farther
    for trial in trials(pool, "hump", 4):
        smooth = np.convolve(trial.pattern.intensity, np.ones(101) / 101, mode="same")
        # Half of what is in the pattern lies within the breadth of a hump, not of a line.
        assert (smooth > 0.5 * smooth.max()).sum() * 0.02 > 4


def test_one_family_and_its_orders(pool: Pool) -> None:
    for trial in trials(pool, "one_line", 4):
        (phase,) = trial.phases
        direction = np.array([int(word) for word in trial.setting.split()])
        d_A = 1 / np.linalg.norm(direction @ np.linalg.inv(lattice_from_cell(phase.cell)).T)
        high = trial.pattern.two_theta_deg[trial.pattern.intensity > 60]
        order = 2 * d_A * np.sin(np.radians(high / 2)) / COPPER_A
        assert np.abs(order - np.round(order)).max() < 0.04
        assert np.round(order).min() >= 1


def test_what_is_said_of_the_wavelength_is_wrong(pool: Pool) -> None:
    anodes = trials(pool, "other_anode", 12)
    assert {trial.setting for trial in anodes} > {"Co", "Mo"}
    assert {trial.pattern.radiation.name for trial in anodes if trial.pattern.radiation} == {"CuKa"}
    assert all(0.153 < (trial.pattern.wavelength_A or 0) < 0.155 for trial in trials(pool, "nanometre", 4))
    off = trials(pool, "two_percent", 8)
    assert {round((trial.pattern.wavelength_A or 0) / COPPER_A, 3) for trial in off} == {0.98, 1.02}
    assert all(pool.library.measured[trial.phases[0].row] for trial in off)


def test_a_short_range_has_few_lines(pool: Pool) -> None:
    for trial in trials(pool, "short_range", 6):
        x = trial.pattern.two_theta_deg
        assert 1.4 < x[-1] - x[0] < 40
        assert 1 <= int(trial.setting.split()[0]) <= FEW


def test_minerals_under_every_scan(pool: Pool, row_of: dict[str, int]) -> None:
    minerals = [trials(pool, "radiations", 1, first=25 * scan + 20)[0] for scan in range(len(SCANS))]
    assert {trial.phases[0].name for trial in minerals} == {"Quartz"}
    assert {trial.phases[0].row for trial in minerals} == {row_of["Quartz"]}
    told = [trial.pattern.radiation.name for trial in minerals if trial.pattern.radiation]
    assert told[:5] == ["CuKa", "MoKa", "AgKa", "CoKa", "CrKa"]
    assert minerals[5].pattern.wavelength_A == pytest.approx(0.61992, abs=1e-5)
    assert minerals[6].pattern.two_theta_deg[[0, -1]].tolist() == pytest.approx([10, 60], abs=0.03)
    for trial in minerals:
        if trial.setting == "CuKa" or trial.pattern.wavelength_A is None:
            continue
        # 101 at 3.343 A is the strongest line of quartz, under texture and jitter one of the strong ones.
        at = np.degrees(2 * np.arcsin(trial.pattern.wavelength_A / 2 / 3.343))
        near = np.abs(trial.pattern.two_theta_deg - at) < 0.3
        assert trial.pattern.intensity[near].max() > 20
    assert trials(pool, "radiations", 1)[0].phases[0].row == -1, "anatase is not in this library"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "unknown"}, "there are known, removed"),
        ({"count": -1}, "neither can be below 0"),
        ({"seed": -1}, "seed -1"),
        ({"rows": [0]}, "the pool has its own"),
    ],
)
def test_what_cannot_be_drawn(pool: Pool, changes: dict[str, object], said: str) -> None:
    asked: dict[str, object] = {"kind": "known", "count": 1, "seed": 0, **changes}
    with pytest.raises(InputError, match=said):
        draw_trials(pool, **asked)  # type: ignore[arg-type]
