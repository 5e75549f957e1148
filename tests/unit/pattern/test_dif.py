"""DIF files, as AMCSD writes them."""

from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.pattern.formats.dif import is_dif, read_dif

TEXT = """      Halite
      powder pattern for R070292
      CELL PARAMETERS:  5.6402  5.6402  5.6402  90.000  90.000  90.000
      SPACE GROUP: Fm3m
      X-RAY WAVELENGTH:     1.541838
               2-THETA      INTENSITY    D-SPACING   H   K   L
                 31.73        100.00        2.8201   2   0   0
                 27.39          9.20        3.2564   1   1   1
                  0.00          5.00        0.0000   0   0   0
================================================================
      Sylvite
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "halite.dif"
    path.write_text(text)
    return path


def test_what_it_says(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT)
    assert is_dif(path)
    found = read_dif(path)
    assert (found.name, found.sample, found.space_group) == ("Halite", "R070292", "Fm3m")
    assert found.cell == (5.6402, 5.6402, 5.6402, 90.0, 90.0, 90.0)
    assert found.wavelength_A == 1.541838
    np.testing.assert_array_equal(found.two_theta_deg, [27.39, 31.73])
    np.testing.assert_array_equal(found.intensity, [9.2, 100.0])
    assert found.head.endswith("1.541838")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("5.6402  90", "5.64.02  90", r"halite.dif: '5.64.02' is not a number"),
        ("1.541838", "1.54.18", r"halite.dif: '1.54.18' is not a number"),
        ("31.73        100.00", "31.73          0.00", None),
        ("SPACE", "SPACIOUS", "a DIF file without its space group"),
        ("D-SPACING", "SPACING", "not a DIF file, it has no table"),
    ],
)
def test_what_it_does_not_say(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    path = write(tmp_path, TEXT.replace(old, new))
    if message is None:
        assert len(read_dif(path).intensity) == 1
        return
    with pytest.raises(InputError, match=message):
        read_dif(path)


def test_no_lines_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a DIF file without lines"):
        read_dif(write(tmp_path, TEXT.split("31.73")[0]))
    with pytest.raises(InputError, match=r"none.dif: cannot be read"):
        read_dif(tmp_path / "none.dif")
    assert not is_dif(tmp_path / "none.dif")
