"""Every bad file is one clear line that names the file, and never anything else."""

import contextlib
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import PatternError, WavelengthError
from powderlens.pattern.read import read_pattern

GOLDEN = Path(__file__).parents[2] / "golden" / "formats"


def _columns(x, y, form="%.4f %g\n") -> str:
    return "".join(form % pair for pair in zip(x, y, strict=True))


X = 10 + 0.1 * np.arange(60)
Y = 5 + np.arange(60) % 7
D = 1.5406 / (2 * np.sin(np.radians(np.linspace(10, 80, 700)) / 2))

BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "is empty"),
    "blank": (" \n\n\t\r\n", "is empty"),
    "zeros": (b"\0" * 5000, "is empty"),
    "junk": (random.Random(1).randbytes(4000), "binary file"),
    "png": (b"\x89PNG\r\n\x1a\n" + zlib.compress(random.Random(2).randbytes(900)), "binary file"),
    "gzip": (b"\x1f\x8b\x08" + b"\0" * 50, "packed with gzip"),
    "zip": (b"PK\x03\x04" + b"\1" * 50, "zip archive"),
    "broken utf-16": (b"\xff\xfe1", "utf-16"),
    "words": ("all work and no play\n" * 50, "no rows of numbers"),
    "comments only": ("# 1 2\n# 3 4\n", "no rows of numbers"),
    "one column": ("\n".join(map(str, range(100))), "one column"),
    "one column with commas": ("\n".join(f"{i}," for i in range(100)), "one column"),
    "nan": (_columns(X, np.where(np.arange(60) == 20, np.nan, Y)), "point 21 is not a number"),
    "inf": (_columns(X, np.where(np.arange(60) == 20, np.inf, Y)), "point 21 is not a number"),
    "nan angle": (_columns(np.where(np.arange(60) == 20, np.nan, X), Y), "point 21 is not a number"),
    "negative": (_columns(X - 12, Y), "-2 degrees is negative"),
    "constant": (_columns(X, np.full(60, 3)), "constant scan"),
    "non-monotonic": (_columns(np.r_[X[:30], X[:30] + 0.05], Y), "does not ascend at point 31"),
    "zigzag": (_columns(np.where(np.arange(60) == 30, 9, X), Y), "does not ascend"),
    "duplicates": (_columns(np.round(X, 0), Y), "occurs twice"),
    "duplicates descending": (_columns(np.round(X, 0)[::-1], Y), "occurs twice"),
    "wavenumbers": (_columns(np.arange(400, 4000, 4), np.arange(900) % 17), "reaches 3996"),
    "channels": (_columns(np.arange(200), np.arange(200) % 17), "reaches 199"),
    "d spacings": (_columns(D, np.arange(700) % 17), "looks like d spacings"),
    "d spacings ascending": (_columns(D[::-1], np.arange(700) % 17), "looks like d spacings"),
    "named q": ("q,intensity\n" + _columns(X, Y, "%.3f,%g\n"), "'q'"),
    "named Q with unit": ("Q(1/A) I\n" + _columns(X, Y), "'Q"),
    "named d": ("# d-spacing intensity\n" + _columns(X, Y), "'d-spacing'"),
    "named energy": ("Energy (keV),Counts\n" + _columns(X, Y, "%.3f,%g\n"), "'Energy"),
    "named wavelength": ("Wavelength,S1\nnm,CPS\n" + _columns(X, Y, "%.3f,%g\n"), "'nm'"),
    "named theta": ("theta,intensity\n" + _columns(X, Y, "%.3f,%g\n"), "double it"),
    "comment names q": ("# 5 scans\n# q intensity\n# of quartz\n" + _columns(X, Y), "'q'"),
    "chi over q": ("a.tif\nQ (nm^-1)\nIntensity\n  60\n" + _columns(X, Y), "'Q "),
    "49 points": (_columns(X[:49], Y[:49]), "49 points; at least 50"),
    "ragged": (_columns(X[:30], Y[:30]) + "13.0 4 5\n" + _columns(X[31:], Y[31:]), "line 31 has 3 values"),
    "cut off": (_columns(X, Y) + "16.0000", "line 61 has 1 values"),
    "damaged last row": (_columns(X, Y) + "16.0000 1x4", "line 61"),
    "text between": (_columns(X[:30], Y[:30]) + "range 2\n" + _columns(X[30:], Y[30:]), "line 31 ('range 2')"),
    "missing value": (
        _columns(X[:30], Y[:30], "%g,%g,1\n") + "13,,1\n" + _columns(X[31:], Y[31:], "%g,%g,1\n"),
        "lacks",
    ),
    "points and commas": (_columns(X, Y, "%g;1,%03g.5\n"), "both points and commas"),
    "all commas": ("".join(f"{i},5,{i},25\n" for i in range(10, 80)), "cannot tell decimal commas"),
    "html": ("<html><body>404 not found</body></html>", "XML or HTML"),
    "xrdml cut off": ((GOLDEN / "panalytical.xrdml").read_bytes()[:6000], "not well-formed"),
    "raw header only": (b"RAW1.01\0" + b"\0" * 100, "cannot be read as raw"),
    "a crystal's CIF": ("data_NaCl\n_cell_length_a 5.64\nloop_\n_atom_site_label\nNa\nCl\n", "cannot be read as cif"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("name", ["scan.xy", "scan.csv"])
def test_bad_files(case: str, name: str, put: Callable[..., Path]) -> None:
    content, message = BAD[case]
    path = put(content, name)
    with pytest.raises(PatternError) as caught:
        read_pattern(path)
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert len(text) < len(str(path)) + 400


def test_missing_file_directory_and_impossible_name(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.xy", "no such file"), (tmp_path, "directory"), ("a\0b.xy", "cannot be read")):
        with pytest.raises(PatternError, match=message):
            read_pattern(path)


def test_unreadable_file(put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    path = put("1 2\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PatternError, match="Permission denied"):
        read_pattern(path)


def test_bad_wavelength_argument_comes_first(tmp_path: Path) -> None:
    with pytest.raises(WavelengthError, match="names an anode"):
        read_pattern(tmp_path / "no.xy", "Cu")


def test_huge_file_is_not_read(put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("powderlens.pattern.read.MAX_FILE_BYTES", 10)
    with pytest.raises(PatternError, match="the limit is"):
        read_pattern(put("1 2\n" * 50))


@pytest.mark.parametrize("seed", range(8))
def test_damaged_instrument_files_never_raise_anything_else(seed: int, put: Callable[..., Path]) -> None:
    rng = random.Random(seed)
    originals = sorted(p for p in GOLDEN.iterdir() if p.suffix != ".md")
    assert len(originals) == 3
    for _ in range(30):
        data = bytearray(rng.choice(originals).read_bytes())
        if rng.random() < 0.4:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((0, 1, 30, 300)) if data else 0):
            data[rng.randrange(len(data))] = rng.randrange(256)
        with contextlib.suppress(PatternError):
            read_pattern(put(bytes(data), rng.choice(("a.raw", "a.xrdml", "a.xy"))))
