"""A picture of an answer shows what the answer says."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.crystal.common import common_minerals
from powderlens.diffraction.simulate import simulate
from powderlens.identification.answer import Answer, UnexplainedPeak
from powderlens.identification.figure import _Height, plot_answer
from powderlens.identification.identify import Identifier, Search
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.spans import within


@pytest.fixture(scope="module")
def asked(small_library: Path) -> tuple[Pattern, Answer]:
    """Calcite and fluorite, with a part that is left out."""
    minerals = {one.name: one for one in common_minerals()}
    calcite, fluorite = (simulate(minerals[name], "CuKa", two_theta_deg=(15, 70)) for name in ("Calcite", "Fluorite"))
    y = calcite.intensity / calcite.intensity.max() + 0.5 * fluorite.intensity / fluorite.intensity.max()
    counts = np.random.default_rng(0).poisson(3000 * y + 50).astype(float)
    pattern = within(replace(calcite, intensity=counts, source="$x_1$ <scan>.xy"), None, [(60.0, 62.0)])
    folder = files("powderlens.crystal") / "data" / "common"
    given = (str(folder / "calcite.cif"), str(folder / "fluorite.cif"))
    search = Search(libraries=(str(small_library),), shipped=False, given=given, max_phases=2)
    answer = Identifier("library", search=search).identify(pattern)
    assert [phase.name for phase in answer.best_phases] == ["Calcite", "Fluorite"]
    return pattern, answer


def drawn(pattern: Pattern, answer: Answer, path: Path, **options: object) -> str:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot_answer(pattern, answer, path, **options)  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


def test_phases_groups_and_what_is_left_over(asked: tuple[Pattern, Answer], tmp_path: Path) -> None:
    pattern, answer = asked
    odd = replace(answer, unexplained_peaks=[UnexplainedPeak(33.0, 2.71, 12.0)])
    text = drawn(pattern, odd, tmp_path / "a.svg")
    for words in (
        "$x_1$ &lt;scan&gt;.xy",
        "Calcite",
        "Fluorite",
        "measured",
        "calculated",
        "not explained",
        "difference",
    ):
        assert words in text, words
    assert "not explained" not in drawn(pattern, answer, tmp_path / "b.svg")
    assert "doubtful: is the wavelength right?" in drawn(
        pattern, replace(answer, abstains="is the wavelength right?"), tmp_path / "d.svg"
    )
    assert drawn(pattern, answer, tmp_path / "c.svg") == drawn(pattern, answer, tmp_path / "b.svg")


def test_an_answer_without_phases_is_drawn_too(asked: tuple[Pattern, Answer], tmp_path: Path) -> None:
    pattern, answer = asked
    bare = replace(answer, phases=[], cell=None, curve=None, space_group=[], lattice={}, abstains="only broad humps")
    text = drawn(pattern, bare, tmp_path / "a.svg")
    assert "only broad humps" in text
    assert "difference" not in text


def test_bad_requests(asked: tuple[Pattern, Answer], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not written as '\.gif'"):
        plot_answer(*asked, tmp_path / "a.gif")
    with pytest.raises(InputError, match="axis 'cubic': choose one of sqrt, linear, log"):
        plot_answer(*asked, tmp_path / "a.png", axis="cubic")  # type: ignore[arg-type]


def test_heights_of_the_axes() -> None:
    y = np.array([0.0, 25.0, 100.0])
    assert _Height("linear", 0.0, 100.0)(y).tolist() == [0, 0.25, 1]
    assert _Height("sqrt", 0.0, 100.0)(y).tolist() == [0, 0.5, 1]
    log = _Height("log", 0.0, 100.0)(y)
    assert np.isnan(log[0])
    assert log[1:] == pytest.approx([1 + np.log10(0.25) / 3.5, 1])
