"""From a pattern to an answer, on the two measured patterns of `examples/`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest

from powderlens.core.errors import InputError, WavelengthError
from powderlens.diffraction.simulate import simulate
from powderlens.identification.answer import Answer
from powderlens.identification.evidence import EVIDENCE, Evidence
from powderlens.identification.hypotheses import MIRROR_OF, Calibration
from powderlens.identification.identify import Identifier, Search, identify
from powderlens.models.task import Task, crystal_system, extinction_class, lattice, space_group
from powderlens.pattern.grid import convert_two_theta
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.read import read_pattern

Identifiers = Callable[[Evidence], Identifier]
CUKA_A = 1.541838
HIGHER = set(MIRROR_OF.values())
"""The higher numbers of the enantiomorphic pairs, which no answer gives."""


@pytest.fixture(scope="module")
def search(small_library: Path) -> Search:
    """The 25 common minerals."""
    return Search(libraries=(str(small_library),), shipped=False)


@pytest.fixture(scope="module")
def identifiers(search: Search) -> Identifiers:
    """One `Identifier` for each kind of evidence, made when first asked for."""
    made: dict[Evidence, Identifier] = {}

    def get(evidence: Evidence = "all") -> Identifier:
        if evidence not in made:
            made[evidence] = Identifier(evidence, threads=1, search=search)
        return made[evidence]

    return get


@pytest.fixture(scope="module")
def rutile(root: Path) -> Pattern:
    return read_pattern(root / "examples" / "rutile.txt", wavelength=CUKA_A)


@pytest.fixture(scope="module")
def quartz(root: Path) -> Pattern:
    return read_pattern(root / "examples" / "quartz.txt", wavelength=CUKA_A)


def said(answer: Answer) -> dict[str, object]:
    """What an answer says, without where the pattern came from."""
    return {key: value for key, value in answer.to_dict().items() if key not in {"file", "wavelength_A", "warnings"}}


def agree(one: Answer, other: Answer, tolerance: float = 0.02) -> None:
    """Two answers name the same and believe it nearly as much."""
    assert [g.number for g in one.space_group[:1]] == [g.number for g in other.space_group[:1]]
    assert [p.name for p in one.phases[:1]] == [p.name for p in other.phases[:1]]
    first, second = ({g.number: g.probability for g in answer.space_group} for answer in (one, other))
    assert max(abs(first[n] - second[n]) for n in first) < tolerance


def is_rutile(answer: Answer) -> None:
    assert answer.space_group[0].number == 136
    assert answer.space_group[0].symbol == "P42/mnm"
    assert answer.crystal_system[0].name == "tetragonal"
    assert answer.phases[0].name == "Rutile"


def test_rutile(identifiers: Identifiers, rutile: Pattern) -> None:
    answer = identifiers("all").identify(rutile)
    is_rutile(answer)
    assert answer.leans_on == "Rutile"
    assert answer.lattice_source == "Rutile"
    cell = [answer.lattice[k] for k in ("a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg")]
    assert cell == pytest.approx([2.96, 4.594, 4.594, 90, 90, 90], rel=5e-3)
    lines = answer.phases[0].lines
    assert lines is not None
    strongest = lines.intensity.argmax()
    assert sorted(np.abs(lines.hkl[strongest]).tolist()) == [0, 1, 1]
    assert abs(lines.two_theta_deg[strongest] - 27.5) < 0.15


def test_quartz(identifiers: Identifiers, quartz: Pattern) -> None:
    """The two hands of quartz look alike to powder."""
    answer = identifiers("all").identify(quartz)
    assert (answer.space_group[0].number, answer.space_group[0].mirror) == (152, 154)
    assert answer.phases[0].name == "Quartz"
    assert answer.phases[0].formula == "SiO2"


@pytest.mark.parametrize("evidence", EVIDENCE)
def test_probabilities(identifiers: Identifiers, rutile: Pattern, evidence: Evidence) -> None:
    answer = identifiers(evidence).identify(rutile)
    assert sum(g.probability for g in answer.space_group) == pytest.approx(1.0)
    assert sum(s.probability for s in answer.crystal_system) == pytest.approx(1.0)
    assert len(answer.space_group) == 219, "of each pair of mirror images, one"
    assert len({s.name for s in answer.crystal_system}) == 7
    for ranked in (answer.space_group, answer.crystal_system):
        probabilities = [candidate.probability for candidate in ranked]
        assert probabilities == sorted(probabilities, reverse=True)
        assert min(probabilities) >= 0
    assert all(0 <= p.probability <= 1 for p in answer.phases)


def test_kinds_of_evidence(identifiers: Identifiers, rutile: Pattern) -> None:
    network, library, both = (identifiers(e).identify(rutile) for e in EVIDENCE)
    assert (network.phases, network.leans_on, network.lattice_source) == ([], None, "network")
    assert network.model == both.model == "prism-1"
    assert library.model == "none"
    assert library.phases[0].name == library.lattice_source == "Rutile"
    assert [a.evidence for a in (network, library, both)] == list(EVIDENCE)
    assert network.crystal_system[0].name == library.crystal_system[0].name == "tetragonal"
    with pytest.raises(InputError, match="evidence 'both': choose one of network, library, all"):
        Identifier("both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no model 'none-1'"):
        Identifier("all", model="none-1")


@pytest.mark.parametrize("name", ["rutile", "quartz"])
def test_labels_and_cell_of_the_header_never_change_the_answer(
    identifiers: Identifiers, root: Path, tmp_path: Path, name: str
) -> None:
    text = (root / "examples" / f"{name}.txt").read_text()
    header = text[: text.index("\n5.000,") + 1]
    assert "CELL PARAMETERS" in header
    lying = header
    for key, lie in {
        "NAMES": "Halite",
        "RRUFFID": "R070534",
        "IDEAL CHEMISTRY": "NaCl",
        "LOCALITY": "nowhere",
        "STATUS": "The identification of this mineral is not known",
        "MEASURED CHEMISTRY": "Na_1.00_Cl_1.00_",
        "DIFFRACTION SAMPLE DESCRIPTION": "Powder, all of it halite",
        "CELL PARAMETERS": "a: 5.64 b: 5.64 c: 5.64 alpha: 90 beta: 90 gamma: 90 volume: 179 crystal system: cubic",
    }.items():
        lying, count = re.subn(rf"^##{key}=.*$", f"##{key}={lie}", lying, flags=re.MULTILINE)
        assert count == 1, key
    answers = []
    for i, words in enumerate([header, lying, ""]):
        path = tmp_path / f"{i}.txt"
        path.write_text(words + text[len(header) :])
        answers.append(identifiers("all").identify(read_pattern(path, wavelength=CUKA_A)))
    assert said(answers[0]) == said(answers[1]) == said(answers[2])


def test_the_scale_of_the_intensities_does_not_matter(identifiers: Identifiers, rutile: Pattern) -> None:
    plain = identifiers("all").identify(rutile)
    for factor in (1e-4, 37.0, 1e6):
        agree(plain, identifiers("all").identify(replace(rutile, intensity=factor * rutile.intensity)), 1e-3)


def test_a_background_is_taken_off_and_said(identifiers: Identifiers, rutile: Pattern) -> None:
    x = rutile.two_theta_deg
    slope = 0.5 * rutile.intensity.max() * np.exp(-x / 25)
    hump = 0.05 * rutile.intensity.max() * np.exp(-(((x - 28) / 14) ** 2))
    answer = identifiers("all").identify(replace(rutile, intensity=rutile.intensity + slope + hump))
    is_rutile(answer)
    assert any("background" in warning for warning in answer.warnings)
    assert not any("background" in warning for warning in identifiers("all").identify(rutile).warnings)


@pytest.mark.parametrize("to_A", [0.7107, 1.7903, 0.5594])
def test_the_same_spacings_at_another_wavelength(identifiers: Identifiers, rutile: Pattern, to_A: float) -> None:
    """Angles as another anode would show them; intensities as they were (LP differs by little at equal spacings)."""
    x = convert_two_theta(rutile.two_theta_deg, CUKA_A, to_A)
    inside = np.isfinite(x)
    other = replace(rutile, two_theta_deg=x[inside], intensity=rutile.intensity[inside], wavelength_A=to_A)
    is_rutile(identifiers("all").identify(other))
    if to_A > 1:  # nothing of a shorter one's lines would be left at copper's
        wrong = identifiers("all").identify(replace(other, wavelength_A=CUKA_A))
        assert wrong.space_group[0].number != 136
        assert wrong.phases[0].score < 0.7


def test_a_simulated_scan_with_molybdenum(identifiers: Identifiers, root: Path) -> None:
    pattern = simulate(root / "examples" / "quartz.cif", "MoKa", two_theta_deg=(3.0, 40.0))
    answer = identifiers("all").identify(pattern)
    assert answer.space_group[0].number in (152, 154)
    assert answer.phases[0].formula == "SiO2"


def test_a_short_range_is_warned_of(identifiers: Identifiers, rutile: Pattern) -> None:
    part = (rutile.two_theta_deg > 25) & (rutile.two_theta_deg < 45)
    short = replace(rutile, two_theta_deg=rutile.two_theta_deg[part], intensity=rutile.intensity[part])
    answer = identifiers("all").identify(short)
    assert any(re.search(r"only 25\.\d to 4[45]\.\d degrees", warning) for warning in answer.warnings)
    assert not any("degrees" in warning for warning in identifiers("all").identify(rutile).warnings)


def test_many_at_once_are_answered_as_one_by_one(
    identifiers: Identifiers, rutile: Pattern, quartz: Pattern, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("powderlens.identification.identify.BATCH", 2)
    patterns = [rutile, quartz, replace(rutile, source="again")]
    answers = [answer for answer in identifiers("all").identify_many(iter(patterns)) if isinstance(answer, Answer)]
    assert [a.file for a in answers] == [rutile.source, quartz.source, "again"]
    for pattern, answer in zip(patterns, answers, strict=True):
        agree(identifiers("all").identify(pattern), answer, 1e-4)
    assert list(identifiers("all").identify_many([])) == []


def test_the_answer_as_json(identifiers: Identifiers, rutile: Pattern) -> None:
    """The keys of the first issue and of schema 2, of plain types, and never fewer."""
    answer: dict[str, Any] = identifiers("all").identify(replace(rutile, source="scan.xy")).to_dict()
    assert set(answer) >= {
        "schema", "file", "wavelength_A", "model", "evidence", "warnings", "abstains", "crystal_system", "space_group",
        "extinction_class", "cell", "lattice", "lattice_source", "leans_on", "phases", "explained", "rwp",
        "unexplained_peaks", "library", "calibration",
    }  # fmt: skip
    assert plain(answer), "numbers are Python's own"
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert (answer["schema"], answer["file"], answer["abstains"]) == (2, "scan.xy", None)
    assert answer["wavelength_A"] == pytest.approx(CUKA_A)
    assert answer["calibration"] == "uncalibrated"
    assert answer["library"] == identifiers("all").shelf.sha256  # type: ignore[union-attr]
    assert [len(answer["crystal_system"]), len(answer["space_group"])] == [7, 10]
    for rows in (answer["crystal_system"], answer["space_group"], answer["phases"]):
        assert [r["probability"] for r in rows] == sorted((r["probability"] for r in rows), reverse=True)
        assert all(0 <= row["probability"] <= 1 for row in rows)
    six = {"a_A", "b_A", "c_A", "alpha_deg", "beta_deg", "gamma_deg"}
    assert set(answer["lattice"]) == {*six, "cell"}
    cell = answer["cell"]
    assert set(cell) == {*six, "esd", "centring", "volume_A3", "volume_esd_A3", "reduced", "source"}
    assert set(cell["esd"]) == set(cell["reduced"]) == six
    assert cell["a_A"] == cell["b_A"] == pytest.approx(4.594, abs=0.005)
    assert cell["volume_A3"] == pytest.approx(cell["a_A"] ** 2 * cell["c_A"], abs=0.01)
    assert (cell["alpha_deg"], cell["esd"]["alpha_deg"], cell["centring"]) == (90.0, 0.0, "P")
    for phase in answer["phases"]:
        assert {type(phase[key]) for key in ("name", "formula", "source", "reference")} == {str}
        assert 0 <= phase["score"] <= 1
        assert set(phase["cell"]["reduced"]) == six
    assert 0.5 < answer["explained"] <= 1
    assert 0 < answer["rwp"] < 1


def plain(value: object) -> bool:
    """Whether a value is made of Python's own types."""
    if type(value) is dict:
        return all(type(key) is str and plain(inside) for key, inside in value.items())
    if type(value) is list:
        return all(map(plain, value))
    return value is None or type(value) in (str, int, float, bool)


