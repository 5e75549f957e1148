"""Records: of one network on one corpus under one protocol, and of any other result: schema, reading, writing.

A record of a network is two files beside each other: NAME.json, and NAME.parquet with an answer for every pattern
(columns as `powderlens.train.predict` writes them). Tables and analyses read nothing else. No torch.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from powderlens import __version__
from powderlens.core.checked import Part, first_mistake
from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, file_sha256, make_folder

if TYPE_CHECKING:
    import pyarrow as pa

SplitProtocol = Literal["in-library", "out-of-library", "structure-type", "composition", "measured", "listed"]
"""What the tested patterns have in common with those of the training, see docs/EVALUATION.md."""


class CorpusPart(Part):
    """Which patterns: `sha256` is that of the corpus's manifest body, as `corpus info` prints it."""

    corpus: str
    sha256: str
    part: str
    protocol_of_patterns: str | None = Field(
        description="of the simulation: simxrd, lab, ...; measured for measured ones; None where the corpus of the "
        "training was not at hand"
    )
    crystals: int | None = Field(description="None likewise, and where they never repeat")
    patterns: int

    @property
    def name(self) -> str:
        """CORPUS:PART, as commands and tables have it."""
        return f"{self.corpus}:{self.part}"


class CurvePoint(Part):
    """A validation during training; None for what was not measured."""

    step: int
    epoch: float
    patterns: int
    seconds: float
    learning_rate: float
    train_loss: float | None
    validation_loss: float | None
    accuracy: dict[str, float] = Field(description="task -> share of right answers in the validation part")


class Training(Part):
    """How the network came to its weights."""

    recipe: dict[str, Any] = Field(description="the whole configuration, as `run.json` has it")
    data: CorpusPart
    validation: CorpusPart | None
    steps: int
    patterns_seen: int
    seconds: float = Field(description="wall clock")
    cpu_seconds: float | None = Field(description="of the process that trained; None where it was not measured")
    stopped_by: str = Field(description="steps, patience, seconds, diverged")
    chosen_by: str = Field(description="what chose the checkpoint and the settings; never a test part")
    checkpoint_step: int
    curve: tuple[CurvePoint, ...]
    hardware: str
    torch: str
    powderlens: str


class Inference(Part):
    """Time of the forward pass on ready tensors, evaluation mode, median of repeated calls, milliseconds a pattern."""

    batch_1_ms: float
    batch_100_ms: float
    threads: int
    device: str


class ClassFigures(Part):
    """Of one task with classes, over the patterns whose truth is known; a missing answer counts as wrong.

    Macro means run over the classes that occur in truth or prediction, as SimXRD has it.
    """

    patterns: int
    answered: int
    accuracy: float
    macro_f1: float
    macro_precision: float
    macro_recall: float
    top_k: dict[str, float] = Field(description="k -> share of truths among the k likeliest, k to 10")
    within_edges: dict[str, float] | None = Field(description="edges -> share; space groups only")
    mean_edges: float | None = Field(description="of the answered ones, from truth to answer; space groups only")
    majority: float = Field(description="accuracy of always answering the most frequent class of the tested part")


class LatticeFigures(Part):
    """Of the Niggli cell (a, b, c in A, alpha, beta, gamma in degrees), beside the mean of the training part.

    All are of the patterns that were answered, the six numbers in turn; r2 is 1 - SS(error) / SS(about their mean),
    None where they are all the same.
    """

    patterns: int
    answered: int
    mae: tuple[float, ...]
    mape_percent: tuple[float, ...]
    r2: tuple[float | None, ...]
    naive_mae: tuple[float, ...]
    naive_mape_percent: tuple[float, ...]
    naive_cell: tuple[float, ...] | None = Field(None, description="the cell that the naive answer always gives")
    naive_of: str = Field("the training part", description="whose mean that is")


class Record(Part):
    """One network x corpus x protocol x seed."""

    format: Literal[1]
    name: str = Field(description="of the two files")
    network: str
    size: Literal["full", "small"]
    as_published: bool
    parameters: int
    tasks: tuple[str, ...]
    loss: dict[str, str] = Field(description="task -> loss, with its number where it has one: gemd=2")
    seed: int
    protocol: SplitProtocol
    training: Training
    tested: CorpusPart
    missing: dict[str, int] = Field(description="reason -> patterns without an answer or a truth")
    passes: int = Field(description="forward passes with dropout on whose mean is the answer; 1 without dropout")
    classes: dict[str, ClassFigures] = Field(description="by task; left out where no truth is known")
    lattice: LatticeFigures | None = Field(
        description="None without such a head, where it answered nothing, or where no cell is known"
    )
    inference: Inference | None
    predictions_sha256: str
    command: str = Field(description="that repeats it; no path of any machine in it")
    date: str
    powderlens: str
    python: str
    hardware: str

    def answers(self, folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
        """Every prediction of the record.

        Raises:
            InputError: the table is missing, or is not the one that the record was made from.
        """
        import pyarrow.parquet as pq

        path = folder / f"{self.name}.parquet"
        if not path.is_file():
            raise InputError(f"{path}: missing; the record's predictions belong beside it")
        if file_sha256(path) != self.predictions_sha256:
            raise InputError(f"{path}: not the predictions that {self.name}.json was made from; evaluate again")
        return pq.read_table(path, columns=None if columns is None else list(columns))


def read_record(path: Path) -> Record:
    """Read and check a record.

    Raises:
        InputError: missing file, or one that is no such record; one line that names the field.
    """
    try:
        return Record.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(f"{path}: no record of `powderlens evaluate`: {first_mistake(error)}") from None


def read_records(paths: Sequence[Path]) -> list[tuple[Path, Record]]:
    """Records from files and folders, in the order of their names, none twice; other JSON in a folder is passed over.

    Raises:
        InputError: a named file that is no record, or none at all.
    """
    files: dict[Path, Path] = {}
    for path in paths:
        named = [path]
        if path.is_dir():
            named = [file for file in sorted(path.glob("*.json")) if file.with_suffix(".parquet").is_file()]
        for file in named:
            files.setdefault(file.resolve(), file)
    found = [(file, read_record(file)) for file in files.values()]
    if not found:
        given = ", ".join(str(path) for path in paths) or "nothing given"
        raise InputError(f"{given}: no records; make them with `powderlens evaluate`")
    return found


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON, aside first; its predictions lie beside it already."""
    make_folder(path.parent)
    with atomic_write(path) as aside:
        aside.write_text(record.model_dump_json(indent=1) + "\n")


def made_here(accelerator: str = "") -> dict[str, str]:
    """What every record says of when, with what and on what it was made.

    Args:
        accelerator: its name, where one was used.
    """
    return {
        "date": datetime.date.today().isoformat(),
        "powderlens": __version__,
        "python": platform.python_version(),
        "hardware": f"{f'{accelerator}, ' if accelerator else ''}{platform.machine()}, {os.cpu_count()} cores",
    }


def write_result(path: Path, *, command: str, body: Mapping[str, object]) -> None:
    """Write figures of another kind as JSON, aside first, with everything that is needed to trust or repeat them.

    Args:
        path: where to.
        command: the command line that repeats it; no path of this machine in it.
        body: data with sha256, split, seed, what chose the model, figures.
    """
    make_folder(path.parent)
    with atomic_write(path) as aside:
        aside.write_text(json.dumps({"command": command, **made_here(), **body}, indent=2) + "\n")
