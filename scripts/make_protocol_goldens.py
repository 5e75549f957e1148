"""Write the golden records of the shipped protocols: what seed 7 makes of quartz.

    python scripts/make_protocol_goldens.py

To be run, and its result looked at, when a protocol or the renderer is changed on purpose; the changelog says why.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from powderlens.diffraction.conditions import from_record
from powderlens.diffraction.draw import draw_patterns
from powderlens.diffraction.protocol import load_protocol, protocol_names

ROOT = Path(__file__).parents[1]
SEED, COUNT, EVERY = 7, 3, 97


def record(name: str) -> dict[str, object]:
    """Conditions, every 97th intensity, sum and sum of squares of three patterns, by the readable renderer."""
    drawn = draw_patterns(ROOT / "examples" / "quartz.cif", name, count=COUNT, seed=SEED, backend="numpy")
    patterns = []
    for row, intensity, impurity in zip(drawn.records, drawn.intensity, drawn.impurities, strict=True):
        patterns.append(
            {
                "impurity": impurity,
                "conditions": from_record(row).changes(),
                "sum": float(intensity.sum()),
                "sum_of_squares": float(np.square(intensity).sum()),
                "intensity": [float(f"{v:.9g}") for v in intensity[::EVERY]],
            }
        )
    protocol = load_protocol(name)
    about = {"protocol": name, "seed": SEED, "grid": protocol.grid.__dict__, "scale": protocol.scale}
    return {**about, "patterns": patterns}


def main() -> None:
    for name in protocol_names():
        path = ROOT / "tests" / "golden" / "protocols" / f"{name}.json"
        path.write_text(json.dumps(record(name), indent=1) + "\n")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