def test_phases_have_different_names_and_none_is_empty(
    identifiers: Identifiers, rutile: Pattern, quartz: Pattern
) -> None:
    for answer in identifiers("all").identify_many([rutile, quartz]):
        assert isinstance(answer, Answer)
        names = [phase.name for phase in answer.phases]
        assert len(set(names)) == len(names) >= 1
        assert all(names), "a phase that is no mineral goes by its formula"
        belief = [phase.probability for phase in answer.phases]
        assert belief == sorted(belief, reverse=True)


def test_a_pattern_that_cannot_be_answered(identifiers: Identifiers, rutile: Pattern) -> None:
    with pytest.raises(WavelengthError, match="no wavelength"):
        identifiers("all").identify(replace(rutile, wavelength_A=None))
    beyond = Pattern(np.linspace(100, 140, 500), rutile.intensity[:500], CUKA_A)
    with pytest.raises(InputError, match="does not overlap"):
        identifiers("all").identify(beyond)
    one, two, three = identifiers("all").identify_many([replace(rutile, wavelength_A=None), rutile, beyond])
    assert isinstance(one, WavelengthError), "an error stands in its place, and the others are answered"
    assert isinstance(two, Answer)
    assert isinstance(three, InputError)


def test_a_range_of_a_few_points_is_no_crash(identifiers: Identifiers) -> None:
    """A scan that overlaps the grid at one point only."""
    x = np.linspace(89.96, 120.0, 400)
    x[0] = 89.95
    y = 10 + np.random.default_rng(0).random(400)
    assert identifiers("all").identify(Pattern(x, y, CUKA_A)).abstains is not None


