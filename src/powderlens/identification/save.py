"""Answers as files: JSON, CSV and CIF, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from powderlens.core.cell import CELL_NAMES
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write
from powderlens.core.text import with_uncertainty
from powderlens.crystal.structure import Structure, lattice_from_cell
from powderlens.identification.answer import Answer, KnownPhase, RefinedCell

if TYPE_CHECKING:
    import gemmi

    from powderlens.library.shelf import Shelf

FORMATS = (".json", ".csv", ".cif")
_BEST = ("crystal_system", "system_probability", "space_group", "symbol", "group_probability")
_REST = ("centring", "volume_A3", "rwp", "phases", "fractions", "explained", "abstains", "warnings", "error")
TABLE_COLUMNS = ("file", *_BEST, *CELL_NAMES, *_REST)
"""Of a batch as CSV; lists are joined by "; "."""

Failure = Mapping[str, str]
"""What stands in the place of an answer: `file` and `error`."""


def check_name(path: Path) -> None:
    """Refuse a name by which answers are not written.

    Raises:
        InputError: not one of `FORMATS`, or a place that is not there.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: an answer is not written as {path.suffix!r}; use .json, .csv or .cif")
    if not path.parent.is_dir():
        raise InputError(f"{path}: no directory {path.parent}; make it first")


def save_answers(path: Path, answers: Sequence[Answer | Failure], shelf: Shelf | None, *, batch: bool) -> None:
    """Write answers by the extension.

    Args:
        path: .json: an object, of a batch a list of them; .csv: the profile in columns, of a batch a line for each
            file; .cif: the phases of the best candidates with their refined cells, a block for each.
        answers: in their order; of a batch also what failed.
        shelf: where the atoms are.
        batch: whether several files were asked about.

    Raises:
        InputError: there is nothing to write, or a place that cannot be written to.
    """
    kind = path.suffix.lower()
    good = [one for one in answers if isinstance(one, Answer)]
    if kind == ".json":
        said = [one.to_dict() if isinstance(one, Answer) else dict(one) for one in answers]
        text = json.dumps(said if batch else said[0], indent=2, allow_nan=False) + "\n"
    elif kind == ".cif":
        text = cif_text(good, shelf, path)
    else:
        text = _table(answers) if batch else _columns(good[0])
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")


def _columns(answer: Answer) -> str:
    """The profile of one answer."""
    curve = answer.curve
    if curve is None:
        raise InputError(
            f"{answer.file or 'pattern'}: no phase was fitted, so there is no profile; write .json instead"
        )
    lines = [f"# {' '.join(answer.file.split())}", f"# wavelength_A = {answer.wavelength_A:.8f}"]
    lines.append("two_theta_deg,observed,calculated,background,difference")
    columns = (curve.two_theta_deg, curve.observed, curve.calculated, curve.background)
    for x, o, c, b in zip(*(column.tolist() for column in columns), strict=True):
        lines.append(f"{x:.5f},{o:.7g},{c:.7g},{b:.7g},{o - c:.7g}")
    return "\n".join(lines) + "\n"


def _table(answers: Sequence[Answer | Failure]) -> str:
    """A batch, a line for each file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, TABLE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in answers:
        writer.writerow(_line(one) if isinstance(one, Answer) else one)
    return out.getvalue()


def _line(answer: Answer) -> dict[str, object]:
    system = answer.crystal_system[0]
    inside = answer.best_phases
    line: dict[str, object] = {
        "file": answer.file,
        "crystal_system": system.name,
        "system_probability": f"{system.probability:.4f}",
        "phases": "; ".join(phase.name for phase in inside),
        "fractions": "; ".join(f"{phase.fraction:.4f}" for phase in inside),
        "abstains": answer.abstains or "",
        "warnings": "; ".join(answer.warnings),
    }
    if answer.space_group:
        group = answer.space_group[0]
        line |= {"space_group": group.number, "symbol": group.symbol, "group_probability": f"{group.probability:.4f}"}
    if answer.cell is not None:
        line |= {name: f"{value:.5f}" for name, value in zip(CELL_NAMES, answer.cell.conventional, strict=True)}
        line |= {"centring": answer.cell.centring, "volume_A3": f"{answer.cell.volume_A3:.3f}"}
    line |= {
        name: f"{value:.4f}"
        for name, value in (("rwp", answer.rwp), ("explained", answer.explained))
        if value is not None
    }
    return line


def refined_structures(answer: Answer, shelf: Shelf) -> list[Structure]:
    """The phases of the best candidate, the atoms of their entries in the refined cells."""
    return [_refined(phase, shelf) for phase in answer.best_phases]


def _refined(phase: KnownPhase, shelf: Shelf) -> Structure:
    return replace(shelf.structure(phase.row), lattice=lattice_from_cell(phase.cell.conventional))


def cif_text(answers: Sequence[Answer], shelf: Shelf | None, path: Path) -> str:
    """The phases of the best candidates as CIF.

    Raises:
        InputError: no answer has any.
    """
    import gemmi

    from powderlens.crystal.formats.cif_write import cif_document

    document = gemmi.cif.Document()
    for answer in answers:
        for phase in answer.best_phases:
            assert shelf is not None
            block = cif_document(_refined(phase, shelf)).sole_block()
            _state(block, phase.cell, phase, answer)
            stem = _tame(Path(answer.file).stem) + "_" if len(answers) > 1 else ""
            wanted = stem + (_tame(phase.name) or "phase")
            number, name = 1, wanted
            while document.find_block(name) is not None:
                number += 1
                name = f"{wanted}_{number}"
            block.name = name
            document.add_copied_block(block)
    if not len(document):
        raise InputError(f"{path}: no known phase is in the best candidate, so there are no atoms; write .json instead")
    return str(document.as_string())


def _state(block: gemmi.cif.Block, cell: RefinedCell, phase: KnownPhase, answer: Answer) -> None:
    """Write esds, and where cell and atoms come from."""
    import gemmi

    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    for tag, value, esd in zip(tags, cell.conventional, cell.esd, strict=True):
        block.set_pair(f"_cell_{tag}", with_uncertainty(value, esd))
    block.set_pair("_cell_volume", with_uncertainty(cell.volume_A3, cell.volume_esd_A3))
    block.set_pair("_diffrn_radiation_wavelength", f"{answer.wavelength_A:.6f}")
    atoms = f"Cell refined by powderlens against {Path(answer.file).name or 'a pattern'}; atoms of {phase.source}"
    block.set_pair("_cell_special_details", gemmi.cif.quote(" ".join(atoms.split())))
    if phase.reference:
        block.set_pair("_publ_section_comment", gemmi.cif.quote(f"Atoms: {phase.reference}"))


def _tame(name: str) -> str:
    """A name for a data block."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-.") else "_" for c in name).strip("_")
