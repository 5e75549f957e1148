"""Cards as files hold them."""

from __future__ import annotations

from pathlib import Path

import pytest

from powderlens.core.errors import InputError
from powderlens.models.cards import FAMILIES, family_cards, read_cards

WHOLE = """
[words]
who = "Nobody"

[shared]
points = 10
min_points = 2
preprocessing = "max1"
grid = "ten"
trained_on = "nothing"
source_licence = "none"

[networks.mine]
title = "a network"
paper = "{who}, 2001"
parameters = { crystal_system = 7 }
macs_M = 0.5
notes = ["by {who}"]
"""


def test_what_is_shared_and_words_are_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "family" / "cards.toml"
    path.parent.mkdir()
    path.write_text(WHOLE)
    (card,) = read_cards(path)
    assert (card.name, card.family, card.points) == ("mine", "family", 10)
    assert card.paper == "Nobody, 2001"
    assert card.notes == ("by Nobody",)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (WHOLE + "colour = 1", "mine: not a card .*colour"),
        (WHOLE.replace("points = 10", ""), "mine: not a card .*points"),
        (WHOLE.replace("max1", "max2"), "mine: not a card .*max2"),
        (WHOLE.replace("by {who}", "by {whom}"), "mine: not a card .*whom"),
    ],
)
def test_a_card_that_is_none_is_refused(wrong: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "cards.toml"
    path.write_text(wrong)
    with pytest.raises(InputError, match=said):
        read_cards(path)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_card_holds_a_name_in_braces(family: str) -> None:
    for card in family_cards(family):
        assert not {"{", "}"} & set("".join([card.title, card.paper, card.small, *card.faults, *card.notes]))
