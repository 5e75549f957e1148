"""Write the common minerals that ship with powderlens, from the AMCSD.

    python scripts/make_common_minerals.py AMCSD.db

Of each mineral the entry of the commonest space group whose cell volume is nearest to that at room temperature and
pressure is taken, so that no compressed or hot structure stands for it.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from pathlib import Path

import powderlens
from powderlens.crystal.formats.amcsd import iter_amcsd
from powderlens.crystal.formats.cif_write import write_cif
from powderlens.crystal.structure import Structure

VOLUMES_A3 = {
    "Anatase": 136.3, "Aragonite": 226.9, "Barite": 346.2, "Calcite": 367.8, "Corundum": 254.8, "Diopside": 438.8,
    "Dolomite": 320.2, "Fluorapatite": 523.0, "Fluorite": 163.0, "Forsterite": 290.0, "Galena": 209.1,
    "Goethite": 138.6, "Graphite": 35.2, "Gypsum": 495.0, "Halite": 179.4, "Hematite": 301.9, "Magnesite": 279.3,
    "Magnetite": 592.0, "Periclase": 74.7, "Pyrite": 159.0, "Quartz": 113.0, "Rutile": 62.4, "Siderite": 292.7,
    "Sphalerite": 158.3, "Sylvite": 249.2,
}  # fmt: skip
"""Cell volumes at room temperature and pressure, A^3: Deer, Howie and Zussman, "An Introduction to the Rock-Forming
Minerals" (1992), rounded."""


def main() -> None:
    found: dict[str, list[Structure]] = defaultdict(list)
    for item in iter_amcsd(sys.argv[1]):
        if isinstance(item, Structure) and item.name in VOLUMES_A3:
            found[item.name].append(item)
    folder = Path(powderlens.__file__).parent / "crystal" / "data" / "common"
    for name, volume_A3 in VOLUMES_A3.items():
        entries = found[name]
        if not entries:
            print(f"{name}: not in this database")
            continue
        group = Counter(s.space_group for s in entries).most_common(1)[0][0]
        entries = [s for s in entries if s.space_group == group]
        chosen = min(entries, key=lambda s: (abs(s.volume_A3 - volume_A3), s.source))
        write_cif(chosen, folder / f"{name.lower()}.cif")
        print(f"{name}: {chosen.source}, group {chosen.space_group}, {chosen.volume_A3:.1f} A^3, of {len(entries)}")


if __name__ == "__main__":
    main()
