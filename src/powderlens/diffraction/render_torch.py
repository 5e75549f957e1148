"""The batched renderer: whole protocols on an accelerator, so that a training step draws its own patterns.

Read `render_numpy.py` first: the steps are the same, over all patterns of a batch at once. Spacings, positions, widths
and areas of lines are float64. Drawing, noise and patterns have `dtype`, float32 unless told otherwise, which costs
1e-6 of the maximum; with thermal offsets 2e-5 at single points, where a tail ends one point sooner. Random numbers are
those of `core.random`.

- A Poisson count is the inverse of the distribution at a mean that float32 has rounded. Where that mean lies on an edge
  the count is one off: measured in 1 of 100,000 points with 1,000 counts at the maximum, in 1 of 2,000 with 100,000, in
  proportion to the counts. float64 does not do this.
- On CUDA lines are added in any order, so the last bits (1e-7 of the maximum) differ from run to run. On the CPU the
  same call gives the same bytes, and a pattern alone or among others the same to rounding.
- The device is waited for once for the first and once for the second phases of a batch (how many lines have long
  windows), once more each under axial divergence (how many sub-lines), and while Poisson counts are searched.

Names of dimensions: b patterns, f families of reflections of all of them one after the other, l lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib import recfunctions
from numpy.typing import NDArray
from torch import Tensor

from powderlens.core.errors import InputError
from powderlens.core.random import Purpose, check_seed
from powderlens.diffraction.absorption import paths
from powderlens.diffraction.axial import (
    DENSITY,
    FEWEST,
    MAX_NODES,
    MEAN_NODES,
    NARROW,
    NODES,
    STEEP,
    WEIGHTS,
    centroid_shift,
    moments,
)  # fmt: skip
from powderlens.diffraction.conditions import HUMPS, RECORD, TERMS
from powderlens.diffraction.phase import Atoms, Phase
from powderlens.diffraction.render_numpy import FADE, PALEST, SINE_LIMIT, SLIT_PIVOT
from powderlens.diffraction.thermal import debye_mean_square_displacement_A2
from powderlens.diffraction.torch_draw import LOG2, Drawer, Lines, SubLines, visible
from powderlens.diffraction.torch_random import normal, normal_at, poisson_inverse, uniform, uniform_at
from powderlens.pattern.grid import Grid

Whole = NDArray[np.int64]
DEGREE = 180.0 / np.pi
MAX_ELEMENTS = {"cpu": 2**19, "cuda": 2**26}
"""Bounds of intermediate arrays where none is given: for a processor's cache, and for a few GB of an accelerator."""


class _Conditions:
    """Records on the host, to ask what occurs at all, and their columns on the device."""

    def __init__(self, host: NDArray[np.void], on: dict[str, Tensor]) -> None:
        self.host, self.on = host, on

    def __getitem__(self, name: str) -> Tensor:
        return self.on[name]

    def any(self, name: str) -> bool:
        """Whether some pattern has it above 0."""
        return bool((self.host[name] > 0).any())

    def of(self, which: NDArray[np.int64], where: Tensor) -> _Conditions:
        return _Conditions(self.host[which], {name: column[where] for name, column in self.on.items()})


class _Group(NamedTuple):
    """Phases to be drawn: (b,) their rows on the host and the device, conditions, seed, (b,) numbers of the patterns,
    what their random numbers are for, and (b,) the weakest line over the strongest.
    """

    rows: NDArray[np.int64]
    at: Tensor
    c: _Conditions
    seed: int
    number: Tensor
    purposes: tuple[int, int, int]
    fade: Tensor


