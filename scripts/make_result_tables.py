"""Write results/tables/NAME.md from the records in results/: python scripts/make_result_tables.py [FOLDER]."""

from __future__ import annotations

import sys
from pathlib import Path

from powderlens.core.files import atomic_write, make_folder
from powderlens.reproduce.tables.formats import as_markdown
from powderlens.reproduce.tables.registry import make_table

RESULTS = Path(__file__).resolve().parents[1] / "results"

TABLES = {
    "gemd": ["gemd"],
    "alphadiffract-rruff": ["alphadiffract"],
    "ml4pxrds-table1": ["ml4pxrds/resnet10-small-on-real.json"],
    "simxrd-table2": ["benchmark-small"],
    "simxrd-table3": ["benchmark-small"],
    "simxrd-out-of-library": ["benchmark-small"],
    "simxrd-rruff": ["benchmark-small"],
    "simxrd-faults": ["benchmark-small"],
    "simxrd-conclusions": ["benchmark-small"],
    "training": ["benchmark-small"],
}
"""Table -> records that it is made from, files or folders."""


def write_tables(folder: Path) -> list[Path]:
    """Make all of them.

    Args:
        folder: where to.

    Returns:
        The files.
    """
    make_folder(folder)
    paths = []
    for name, sources in TABLES.items():
        paths.append(folder / f"{name}.md")
        text = as_markdown(make_table(name, [RESULTS / source for source in sources]))
        with atomic_write(paths[-1]) as aside:
            aside.write_text(text)
    return paths


if __name__ == "__main__":
    write_tables(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS / "tables")
