"""`powderlens simulate --protocol`: patterns under drawn conditions, as a table, as single files, as pictures."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from powderlens.cli.console import print_json, report_bad_file, warn_of_structure
from powderlens.cli.extras import need
from powderlens.cli.options import places
from powderlens.core.errors import InputError, PowderlensError

if TYPE_CHECKING:
    from powderlens.crystal.structure import Reject
    from powderlens.diffraction.draw import Drawn
    from powderlens.diffraction.phase import Phase
    from powderlens.diffraction.protocol import Protocol


def simulate_by_protocol(
    files: list[Path],
    name: str,
    *,
    count: int,
    seed: int,
    impurities: Sequence[Path],
    output: Path | None,
    plot: Path | None,
    steps: bool,
    as_json: bool,
    no_color: bool,
) -> int:
    """Draw, write, report; the exit code.

    Raises:
        InputError: options that contradict each other, and what a single file raises.
    """
    from powderlens.core.random import check_seed
    from powderlens.diffraction.draw import prepare
    from powderlens.diffraction.protocol import load_protocol

    protocol = load_protocol(name)
    check_seed(seed)
    if count < 1:
        raise InputError(f"--count {count}: at least one pattern must be asked for")
    if steps and plot is None:
        raise InputError("--steps shows how a pattern comes about; give --plot with it")
    if output is None and plot is None and not as_json:
        raise InputError(
            "nothing to write; give --output patterns.parquet, --plot out.png, or --json for the conditions"
        )
    table = output is not None and output.suffix == ".parquet"
    if table:
        need("a table of patterns", "pyarrow")
    elif output is not None and count > 1:
        raise InputError(f"--output {output}: holds one pattern, not {count}; write a table that ends in .parquet")
    seconds = [prepare(path, protocol) for path in impurities] or None
    outputs = [None] * len(files) if table else places(files, output, "--output", ".xy")
    plots = places(files, plot, "--plot", ".png")
    listing = as_json and output is None and plot is None
    drawn = _drawn(files, protocol, count, seed, seconds, outputs, plots, steps, listing, as_json, no_color)
    if table:
        from powderlens.corpus.exchange.pattern_table import write_patterns

        assert output is not None
        manifest = write_patterns(
            drawn, output, protocol=protocol, seed=seed, command=_command(files, name, count, seed)
        )
        failed = len(manifest["refused"])
        if as_json:
            print_json(manifest)
        else:
            lost = f", {failed} refused: {_counted(manifest['rejects'])}" if failed else ""
            print(  # noqa: T201
                f"{output}: {manifest['patterns']} patterns of {manifest['crystals_drawn']} crystals, "
                f"protocol {protocol.name}, seed {seed}{lost}"
            )
        return 1 if failed else 0
    return 1 if any(not hasattr(item, "records") for item in drawn) else 0


def _drawn(
    files: list[Path],
    protocol: Protocol,
    count: int,
    seed: int,
    seconds: Sequence[Phase] | None,
    outputs: Sequence[Path | None],
    plots: Sequence[Path | None],
    steps: bool,
    listing: bool,
    as_json: bool,
    no_color: bool,
) -> Iterator[Drawn | Reject]:
    """Patterns of one file after the other; of a single bad file the error itself."""
    from powderlens.crystal.read import read_structure
    from powderlens.crystal.structure import Reject
    from powderlens.diffraction.conditions import from_record
    from powderlens.diffraction.draw import draw_patterns

    for at, (file, to_file, to_plot) in enumerate(zip(files, outputs, plots, strict=True)):
        try:
            structure = read_structure(file)
            warn_of_structure(file, structure, no_color=no_color)
            found = draw_patterns(structure, protocol, count=count, seed=seed, first=at * count, impurities=seconds)
        except PowderlensError as error:
            if len(files) == 1:
                raise
            report_bad_file(file, error, as_json=as_json, no_color=no_color)
            yield Reject(str(file), str(error).removeprefix(f"{file}: ").split(":")[0])
            continue
        if to_file is not None:
            _write(found, protocol, seed, to_file)
        if to_plot is not None:
            _plot(found, protocol, seed, to_plot, file.name, steps)
        if listing:
            for index, record in zip(found.index, found.records, strict=True):
                # JSON has no infinity: a size without broadening is null.
                values = {k: None if v == float("inf") else v for k, v in from_record(record).values().items()}
                print_json({"file": str(file), "index": int(index), "conditions": values})
        yield found


def _write(found: Drawn, protocol: Protocol, seed: int, path: Path) -> None:
    from powderlens.pattern.pattern import Pattern
    from powderlens.pattern.write import write_pattern

    source = f"{found.source}, protocol {protocol.name}, seed {seed}, pattern {found.index[0]}"
    x, y = protocol.grid.two_theta_deg, found.intensity[0]
    write_pattern(Pattern(x, y, wavelength_A=protocol.grid.wavelength_A, source=source), path)


def _plot(found: Drawn, protocol: Protocol, seed: int, path: Path, title: str, steps: bool) -> None:
    import numpy as np

    from powderlens.diffraction.conditions import from_record
    from powderlens.diffraction.draw import pick_impurities, second_phases
    from powderlens.diffraction.draw import steps as steps_of
    from powderlens.diffraction.figure import plot_steps
    from powderlens.diffraction.render import render

    grid, phase = protocol.grid, found.phase
    rows = []
    if steps:
        mixed = pick_impurities(phase, second_phases(protocol), found.records[:1], seed, found.index[:1])
        for name, record in steps_of(from_record(found.records[0])):
            drawn = render([phase], record, grid, seed=seed, index=found.index[:1], impurities=mixed)
            rows.append((name, drawn[0]))
    else:
        for index, y in zip(found.index[:MAX_CURVES], found.intensity, strict=False):
            rows.append((f"pattern {index}", y))
    with np.errstate(invalid="ignore"):
        d_A = 1 / np.linalg.norm(phase.hkl @ np.linalg.inv(phase.lattice).T, axis=1)
        strong = phase.strength > 1e-3 * phase.strength.max()
        ticks = 2 * np.degrees(np.arcsin(grid.wavelength_A / (2 * d_A[strong])))
    plot_steps(
        grid.two_theta_deg,
        rows,
        ticks[np.isfinite(ticks)],
        path,
        title=f"{title}, protocol {protocol.name}, seed {seed}",
    )


MAX_CURVES = 8
"""Most patterns in one picture."""


def _command(files: Sequence[Path], name: str, count: int, seed: int) -> str:
    shown = [file.name for file in files[:3]] + (["..."] if len(files) > 3 else [])
    return shlex.join(
        ["powderlens", "simulate", *shown, "--protocol", name, "--count", str(count), "--seed", str(seed)]
    )


def _counted(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in reasons.items())
