"""Which part of a pattern is looked at: spans of 2theta that are kept or left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from powderlens.core.errors import InputError, PatternError
from powderlens.pattern.pattern import MAX_TWO_THETA_DEG, MIN_POINTS, Pattern

Span = tuple[float, float]
"""First and last 2theta, degrees."""

_SPAN = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*[-:,]\s*(\d+\.?\d*|\.\d+)\s*")


def parse_span(text: str, option: str) -> Span:
    """A span as people write it: "20-80".

    Args:
        text: two angles in degrees.
        option: what it was given as, for the message.

    Raises:
        InputError: something else, or a span that is empty or beyond 0 to 180 degrees.
    """
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InputError(f"{option} {text}: give two angles of 2theta in degrees, such as 20-80")
    first, last = float(found[1]), float(found[2])
    if not first < last <= MAX_TWO_THETA_DEG:
        raise InputError(f"{option} {text}: the first angle must lie below the last, and both within 0 to 180 degrees")
    return first, last


def within(pattern: Pattern, keep_deg: Span | None = None, leave_out_deg: Sequence[Span] = ()) -> Pattern:
    """The pattern with a mask on whatever is not to be looked at.

    Args:
        pattern: measured; a mask that it has already stays.
        keep_deg: what lies outside is left out; None keeps everything.
        leave_out_deg: what lies inside of any is left out, ends included.

    Raises:
        PatternError: too few points are left.
    """
    x = pattern.two_theta_deg
    mask = np.ones(len(x), bool) if pattern.mask is None else pattern.mask.copy()
    if keep_deg is not None:
        mask &= (x >= keep_deg[0]) & (x <= keep_deg[1])
    for first, last in leave_out_deg:
        mask &= (x < first) | (x > last)
    if mask.all():
        return pattern
    if mask.sum() < MIN_POINTS:
        raise PatternError(
            f"{pattern.source or 'pattern'}: measured from {x[0]:g} to {x[-1]:g} degrees; of its {len(x)} points the "
            f"range and what is excluded leave {int(mask.sum())}, and {MIN_POINTS} are needed; leave more"
        )
    return replace(pattern, mask=mask)
