"""Search-match: d-I lists of crystals and patterns, the figure of merit, and the record with its row in the table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from powderlens.core.errors import InputError
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.crystal.common import common_minerals
from powderlens.diffraction.phase import Phase, phase_of
from powderlens.evaluate.answers import read_answers
from powderlens.evaluate.record import Record, read_record
from powderlens.pattern.grid import Grid
from powderlens.reproduce.search_match.cards import Cards
from powderlens.reproduce.search_match.lines import MOST_LINES, Lines, lines_of_crystal, lines_of_pattern
from powderlens.reproduce.search_match.search_match import NOTHING_ALIKE, SearchMatch, evaluate_search_match
from powderlens.reproduce.tables.registry import make_table

GRID = Grid(start_deg=10.0, step_deg=0.02, points=3501, wavelength_A=1.5406)


def spacing(two_theta_deg: float) -> float:
    return GRID.wavelength_A / (2 * np.sin(np.radians(two_theta_deg / 2)))


def lines(*pairs: tuple[float, float]) -> Lines:
    d, intensity = np.array(sorted(pairs, reverse=True)).T
    return Lines(d, intensity)


@pytest.fixture(scope="module")
def records(corpora: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Record]]:
    """On the learnt crystals, on others, and on measured patterns; all in the folder `folder`."""
    folder = tmp_path_factory.mktemp("records")
    how = {"trained_on": corpora["learnt"], "timing": False, "command": "as here"}
    made = {"learnt": evaluate_search_match(corpora["learnt"], None, folder, timing=True, command="as here")}
    for name in ("fresh", "measured"):
        made[name] = evaluate_search_match(corpora[name], None, folder, **how)  # type: ignore[arg-type]
    return made


def test_a_card_holds_the_lines_of_halite():
    """NaCl, PDF 5-628 (NBS Circular 539 II, 41, 1953): 200 is the strongest line, 220 has 55 %, 111 13 %."""
    [halite] = [one for one in common_minerals() if one.name == "Halite"]
    card = lines_of_crystal(phase_of(halite, d_min_A=1.2), GRID)
    a = halite.cell[0]
    assert card.d_A[card.key_lines[:2]] == pytest.approx([a / 2, a / 8**0.5], rel=1e-6)
    assert card.intensity[card.key_lines[1]] == pytest.approx(0.6, abs=0.08)
    assert card.d_A[0] == pytest.approx(a / 3**0.5, rel=1e-6)
    assert card.intensity[0] == pytest.approx(0.13, abs=0.05)
    assert np.all(np.diff(card.d_A) < 0)


def test_reflections_that_cannot_be_told_apart_are_one_line():
    """Tetragonal, nearly cubic: 100 and 001 lie 0.02 degrees apart."""
    lattice = np.diag([4.0, 4.0, 4.003])
    hkl = np.array([[1, 0, 0], [0, 0, 1], [1, 1, 0]])
    card = lines_of_crystal(Phase(lattice, np.eye(3, dtype=int)[None], hkl, np.array([2.0, 1.0, 1.0])), GRID)
    assert len(card) == 2
    assert 4.0 < card.d_A[0] < 4.002


def test_a_crystal_without_a_line_in_range_has_an_empty_card():
    lattice = np.diag([1.0, 1.0, 1.0])
    far = Phase(lattice, np.eye(3, dtype=int)[None], np.array([[3, 0, 0]]), np.array([1.0]))
    assert len(lines_of_crystal(far, GRID)) == 0


def test_peaks_are_read_out_of_noise_and_background():
    x = GRID.two_theta_deg
    peaks = {20.0: 1.0, 33.0: 0.5, 33.9: 0.3, 61.0: 0.12}
    rng = np.random.default_rng(3)
    pattern = sum(h * np.exp(-4 * np.log(2) * ((x - at) / 0.4) ** 2) for at, h in peaks.items())
    found = lines_of_pattern(50 * (pattern + 0.1 + rng.normal(0, 0.02, len(x))), GRID)
    assert found.d_A == pytest.approx([spacing(at) for at in peaks], rel=2e-3)
    assert found.intensity == pytest.approx(list(peaks.values()), abs=0.05)


@pytest.mark.parametrize("pattern", [np.zeros(GRID.points), np.linspace(0, 1, GRID.points)])
def test_no_peak_no_line(pattern: np.ndarray):
    assert len(lines_of_pattern(pattern, GRID)) == 0


def test_a_list_holds_the_strongest():
    x = GRID.two_theta_deg
    heights = np.linspace(0.2, 1.0, 50)
    pattern = sum(h * np.exp(-(((x - 12 - 1.3 * i) / 0.15) ** 2)) for i, h in enumerate(heights))
    found = lines_of_pattern(pattern, GRID)
    assert len(found) == MOST_LINES
    assert found.intensity.min() > 0.45


def test_the_figure_of_merit_is_that_of_its_formula():
    card = lines((3.0, 1.0), (2.0, 0.5))
    same = Cards([card]).compare(card).figures_of_merit(0.01)
    assert same == pytest.approx([1.0])
    # Half a window off: half of the intensity. The pattern's second line is met exactly, its third by nothing.
    pattern = lines((3.0 * np.exp(0.005), 1.0), (2.0, 0.5), (1.5, 0.5))
    expected = (np.sqrt(0.5) + 0.5) / np.sqrt(2.0 * 1.5)
    assert Cards([card]).compare(pattern).figures_of_merit(0.01) == pytest.approx([expected])


def test_two_lines_of_a_card_may_share_a_broad_line():
    broad = lines((3.0, 1.0), (2.0, 0.2))
    split = lines((3.003, 0.5), (2.997, 0.5), (2.0, 0.2))
    assert 0.9 < Cards([split]).compare(broad).figures_of_merit(0.02)[0] <= 1.0


def test_key_lines_come_before_the_figure_of_merit():
    """The second card has the better figure, but its strongest line is not there: counter-evidence."""
    pattern = lines((4.0, 0.5), (3.0, 1.0), (2.0, 0.6), (1.9, 0.55), (1.7, 0.5))
    found = lines((3.02, 1.0), (2.01, 0.6), (1.69, 0.5))
    lacks = lines((5.0, 0.7), (4.0, 0.5), (3.0, 1.0), (2.0, 0.6), (1.9, 0.55), (1.7, 0.5))
    strange = lines((7.0, 1.0), (6.0, 0.5))
    compared = Cards([strange, lacks, found]).compare(pattern)
    merit = compared.figures_of_merit(0.01)
    assert merit[1] > merit[2] > merit[0] == 0
    assert compared.ranked(0.01).tolist() == [2, 1]


def test_every_learnt_crystal_is_found_by_its_own_list(corpora: dict[str, Path]):
    corpus = DrawnCorpus.open(corpora["learnt"])
    search = SearchMatch.of_corpus(corpus)
    assert len(search.cards) == 9
    for row in range(9):
        card = lines_of_crystal(corpus.at_rest(row), corpus.grid)
        answers = search.answers(card, {"space_group": 0.005, "crystal_system": 0.005})
        assert answers["space_group"][0] == search.labels.space_group[row]
        assert answers["crystal_system"][0] == search.labels.crystal_system[row]
        assert search.cards.compare(card).ranked(0.005)[0] == row


def test_a_record_is_read_as_that_of_a_network(records: dict[str, list[Record]], tmp_path_factory):
    group, system = records["learnt"]
    assert group.name == "search-match-space_group-learnt-in-library"
    assert (group.protocol, group.tested.patterns, group.training.data.crystals) == ("in-library", 9, 9)
    # Sharp lines of nine minerals under their own conditions: nothing easier exists.
    assert group.classes["space_group"].accuracy == 1.0
    assert system.classes["crystal_system"].accuracy == 1.0
    assert group.training.validation is not None
    assert "best accuracy in the validation part of learnt" in group.training.chosen_by
    assert group.inference is not None
    assert group.inference.batch_1_ms > 0


def test_crystals_without_a_card_get_that_of_another(records: dict[str, list[Record]]):
    group, _ = records["fresh"]
    assert group.name == "search-match-space_group-learnt-on-fresh-out-of-library"
    assert group.protocol == "out-of-library"
    assert group.classes["space_group"].answered + group.missing.get(NOTHING_ALIKE, 0) == 3 * 5 // 3


def test_measured_patterns_may_lack_a_label(records: dict[str, list[Record]]):
    group, _ = records["measured"]
    assert (group.protocol, group.tested.part) == ("measured", "all")
    assert group.missing["space_group: no label"] == 1
    assert group.classes["space_group"].patterns == 2


def test_the_answers_lie_beside_the_record(corpora: dict[str, Path], tmp_path: Path):
    [made] = evaluate_search_match(
        corpora["learnt"], "train", tmp_path, tasks=["space_group"], window=0.01, timing=False, command="as here"
    )
    path = tmp_path / f"{made.name}.json"
    assert made == read_record(path)
    assert made.name.endswith("-listed-train")
    assert made.training.chosen_by == "the command, which gave the window"
    answers = read_answers(path, made, "space_group", "top", "probability")
    assert answers.right.mean() == made.classes["space_group"].accuracy
    assert answers.columns["space_group_probability"].null_count == len(answers.truth)
    ranks = answers.columns["space_group_top"].to_pylist()
    assert [row[0] for row in ranks] == answers.predicted.tolist()


def test_it_has_a_row_beside_the_networks_of_its_data(records, tmp_path: Path, corpora: dict[str, Path], make_record):
    [made] = evaluate_search_match(
        corpora["learnt"], None, tmp_path, tasks=["space_group"], window=0.01, timing=False, command="as here"
    )
    path = make_record(tmp_path, "cnn9")
    content = json.loads(path.read_text())
    content["training"]["data"] |= {"sha256": made.training.data.sha256}
    content["tested"] |= {"sha256": made.tested.sha256}
    path.write_text(json.dumps(content))
    table = make_table("simxrd-table2", [tmp_path])
    rows = [one for one in table.rows if one.values["task"] == "space_group"]
    assert {one.section for one in rows} == {"Space group"}
    last = rows[-1].values
    assert (last["label"], last["as_published_accuracy"]) == ("search-match (d-I lists)", 1.0)
    assert last["parameters"] is None
    assert any(
        "search-match (d-I lists), space group: nothing is trained; cards of the 9" in note for note in table.notes
    )
    assert not make_table("simxrd-table3", [tmp_path]).rows or all(
        one.values["network"] != "search-match" for one in make_table("simxrd-table3", [tmp_path]).rows
    )
    assert all(one.values["network"] != "search-match" for one in make_table("training", [tmp_path]).rows)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"window": 0.0}, "window 0: an error of ln d"),
        ({"window": 3.0}, "at most 0.5"),
        ({"part": "exam"}, "no part 'exam'"),
        ({"protocol": "out-of-library"}, "is in-library for this network"),
        ({"corpus": "leaky", "trained_on": "learnt"}, "1 of 6 crystals of its part test are in train or validation"),
        ({"corpus": "measured"}, "not drawn"),
        ({"corpus": "learnt", "trained_on": "learnt", "protocol": "out-of-library"}, "is in-library"),
    ],
)
def test_what_is_refused(corpora: dict[str, Path], tmp_path: Path, change: dict[str, str], complaint: str):
    words = {"corpus": "learnt", "part": None, **change}
    for name in {"corpus", "trained_on"} & words.keys():
        words[name] = corpora[words[name]]  # type: ignore[index, assignment]
    corpus, part = words.pop("corpus"), words.pop("part")
    with pytest.raises(InputError, match=complaint):
        evaluate_search_match(corpus, part, tmp_path, timing=False, command="as here", **words)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
