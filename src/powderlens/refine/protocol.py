"""The conditions that a fit found as the file of a protocol, so that patterns can be drawn under them."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from powderlens.diffraction.conditions import STEPS
from powderlens.refine.result import Fit


def protocol_text(found: Fit) -> str:
    """A protocol (docs/PROTOCOLS.md) of constants: the grid of the measured pattern, and the conditions found.

    `load_protocol` reads it. The strain is that of the structure that was fitted: draw the same one.
    """
    x = found.pattern.two_theta_deg
    step = round(float(np.median(np.diff(x))), 9)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", found.name).strip("-._") or "fit"
    measured = found.pattern.source or "a pattern in memory"
    lines = [
        f"name = {_toml(name)}",
        f"summary = {_toml(f'Conditions of {found.name} as measured')}",
        f"citation = {_toml(f'powderlens fit of {measured}')}",
        "scale = 100.0",
        "",
        "[grid]",
        f"start_deg = {round(float(x[0]), 9)!r}",
        f"step_deg = {step!r}",
        f"points = {round((float(x[-1]) - float(x[0])) / step) + 1}",
        f"wavelength_A = {found.radiation.wavelength_A!r}",
        "",
        "[scattering]",
        f"dispersion = {_toml(found.dispersion)}",
    ]
    changes = found.conditions.changes()
    for step_name, kind in STEPS.items():
        said = {field: changes[field] for field in kind.__dataclass_fields__ if field in changes}
        if said:
            lines += ["", f"[{step_name}]", *(f"{field} = {_toml(value)}" for field, value in said.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        value = "".join(c if c.isprintable() else " " for c in value)
    # json writes strings and truth values as TOML does.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str | bool) else repr(value)
