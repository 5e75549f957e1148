"""Predictions of a checkpoint: a row for every pattern, missing ones counted, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from powderlens.core.errors import InputError
from powderlens.corpus.store.corpus import Corpus
from powderlens.corpus.store.manifest import write_manifest
from powderlens.corpus.store.stored import stored_schema
from powderlens.pattern.pattern import Pattern
from powderlens.pattern.prepare import prepare
from powderlens.train import predict as predict_module
from powderlens.train.components import drawn
from powderlens.train.components.checkpoint import load_network
from powderlens.train.predict import predict
from powderlens.train.recipe import Recipe, with_choices


@pytest.fixture(scope="module")
def three_heads(
    cnn_recipe: Recipe, minerals: Path, train: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    run = tmp_path_factory.mktemp("three") / "run"
    train(with_choices(cnn_recipe, tasks=["crystal_system", "space_group", "lattice"]), run, corpus=minerals)
    return run


def altered(run: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = torch.load(run / "last.ckpt", weights_only=True)
    change(content)
    torch.save(content, folder / "altered.ckpt")
    return folder / "altered.ckpt"


def test_every_pattern_has_its_row(three_heads: Path, minerals: Path, tmp_path: Path) -> None:
    told = predict(three_heads, minerals, "test", tmp_path / "p.parquet", threads=1)
    assert (told["patterns"], told["predicted"], told["missing"]) == (25, 25, {})
    rows = pq.read_table(tmp_path / "p.parquet").to_pylist()
    corpus = Corpus.open(minerals)
    numbers = corpus.numbers("test")
    assert [row["pattern"] for row in rows] == numbers.tolist()
    assert len({row["crystal"] for row in rows}) == 25
    best = three_heads / json.loads((three_heads / "outcome.json").read_text())["checkpoint"]
    network, _, _ = load_network(best)
    with torch.no_grad():
        outputs = network(torch.from_numpy(corpus.draw(numbers)))
    groups = outputs["space_group"].softmax(dim=1)
    labels = corpus.labels(numbers)
    for i, row in enumerate(rows):
        assert row["space_group_true"] == labels.space_group[i]
        assert row["crystal_system_true"] == labels.crystal_system[i]
        assert row["space_group_predicted"] == row["space_group_top"][0] == int(groups[i].argmax()) + 1
        assert row["space_group_probability"] == pytest.approx(groups[i].topk(10).values.tolist(), rel=1e-4)
        assert row["crystal_system_predicted"] == int(outputs["crystal_system"][i].argmax())
        assert sum(row["crystal_system_probability"]) == pytest.approx(1, rel=1e-4)
        assert row["niggli_predicted"] == pytest.approx(outputs["lattice"][i].tolist(), rel=1e-4)
        assert row["niggli_true"] == pytest.approx(labels.niggli[i].tolist(), rel=1e-6)


def test_where_patterns_come_from_changes_nothing(three_heads: Path, minerals: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    predict(three_heads / "last.ckpt", minerals, "train", one, threads=1)
    predict(three_heads / "last.ckpt", minerals, "train", other, threads=1, cache=tmp_path / "cache")
    assert pq.read_table(one).equals(pq.read_table(other))


def test_patterns_drawn_by_other_processes(
    three_heads: Path, minerals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many that processes draw them: the same rows; and numbers are stored byte by byte, which takes less room."""
    one, other, cached = (tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet"))
    predict(three_heads, minerals, "train", one, threads=1)
    for module in (predict_module, drawn):
        monkeypatch.setattr(module, "FEW", 0)
    predict(three_heads, minerals, "train", other, threads=1, workers=1)
    predict(three_heads, minerals, "train", cached, threads=1, workers=1, cache=tmp_path / "cache")
    assert pq.read_table(one).equals(pq.read_table(other))
    assert pq.read_table(one).equals(pq.read_table(cached))
    about = pq.read_metadata(one).row_group(0)
    encodings = {about.column(i).path_in_schema: about.column(i).encodings for i in range(about.num_columns)}
    assert "BYTE_STREAM_SPLIT" in encodings["space_group_probability.list.element"]
    assert "BYTE_STREAM_SPLIT" not in encodings["space_group_top.list.element"]


def test_answers_that_are_no_numbers_are_counted(three_heads: Path, minerals: Path, tmp_path: Path) -> None:
    def poison(content: dict[str, Any]) -> None:
        name = next(name for name in content["state_dict"] if name.startswith("network.heads.lattice"))
        content["state_dict"][name].fill_(torch.nan)

    bad = altered(three_heads, tmp_path, poison)
    told = predict(bad, minerals, "test", tmp_path / "p.parquet", threads=1)
    assert (told["predicted"], told["missing"]) == (0, {"answer is no number": 25})
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["niggli_predicted"].null_count == 25
    assert table["space_group_predicted"].null_count == 0


def test_stored_patterns_that_do_not_fit_are_counted(three_heads: Path, tmp_path: Path) -> None:
    """Three patterns: one on the grid, one without a label, one that ends before the grid begins."""
    import pyarrow as pa

    x = np.arange(10.0, 80.05, 0.05)
    quartz = {"id": "a", "space_group": 152, "crystal_system": "trigonal", "niggli": [4.9, 4.9, 5.4, 90, 90, 120]}
    rows = [
        {**quartz, "two_theta_deg": x.tolist(), "intensity": np.exp(-((x - 26.6) ** 2)).tolist()},
        {"id": "b", "two_theta_deg": x.tolist(), "intensity": np.exp(-((x - 30.0) ** 2)).tolist()},
        {**quartz, "id": "c", "two_theta_deg": [2.0, 3.0, 4.0], "intensity": [0.0, 1.0, 0.0]},
    ]
    folder = tmp_path / "stored"
    folder.mkdir()
    pq.write_table(
        pa.Table.from_pylist([{"wavelength_A": 1.5406, **row} for row in rows], schema=stored_schema("two_theta_deg")),
        folder / "patterns.parquet",
    )
    write_manifest(folder, {"kind": "stored", "axis": "two_theta_deg"})
    told = predict(three_heads, folder, "all", tmp_path / "p.parquet", threads=1)
    assert (told["patterns"], told["predicted"]) == (3, 2)
    assert told["missing"]["space_group: no label"] == 1
    assert sum(number for reason, number in told["missing"].items() if reason.startswith("not drawn: ")) == 1
    table = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [row["space_group_true"] for row in table] == [152, None, 152]
    assert [row["space_group_predicted"] is None for row in table] == [False, False, True]


def test_what_is_refused(three_heads: Path, cnn_run: Path, minerals: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.parquet"

    def refused(checkpoint: Path, match: str, corpus: Path = minerals, part: str = "test") -> None:
        with pytest.raises(InputError, match=match):
            predict(checkpoint, corpus, part, out, threads=1)
        assert not out.exists()

    refused(tmp_path / "none.ckpt", "no such checkpoint")
    (tmp_path / "words.ckpt").write_text("words")
    refused(tmp_path / "words.ckpt", "not a checkpoint ")
    refused(tmp_path, "no run that has ended")
    refused(cnn_run, "no part 'exam'", part="exam")
    refused(altered(cnn_run, tmp_path, lambda c: c["powderlens"].update(format=99)), "a checkpoint of format 99")
    refused(altered(cnn_run, tmp_path, lambda c: c.pop("powderlens")), "not a checkpoint ")
    refused(altered(cnn_run, tmp_path, lambda c: c["powderlens"]["network"].update(name="cnn99")), "no network 'cnn99'")

    def fewer(content: dict[str, Any]) -> None:
        content["powderlens"]["tasks"][0].update(outputs=5, classes=[0, 1, 2, 3, 4])

    refused(altered(cnn_run, tmp_path, fewer), "its weights do not fit cnn5 with 5 outputs of crystal_system")
    refused(
        altered(cnn_run, tmp_path, lambda c: c["powderlens"]["tasks"][0].update(classes=[0, 1])),
        "2 classes of crystal_system for 7 outputs",
    )
    other = altered(cnn_run, tmp_path, lambda c: c["powderlens"]["grid"].update(start_deg=12.0))
    refused(other, "drawn at 701 points from 10 in steps of 0.1 degrees.*trained at 701 points from 12")

    def foreign(content: dict[str, Any]) -> None:
        task = content["powderlens"]["tasks"][1]
        assert task["name"] == "space_group"
        task.update(classes=[1] * 230)

    refused(altered(three_heads, tmp_path, foreign), "none of its patterns is of the 230 classes of space_group")


def test_more_passes_leave_dropout_on(cnn_run: Path, minerals: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    predict(cnn_run, minerals, "test", tmp_path / "one.parquet", threads=1)
    told = predict(cnn_run, minerals, "test", tmp_path / "many.parquet", threads=1, passes=3)
    assert told["passes"] == 3
    one, many = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "many"))
    assert one["crystal_system_probability"] != many["crystal_system_probability"]


def test_a_checkpoint_copied_elsewhere_is_enough(cnn_run: Path, minerals: Path, tmp_path: Path) -> None:
    copy = shutil.copy(cnn_run / "best.ckpt", tmp_path / "elsewhere.ckpt")
    assert predict(Path(copy), minerals, "test", tmp_path / "p.parquet", threads=1)["predicted"] == 25


def test_a_network_with_a_mask_is_asked_as_it_was_trained(run: Path, small_table_path: Path, tmp_path: Path) -> None:
    """Above the floor, and told what was measured: a stored half of a scan is answered as `identify` prepares it."""
    import pyarrow as pa

    x = np.arange(20.0, 60.0, 0.05)
    intensity = 100 * np.exp(-((x - 26.6) ** 2)) + 300 + np.random.default_rng(0).normal(0, 1, len(x))
    folder = tmp_path / "stored"
    folder.mkdir()
    row = {"id": "a", "space_group": 152, "two_theta_deg": x.tolist(), "intensity": intensity.tolist()}
    table = pa.Table.from_pylist([{**row, "wavelength_A": 1.5406}], schema=stored_schema("two_theta_deg"))
    pq.write_table(table, folder / "patterns.parquet")
    write_manifest(folder, {"kind": "measured", "axis": "two_theta_deg"})
    predict(run / "last.ckpt", folder, "all", tmp_path / "p.parquet", threads=1)
    network, grid, about = load_network(run / "last.ckpt")
    assert about["floor"]
    assert network.mask
    prepared = prepare(Pattern(two_theta_deg=x, intensity=intensity, wavelength_A=1.5406), grid)
    mask = prepared.mask
    assert prepared.background, "a background of three times the line"
    assert 0 < mask.sum() < grid.points
    inputs = torch.from_numpy(prepared.above_floor[None]), torch.from_numpy(mask[None])
    with torch.no_grad():
        said = network(*inputs)["space_group"].softmax(dim=1)[0].topk(10).values
        other = network(inputs[0])["space_group"].softmax(dim=1)[0].topk(10).values
    (found,) = pq.read_table(tmp_path / "p.parquet")["space_group_probability"].to_pylist()
    assert found == pytest.approx(said.tolist(), rel=1e-3)
    assert found != pytest.approx(other.tolist(), rel=1e-3), "the mask is read"
