"""Cards searched by Hanawalt's key lines and ranked by a figure of merit over all lines.

Sources: Hanawalt, Rinn and Frevel, Ind. Eng. Chem. Anal. Ed. 10, 457 (1938): the three strongest lines find a card,
with windows for errors of d, then all lines decide; Johnson and Vand, Ind. Eng. Chem. 59(8), 18 (1967): the same by a
computer, with a figure that falls with the error of d. The figure here is our own, between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from powderlens.reproduce.search_match.lines import Lines

KEYS = 3
"""Strongest lines of a card by which it is found."""
SEARCHED = 8
"""Strongest lines of a pattern in which they are looked for: intensities are off, and impurities have lines too."""


class Cards:
    """The d-I lists of crystals.

    Args:
        cards: one each; at least one of them has a line.
    """

    def __init__(self, cards: Sequence[Lines]) -> None:
        self.count = len(cards)
        self._owner = np.repeat(np.arange(self.count), [len(card) for card in cards])
        self._log_d = np.log(np.concatenate([card.d_A for card in cards]))
        self._intensity = np.concatenate([card.intensity for card in cards])
        self._total = np.asarray(np.bincount(self._owner, self._intensity, self.count), np.float64)
        self._key_log_d = np.full((self.count, KEYS), np.nan)
        for row, card in enumerate(cards):
            keys = card.key_lines[:KEYS]
            self._key_log_d[row, : len(keys)] = np.log(card.d_A[keys])

    def __len__(self) -> int:
        return self.count

    def compare(self, pattern: Lines) -> Comparison:
        """A pattern's list beside all cards.

        Args:
            pattern: its list; not empty.
        """
        nearest, error = _nearest(np.log(pattern.d_A[::-1]), self._log_d)
        _, key_error = _nearest(np.sort(np.log(pattern.d_A[pattern.key_lines[:SEARCHED]])), self._key_log_d)
        return Comparison(
            intensity=pattern.intensity[::-1],
            place=self._owner * len(pattern) + nearest,
            error=error,
            card_intensity=self._intensity,
            card_total=self._total.astype(np.float64),
            key_error=key_error,
        )


@dataclass(frozen=True, eq=False)
class Comparison:
    """A pattern's list beside m cards of n lines in all.

    Attributes:
        intensity: (p,) of the pattern's lines, by rising d.
        place: (n,) card times p plus the pattern's line that is nearest.
        error: (n,) of ln d, to that line.
        card_intensity: (n,).
        card_total: (m,) sums of it.
        key_error: (m, KEYS) error of ln d of key lines to the nearest of the pattern's strong lines; NaN where a
            card has fewer.
    """

    intensity: NDArray[np.float64]
    place: NDArray[np.intp]
    error: NDArray[np.float64]
    card_intensity: NDArray[np.float64]
    card_total: NDArray[np.float64]
    key_error: NDArray[np.float64]

    def ranked(self, window: float) -> NDArray[np.intp]:
        """Rows of the cards that have a line in common with the pattern, the best first.

        Those of which the fewest key lines are missing come first, among these the best figure of merit.

        Args:
            window: largest error of ln d, which is that of d as a share of it.
        """
        merit = self.figures_of_merit(window)
        missing = (self.key_error > window).sum(axis=1)
        order = np.lexsort((-merit, missing))
        return np.asarray(order[merit[order] > 0])

    def figures_of_merit(self, window: float) -> NDArray[np.float64]:
        """How alike the lists are.

        Each line of a card is given to the pattern's nearest line, so far as it lies within the window: a share
        1 - |error| / window of its intensity. With p the pattern's intensities, e what they are given and c the card's,
        the figure is sum sqrt(p e) / sqrt(sum p * sum c): 1 for equal lists, less for lines that are missing on either
        side, for wrong intensities and for errors of d.

        Args:
            window: see `ranked`.

        Returns:
            (m,) between 0 and 1.
        """
        lines, cards = len(self.intensity), len(self.card_total)
        given = self.card_intensity * np.maximum(1 - self.error / window, 0)
        explained = np.bincount(self.place, given, cards * lines).reshape(cards, lines)
        norm = np.sqrt(self.intensity.sum() * np.maximum(self.card_total, 1e-300))
        return np.asarray(np.sqrt(explained * self.intensity).sum(axis=1) / norm)


def _nearest(
    sorted_values: NDArray[np.float64], wanted: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Row of the nearest of some rising values, and how far it is; of the shape of what is wanted, NaN from NaN."""
    above = np.clip(np.searchsorted(sorted_values, wanted), 0, len(sorted_values) - 1)
    below = np.maximum(above - 1, 0)
    nearer = np.abs(sorted_values[below] - wanted) < np.abs(sorted_values[above] - wanted)
    row = np.where(nearer, below, above)
    return row, np.abs(sorted_values[row] - wanted)
