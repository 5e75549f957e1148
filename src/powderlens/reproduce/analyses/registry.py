"""Every kind of analysis by name: listed without torch, matplotlib or pyarrow, loaded when it is asked for.

A kind is a table of `kinds.toml` and a file NAME.py beside it (hyphens become underscores) with a function
`analyse(inputs: Inputs) -> Result`, see `base`.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from powderlens.core.errors import InputError
from powderlens.core.named_files import read_toml

Need = Literal["no", "may", "must"]
"""Whether a kind takes something: never, where it is given, or not without."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of analysis.

    Attributes:
        name: as on the command line.
        title: one line: what it shows.
        source: the figure or table that it is after.
        records: records of `powderlens evaluate`.
        corpus: `--corpus`.
        runs: `--run`.
        patterns: `--pattern`.
        modules: what it needs beyond pyarrow.
    """

    name: str
    title: str
    source: str
    records: Need = "must"
    corpus: Need = "no"
    runs: Need = "no"
    patterns: Need = "no"
    modules: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Where its function `analyse` is."""
        return f"powderlens.reproduce.analyses.{self.name.replace('-', '_')}"


KINDS = tuple(
    Kind(name=name, **{**of, "modules": tuple(of.get("modules", ()))})
    for name, of in read_toml(Path(__file__).with_name("kinds.toml")).items()
)
"""In the order of the file."""


def kind(name: str) -> Kind:
    """A kind by its name.

    Raises:
        InputError: no such kind; names that look alike are listed.
    """
    names = [one.name for one in KINDS]
    if name in names:
        return KINDS[names.index(name)]
    near = get_close_matches(name.lower().replace("_", "-"), names, n=3, cutoff=0.4)
    meant = f"near it: {', '.join(near)}; " if near else ""
    raise InputError(f"no analysis {name!r}; {meant}`powderlens analyse --list` names all {len(names)}")
