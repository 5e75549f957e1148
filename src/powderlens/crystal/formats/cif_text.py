"""The text of a CIF and what stands in it: names in any spelling, values, numbers.

Sources: CIF 1.1 syntax (Hall and McMahon, International Tables G, 2005, chapter 2.2) and the names of the core
dictionary 2.4 and of its DDLm successor, which writes `_cell.length_a` for `_cell_length_a`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import gemmi

from powderlens.core.errors import StructureError
from powderlens.core.text import printable

_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-"))
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")
_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_FRACTION = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)")
_ESD = re.compile(r"\s*\([^()]*\)?$")
_ENCODINGS = ("utf-8-sig", "cp1252", "latin-1")


def decoded(content: bytes) -> str:
    """Text of a file that is UTF-8, or else what Western programs wrote before: Windows-1252 or Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace")
    for encoding in _ENCODINGS[:-1]:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode(_ENCODINGS[-1])


def parsed(text: str) -> gemmi.cif.Document:
    """The text as gemmi reads it. A letter outside ASCII may stand anywhere, in an unquoted value too.

    Raises:
        StructureError: not the syntax of a CIF.
    """
    try:
        return gemmi.cif.read_string(text)
    except (RuntimeError, ValueError) as error:
        # CIF 1.1 knows ASCII alone. Such letters go through gemmi in disguise, and `Names` takes it off.
        disguised = "".join(c if c.isascii() else f"\\u{{{ord(c):x}}}" for c in text)
        try:
            if disguised == text:
                raise error
            return gemmi.cif.read_string(disguised)
        except (RuntimeError, ValueError) as reason:
            raise StructureError(f"not a readable CIF ({' '.join(str(reason).split())})") from None


class Names:
    """What a data block states, by the underscored names of the core dictionary in small letters.

    A dot and an underscore are the same, capitals and small letters too, as long as a name is given once; of a name
    in two spellings the first that has a value counts.
    """

    def __init__(self, block: gemmi.cif.Block) -> None:
        self.block_name = block.name
        self._columns: dict[str, list[str]] = {}
        for item in block:
            if item.pair is not None:
                pair: tuple[str, str] = item.pair  # type: ignore[assignment]
                self._add(pair[0], [pair[1]])
            elif item.loop is not None:
                width, values = item.loop.width(), list(item.loop.values)
                for place, tag in enumerate(item.loop.tags):
                    self._add(tag, values[place::width])

    def _add(self, tag: str, raw: list[str]) -> None:
        name = tag.lower().replace(".", "_")
        if name not in self._columns or not any(map(_says, self._columns[name])):
            self._columns[name] = [_value(value) for value in raw]

    def column(self, *names: str) -> list[str]:
        """Values under the first of the names that is there; empty where none is. "?" is "", "." stays."""
        return next((self._columns[name] for name in names if self._columns.get(name)), [])

    def pair(self, *names: str) -> str:
        """The one value under the first of the names that has one; empty where none has."""
        for name in names:
            values = self._columns.get(name, [])
            if len(values) == 1 and _says(values[0]):
                return values[0]
        return ""

    def stated(self, *beginnings: str) -> list[str]:
        """Names with any of the beginnings under which a value stands."""
        return [name for name in self._columns if name.startswith(beginnings) and any(map(_says, self._columns[name]))]


def number(text: str, default: float = float("nan")) -> float:
    """A number with or without its uncertainty: "5.640(2)", "5.640 (2)", "1/3", "-.25", "1.2D3"; NaN for all else.

    Args:
        text: what stands there.
        default: what "." means, the default of the dictionary.
    """
    plain = _ESD.sub("", text.strip().translate(_DASHES))
    if plain == ".":
        return default
    if (fraction := _FRACTION.fullmatch(plain)) and float(fraction[2]):
        return float(fraction[1]) / float(fraction[2])
    return float(plain.lower().replace("d", "e")) if _FLOAT.fullmatch(plain) else float("nan")


def triplets(texts: Iterable[str]) -> list[str]:
    """Texts of operators, whatever dash is their minus; empty ones left out."""
    return [text.translate(_DASHES) for text in texts if _says(text)]


def _says(value: str) -> bool:
    return value not in {"", "."}


def _value(raw: str) -> str:
    """A value in one line without its quotes; "?" is "", and "." is "."."""
    if raw in {"?", "."}:
        return raw.strip("?")
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), " ".join(str(gemmi.cif.as_string(raw)).split()))
    return printable(text)
