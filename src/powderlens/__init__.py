"""A powder X-ray diffraction pattern in; crystal system, space group, cell and phase out.

The names below are loaded when they are first used, so that `import powderlens` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powderlens.crystal.read import read_structure
    from powderlens.crystal.structure import Structure
    from powderlens.diffraction.conditions import Conditions
    from powderlens.diffraction.draw import draw_patterns
    from powderlens.diffraction.protocol import Protocol, load_protocol, protocol_names
    from powderlens.diffraction.reflections import Reflections
    from powderlens.diffraction.simulate import simulate
    from powderlens.identification.answer import Answer
    from powderlens.identification.identify import identify
    from powderlens.models.load_torch import load_torch
    from powderlens.pattern.grid import Grid
    from powderlens.pattern.pattern import Pattern
    from powderlens.pattern.read import read_pattern

__version__ = "0.1.0"

_HOME = {
    "Answer": "powderlens.identification.answer",
    "Conditions": "powderlens.diffraction.conditions",
    "Grid": "powderlens.pattern.grid",
    "Pattern": "powderlens.pattern.pattern",
    "Protocol": "powderlens.diffraction.protocol",
    "Reflections": "powderlens.diffraction.reflections",
    "Structure": "powderlens.crystal.structure",
    "draw_patterns": "powderlens.diffraction.draw",
    "identify": "powderlens.identification.identify",
    "load_torch": "powderlens.models.load_torch",
    "load_protocol": "powderlens.diffraction.protocol",
    "protocol_names": "powderlens.diffraction.protocol",
    "read_pattern": "powderlens.pattern.read",
    "read_structure": "powderlens.crystal.read",
    "simulate": "powderlens.diffraction.simulate",
}

__all__ = [
    "Answer",
    "Conditions",
    "Grid",
    "Pattern",
    "Protocol",
    "Reflections",
    "Structure",
    "__version__",
    "draw_patterns",
    "identify",
    "load_protocol",
    "load_torch",
    "protocol_names",
    "read_pattern",
    "read_structure",
    "simulate",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
