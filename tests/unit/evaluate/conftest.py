"""Measured-looking sets made of textbook minerals under a protocol, stored as RRUFF's set is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from powderlens.diffraction.phase import phase_of
from powderlens.diffraction.protocol import Protocol, parse_protocol
from powderlens.diffraction.render import render
from powderlens.pattern.grid import Grid

if TYPE_CHECKING:
    from powderlens.crystal.structure import Structure

TOML = """
name = "bench"
summary = "Sharp lines with counting noise on a pedestal"
citation = "made for tests"
scale = 1.0

[grid]
start_deg = 5.0
step_deg = 0.02
points = 4250
wavelength_A = 1.541838

[specimen]
intensity_jitter = { uniform = [0.05, 0.3] }

[profile]
caglioti_w_deg2 = { squared = [0.06, 0.12] }

[geometry]
zero_shift_deg = { normal = [0.0, 0.02] }

[counting]
noise_sigma = { log_normal = [0.01, 0.3] }
background_share = 0.05
pedestal = 4.5
raw_points = 2
"""
RAW = Grid(start_deg=5.0, step_deg=0.01, points=8500, wavelength_A=1.541838)


@pytest.fixture(scope="session")
def bench() -> Protocol:
    """A protocol of a twentieth of a second."""
    return parse_protocol(TOML)


@pytest.fixture(scope="session")
def stored_set(bench: Protocol, minerals: dict[str, Structure]) -> Callable[[Path, int], Path]:
    """`NAME.npz` and `NAME.csv` of so many scans a mineral: drawn in steps of 0.01 degrees, whole thousandths kept."""

    def make(npz: Path, each: int) -> Path:
        rows, scans = ["index,space_group,mineral_inferred,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted"], []
        for number, (name, structure) in enumerate(minerals.items()):
            records = bench.draw(99, each, number * each)
            records["raw_points"] = 1
            phase = phase_of(structure, d_min_A=bench.d_min_A)
            drawn = render([phase] * each, records, RAW, seed=99, index=number * each)
            scans += [np.floor(1000 * np.abs(y) / y.max()).astype(np.int16) for y in drawn]
            cell = ",".join(f"{value:.5f}" for value in structure.cell)
            rows += [f"{len(rows)},{structure.space_group},{name},{cell},1"] * each
        np.savez(npz, intensity=np.array(scans))
        npz.with_suffix(".csv").write_text("\n".join(rows) + "\n")
        return npz

    return make
