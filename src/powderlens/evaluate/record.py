"""A result file: the figures with everything that is needed to trust or repeat them."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path

from powderlens import __version__
from powderlens.core.files import atomic_write, make_folder


def write_record(path: Path, *, command: str, body: Mapping[str, object]) -> None:
    """Write a record as JSON, aside first.

    Args:
        path: where to.
        command: the command line that repeats it; no path of this machine in it.
        body: data with sha256, split, seed, what chose the model, figures.
    """
    record = {
        "command": command,
        "date": datetime.date.today().isoformat(),
        "powderlens": __version__,
        "python": platform.python_version(),
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        **body,
    }
    make_folder(path.parent)
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(record, indent=2) + "\n")
