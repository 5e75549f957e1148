"""What is written is read back."""

from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError, PatternError
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.read import read_pattern
from powderlens.pattern.write import write_pattern

X = 5 + 0.013 * np.arange(500)
Y = 1e5 * np.random.default_rng(1).random(500)
PATTERN = Pattern(X, Y, 1.54187113, np.sqrt(Y) + 1, source="quartz.cif, simulated")


@pytest.mark.parametrize("extension", [".xy", ".xye", ".csv", ".XY"])
def test_round_trip(extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{extension}"
    write_pattern(PATTERN, path)
    again = read_pattern(path)
    assert again.two_theta_deg == pytest.approx(X, abs=1e-6)
    assert again.intensity == pytest.approx(Y, rel=1e-8)
    assert again.wavelength_A == pytest.approx(1.54187113, abs=1e-8)
    assert again.metadata["source"] == "quartz.cif, simulated"
    if extension in (".xye", ".csv"):
        assert again.sigma == pytest.approx(PATTERN.sigma, rel=1e-8)
    else:
        assert again.sigma is None
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    (names,) = [line for line in path.read_text().splitlines() if "two_theta_deg" in line]
    columns = ["two_theta_deg", "intensity", "sigma"][: 3 if again.sigma is not None else 2]
    assert names == (",".join(columns) if extension == ".csv" else "# " + " ".join(columns))


def test_without_wavelength_none_is_read(tmp_path: Path) -> None:
    write_pattern(Pattern(X, Y), tmp_path / "a.csv")
    again = read_pattern(tmp_path / "a.csv")
    assert again.wavelength_A is None
    assert again.sigma is None


def test_source_cannot_break_the_header(tmp_path: Path) -> None:
    write_pattern(Pattern(X, Y, 1.5406, source="wavelength: 0.7\n1 2"), tmp_path / "a.xy")
    again = read_pattern(tmp_path / "a.xy")
    assert len(again.intensity) == 500
    assert again.wavelength_A == 1.5406


@pytest.mark.parametrize("name", ["a.png", "a", "missing/a.xy"])
def test_refuses_places(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        write_pattern(PATTERN, tmp_path / name)


def test_refuses_xye_without_uncertainties(tmp_path: Path) -> None:
    with pytest.raises(PatternError, match="no uncertainties"):
        write_pattern(Pattern(X, Y), tmp_path / "a.xye")