class TorchRenderer:
    """Crystals packed on a device once, and batches of their patterns.

    Args:
        phases: all crystals that will be drawn, second phases included.
        grid: where to draw.
        device: "cpu", "cuda", "cuda:1" or a `torch.device`; it must know float64.
        dtype: in which lines are drawn and counted, and patterns returned.
        max_elements: bounds the memory: no intermediate array is much larger than this many numbers; None for
            a choice by the device.

    Raises:
        InputError: no phases.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        grid: Grid,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        max_elements: int | None = None,
    ) -> None:
        if not phases:
            raise InputError("no phases: give at least one crystal to draw")
        self.grid, self.device, self.dtype = grid, torch.device(device), dtype
        self.max_elements = max_elements or MAX_ELEMENTS.get(self.device.type, MAX_ELEMENTS["cuda"])
        self.names = [phase.name for phase in phases]
        self.families = np.array([len(phase.hkl) for phase in phases])
        self.mean_mass_u = np.array([phase.mean_mass_u for phase in phases])
        self._pack_symmetry(phases)
        self._lattice = self._to(np.array([phase.lattice for phase in phases], float))
        self._first = self._to(np.cumsum(self.families) - self.families)
        self._count = self._to(self.families)
        self._hkl = self._to(np.concatenate([phase.hkl for phase in phases]).astype(np.int16).T)
        self._strength = self._to(np.concatenate([phase.strength for phase in phases]).astype(float))
        self.atoms = np.array([0 if phase.atoms is None else len(phase.atoms.frac) for phase in phases])
        if self.atoms.any():
            self._pack_atoms(phases)
        self._x = self._to(grid.two_theta_deg)
        self._along = self._to(np.linspace(0, 1, grid.points)) - SLIT_PIVOT
        self._chebyshev = self._to(np.polynomial.chebyshev.chebvander(np.linspace(-1, 1, grid.points), TERMS - 1).T)
        self._nodes, self._node_weights = self._to(NODES), self._to(WEIGHTS)
        self._symmetric = self._to(np.array([0, 5, 4, 5, 1, 3, 4, 3, 2]))
        self._drawer = Drawer(grid, self.device, dtype, self.max_elements)

    # --- packing ---

    def _to(self, array: NDArray[Any]) -> Tensor:
        """To the device; pinned on the way to CUDA, so that nothing waits."""
        tensor = torch.from_numpy(np.array(array))
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _pack_symmetry(self, phases: Sequence[Phase]) -> None:
        """Each distinct point group once: its projector of metric tensors, and one of W and -W for the texture."""
        known: dict[bytes, int] = {}
        projectors, turns, which = [], [], []
        for phase in phases:
            w = np.ascontiguousarray(phase.rotations, np.int64)
            if w.tobytes() not in known:
                known[w.tobytes()] = len(known)
                projectors.append(np.einsum("rki,rmj->ijkm", w, w).reshape(9, 9) / len(w))
                flat = w.reshape(-1, 9)
                leading = flat[np.arange(len(flat)), (flat != 0).argmax(axis=1)]
                turns.append(np.unique(flat * np.sign(leading)[:, None], axis=0).astype(float))
            which.append(known[w.tobytes()])
        counts = np.array([len(turn) for turn in turns])
        self.turns = counts[which]
        self._projector = self._to(np.array(projectors)[which])
        self._turn = self._to(np.concatenate(turns).reshape(-1, 3, 3).transpose(1, 2, 0))
        self._turn_first = self._to((np.cumsum(counts) - counts)[which])

    def _pack_atoms(self, phases: Sequence[Phase]) -> None:
        """Atoms of all phases one after the other; `_f_at` says where the form factors of an atom's kind begin."""
        held: list[Atoms] = []
        f_at, f_imag, beta, families = [], [], [], []
        place = 0
        for phase in phases:
            a, m = phase.atoms, len(phase.hkl)
            families.append(np.zeros((2, m)) if a is None else np.stack([a.multiplicity, a.inv_d2 / 4]))
            if a is None:
                continue
            held.append(a)
            f_at.append(place + a.kind * m)
            place += a.f_real.size
            f_imag.append(a.f_imag[a.kind] if a.friedel else np.zeros(len(a.kind)))
            beta.append(a.beta.reshape(-1, 9) if len(a.beta) else np.zeros((len(a.frac), 9)))
        self._multiplicity, self._s2 = self._to(np.concatenate(families, axis=1))
        self._atom_first = self._to(np.cumsum(self.atoms) - self.atoms)
        self._frac, self._moves, self._site = (
            self._to(np.concatenate([getattr(a, name) for a in held])) for name in ("frac", "moves", "site")
        )
        self._f_at = self._to(np.concatenate(f_at))
        single = {
            "f_real": [a.f_real.ravel() for a in held],
            "f_imag": f_imag,
            "occupancy": [a.weight for a in held],
            "u_iso": [a.u_iso_A2 for a in held],
            "beta": beta,
        }
        flat = {name: np.concatenate(arrays) for name, arrays in single.items()}
        self._atom = {name: self._to(array).to(self.dtype) for name, array in flat.items()}
        self._dispersive, self._isotropic, self._anisotropic = (
            bool(flat[name].any()) for name in ("f_imag", "u_iso", "beta")
        )

    def _conditions(self, records: NDArray[np.void]) -> _Conditions:
        """All columns in one journey, float64."""
        flat = recfunctions.structured_to_unstructured(records, dtype=np.float64)
        table = self._to(np.ascontiguousarray(flat))
        on, at = {}, 0
        for name in RECORD.names or ():
            shape = RECORD[name].shape
            size = int(np.prod(shape))
            on[name] = table[:, at : at + size].reshape(len(records), *shape) if shape else table[:, at]
            at += size
        return _Conditions(records, on)

    # --- batches ---

    @torch.no_grad()
    def batch(
        self,
        rows: NDArray[np.int64],
        records: NDArray[np.void],
        seed: int,
        index: NDArray[np.int64],
        impurity_rows: NDArray[np.int64] | None = None,
    ) -> Tensor:
        """Patterns on the device; the same numbers as `render.render`.

        Args:
            rows: (b,) which phase each pattern shows.
            records: (b,) conditions, from `Protocol.draw` or `to_record`.
            seed: of all random numbers.
            index: (b,) the number of each pattern under this seed.
            impurity_rows: (b,) second phases, -1 for none.

        Returns:
            (b, points) in the renderer's dtype.

        Raises:
            InputError: numbers of rows, records and indices that differ, a row that is no phase, thermal offsets for a
                phase prepared without atoms.
        """
        rows, index = np.asarray(rows, np.int64), np.asarray(index, np.int64)
        second = np.full(len(rows), -1) if impurity_rows is None else np.asarray(impurity_rows, np.int64)
        self._check(rows, records, index, second)
        second = np.where(records["impurity_share"] > 0, second, -1)
        size = self.families[rows] * (1 + 2 * self.turns[rows]) + 4 * self.grid.points
        groups = np.flatnonzero(np.diff(np.cumsum(size) // self.max_elements, prepend=0)).tolist()
        out = [
            self._patterns(rows[a:b], records[a:b], check_seed(seed), index[a:b], second[a:b])
            for a, b in zip([0, *groups], [*groups, len(rows)], strict=True)
            if b > a
        ]
        return torch.cat(out) if out else torch.zeros((0, self.grid.points), dtype=self.dtype, device=self.device)

    def _check(self, rows: Whole, records: NDArray[np.void], index: Whole, second: Whole) -> None:
        if records.dtype != RECORD or not len(rows) == len(records) == len(index) == len(second):
            raise InputError(
                f"{len(rows)} rows, {len(records)} records, {len(index)} numbers, {len(second)} impurities: one of each"
            )
        if len(rows) and not (rows.min() >= 0 and max(rows.max(), second.max()) < len(self.families)):
            wrong = rows.min() if rows.min() < 0 else max(rows.max(), second.max())
            raise InputError(f"row {wrong}: there are {len(self.families)} phases, from row 0")
        moving = records["thermal_offset_A"] > 0
        for which in (rows[moving], second[moving & (second >= 0)]):
            lacking = which[self.atoms[which] == 0]
            if len(lacking):
                name = self.names[lacking[0]] or "phase"
                raise InputError(f"{name}: thermal offsets need its atoms; prepare it with offsets=True")

    def _patterns(self, rows: Whole, records: NDArray[np.void], seed: int, index: Whole, second: Whole) -> Tensor:
        """`render_numpy.pattern` for a group of patterns."""
        c = self._conditions(records)
        number = self._to(index)
        measured = (self._x >= c["first_deg"][:, None] - 1e-6) & (self._x <= c["last_deg"][:, None] + 1e-6)
        ends = [torch.where(measured, self._x, torch.inf).amin(1), torch.where(measured, self._x, -torch.inf).amax(1)]
        purposes = (Purpose.INTENSITIES, Purpose.PERTURBATION, Purpose.OFFSETS)
        fade = torch.full_like(c["impurity_share"], FADE)
        y, shown = self._clean(_Group(rows, self._to(rows), c, seed, number, purposes, fade), *ends)
        y = _scaled(y, measured)
        which = np.flatnonzero(second >= 0)
        if len(which):
            where = self._to(which)
            share = c["impurity_share"][where, None].to(self.dtype)
            purposes = (Purpose.IMPURITY_INTENSITIES, Purpose.IMPURITY_PERTURBATION, Purpose.IMPURITY_OFFSETS)
            ends = [end[where] for end in ends]
            fade = (FADE / c["impurity_share"][where]).clamp(max=PALEST)
            mixed = second[which]
            group = _Group(mixed, self._to(mixed), c.of(which, where), seed, number[where], purposes, fade)
            other, both = self._clean(group, *ends)
            other = (1 - share) * y[where] + share * _scaled(other, measured[where])
            y[where] = torch.where(both[:, None], _scaled(other, measured[where]), y[where])
        y = y + self._under(c)
        return self._counted(y, c, seed, number, measured & shown[:, None])

    def _clean(self, group: _Group, first_deg: Tensor, last_deg: Tensor) -> tuple[Tensor, Tensor]:
        """(b, points) lines of one phase each, any scale (steps 1 to 7); (b,) whether one stands in the range."""
        c, found = group.c, self._lines(group)
        inside = (found.position >= first_deg[found.row]) & (found.position <= last_deg[found.row]) & (found.area > 0)
        shown = torch.zeros_like(first_deg).scatter_reduce(0, found.row, inside.to(first_deg.dtype), "amax") > 0
        axial = c.any("sample_over_l") or c.any("detector_over_l")
        sub = self._split(found, c) if axial else None
        y = self._drawer.draw(found, sub, c.host["shape"], c["shape"])
        if (c.host["slit_tilt"] != 0).any():
            y = y * torch.exp(c["slit_tilt"][:, None] * self._along).to(self.dtype)
        return y, shown

    # --- lines ---

    def _lines(self, group: _Group) -> Lines:
        """Steps 1 to 5 in float64."""
        rows, at, c, seed, number, purposes, fade = group
        row, place = _flattened(self._count[at], int(self.families[rows].sum()))
        source = self._first[at][row] + place
        hkl = self._hkl[:, source].to(torch.float64)
        # 1. Cell and spacings.
        reciprocal = self._reciprocal_metric(at, c)
        inv_d2 = ((reciprocal[:, :, row] * hkl).sum(1) * hkl).sum(0)
        # 2. Weights of the families.
        weight = self._strength[source]
        if c.any("thermal_offset_A"):
            weight = self._moved_strength(weight, group)
        if (c.host["march_r"] != 1).any():
            weight = weight * self._march_dollase(group, reciprocal, hkl, inv_d2, row)
        if c.any("intensity_jitter"):
            z = normal_at(seed, number[row], purposes[0], place)
            weight = weight * torch.exp(c["intensity_jitter"][row] * z)
        if c.any("intensity_perturbation"):
            u = uniform_at(seed, number[row], purposes[1], place)
            weight = weight * (1 + c["intensity_perturbation"][row] * (2 * u - 1))
        # 3. Displacements.
        u_total = c.host["u_overall_A2"].copy()
        if c.any("debye_temperature_K"):
            hot = c.host["debye_temperature_K"] > 0
            u_total[hot] += debye_mean_square_displacement_A2(
                c.host["debye_temperature_K"][hot], c.host["temperature_K"][hot], self.mean_mass_u[rows[hot]]
            )
        if u_total.any():
            weight = weight * torch.exp(-4 * np.pi**2 * self._to(u_total)[row] * inv_d2)
        # 4. Lines; 5. those that can be seen.
        return self._emitted(c, row, inv_d2, weight, fade)

    def _reciprocal_metric(self, at: Tensor, c: _Conditions) -> Tensor:
        """(3, 3, b) G* = G^-1 of the strained cell, `specimen.strained_metric`."""
        lattice = self._lattice[at]
        if (c.host["strain"] != 0).any():
            strain = c["strain"].index_select(1, self._symmetric).reshape(-1, 3, 3)
            lattice = lattice + lattice @ strain
        metric = lattice @ lattice.mT
        metric = (self._projector[at] * metric.reshape(-1, 1, 9)).sum(-1).reshape(-1, 3, 3)
        a, b, d = metric.unbind(1)
        adjugate = torch.stack([torch.linalg.cross(b, d), torch.linalg.cross(d, a), torch.linalg.cross(a, b)])
        volume2 = (a * adjugate[0]).sum(-1)
        return (adjugate / volume2[:, None]).transpose(1, 2).contiguous()

    def _march_dollase(self, group: _Group, reciprocal: Tensor, hkl: Tensor, inv_d2: Tensor, row: Tensor) -> Tensor:
        """(f,) `specimen.march_dollase`; a pattern without texture takes one rotation, which gives 1."""
        rows, at, c = group.rows, group.at, group.c
        axis, r = c["texture_axis"].T, c["march_r"]
        t = (reciprocal * axis).sum(1)
        t = t / torch.sqrt((axis * t).sum(0))
        turns = np.where(c.host["march_r"] != 1, self.turns[rows], 1)
        count = self._to(turns)
        pattern, k = _flattened(count, int(turns.sum()))
        turned = (self._turn[:, :, self._turn_first[at][pattern] + k] * t[:, pattern]).sum(1)
        family, k = _flattened(count[row], int((turns * self.families[rows]).sum()))
        first = (torch.cumsum(count, 0) - count)[row]
        cosine = (hkl[:, family] * turned[:, first[family] + k]).sum(0)
        c2 = (cosine * cosine / inv_d2[family]).clamp(max=1)
        ratio = r[row][family]
        base = ratio * ratio * c2 + (1 - c2) / ratio
        total = torch.zeros_like(inv_d2).index_add_(0, family, 1 / (base * torch.sqrt(base)))
        return total / count[row]

    def _moved_strength(self, weight: Tensor, group: _Group) -> Tensor:
        """(f,) `render_numpy.moved_strength`: patterns with thermal offsets, gathered by their number of atoms."""
        rows, c, seed, number, purpose = group.rows, group.c, group.seed, group.number, group.purposes[2]
        families = self.families[rows]
        begin = np.cumsum(families) - families
        weight = weight.clone()
        moving = np.flatnonzero(c.host["thermal_offset_A"] > 0)
        powers = np.ceil(np.log2(self.atoms[rows[moving]])).astype(int)
        for power in np.unique(powers):
            which = moving[powers == power]
            where, at = self._to(which), self._to(rows[which])
            most = int(self.atoms[rows[which]].max())
            slot = torch.arange(most, device=self.device)
            there = slot < self._to(self.atoms[rows[which]])[:, None]
            atom = torch.where(there, self._atom_first[at][:, None] + slot, self._atom_first[at][:, None])
            # Offsets: one random direction for each orbit.
            component = 3 * self._site[atom][..., None] + torch.arange(3, device=self.device)
            numbers = number[where][:, None, None].expand(component.shape)
            z = normal_at(seed, numbers.reshape(-1), purpose, component.reshape(-1)).reshape(component.shape)
            step = z / torch.linalg.vector_norm(z, dim=-1, keepdim=True) * c["thermal_offset_A"][where, None, None]
            frac = (self._frac[atom] + (self._moves[atom] * step[..., None, :]).sum(-1)).permute(2, 0, 1).contiguous()
            occupancy = self._atom["occupancy"][atom] * there
            # Structure factors, some families at a time.
            row, place = _flattened(self._count[at], int(families[which].sum()))
            target = self._to(begin[which])[row] + place
            source = self._first[at][row] + place
            size = max(1, self.max_elements // most)
            for a in range(0, len(row), size):
                part = slice(a, a + size)
                mine = row[part]
                f_squared = self._f_squared(atom[mine], frac[:, mine], occupancy[mine], source[part], place[part])
                weight[target[part]] = self._multiplicity[source[part]] * f_squared
        return weight

    def _f_squared(self, atom: Tensor, frac: Tensor, occupancy: Tensor, source: Tensor, place: Tensor) -> Tensor:
        """(f,) |F|^2, mean of h and -h, `reference.structure_factors_squared`; atoms are (f, n), coordinates (3, f, n).

        With C, S the sums of f' cos and f' sin and C'', S'' those of f'', the mean is C^2 + S^2 + C''^2 + S''^2.
        """
        hkl = self._hkl[:, source].to(torch.float64)
        turns = (frac * hkl[..., None]).sum(0)
        angle = (2 * np.pi) * (turns - torch.round(turns)).to(self.dtype)
        weight = occupancy
        if self._isotropic:
            s2 = self._s2[source].to(self.dtype)
            weight = weight * torch.exp(-8 * np.pi**2 * s2[:, None] * self._atom["u_iso"][atom])
        if self._anisotropic:
            squares = (hkl[:, None] * hkl).reshape(9, -1).T.to(self.dtype)
            weight = weight * torch.exp(-(self._atom["beta"][atom] * squares[:, None]).sum(-1))
        cosine, sine = weight * torch.cos(angle), weight * torch.sin(angle)
        f = self._atom["f_real"][self._f_at[atom] + place[:, None]]
        total = (f * cosine).sum(-1) ** 2 + (f * sine).sum(-1) ** 2
        if self._dispersive:
            f = self._atom["f_imag"][atom]
            total = total + (f * cosine).sum(-1) ** 2 + (f * sine).sum(-1) ** 2
        return total.to(torch.float64)

    def _emitted(self, c: _Conditions, row: Tensor, inv_d2: Tensor, weight: Tensor, fade: Tensor) -> Lines:
        """Steps 4 and 5: every emission line of every family, `render_numpy.lines`."""
        ones = torch.ones_like(c["ka2_ratio"])
        emissions = [(c["ka1_A"], ones)]
        emissions += [(c[f"{k}_A"], c[f"{k}_ratio"]) for k in ("ka2", "kbeta") if c.any(f"{k}_ratio")]
        wavelength = torch.stack([length for length, _ in emissions])[:, row]
        share = torch.stack([ratio for _, ratio in emissions])[:, row]
        sine = 0.5 * wavelength * torch.sqrt(inv_d2)
        there = (sine < SINE_LIMIT) & (weight > 0) & (share > 0)
        sine = torch.where(there, sine, 0.5)
        s2 = sine * sine
        cosine = torch.sqrt(1 - s2)
        tangent, cos2 = sine / cosine, 1 - 2 * s2
        a = torch.cos(c["monochromator_deg"] / DEGREE) ** 2 * (1 - c["polarised_share"]) / c["polarised_share"]
        a = a[row]
        area = share * weight * (1 + a * cos2 * cos2) / ((1 + a) * s2 * cosine)
        if c.any("slits"):
            area = area * torch.where(c["slits"][row] == 1, sine, 1.0)
        if c.any("mu_t"):
            mu_t = c["mu_t"][row]
            area = area * torch.where(mu_t > 0, -torch.expm1(-2 * mu_t / sine), 1.0)
        if c.any("mu_r"):
            area = area * _cylinder(sine, c["mu_r"][row])
        shift = DEGREE / c["radius_mm"]
        shift = c["zero_shift_deg"][row] - cosine * (
            (2 * c["displacement_mm"] * shift)[row] + (c["transparency_mm"] * shift)[row] * sine
        )
        position = 2 * DEGREE * torch.arcsin(sine) + shift
        size = (DEGREE * c["scherrer_k"] / (10 * c["crystallite_size_nm"]))[row] * wavelength / cosine
        strain = (4 * DEGREE * c["microstrain"])[row] * tangent
        u, v, w = (c[f"caglioti_{k}_deg2"][row] for k in "uvw")
        gauss2 = ((u * tangent + v) * tangent + w).clamp(min=0)
        lorentz = c["lorentz_x_deg"][row] / cosine + c["lorentz_y_deg"][row] * tangent
        for width, name in ((size, "size_shape"), (strain, "strain_shape")):
            shape = c[name]
            gauss2 = gauss2 + (shape >= 1).to(torch.float64)[row] * width * width
            lorentz = lorentz + (shape != 1).to(torch.float64)[row] * width
        area = torch.where(there, area, 0.0)
        flat = [v.reshape(-1) for v in (position, area, torch.sqrt(gauss2), lorentz)]
        return visible(
            row.repeat(len(emissions)), *flat,
            shape=c.host["shape"], shape_b=c["shape"], eta_b=c["eta"], fade_b=fade,
        )  # fmt: skip

    def _split(self, found: Lines, c: _Conditions) -> SubLines:
        """Sub-lines of axial divergence, `axial.axial_nodes`; of lines without area, none."""
        row = found.row
        rise, flat = c["sample_over_l"] + c["detector_over_l"], torch.minimum(c["sample_over_l"], c["detector_over_l"])
        second, fourth = moments(c["sample_over_l"], c["detector_over_l"])
        angle = found.position / DEGREE
        sine, cosine = torch.sin(angle), torch.cos(angle)
        lit = sine > 0
        limit = (rise / torch.sqrt(1 + rise * rise))[row] / torch.where(lit, sine, 1.0)
        psi = torch.where(lit, torch.arcsin(limit.clamp(max=1)), 0.0)
        span = DEGREE * (angle - torch.atan2(sine * torch.cos(psi), cosine)).abs()
        ratio = span / found.width
        one = ratio * ratio * (FADE * found.seen) < NARROW * NARROW
        count = torch.where(one, 1, (FEWEST + torch.ceil(DENSITY * ratio)).clamp(max=MAX_NODES)).to(torch.int64)
        count = torch.where(found.area > 0, count, 0)
        line, j = _flattened(count, int(count.sum()))
        plateau = (2 * flat).clamp(min=1e-12)[row]
        # One node: the centroid.
        shift = torch.where(lit, centroid_shift(torch.where(lit, sine, 1.0), cosine, second[row], fourth[row]), 0.0)
        turned = psi[:, None] * self._nodes[MEAN_NODES, :MEAN_NODES]
        up = (torch.sin(turned) * sine[:, None]) ** 2
        share = (rise[row][:, None] - torch.sqrt(up / (1 - up))) / plateau[:, None]
        share = self._node_weights[MEAN_NODES, :MEAN_NODES] * share.clamp(max=1)
        places = torch.atan2(sine[:, None] * torch.cos(turned), cosine[:, None])
        mean = (share * (angle[:, None] - places)).sum(1) / share.sum(1)
        alone = angle - torch.where(lit & (limit > STEEP), mean, shift)
        # Several: Gauss-Legendre nodes in the azimuth.
        many = count[line]
        turned = psi[line] * self._nodes[many, j]
        up = (torch.sin(turned) * sine[line]) ** 2
        share = ((rise[row][line] - torch.sqrt(up / (1 - up))) / plateau[line]).clamp(max=1)
        share = self._node_weights[many, j] * share
        whole = torch.zeros_like(angle).index_add_(0, line, share)
        share = torch.where(many == 1, 1.0, share / whole[line])
        place = torch.where(many == 1, alone[line], torch.atan2(sine[line] * torch.cos(turned), cosine[line]))
        centroid = torch.zeros_like(angle).index_add_(0, line, share * place)
        return SubLines(line, DEGREE * place, share, DEGREE * centroid, span, count)

    # --- background and counting ---

    def _under(self, c: _Conditions) -> Tensor:
        """(b, points) step 9, `background.under`; in float64, since a float32 matrix product may round to TF32."""
        terms = int(c.host["terms"].max())
        under = torch.zeros((len(c.host), 1), dtype=torch.float64, device=self.device)
        if terms:
            used = torch.arange(terms, device=self.device) < c["terms"][:, None]
            under = torch.where(used, c["chebyshev"][:, :terms], 0.0) @ self._chebyshev[:terms]
        for k in range(HUMPS):
            if ((c.host["humps"][:, k, 1] > 0) & (c.host["humps"][:, k, 2] != 0)).any():
                centre, fwhm, height = (v[:, None] for v in c["humps"][:, k].unbind(1))
                u = (self._x - centre) / torch.where(fwhm > 0, fwhm, 1.0)
                under = under + torch.where(fwhm > 0, height, 0.0) * torch.exp(-4 * LOG2 * u * u)
        if c.any("air_scatter"):
            under = under + c["air_scatter"][:, None] * torch.exp(-self._x / c["air_decay_deg"][:, None])
        return under.to(self.dtype)

    def _counted(self, y: Tensor, c: _Conditions, seed: int, number: Tensor, measured: Tensor) -> Tensor:
        """(b, points) step 10, `noise.counted`; zero where `measured` is not set."""

        def column(name: str) -> Tensor:
            return c[name][:, None].to(self.dtype)

        y = torch.where(measured, y, 0.0)
        if c.any("counts_at_max"):
            where = self._to(np.flatnonzero(c.host["counts_at_max"] > 0))
            y[where] = self._poisson(y[where], c["counts_at_max"][where, None], seed, number[where], measured[where])
        rescale = column("rescale") > 0
        low, span = torch.zeros_like(y[:, :1]), torch.ones_like(y[:, :1])
        if c.any("rescale"):
            unit, low, span = _unit_range(y, measured)
            y = torch.where(rescale, unit, y)
        raw = int(c.host["raw_points"].max())
        points = [y] * raw
        if c.any("noise_sigma"):
            z = normal(seed, number, Purpose.NOISE, raw * self.grid.points, self.dtype).chunk(raw, dim=1)
            share = column("background_share")
            grown = torch.where(share > 0, y.clamp(min=0) / torch.where(share > 0, share, 1.0), 0.0)
            sigma = column("noise_sigma") * torch.sqrt(1 + grown)
            points = [p + sigma * one for p, one in zip(points, z, strict=True)]
        if c.any("multiplicative_sigma"):
            z = normal(seed, number, Purpose.MULTIPLICATIVE, raw * self.grid.points, self.dtype).chunk(raw, dim=1)
            points = [p * (1 + column("multiplicative_sigma") * one) for p, one in zip(points, z, strict=True)]
        if (c.host["pedestal"] != 0).any():
            points = [p + column("pedestal") * column("noise_sigma") for p in points]
        if c.any("below_zero"):
            below = column("below_zero")
            points = [torch.where(below == 1, p.clamp(min=0), torch.where(below == 2, p.abs(), p)) for p in points]
        y = points[0] if raw == 1 else torch.where(column("raw_points") > 1, 0.5 * (points[0] + points[1]), points[0])
        if c.any("rescale"):
            y = torch.where(rescale, _unit_range(y, measured)[0] * span + low, y)
        return torch.where(measured, y, 0.0)

    def _poisson(self, y: Tensor, counts: Tensor, seed: int, number: Tensor, measured: Tensor) -> Tensor:
        top = torch.where(measured, y, 0.0).amax(1, keepdim=True).to(torch.float64)
        lit = top > 0
        top = torch.where(lit, top, 1.0)
        u = uniform(seed, number, Purpose.COUNTS, self.grid.points)
        counted = poisson_inverse(counts * y.to(torch.float64).clamp(min=0) / top, u) * (top / counts)
        return torch.where(lit, counted.to(self.dtype), y)


def _flattened(count: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Owner and place of `total` things, of which `count[i]` belong to i; the device is not asked."""
    owners = torch.arange(len(count), device=count.device)
    owner = torch.repeat_interleave(owners, count, output_size=total)
    first = torch.cumsum(count, 0) - count
    return owner, torch.arange(total, device=count.device) - first[owner]


def _cylinder(root: Tensor, mu_r: Tensor) -> Tensor:
    """`absorption.cylinder` of sin theta."""
    y = root * root
    return torch.exp(-mu_r * paths(y, root, torch.sqrt(root), torch.exp(-0.024551 * y), mu_r))


def _scaled(y: Tensor, measured: Tensor) -> Tensor:
    """`render_numpy.scaled`."""
    top = torch.where(measured, y, 0.0).amax(1, keepdim=True)
    return y * torch.where(top > 0, 1 / top, 0.0)


def _unit_range(y: Tensor, measured: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`noise._unit_range`; without meaning where nothing was measured, which becomes zero afterwards."""
    low = torch.where(measured, y, torch.inf).amin(1, keepdim=True)
    span = torch.where(measured, y, -torch.inf).amax(1, keepdim=True) - low
    return torch.where(span > 0, (y - low) / span, 0.0), low, span


def render(
    phases: Sequence[Phase],
    records: NDArray[np.void],
    grid: Grid,
    seed: int,
    index: NDArray[np.int64],
    impurities: Sequence[Phase | None],
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> NDArray[np.float64]:
    """See `render.render`; for many batches of the same crystals, keep a `TorchRenderer`."""
    known: dict[int, int] = {}
    kept: list[Phase] = []
    for phase in (*phases, *impurities):
        if phase is not None and id(phase) not in known:
            known[id(phase)] = len(kept)
            kept.append(phase)
    if not kept:
        return np.zeros((0, grid.points))
    rows = np.array([known[id(phase)] for phase in phases])
    second = np.array([-1 if phase is None else known[id(phase)] for phase in impurities])
    renderer = TorchRenderer(kept, grid, device=device, dtype=dtype)
    return renderer.batch(rows, records, seed, index, second).to(torch.float64).cpu().numpy()
