"""A small scan and a helper that writes it as any text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Scan = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def scan() -> Scan:
    """80 points, 10.00 to 17.90 degrees, one peak; all values exact in two decimals."""
    x = np.round(10 + 0.1 * np.arange(80), 2)
    y = np.round(100 + 900 * np.exp(-0.5 * ((x - 14) / 0.3) ** 2), 1)
    return x, y


@pytest.fixture
def rows(scan: Scan) -> Callable[..., str]:
    """`rows(separator, comma=False, extra="")`: the scan as lines of text."""

    def write(separator: str = " ", comma: bool = False, extra: str = "") -> str:
        lines = [f"{a:.2f}{separator}{b:.1f}{extra}" for a, b in zip(*scan, strict=True)]
        return "\n".join(line.replace(".", ",") if comma else line for line in lines) + "\n"

    return write


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """`put(content, name)`: a file in the test's directory."""

    def write(content: str | bytes, name: str = "scan.xy") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
