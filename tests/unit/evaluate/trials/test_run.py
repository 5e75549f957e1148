"""Trials put to `identify`: in blocks, which are kept; and what is counted of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from powderlens.core.errors import InputError
from powderlens.evaluate.trials import run
from powderlens.evaluate.trials.pool import Pool
from powderlens.evaluate.trials.run import Judged, Task, figures, kinds_of, run_trials, tasks_of
from powderlens.evaluate.trials.score import Verdict
from powderlens.evaluate.trials.trial import KINDS, Kind


def judged(kind: Kind, number: int = 0, setting: str = "", reason: str = "", **changes: object) -> Judged:
    verdict = Verdict(
        kind=kind, system=False, group=False, in_five=False, cell=False, probability=0.3, of_truth=0.0, phases=(),
        answered=0, first=False, named_first=False, first_probability=0.0, false=0, flagged=bool(reason),
    )  # fmt: skip
    return Judged(
        number=number, setting=setting, verdict=replace(verdict, **changes), reason=reason, seconds=0.25  # type: ignore[arg-type]
    )  # fmt: skip


def told(done: int) -> None:
    assert done >= 0


def test_kinds_and_blocks() -> None:
    assert kinds_of(None) == list(KINDS)
    assert kinds_of("hump, noise,hump") == ["noise", "hump"]
    for wrong in ("fog", "noise,fog", ""):
        with pytest.raises(InputError, match="choose of known, removed"):
            kinds_of(wrong)
    tasks = tasks_of(["noise"], 23, seed=3)
    assert [(task.first, task.count, task.seed) for task in tasks] == [(0, 10, 3), (10, 10, 3), (20, 3, 3)]
    for count, rounds in ((1, 1), (399, 1), (400, 2)):
        assert sum(task.count for task in tasks_of(["radiations"], count, seed=3)) == 200 * rounds


def test_blocks_are_kept_and_gone_on_with(small_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "drawn_of", lambda library: Pool.of(library, shares={"measured": 1.0}))
    parts = tmp_path / "record.json.parts"
    tasks = tasks_of(["noise", "hump"], 12, seed=4, libraries=(str(small_library),))
    whole = run_trials(tasks, parts, 1, told)
    assert [one.number for one in whole["noise"]] == list(range(12))
    assert all(one.verdict.flagged and one.reason for one in whole["hump"])

    lines = parts.read_text().splitlines()
    assert len(lines) == 1 + 4
    # The last block was cut off as it was written, and what was done before it is not what would be done now.
    kept = json.loads(lines[1])
    kept["trials"][0]["reason"] = "as it was"
    parts.write_text("\n".join([lines[0], json.dumps(kept), *lines[2:-1], lines[-1][:50]]))
    again = run_trials(tasks, parts, 1, told)
    assert again["noise"][0].reason == "as it was"
    assert [one.verdict for one in again["hump"]] == [one.verdict for one in whole["hump"]]
    assert len(parts.read_text().splitlines()) == 1 + 4

    with pytest.raises(InputError, match=r"record\.json\.parts: parts of another run"):
        run_trials([replace(task, seed=5) for task in tasks], parts, 1, told)


def test_an_error_is_an_answer_that_abstains(small_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "drawn_of", lambda library: Pool.of(library, shares={"measured": 1.0}))
    task = Task(kind="single", first=0, count=2, seed=1, libraries=(str(small_library),), elements=True)
    assert [one.verdict.first for one in run.work(task)] == [True, True]

    def refused(*_: object) -> None:
        raise InputError("no")

    monkeypatch.setattr("powderlens.identification.identify.Identifier.prepare", refused)
    assert {one.reason for one in run.work(task)} == {"refused: no"}


def test_figures() -> None:
    found: dict[Kind, list[Judged]] = {
        "noise": [judged("noise", 0, reason="noise"), judged("noise", 7)],
        "single": [judged("single", 0), judged("single", 3, reason="doubt"), judged("single", 4)],
        "other_anode": [
            judged("other_anode", 0, "Co", "anode"),
            judged("other_anode", 1, "Co"),
            judged("other_anode", 2, "Mo", "anode"),
        ],
    }
    counted = figures(found)
    assert counted["kinds"]["noise"]["flagged"] == 0.5
    assert counted["kinds"]["noise"]["not_flagged"] == [7]
    assert counted["kinds"]["noise"]["seconds_median"] == 0.25
    assert counted["kinds"]["single"]["flagged_without_cause"] == [3]
    assert counted["settings"]["other_anode"] == {"Co": 0.5, "Mo": 1.0}
    assert "common" not in counted


def test_common_minerals_are_counted_by_scan() -> None:
    trials = [
        judged("radiations", 0, "CuKa", first=True, lines=20),
        judged("radiations", 1, "CuKa", named_first=True, lines=20),
        judged("radiations", 2, "CuKa", "few lines", lines=3),
        judged("radiations", 3, "CuKa", "few lines", lines=9),
        judged("radiations", 4, "CuKa", lines=9, first_probability=0.95),
        judged("radiations", 25, "MoKa", lines=9, probability=0.95),
    ]
    counted = figures({"radiations": trials})["common"]
    assert counted["CuKa"] == {
        "patterns": 5,
        "right_first": 2,
        "named_first": 1,
        "doubt_is_right": 1,
        "wrong": ["Calcite", "Corundum"],
        "wrong_above_0.9": ["Corundum"],
    }
    assert counted["MoKa"]["wrong_above_0.9"] == ["Anatase"]
