"""`powderlens identify` and `match`: what a measured pattern may be."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from powderlens.cli.console import one_line, print_json, report_bad_file
from powderlens.cli.options import WAVELENGTHS, Json, NoColor, places
from powderlens.core.errors import InputError, PowderlensError, WavelengthError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from powderlens.identification.answer import Answer
    from powderlens.identification.figure import AxisKind
    from powderlens.identification.identify import Identifier, Search
    from powderlens.pattern.pattern import Pattern
    from powderlens.pattern.spans import Span
    from powderlens.pattern.wavelength import Radiation

CHUNK = 64
"""Patterns that are answered together; their answers are printed before the next are read."""
TOP = 5
DEFAULT_MODEL = "prism-1"


class Evidence(StrEnum):
    """What an answer may rest on."""

    network = "network"
    library = "library"
    all = "all"


class Geometry(StrEnum):
    """How the beam meets the specimen."""

    reflection = "reflection"
    transmission = "transmission"
    capillary = "capillary"


class Axis(StrEnum):
    """How intensities are drawn."""

    sqrt = "sqrt"
    linear = "linear"
    log = "log"


Files = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Patterns: xy, xye, csv, xrdml, RRUFF text and more.")
]
Wavelength = Annotated[str | None, typer.Option(metavar="W", help=WAVELENGTHS + " It wins over what the file says.")]
Elements = Annotated[str | None, typer.Option(metavar="SI,O,...", help="Only phases of these elements.")]
WithElements = Annotated[str | None, typer.Option(metavar="SI,O,...", help="Only phases with all of these.")]
WithoutElements = Annotated[str | None, typer.Option(metavar="SI,O,...", help="No phases with any of these.")]
Libraries = Annotated[
    list[Path] | None, typer.Option("--library", metavar="FILE", help="Your own phases too; may be repeated.")
]
OnlyLibrary = Annotated[bool, typer.Option("--only-library", help="Your own phases only.")]
Given = Annotated[
    list[Path] | None,
    typer.Option("--phase", metavar="CIF", help="This phase is there: what is the rest? May be repeated."),
]
StandardOption = Annotated[
    str | None,
    typer.Option(
        "--standard",
        metavar="NAME[=W]",
        help="Certified standard in the specimen: Si, LaB6, CeO2 or Al2O3; =20 if it has 20 % of the weight.",
    ),
]
InstrumentOption = Annotated[
    Path | None,
    typer.Option("--instrument", metavar="FILE", help="Your pattern of a standard alone: then sizes are given."),
]
MaxPhases = Annotated[
    int | None, typer.Option(metavar="N", min=1, max=4, help="Most phases of a mixture; 4 unless given.")
]
MaxStrain = Annotated[
    float | None, typer.Option(metavar="S", help="How far cells may be from the library's; 0.03 unless given.")
]
TimeLimit = Annotated[float | None, typer.Option(metavar="S", help="Seconds for each pattern.")]
Range = Annotated[str | None, typer.Option("--range", metavar="LOW-HIGH", help="Look at these degrees 2theta only.")]
Exclude = Annotated[
    list[str] | None, typer.Option(metavar="LOW-HIGH", help="Leave these degrees out; may be repeated.")
]
GeometryOption = Annotated[
    Geometry | None, typer.Option("--geometry", help="How the beam meets the specimen; reflection unless given.")
]
Monochromator = Annotated[
    float | None, typer.Option(metavar="DEG", help="2theta of a crystal monochromator: 26.6 for graphite and copper.")
]
Output = Annotated[
    Path | None,
    typer.Option(metavar="OUT", help="Write it too: .json, .csv (profile; a table of many) or .cif (best phases)."),
]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="OUT", help="Draw it: .png, .svg or .pdf. For several files a directory, or {} in the name."),
]
AxisOption = Annotated[Axis | None, typer.Option("--axis", help="Intensities in the figure; sqrt unless given.")]
Top = Annotated[
    int | None, typer.Option(metavar="N", min=1, help=f"Candidates in table and figure; {TOP} unless given.")
]


def identify(
    files: Files,
    wavelength: Wavelength = None,
    evidence: Annotated[Evidence, typer.Option(help="What the answer may rest on.")] = Evidence.all,
    model: Annotated[
        str,
        typer.Option(metavar="NAME|FILE", help="The network: a shipped one's name, or a FILE.onnx of `export`."),
    ] = DEFAULT_MODEL,
    elements: Elements = None,
    with_elements: WithElements = None,
    without_elements: WithoutElements = None,
    library: Libraries = None,
    only_library: OnlyLibrary = False,
    phase: Given = None,
    standard: StandardOption = None,
    instrument: InstrumentOption = None,
    max_phases: MaxPhases = None,
    max_strain: MaxStrain = None,
    time_limit: TimeLimit = None,
    two_theta: Range = None,
    exclude: Exclude = None,
    geometry: GeometryOption = None,
    monochromator: Monochromator = None,
    as_json: Json = False,
    output: Output = None,
    plot: Plot = None,
    axis: AxisOption = None,
    top: Top = None,
    no_color: NoColor = False,
) -> None:
    """Say which crystal system, space group, cell and phases a measured pattern may have.

    Several files make one line each: a table, or with --json one object a line.
    """
    if evidence is Evidence.library and model != DEFAULT_MODEL:
        raise InputError(f"--model {model} has no effect with --evidence library; leave one out")
    asked: dict[str, object] = {
        "--elements": elements,
        "--with-elements": with_elements,
        "--without-elements": without_elements,
        "--library": library,
        "--only-library": only_library,
        "--phase": phase,
        "--standard": standard,
        "--instrument": instrument,
        "--max-phases": max_phases,
        "--max-strain": max_strain,
        "--time-limit": time_limit,
        "--geometry": geometry,
        "--monochromator": monochromator,
    }
    if evidence is Evidence.network:
        for option, value in asked.items():
            if value:
                raise InputError(
                    f"{option} has no effect with --evidence network, which asks no library; leave one out"
                )
    search = _search(asked, wavelength)
    ways = _ways(files, wavelength, two_theta, exclude, as_json, output, plot, axis, top, no_color)
    _run(files, evidence.value, model, search, ways)


def match(
    files: Files,
    wavelength: Wavelength = None,
    elements: Elements = None,
    with_elements: WithElements = None,
    without_elements: WithoutElements = None,
    library: Libraries = None,
    only_library: OnlyLibrary = False,
    phase: Given = None,
    standard: StandardOption = None,
    instrument: InstrumentOption = None,
    max_phases: MaxPhases = None,
    max_strain: MaxStrain = None,
    time_limit: TimeLimit = None,
    two_theta: Range = None,
    exclude: Exclude = None,
    geometry: GeometryOption = None,
    monochromator: Monochromator = None,
    as_json: Json = False,
    output: Output = None,
    plot: Plot = None,
    axis: AxisOption = None,
    top: Top = None,
    no_color: NoColor = False,
) -> None:
    """Search and match: as `identify --evidence library`, known phases alone, no network."""
    identify(
        files, wavelength, Evidence.library, DEFAULT_MODEL, elements, with_elements, without_elements, library,
        only_library, phase, standard, instrument, max_phases, max_strain, time_limit, two_theta, exclude, geometry,
        monochromator, as_json, output, plot, axis, top, no_color,
    )  # fmt: skip


def _search(asked: Mapping[str, Any], wavelength: str | None) -> Search:
    """What is looked for."""
    from powderlens.identification.identify import Search
    from powderlens.identification.standard import parse_standard, with_width_of
    from powderlens.library.shelf import ElementFilter
    from powderlens.pattern.read import read_pattern
    from powderlens.refine.measured import Instrument

    if asked["--only-library"] and not asked["--library"]:
        raise InputError("--only-library without a library of your own; give --library FILE too")
    chosen = ElementFilter(
        only=_listed("--elements", asked["--elements"]),
        required=_listed("--with-elements", asked["--with-elements"]),
        without=_listed("--without-elements", asked["--without-elements"]),
    )
    instrument = Instrument((asked["--geometry"] or Geometry.reflection).value, asked["--monochromator"])
    if asked["--instrument"] is not None:
        instrument = with_width_of(instrument, read_pattern(asked["--instrument"], wavelength=wavelength))
    more = {} if asked["--max-strain"] is None else {"max_strain": asked["--max-strain"]}
    return Search(
        libraries=tuple(map(str, asked["--library"] or ())),
        shipped=not asked["--only-library"],
        elements=chosen,
        max_phases=asked["--max-phases"],
        time_limit_s=asked["--time-limit"],
        given=tuple(map(str, asked["--phase"] or ())),
        standard=None if asked["--standard"] is None else parse_standard(asked["--standard"]),
        instrument=instrument,
        **more,
    )


def _listed(option: str, text: str | None) -> tuple[str, ...]:
    """Elements, with commas or spaces between them."""
    if text is None:
        return ()
    found = tuple(text.replace(",", " ").split())
    if not found:
        raise InputError(f"{option}: no element; give symbols such as Si,O,Al")
    return found


@dataclass(frozen=True)
class _Ways:
    """How patterns are read and answers shown."""

    radiation: Radiation | None
    keep_deg: Span | None
    leave_out_deg: tuple[Span, ...]
    as_json: bool
    output: Path | None
    plots: list[Path | None]
    axis: AxisKind
    top: int | None
    no_color: bool


def _ways(
    files: Sequence[Path],
    wavelength: str | None,
    two_theta: str | None,
    exclude: Sequence[str] | None,
    as_json: bool,
    output: Path | None,
    plot: Path | None,
    axis: Axis | None,
    top: int | None,
    no_color: bool,
) -> _Ways:
    """Check what can be checked before anything is loaded."""
    from powderlens.diffraction.figure import check_format
    from powderlens.identification.save import check_name
    from powderlens.pattern.spans import parse_span
    from powderlens.pattern.wavelength import parse_radiation

    if top is not None and as_json and plot is None:
        raise InputError("--top has no effect on --json, which lists everything; leave one out")
    if axis is not None and plot is None:
        raise InputError("--axis has no effect without --plot; add one or leave it out")
    if output is not None:
        check_name(output)
    plots = places(files, plot, "--plot", ".png")
    for one in plots:
        if one is not None:
            check_format(one)
            if not one.parent.is_dir():
                raise InputError(f"{one}: no directory {one.parent}; make it first")
    return _Ways(
        radiation=None if wavelength is None else parse_radiation(wavelength),
        keep_deg=None if two_theta is None else parse_span(two_theta, "--range"),
        leave_out_deg=tuple(parse_span(text, "--exclude") for text in exclude or ()),
        as_json=as_json,
        output=output,
        plots=plots,
        axis=(axis or Axis.sqrt).value,
        top=top,
        no_color=no_color,
    )


def _run(files: Sequence[Path], evidence: Any, model: str, search: Search, ways: _Ways) -> None:
    """Answer, show and write."""
    from powderlens.identification.identify import Identifier

    identifier = Identifier(evidence, model=model, search=search)
    several, failed = len(files) > 1, False
    kept: list[Answer | Mapping[str, str]] = []
    with _progress(len(files), ways.no_color) as advance:
        for start in range(0, len(files), CHUNK):
            part = slice(start, start + CHUNK)
            outcomes = _answer(identifier, files[part], ways)
            good: list[Answer] = []
            for file, (_, answer) in zip(files[part], outcomes, strict=True):
                if isinstance(answer, PowderlensError):
                    failed = True
                    kept.append({"file": str(file), "error": one_line(answer)})
                    if not several and not ways.as_json:
                        raise answer
                    report_bad_file(file, answer, as_json=ways.as_json, no_color=ways.no_color)
                    continue
                good.append(answer)
                if ways.output is not None:
                    kept.append(answer.without_curves() if several else answer)
                if ways.as_json:
                    print_json(answer.to_dict())
            if not ways.as_json:
                _show(good, ways, several=several, header=start == 0)
            sys.stdout.flush()
            for to_plot, (pattern, answer) in zip(ways.plots[part], outcomes, strict=True):
                if to_plot is not None and pattern is not None and not isinstance(answer, PowderlensError):
                    from powderlens.identification.figure import plot_answer

                    plot_answer(pattern, answer, to_plot, top=ways.top or TOP, axis=ways.axis)
            advance(len(outcomes))
    if ways.output is not None and (several or not failed):
        from powderlens.identification.save import save_answers

        save_answers(ways.output, kept, identifier.shelf, batch=several)
    raise typer.Exit((1 if several else 2) if failed else 0)


def _show(answers: Sequence[Answer], ways: _Ways, *, several: bool, header: bool) -> None:
    from powderlens.cli.answer_table import show_answer, show_answers

    if several:
        show_answers(answers, header=header, no_color=ways.no_color)
    else:
        show_answer(answers[0], top=ways.top, no_color=ways.no_color)


def _answer(
    identifier: Identifier, files: Sequence[Path], ways: _Ways
) -> list[tuple[Pattern | None, Answer | PowderlensError]]:
    """Read and identify; a file that cannot be used has its error in the answer's place."""
    read = [_read(file, ways) for file in files]
    answers = identifier.identify_many([one for one in read if not isinstance(one, PowderlensError)])
    return [(None, one) if isinstance(one, PowderlensError) else (one, next(answers)) for one in read]


def _read(file: Path, ways: _Ways) -> Pattern | PowderlensError:
    """A pattern with a wavelength, or why there is none."""
    from powderlens.pattern.read import read_pattern
    from powderlens.pattern.spans import within

    try:
        pattern = within(read_pattern(file, wavelength=ways.radiation), ways.keep_deg, ways.leave_out_deg)
    except PowderlensError as error:
        return error
    if pattern.wavelength_A is None:
        stated = f"{file}: the file states no wavelength; give --wavelength in angstrom, or a line such as CuKa"
        return WavelengthError(stated)
    return pattern


@contextmanager
def _progress(files: int, no_color: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while a long batch goes elsewhere than to the same terminal."""
    if files <= CHUNK or sys.stdout.isatty() or not sys.stderr.isatty():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True, no_color=no_color or None), transient=True) as bar:
        task = bar.add_task("identifying", total=files)
        yield lambda count: bar.advance(task, count)
