"""docs/NETWORKS.md is what the cards say today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from powderlens.models.registry import NAMES


def test_the_page_is_current(root: Path, tmp_path: Path) -> None:
    """Else run scripts/make_network_page.py."""
    made = tmp_path / "NETWORKS.md"
    subprocess.run([sys.executable, root / "scripts" / "make_network_page.py", made], check=True, timeout=1200)
    page = (root / "docs" / "NETWORKS.md").read_text(encoding="utf-8")
    assert page == made.read_text(encoding="utf-8")
    assert [line.removeprefix("### ") for line in page.splitlines() if line.startswith("### ")] == [*NAMES]
