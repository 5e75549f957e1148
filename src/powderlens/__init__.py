"""A powder X-ray diffraction pattern in; crystal system, space group, cell and phase out.

The names below are loaded when they are first used, so that `import powderlens` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powderlens.core.errors import InputError, PowderlensError
    from powderlens.corpus.cluster.connect import open_cluster
    from powderlens.corpus.cluster.stream import ClusterStream
    from powderlens.corpus.store.build import build_corpus
    from powderlens.corpus.store.corpus import Corpus
    from powderlens.corpus.store.reflection_table import ReflectionTable
    from powderlens.corpus.store.stored import StoredCorpus
    from powderlens.corpus.stream.from_corpus import CorpusStream
    from powderlens.corpus.stream.from_crystals import Balance, CrystalStream
    from powderlens.corpus.stream.from_synthetic import SyntheticStream
    from powderlens.corpus.stream.mixture import MixtureStream
    from powderlens.crystal.read import read_structure
    from powderlens.crystal.structure import Structure
    from powderlens.crystals.table import CrystalTable
    from powderlens.diffraction.conditions import Conditions
    from powderlens.diffraction.draw import draw_patterns
    from powderlens.diffraction.protocol import Protocol, load_protocol, protocol_names
    from powderlens.diffraction.reflections import Reflections
    from powderlens.diffraction.simulate import simulate
    from powderlens.evaluate.evaluate_network import evaluate_network
    from powderlens.generate.draw import CrystalGenerator
    from powderlens.generate.statistics import shipped_statistics
    from powderlens.identification.answer import Answer
    from powderlens.identification.identify import Identifier, Search, identify
    from powderlens.library.shelf import ElementFilter
    from powderlens.library.store import PhaseLibrary
    from powderlens.models.load_torch import load_torch
    from powderlens.pattern.grid import Grid
    from powderlens.pattern.pattern import Pattern
    from powderlens.pattern.prepare import prepare
    from powderlens.pattern.read import read_pattern
    from powderlens.pattern.wavelength import Radiation, parse_radiation
    from powderlens.refine.fit import fit
    from powderlens.train.datasets import StreamDataset
    from powderlens.train.predict import predict

__version__ = "0.1.0"

_HOME = {
    "Answer": "powderlens.identification.answer",
    "Balance": "powderlens.corpus.stream.from_crystals",
    "ClusterStream": "powderlens.corpus.cluster.stream",
    "Conditions": "powderlens.diffraction.conditions",
    "Corpus": "powderlens.corpus.store.corpus",
    "CorpusStream": "powderlens.corpus.stream.from_corpus",
    "CrystalGenerator": "powderlens.generate.draw",
    "CrystalStream": "powderlens.corpus.stream.from_crystals",
    "CrystalTable": "powderlens.crystals.table",
    "ElementFilter": "powderlens.library.shelf",
    "Grid": "powderlens.pattern.grid",
    "Identifier": "powderlens.identification.identify",
    "InputError": "powderlens.core.errors",
    "MixtureStream": "powderlens.corpus.stream.mixture",
    "Pattern": "powderlens.pattern.pattern",
    "PhaseLibrary": "powderlens.library.store",
    "PowderlensError": "powderlens.core.errors",
    "Protocol": "powderlens.diffraction.protocol",
    "Radiation": "powderlens.pattern.wavelength",
    "ReflectionTable": "powderlens.corpus.store.reflection_table",
    "Reflections": "powderlens.diffraction.reflections",
    "StoredCorpus": "powderlens.corpus.store.stored",
    "StreamDataset": "powderlens.train.datasets",
    "Search": "powderlens.identification.identify",
    "Structure": "powderlens.crystal.structure",
    "SyntheticStream": "powderlens.corpus.stream.from_synthetic",
    "build_corpus": "powderlens.corpus.store.build",
    "draw_patterns": "powderlens.diffraction.draw",
    "evaluate_network": "powderlens.evaluate.evaluate_network",
    "fit": "powderlens.refine.fit",
    "identify": "powderlens.identification.identify",
    "load_protocol": "powderlens.diffraction.protocol",
    "load_torch": "powderlens.models.load_torch",
    "open_cluster": "powderlens.corpus.cluster.connect",
    "parse_radiation": "powderlens.pattern.wavelength",
    "predict": "powderlens.train.predict",
    "prepare": "powderlens.pattern.prepare",
    "protocol_names": "powderlens.diffraction.protocol",
    "read_pattern": "powderlens.pattern.read",
    "read_structure": "powderlens.crystal.read",
    "shipped_statistics": "powderlens.generate.statistics",
    "simulate": "powderlens.diffraction.simulate",
}

__all__ = [
    "Answer",
    "Balance",
    "ClusterStream",
    "Conditions",
    "Corpus",
    "CorpusStream",
    "CrystalGenerator",
    "CrystalStream",
    "CrystalTable",
    "ElementFilter",
    "Grid",
    "Identifier",
    "InputError",
    "MixtureStream",
    "Pattern",
    "PhaseLibrary",
    "PowderlensError",
    "Protocol",
    "Radiation",
    "ReflectionTable",
    "Reflections",
    "Search",
    "StoredCorpus",
    "StreamDataset",
    "Structure",
    "SyntheticStream",
    "__version__",
    "build_corpus",
    "draw_patterns",
    "evaluate_network",
    "fit",
    "identify",
    "load_protocol",
    "load_torch",
    "open_cluster",
    "parse_radiation",
    "predict",
    "prepare",
    "protocol_names",
    "read_pattern",
    "read_structure",
    "shipped_statistics",
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