def test_noise_alone_gets_no_confident_answer(identifiers: Identifiers) -> None:
    x = np.arange(5.0, 90.0, 0.02)
    noise = 100 + 10 * np.random.default_rng(3).standard_normal(len(x))
    for evidence in EVIDENCE:
        answer = identifiers(evidence).identify(Pattern(x, noise, CUKA_A))
        assert answer.abstains is not None
        assert "no reflection stands out" in answer.abstains
        assert (answer.phases, answer.cell, answer.explained) == ([], None, None)
    peak = noise + 100 * np.exp(-(((x - 30) / 0.1) ** 2))
    answer = identifiers("all").identify(Pattern(x, peak, CUKA_A))
    assert any("1 line in the range" in warning for warning in answer.warnings)


def test_neutrons_are_warned_of(identifiers: Identifiers, rutile: Pattern) -> None:
    answer = identifiers("all").identify(replace(rutile, metadata={"probe": "neutron"}))
    assert any("neutron" in warning for warning in answer.warnings)


def test_identify_takes_files_and_patterns(root: Path, rutile: Pattern) -> None:
    path = root / "examples" / "rutile.txt"
    from_file = identify(path, wavelength="CuKa", evidence="network")
    from_pattern = identify(replace(rutile, wavelength_A=9.9), wavelength="CuKa", evidence="network")
    assert from_file.file == str(path)
    assert from_pattern.wavelength_A == pytest.approx(1.54187, abs=1e-4)
    agree(from_file, from_pattern, 1e-6)
    with pytest.raises(WavelengthError):
        identify(path, evidence="network")


