"""Symbols, formulas and indices as a figure sets them."""

from __future__ import annotations

import re

import pytest

from powderlens.identification.typeset import formula_text, group_text, hkl_text, plain_text
from powderlens.symmetry.groups import symbol


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "$P1$"),
        (2, r"$P\bar{1}$"),
        (14, "$P2_1/c$"),
        (62, "$Pnma$"),
        (90, "$P42_12$"),
        (94, "$P4_22_12$"),
        (136, "$P4_2/mnm$"),
        (149, "$P312$"),
        (151, "$P3_112$"),
        (157, "$P31m$"),
        (167, r"$R\bar{3}c$"),
        (194, "$P6_3/mmc$"),
        (198, "$P2_13$"),
        (225, r"$Fm\bar{3}m$"),
    ],
)
def test_a_symbol_has_subscripts_and_bars(number: int, text: str) -> None:
    assert group_text(number) == text


def test_every_symbol_is_that_of_its_group() -> None:
    for number in range(1, 231):
        plain = re.sub(r"\\bar\{(\d)\}", r"-\1", group_text(number)).replace("_", "").strip("$")
        assert plain == symbol(number), number


def test_formulas_and_indices() -> None:
    assert formula_text("SiO2") == "SiO$_{2}$"
    assert formula_text("Mg1.8Fe0.2SiO4") == "Mg$_{1.8}$Fe$_{0.2}$SiO$_{4}$"
    assert hkl_text((-1, 0, 4)) == r"$\bar{1}04$"
    assert hkl_text((0, 0, 12)) == r"$0\,0\,12$"
    assert plain_text("50 $ a gram") == r"50 \$ a gram"


def test_matplotlib_can_set_all_of_it() -> None:
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for text in (*map(group_text, range(2, 231, 19)), formula_text("Ca5P3O12F"), hkl_text((-10, 2, -3))):
        assert parser.parse(text).width > 0
