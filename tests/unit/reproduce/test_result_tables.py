"""The tables in results/ are those of the records beside them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_tables_are_up_to_date(root: Path, tmp_path: Path) -> None:
    """Else run scripts/make_result_tables.py."""
    subprocess.run([sys.executable, root / "scripts" / "make_result_tables.py", tmp_path], check=True, timeout=1200)
    kept = root / "results" / "tables"
    assert sorted(path.name for path in kept.iterdir()) == sorted(path.name for path in tmp_path.iterdir())
    for path in sorted(kept.iterdir()):
        assert (tmp_path / path.name).read_text() == path.read_text(), path.name
