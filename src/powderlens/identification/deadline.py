"""How long a search may take."""

from __future__ import annotations

import time


class Deadline:
    """A limit of time, counted from when it is made.

    Args:
        limit_s: seconds; None for no limit.

    Attributes:
        limit_s: the same.
        cut: whether anything was left out for want of time.
    """

    def __init__(self, limit_s: float | None = None) -> None:
        self.limit_s = limit_s
        self.cut = False
        self._end = None if limit_s is None else time.monotonic() + limit_s

    def passed(self) -> bool:
        """Whether the time is up; whoever asks leaves something out if it is."""
        if self._end is not None and time.monotonic() > self._end:
            self.cut = True
        return self.cut
