"""Beliefs: sums, marginals that agree, mirror images, and what each kind of evidence does to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.identification.evidence import GROUP_TO_SYSTEM
from powderlens.identification.hypotheses import LOWER, MIRROR_OF, QUANTITIES, Calibration, Known, weigh
from powderlens.symmetry.groups import system_index

PLAIN = Calibration(
    weights=dict.fromkeys(QUANTITIES, 0.0) | {"agreement": 30.0},
    network=0.6,
    alone=0.8,
    prior=0.0,
    unknown=22.0,
    doubt=0.02,
    correction=[0.0] * 230,
    minerals=[1 / 230] * 230,
)


def known(*agreements: float, groups: tuple[int, ...], network: np.ndarray | None = None) -> Known:
    quantities = np.zeros((len(agreements), len(QUANTITIES)))
    quantities[:, 0] = agreements
    return Known(quantities, LOWER[np.array(groups, np.int64) - 1], network)


def test_beliefs_are_marginals_of_one_set() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        network = np.log(rng.dirichlet(np.full(230, 0.05)) + 1e-12)
        found = weigh(known(*rng.uniform(0.4, 1, 6), groups=tuple(rng.integers(1, 231, 6)), network=network), PLAIN)
        assert found.known.sum() + found.none.sum() == pytest.approx(1)
        assert found.group.sum() == pytest.approx(1)
        assert found.system == pytest.approx(found.group @ GROUP_TO_SYSTEM)
        assert (found.group[[high - 1 for high in MIRROR_OF.values()]] == 0).all()


def test_a_good_fit_wins_and_a_poor_one_does_not() -> None:
    good = weigh(known(0.98, 0.6, groups=(225, 62)), PLAIN)
    assert good.group.argmax() == 224
    assert good.group[224] > 0.9
    poor = weigh(known(0.5, 0.45, groups=(225, 62)), PLAIN)
    assert poor.known.sum() < 0.01


def test_the_network_parts_phases_that_fit_alike() -> None:
    network = np.full(230, -12.0)
    network[61] = -0.01
    alike = known(0.95, 0.95, groups=(225, 62), network=network)
    assert weigh(alike, PLAIN).known[1] > 0.95
    assert weigh(replace(alike, network=None), PLAIN).known[1] == pytest.approx(
        weigh(replace(alike, network=None), PLAIN).known[0]
    )


def test_mirror_images_are_one_line() -> None:
    found = weigh(known(0.99, 0.99, groups=(152, 154)), PLAIN)
    assert found.group[151] == pytest.approx(found.known.sum() + found.none[151])
    assert system_index(152) == system_index(154)


def test_without_hypotheses_the_network_speaks_alone() -> None:
    network = np.log(np.full(230, 0.1 / 229))
    network[13] = np.log(0.9)
    found = weigh(Known(np.zeros((0, len(QUANTITIES))), np.zeros(0, np.int64), network), PLAIN)
    assert found.group.argmax() == 13
    assert found.none.sum() == pytest.approx(1)


def test_the_prior_of_minerals_counts_once() -> None:
    network = np.full(230, -np.log(230))
    tilted = replace(PLAIN, prior=1.0, correction=[0.0] * 61 + [3.0] + [0.0] * 168)
    flat = weigh(Known(np.zeros((0, len(QUANTITIES))), np.zeros(0, np.int64), network), PLAIN)
    more = weigh(Known(np.zeros((0, len(QUANTITIES))), np.zeros(0, np.int64), network), tilted)
    assert more.group[61] > 5 * flat.group[61]


def test_a_calibration_comes_back_from_its_file(tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "c.json")
    back, sha = Calibration.load(tmp_path / "c.json")
    assert back == PLAIN
    assert len(sha) == 64


@pytest.mark.parametrize("text", ["{}", "[1]", "no", '{"weights": {"agreement": 1}}'])
def test_what_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match="powderlens calibrate"):
        Calibration.load(tmp_path / "c.json")
