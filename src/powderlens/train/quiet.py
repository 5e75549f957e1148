"""Lightning without its advertisements."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Its bar goes to stderr where progress belongs, its advertisements and its remarks on a folder in use nowhere."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.filterwarnings("ignore", module=r"lightning\.")
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        yield