def test_identifying_loads_no_torch(root: Path, small_library: Path) -> None:
    code = (
        "import powderlens, sys; from powderlens.identification.identify import Search;"
        "search = Search(libraries=(sys.argv[2],), shipped=False);"
        "powderlens.identify(sys.argv[1], wavelength='CuKa', search=search);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'lightning', 'pyarrow', 'pandas'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(root / "examples" / "rutile.txt"), str(small_library)],
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_network_and_library_are_kept_between_calls(
    rutile: Pattern, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the weights change."""
    from powderlens.identification import identify as module
    from powderlens.models.weights import SHIPPED

    made = []
    true = Identifier.__init__

    def counted(self: Identifier, *args: object, **kwargs: object) -> None:
        made.append(args)
        true(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Identifier, "__init__", counted)
    module._kept.cache_clear()
    for end in (".onnx", ".json"):
        (tmp_path / f"prism-1{end}").write_bytes((SHIPPED / f"prism-1{end}").read_bytes())
    mine = tmp_path / "prism-1.onnx"
    first = [identify(rutile, evidence="network", model=mine) for _ in range(2)]
    assert len(made) == 1
    assert first[0] == first[1]
    assert identify(rutile, evidence="network") == first[0]
    assert len(made) == 2
    os.utime(mine, ns=(1, 1))
    assert identify(rutile, evidence="network", model=mine) == first[0]
    assert len(made) == 3
    module._kept.cache_clear()


def test_many_are_taken_a_batch_at_a_time(identifiers: Identifiers, rutile: Pattern) -> None:
    """An endless source is no trouble: only what is answered has been read."""
    taken = []

    def endless() -> Iterator[Pattern]:
        while True:
            taken.append(rutile)
            yield replace(rutile, wavelength_A=None)

    answers = identifiers("network").identify_many(endless())
    assert isinstance(next(answers), WavelengthError)
    assert len(taken) == 64


Write = Callable[..., tuple[Path, object]]


@pytest.fixture(scope="module")
def model_of(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The ONNX file of a small network with some heads, untrained."""
    write: Write = run_path(str(root / "tests" / "unit" / "models" / "exported.py"))["write_model"]

    @cache
    def make(*tasks: Task, **options: object) -> Path:
        return write(tmp_path_factory.mktemp("model"), tasks, **options)[0]

    return make


@pytest.fixture(scope="module")
def ask(search: Search) -> Callable[..., Answer]:
    """`ask(model, pattern, evidence="network")`: the answer of a network in a file."""

    def make(model: Path, pattern: Pattern, evidence: Evidence = "network") -> Answer:
        return Identifier(evidence, model=model, threads=1, search=search).identify(pattern)

    return make


def test_any_exported_network_can_be_asked(
    model_of: Callable[..., Path], ask: Callable[..., Answer], rutile: Pattern
) -> None:
    answer = ask(model_of(crystal_system(), space_group(range(2, 100)), lattice(), mask=True), rutile)
    assert answer.model == "tiny"
    assert {group.number for group in answer.space_group if group.probability > 1e-9} == set(range(2, 100)) - HIGHER
    assert sum(group.probability for group in answer.space_group) == pytest.approx(1.0)
    assert answer.lattice_source == "network"
    assert any("probabilities of tiny are uncalibrated" in warning for warning in answer.warnings)
    assert any("knows 98 of the 230 space groups" in warning for warning in answer.warnings)


def test_a_network_that_knows_systems_only_names_no_group(
    model_of: Callable[..., Path], ask: Callable[..., Answer], rutile: Pattern
) -> None:
    model = model_of(crystal_system(), mask=True)
    answer = ask(model, rutile)
    assert len(answer.crystal_system) == 7
    assert (answer.space_group, answer.lattice, answer.lattice_source) == ([], {}, "none")
    assert any("no space group is given" in warning for warning in answer.warnings)
    assert any("gives no cell" in warning for warning in answer.warnings)
    told = answer.to_dict()
    assert told["space_group"] == []
    assert told["lattice"] == {"cell": "niggli"}
    both = ask(model, rutile, "all")
    assert both.space_group[0].number == 136, "the library does"
    assert both.lattice_source == "Rutile"


def test_a_network_of_extinction_classes(
    model_of: Callable[..., Path], ask: Callable[..., Answer], rutile: Pattern
) -> None:
    answer = ask(model_of(extinction_class(), mask=True), rutile)
    belief = {group.number: group.probability for group in answer.space_group}
    calibration, _ = Calibration.load()
    for other in (102, 118):
        commoner = calibration.prior * (calibration.correction[135] - calibration.correction[other - 1])
        assert np.log(belief[136] / belief[other]) == pytest.approx(calibration.alone * commoner, abs=1e-6)
    assert any("only how common they are" in warning for warning in answer.warnings)


def test_a_network_of_cells_answers_beside_the_library_only(
    model_of: Callable[..., Path], ask: Callable[..., Answer], rutile: Pattern
) -> None:
    model = model_of(lattice(), mask=True)
    with pytest.raises(InputError, match=r"cnn5\.tiny: answers with a cell and says nothing of symmetry"):
        Identifier("network", model=model)
    assert ask(model, rutile, "all").space_group[0].number == 136


def test_a_network_without_a_mask_reads_whole_scans(
    model_of: Callable[..., Path], ask: Callable[..., Answer], rutile: Pattern
) -> None:
    model = model_of(space_group(), lattice())
    assert len(ask(model, rutile).space_group) == 219
    part = (rutile.two_theta_deg > 15) & (rutile.two_theta_deg < 60)
    short = replace(rutile, two_theta_deg=rutile.two_theta_deg[part], intensity=rutile.intensity[part])
    with pytest.raises(InputError, match=r"cnn5\.tiny reads no mask; measure all of it, or train it with mask = true"):
        ask(model, short)
    assert ask(model, short, "library").phases, "the library has a mask of its own"


def test_a_network_reads_patterns_as_it_was_trained_on(model_of: Callable[..., Path], rutile: Pattern) -> None:
    """Above the floor, or with it; none and no library reads a background."""
    lifted = replace(rutile, intensity=rutile.intensity + 0.3 * rutile.intensity.max())
    for floor in (True, False):
        model = model_of(space_group(), floor=floor)
        one, other = (Identifier("network", model=model, threads=1).prepare(pattern) for pattern in (rutile, lifted))
        assert (one.prepared.background, other.prepared.background) == (False, True)
        assert one.prepared.above_floor == pytest.approx(other.prepared.above_floor, abs=0.02)
        assert other.network_reads is not None
        expected = other.prepared.for_network(floor=floor, mask=False)
        assert other.network_reads.tolist() == expected.tolist()
        assert other.network_reads == pytest.approx(one.network_reads, abs=0.02)
        assert (other.network_reads.tolist() == other.prepared.above_floor.tolist()) is floor


def test_ten_phases_are_shown_and_three_of_them_drawn(identifiers: Identifiers, rutile: Pattern) -> None:
    phases = identifiers("library").identify(rutile).phases
    assert len(phases) == 10
    assert [phase.lines is not None for phase in phases] == [True] * 3 + [False] * 7
