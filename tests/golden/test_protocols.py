"""Every shipped protocol makes of quartz and seed 7 what its golden record holds, on every backend.

The records are written by `scripts/make_protocol_goldens.py` with the readable renderer; the renderers agree by
tests/contract/test_backends.py. A difference here means that a protocol changed: the changelog must say why.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from powderlens.diffraction.conditions import from_record
from powderlens.diffraction.draw import draw_patterns
from powderlens.diffraction.protocol import load_protocol, protocol_names

FOLDER = Path(__file__).parent / "protocols"
EVERY = 97


def test_every_protocol_has_a_record() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(protocol_names())


@pytest.mark.parametrize("name", protocol_names())
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_protocol_is_what_it_was(name: str, backend: str) -> None:
    golden = json.loads((FOLDER / f"{name}.json").read_text())
    protocol = load_protocol(name)
    assert golden["grid"] == protocol.grid.__dict__
    assert golden["scale"] == protocol.scale
    drawn = draw_patterns("examples/quartz.cif", protocol, count=3, seed=golden["seed"], backend=backend)  # type: ignore[arg-type]
    assert list(drawn.impurities) == [pattern["impurity"] for pattern in golden["patterns"]]
    for pattern, record, intensity in zip(golden["patterns"], drawn.records, drawn.intensity, strict=True):
        changes = json.loads(json.dumps(from_record(record).changes()))
        assert list(changes) == list(pattern["conditions"])
        for field, value in pattern["conditions"].items():
            assert changes[field] == value, "conditions are the same to the last bit, see docs/SAME_BYTES.md"
        close = 1e-6 * protocol.scale
        np.testing.assert_allclose(intensity[::EVERY], pattern["intensity"], rtol=0, atol=close)
        assert intensity.sum() == pytest.approx(pattern["sum"], rel=1e-6)
        assert np.square(intensity).sum() == pytest.approx(pattern["sum_of_squares"], rel=1e-6)
