"""One small table in every format."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from powderlens.reproduce.tables.formats import as_csv, as_latex, as_markdown, print_text
from powderlens.reproduce.tables.table import Column, Row, Table

TABLE = Table(
    "small",
    "A & B",
    (
        Column("name", "network"),
        Column("theirs", "paper", ".3f", "", "accuracy"),
        Column("ours", "ours", "+.3f", "ours_error", "accuracy"),
        Column("ours_error"),
        Column("count", "patterns", ",d", wide=True),
        Column("edges", "edges", ".1f", section="Other"),
        Column("good", "good"),
    ),
    (
        Row({"name": "cnn_1|2", "theirs": 0.241, "ours": 0.25, "ours_error": 0.0625, "count": 12345, "good": True}),
        Row({"name": "cnn2", "theirs": 0.5}, marks={"ours": "same"}),
        Row({"name": "hidden", "theirs": 1 / 3}, hidden=True),
        Row({"name": "cnn3", "edges": 1.25, "good": False}, section="Other"),
    ),
    ("50 % ± one | two.",),
)


def text(width: int) -> str:
    out = io.StringIO()
    print_text(TABLE, Console(file=out, width=width, color_system=None))
    return out.getvalue()


def test_text_never_loses_a_figure():
    wide, narrow = text(120), text(20)
    assert [line for line in narrow.splitlines() if "0.241" in line] == [
        line for line in wide.splitlines() if "0.241" in line
    ]
    assert "0.241  +0.250 ± 0.062" in wide
    assert "12,345" not in wide
    assert "hidden" not in wide
    assert "…" not in narrow


def test_markdown():
    lines = as_markdown(TABLE).splitlines()
    assert lines[0] == "## A & B"
    assert lines[2] == "| network | accuracy paper | accuracy ours | patterns | good |"
    assert lines[3] == "| --- | ---: | ---: | ---: | --- |"
    assert lines[4] == "| cnn_1\\|2 | 0.241 | +0.250 ± 0.062 | 12,345 | yes |"
    assert lines[5] == "| cnn2 | 0.500 | same | – | – |"
    assert lines[7] == "### Other"
    assert lines[-3] == "| cnn3 | – | – | – | 1.2 | no |"
    assert lines[-1] == "- 50 % ± one \\| two."


def test_csv_is_complete():
    rows = list(csv.DictReader(io.StringIO(as_csv(TABLE))))
    assert len(rows) == 4
    assert rows[0] == {
        "section": "",
        "name": "cnn_1|2",
        "theirs": "0.241",
        "ours": "0.25",
        "ours_error": "0.0625",
        "count": "12345",
        "edges": "",
        "good": "true",
    }
    assert float(rows[2]["theirs"]) == pytest.approx(1 / 3, abs=1e-6)
    assert rows[3]["section"] == "Other"


def test_latex():
    lines = as_latex(TABLE).splitlines()
    assert r"\caption{A \& B}" in lines
    assert r"\begin{tabular}{lrrrl}" in lines
    assert r"\multicolumn{1}{c}{} & \multicolumn{2}{c}{accuracy} & \multicolumn{2}{c}{} \\" in lines
    assert r"\cmidrule(lr){2-3}" in lines
    assert r"cnn\_1|2 & 0.241 & +0.250 $\pm$ 0.062 & 12,345 & yes \\" in lines
    assert r"\par\smallskip\footnotesize 50 \% $\pm$ one | two." in lines
    assert lines.count(r"\bottomrule") == 2
    for line in lines:
        assert line.count("{") == line.count("}")
