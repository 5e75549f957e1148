"""Write `crystal/data/groups.json`: a synthetic crystal of each of the 230 space groups.

    python scripts/make_group_crystals.py

Crystal NUMBER of seed 1 of `generate.draw.CrystalGenerator` for group NUMBER alone, with the statistics that come with
powderlens, at most 8 sites and 2,500 A^3, and the distances of atoms that it keeps by default. Coordinates are kept to
five digits.
"""

from __future__ import annotations

import json
from pathlib import Path

from powderlens.generate.draw import CrystalGenerator, Limits
from powderlens.generate.statistics import shipped_statistics

PATH = Path(__file__).parents[1] / "src" / "powderlens" / "crystal" / "data" / "groups.json"
SOURCE = (
    "scripts/make_group_crystals.py: synthetic crystals of powderlens, from the statistics of the Materials Project, "
    "OQMD and AMCSD (generate/data/statistics.json.gz)"
)


def main() -> None:
    rows = []
    for number in range(1, 231):
        limits = Limits(max_sites=8, max_volume_A3=2500.0)
        crystal = CrystalGenerator(shipped_statistics(), seed=1, groups=[number], limits=limits).crystal(number)
        one = crystal.occupation
        sites = [
            [element, letter, *(round(float(x), 5) for x in xyz)]
            for element, letter, xyz in zip(one.elements, one.letters, crystal.xyz, strict=True)
        ]
        rows.append({"group": number, "cell": [round(value, 5) for value in one.cell], "sites": sites})
    lines = ",\n".join("  " + json.dumps(row) for row in rows)
    PATH.write_text(f'{{\n "source": {json.dumps(SOURCE)},\n "crystals": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    print(PATH.name, PATH.stat().st_size)


if __name__ == "__main__":
    main()
