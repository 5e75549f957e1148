"""Measured patterns as a corpus: every format, what is known of each pattern, and what is left out by reason."""

from __future__ import annotations

import csv
import errno
import json
import os
import pickle
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pyarrow.parquet as pq
import pytest

from powderlens.core.errors import InputError, WavelengthError
from powderlens.corpus.measured import FORMATS, import_measured
from powderlens.corpus.measured_labels import PRIMITIVE, label_of
from powderlens.corpus.store.drawn import DrawnCorpus
from powderlens.corpus.store.manifest import read_manifest, write_manifest
from powderlens.corpus.store.stored import StoredCorpus
from powderlens.corpus.store.verify import verify
from powderlens.corpus.stream.from_corpus import CorpusStream
from powderlens.pattern.formats.stated import Stated
from powderlens.pattern.grid import Grid, to_grid
from powderlens.pattern.prepare import prepare
from powderlens.pattern.read import read_pattern

GRID = Grid(start_deg=20.0, step_deg=0.05, points=800, wavelength_A=1.541838)
ANGLES = np.round(np.arange(15, 75, 0.05), 3)
RUTILE_DIF = """      Rutile

      Meagher E P, Lager G A
      The Canadian Mineralogist 17 (1979) 77-85
      {sample}

      CELL PARAMETERS:   4.5937   4.5937   2.9587   90.000   90.000   90.000
      SPACE GROUP: P4_2/mnm
      X-RAY WAVELENGTH:     1.541838
      RIR:      3.6
                    2-THETA      INTENSITY    D-SPACING   H   K   L   Multiplicity
                      27.466       100.00       3.2482    1   1   0         4
                      36.100        46.25       2.4875    1   0   1         8
                      54.364        55.00       1.6873    2   1   1        16
================================================================================
      XPOW Copyright 1993 Bob Downs, Ranjini Swaminathan and Kurt Bartelmehs
"""


def curve(top_deg: float = 27.5) -> np.ndarray:
    return np.round(5 + 1000 * np.exp(-(((ANGLES - top_deg) / 0.3) ** 2)), 3)


def columns(y: np.ndarray | None = None, comma: str = " ") -> str:
    return "".join(f"{a:.3f}{comma}{b:.3f}\n" for a, b in zip(ANGLES, curve() if y is None else y, strict=True))


def rruff(sample: str = "R040049", name: str = "Rutile") -> str:
    cell = "a: 4.5955 b: 4.5955 c: 2.9598 alpha: 90 beta: 90 gamma: 90 volume: 62.51 crystal system: tetragonal"
    head = {
        "NAMES": name,
        "RRUFFID": sample,
        "IDEAL CHEMISTRY": "Ti^4+^O_2_",
        "LOCALITY": "Graves Mountain",
        "CELL PARAMETERS": cell,
    }
    return "".join(f"##{key}={value}\n" for key, value in head.items()) + "\n" + columns(comma=", ")


def opxrd(phases: list[dict[str, Any]], info: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """As xrdpattern writes it: objects inside are texts."""
    label = {
        "phases": [json.dumps(phase) for phase in phases],
        "xray_info": json.dumps(info or {"primary_wavelength": 1.5406, "secondary_wavelength": 1.54439}),
        "is_simulated": False,
        **more,
    }
    return {
        "two_theta_values": ANGLES.tolist(),
        "intensities": curve().tolist(),
        "label": json.dumps(label),
        "metadata": json.dumps({"institution": "KIT", "xrdpattern_version": "0.9.2"}),
    }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def imported(source: Path, form: str, **options: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The manifest, and the rows."""
    output = source.parent / f"corpus-{form}"
    manifest = import_measured(source, output, form=form, **options)
    assert manifest["kind"] == "measured"
    rows = pq.read_table(output / "patterns.parquet").to_pylist()
    assert manifest["patterns"] == len(rows)
    return manifest, rows


def test_rruff_alone_and_with_the_dif_file_of_its_sample(source: Path) -> None:
    (source / "Rutile__R040049-1__Powder.txt").write_text(rruff())
    (source / "Other__R050001-1__Powder.txt").write_text(rruff("R050001", "Other"))
    (source / "Rutile__R040049-1__DIF.txt").write_text(RUTILE_DIF.format(sample=""))
    manifest, (other, rutile) = imported(source, "rruff")
    assert (manifest["left_out"], manifest["source"]["files"]) == (0, 3)
    assert (rutile["id"], rutile["name"], rutile["formula"]) == ("Rutile__R040049-1__Powder", "Rutile", "TiO2")
    assert (rutile["space_group"], rutile["crystal_system"]) == (136, "tetragonal")
    assert rutile["cell"] == [4.5937, 4.5937, 2.9587, 90, 90, 90]
    assert sorted(rutile["niggli"][:3]) == pytest.approx([2.9587, 4.5937, 4.5937])
    assert rutile["wavelength_A"] == 1.541838
    assert not rutile["calculated"]
    assert rutile["two_theta_deg"] == ANGLES.tolist()
    assert rutile["intensity"] == curve().tolist()
    said = json.loads(rutile["record"])
    assert said["header"]["locality"] == "Graves Mountain"
    assert said["dif"].startswith("Rutile")
    assert (other["space_group"], other["niggli"]) == (None, None), "its header states no group"
    assert other["cell"] == [4.5955, 4.5955, 2.9598, 90, 90, 90]


def test_a_damaged_dif_file_hides_no_other(source: Path) -> None:
    (source / "A__R000001-1__DIF.txt").write_text(RUTILE_DIF.format(sample="").replace("SPACE GROUP", "SPACE"))
    (source / "Rutile__R040049-1__DIF.txt").write_text(RUTILE_DIF.format(sample=""))
    (source / "Rutile__R040049-1__Powder.txt").write_text(rruff())
    _, (rutile,) = imported(source, "rruff")
    assert rutile["space_group"] == 136


def test_a_dif_file_that_names_its_sample(source: Path) -> None:
    (source / "pattern.txt").write_text(rruff())
    (source / "lines.dif").write_text(RUTILE_DIF.format(sample="powder pattern for R040049"))
    assert imported(source, "rruff")[1][0]["space_group"] == 136


@pytest.mark.data
def test_rruff_as_published(data: Path, tmp_path: Path) -> None:
    manifest = import_measured(data / "patterns" / "rruff-original", tmp_path / "c", form="rruff")
    assert (manifest["patterns"], manifest["left_out"]) == (2, 0)
    corpus = StoredCorpus.open(tmp_path / "c", GRID)
    quartz = corpus.pattern(0)
    assert quartz.two_theta_deg[np.argmax(quartz.intensity)] == pytest.approx(26.64, abs=0.05)


@pytest.mark.data
def test_the_development_set_whole(data: Path, tmp_path: Path) -> None:
    """All 496 patterns, their groups, and cells where they are accepted."""
    path = data / "patterns" / "rruff" / "rruff-dev.npz"
    manifest = import_measured(path, tmp_path / "c", form="rruff")
    assert (manifest["patterns"], manifest["left_out"]) == (496, 0)
    with np.load(path) as arrays:
        intensity = arrays["intensity"]
    corpus = StoredCorpus.open(tmp_path / "c")
    np.testing.assert_array_equal(corpus.draw(np.array([7, 495, 0])), intensity[[7, 495, 0]])
    labels = corpus.labels(corpus.numbers())
    assert (labels.space_group > 0).all()
    with open(path.with_suffix(".csv"), newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    known = [row["cell_accepted"] == "1" and "nan" not in (row["a_A"], row["c_A"]) for row in rows]
    np.testing.assert_array_equal(np.isfinite(labels.cell).all(axis=1), known)
    np.testing.assert_array_equal(np.isnan(labels.cell).any(axis=1), ~np.array(known))
    assert labels.space_group.tolist() == [int(row["space_group"]) for row in rows]


def write_set(folder: Path, rows: int = 2, second: str = "227") -> Path:
    y = np.round(np.stack([np.roll(np.exp(-((np.arange(200) - 90.0) ** 2) / 50), i) for i in range(2)]) * 1000)
    np.savez(folder / "set.npz", intensity=y.astype(np.int16))
    head = "row,space_group,mineral_inferred,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,cell_accepted\n"
    lines = ["0,136,Rutile,4.6,4.6,2.96,90,90,90,1\n", f"1,{second},,,,,,,,0\n"]
    (folder / "set.csv").write_text(head + "".join(lines[:rows]))
    return folder / "set.npz"


def test_a_set_of_patterns(source: Path) -> None:
    import_measured(write_set(source), source.parent / "c", form="rruff")
    corpus = StoredCorpus.open(source.parent / "c")
    first, second = corpus.rows(np.arange(2)).to_pylist()
    assert (first["id"], first["name"], first["cell"]) == ("set:0", "Rutile", [4.6, 4.6, 2.96, 90, 90, 90])
    assert (first["niggli"], second["niggli"]) == (pytest.approx([2.96, 4.6, 4.6, 90, 90, 90]), None)
    assert (second["id"], second["name"], second["cell"], second["space_group"]) == ("set:1", None, None, 227)
    axis, intensity = corpus.curve(1)
    assert (axis[0], axis[100], len(axis)) == (5.0, 6.0, 200)
    assert intensity.argmax() == 91


def test_a_set_with_a_bad_row(source: Path) -> None:
    manifest = import_measured(write_set(source, second="231"), source.parent / "c", form="rruff")
    assert (manifest["patterns"], manifest["rejects"]) == (1, {"space group N: numbers run from N to N": 1})
    assert manifest["refused"] == [{"file": "set:1", "reason": "space group 231: numbers run from 1 to 230"}]


def test_a_set_whose_table_does_not_fit(source: Path) -> None:
    path = write_set(source, rows=1)
    with pytest.raises(InputError, match=r"set\.npz: 2 patterns but 1 rows in the table beside it"):
        import_measured(path, source.parent / "c", form="rruff")
    path.with_suffix(".csv").write_text("row,space_group\n")
    with pytest.raises(InputError, match=r"set\.csv: no column a_A; it needs space_group, a_A"):
        import_measured(path, source.parent / "c", form="rruff")
    path.with_suffix(".csv").unlink()
    with pytest.raises(InputError, match=r"set\.csv: no such file; it holds the labels"):
        import_measured(path, source.parent / "c", form="rruff")
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="not a NumPy archive"):
        import_measured(path, source.parent / "c", form="rruff")
    assert not (source.parent / "c").exists()


def test_lines_of_a_dif_file(source: Path) -> None:
    """Every line keeps its intensity and its place, shared out between the two nearest points."""
    (source / "rutile.dif").write_text(RUTILE_DIF.format(sample=""))
    _, (row,) = imported(source, "dif")
    assert row["calculated"]
    assert (row["id"], row["name"], row["space_group"], row["wavelength_A"]) == ("rutile", "Rutile", 136, 1.541838)
    x, y = np.array(row["two_theta_deg"]), np.array(row["intensity"])
    assert (x[0], x[-1]) == (5.0, 90.0)
    np.testing.assert_allclose(np.diff(x), 0.01, atol=1e-9)
    for angle, intensity in ((27.466, 100), (36.1, 46.25), (54.364, 55)):
        near = np.abs(x - angle) < 0.02
        assert y[near].sum() == pytest.approx(intensity)
        assert (x[near] * y[near]).sum() / intensity == pytest.approx(angle, abs=1e-6)
    assert y.sum() == pytest.approx(201.25)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("SPACE GROUP", "SPACE", "a DIF file without its space group"),
        ("CELL PARAMETERS", "CELL", "a DIF file without its cell parameters"),
        ("X-RAY WAVELENGTH", "X-RAY", "a DIF file without its wavelength"),
        ("2-THETA", "THETA", "not a DIF file, it has no table of N-THETA, INTENSITY and D-SPACING"),
        ("P4_2/mnm", "P4_2/xyz", "space group 'P4_N/xyz': no such symbol"),
        (
            "4.5937   4.5937   2.9587   90.000",
            "4.5937   4.5937   2.9587   190.000",
            "cell angles N, N, N degrees close no cell",
        ),
        ("4.5937   4.5937   2.9587   90.000", "4.5937   0.0000   2.9587   90.000", "all must be positive numbers"),
        ("100.00 ", "0.00 ", None),
    ],
)
def test_dif_files_that_lack_something(source: Path, old: str, new: str, reason: str | None) -> None:
    whole = RUTILE_DIF.format(sample="")
    (source / "a.dif").write_text(whole.replace(old, new))
    (source / "b.dif").write_text(whole)
    manifest, rows = imported(source, "dif")
    if reason is None:
        assert (len(rows), np.sum(rows[0]["intensity"])) == (2, pytest.approx(101.25))
        return
    assert ([row["id"] for row in rows], manifest["left_out"]) == (["b"], 1)
    (found,) = manifest["rejects"]
    assert reason in found
    assert manifest["refused"][0]["file"] == "a.dif"


def test_a_folder_with_a_table_of_labels(source: Path) -> None:
    (source / "silicon.xy").write_text(columns(curve(28.44)))
    (source / "deep").mkdir()
    (source / "deep" / "sample 2.csv").write_text("2theta,I\n" + columns(comma=","))
    (source / "labels.csv").write_text(
        "file,space_group,name,formula,wavelength,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,operator\n"
        "silicon.xy,F d -3 m,Silicon,Si,CuKa1,5.431,5.431,5.431,90,90,90,me\n"
        "deep/sample 2.csv,14,,,,,,,,,,\n"
        "gone.xy,14,,,,,,,,,,\n"
    )
    manifest, (silicon, second) = imported(source, "folder", wavelength="1.789")
    assert (silicon["id"], silicon["name"], silicon["formula"]) == ("silicon", "Silicon", "Si")
    assert (silicon["space_group"], silicon["crystal_system"]) == (227, "cubic")
    assert silicon["niggli"] == pytest.approx([5.431 / np.sqrt(2)] * 3 + [60] * 3)
    assert silicon["wavelength_A"] == pytest.approx(1.5406, abs=1e-4)
    assert json.loads(silicon["record"])["table"] == {"operator": "me"}
    assert (second["id"], second["space_group"], second["cell"]) == ("deep/sample 2", 14, None)
    assert second["wavelength_A"] == 1.789, "none is stated, so that of the command"
    assert manifest["rejects"] == {"no such file": 1}
    assert manifest["refused"] == [{"file": "gone.xy", "reason": "no such file"}]


def test_tables_of_labels_that_cannot_be_used(source: Path) -> None:
    (source / "a.xy").write_text(columns())
    with pytest.raises(InputError, match=r"labels\.csv: no table of labels; make a csv file"):
        imported(source, "folder")
    table = source.parent / "mine.csv"
    table.write_text("name,group\na,1\n")
    with pytest.raises(InputError, match=r"mine\.csv: a table of labels has the column file"):
        imported(source, "folder", labels=table)
    table.write_bytes("file\nä.xy\n".encode("latin-1"))
    with pytest.raises(InputError, match="save it as csv in UTF-8"):
        imported(source, "folder", labels=table)
    for line, reason in (
        ("a.xy,231,,,,,,,", "space group N: numbers run from N to N"),
        ("a.xy,Pxyz,,,,,,,", "space group 'Pxyz': no such symbol"),
        ("a.xy,1,abc,1,1,90,90,90,", "cell abc N N N N N: not six numbers"),
        ("a.xy,1,-3,3,3,90,90,90,", "all must be positive numbers"),
        ("a.xy,1,,,,,,,green", "green"),
    ):
        table.write_text(f"file,space_group,a_A,b_A,c_A,alpha_deg,beta_deg,gamma_deg,wavelength\n{line}\n")
        with pytest.raises(InputError, match="not one usable pattern") as caught:
            imported(source, "folder", labels=table)
        assert reason in str(caught.value)
    table.write_text("file\na.xy\n")
    assert imported(source, "folder", labels=table)[1][0]["space_group"] is None


OLDEST = {
    "lengths": json.dumps({"a": 5.64, "b": 5.64, "c": 5.64}),
    "angles": json.dumps({"alpha": 90, "beta": 90, "gamma": 90}),
}
OLD = {"lengths": ["5.64", "5.64", "5.64"], "angles": [90, 90, 90]}
NEW = {"lattice": "(5.64, 5.64, 5.64, 90.0, 90.0, 90.0)"}


@pytest.mark.parametrize("stated", [OLDEST, OLD, NEW], ids=["oldest", "old", "new"])
def test_opxrd_of_every_age(source: Path, stated: dict[str, Any]) -> None:
    phase = {**stated, "chemical_composition": "NaCl", "spacegroup": 225}
    (source / "a.json").write_text(json.dumps(opxrd([phase])))
    (source / "readme.txt").touch()
    manifest, (row,) = imported(source, "opxrd")
    assert (manifest["left_out"], row["id"], row["formula"]) == (0, "a", "NaCl")
    assert (row["space_group"], row["cell"]) == (225, [5.64, 5.64, 5.64, 90, 90, 90])
    assert row["wavelength_A"] == pytest.approx((2 * 1.5406 + 1.54439) / 3)
    assert row["intensity"] == curve().tolist()
    assert json.loads(row["record"])["metadata"]["institution"] == "KIT"


def test_opxrd_without_labels(source: Path) -> None:
    unknown: list[dict[str, Any]] = [
        {"lengths": ["nan"] * 3, "angles": ["nan"] * 3, "chemical_composition": None, "spacegroup": None},
        {"lengths": '{"a": null, "b": null, "c": null}', "angles": '{"alpha": null, "beta": null, "gamma": null}'},
        {"lattice": None, "spacegroup": "None", "chemical_composition": "None"},
    ]
    for at, phase in enumerate(unknown):
        (source / f"{at}.json").write_text(json.dumps(opxrd([phase])))
    two = [{**NEW, "spacegroup": 225}, {**NEW, "spacegroup": 227}]
    (source / "3.json").write_text(json.dumps(opxrd(two, {"primary_wavelength": None, "secondary_wavelength": "nan"})))
    falling = opxrd([])
    falling["two_theta_values"].reverse()
    falling["intensities"].reverse()
    (source / "4.json").write_text(json.dumps(falling))
    manifest, rows = imported(source, "opxrd")
    assert manifest["rejects"] == {}
    assert [row["space_group"] for row in rows] == [None] * 5
    assert [row["cell"] for row in rows] == [None] * 5
    assert [row["wavelength_A"] is None for row in rows] == [False, False, False, True, False]
    assert len(json.loads(rows[3]["record"])["label"]["phases"]) == 2
    assert rows[4]["two_theta_deg"] == ANGLES.tolist()


def test_opxrd_that_cannot_be_used(source: Path) -> None:
    bad = {
        "a simulated pattern": json.dumps(opxrd([], is_simulated=True)),
        "not JSON": "{",
        "not a file of opXRD, it has no two_theta_values": "[1, 2]",
        f"{len(ANGLES)} angles but 3 intensities": json.dumps({**opxrd([]), "intensities": [1, 2, 3]}),
        "intensities is not a list of numbers": json.dumps({**opxrd([]), "intensities": "x"}),
        "a label that is not JSON": json.dumps({**opxrd([]), "label": "x"}),
        "space group 500: numbers run from 1 to 230": json.dumps(opxrd([{"spacegroup": 500}])),
    }
    for at, content in enumerate(bad.values()):
        (source / f"{at}.json").write_text(content)
    (source / "good.json").write_text(json.dumps(opxrd([])))
    manifest, rows = imported(source, "opxrd")
    assert [row["id"] for row in rows] == ["good"]
    assert [refused["reason"] for refused in manifest["refused"]] == list(bad)
    assert manifest["left_out"] == sum(manifest["rejects"].values()) == len(bad)


def test_bad_files_are_counted_and_the_rest_goes_on(source: Path) -> None:
    contents = {
        "a.txt": rruff(),
        "a.xy": rruff(),
        "b.txt": "",
        "c.txt": columns(),
        "d.txt": rruff().replace("20.000, 5.000", "20.000, nan"),
        "e.txt": rruff().replace("25.000, ", "25.000, nan #").replace("26.000, ", "26.000, nan #"),
        "z.txt": rruff(),
    }
    for name, content in contents.items():
        (source / name).write_text(content)
    manifest, rows = imported(source, "rruff")
    assert [row["id"] for row in rows] == ["a", "z"]
    assert manifest["left_out"] == 5
    assert {refused["file"] for refused in manifest["refused"]} == {"a.xy", "b.txt", "c.txt", "d.txt", "e.txt"}
    assert manifest["rejects"]["another pattern has this id"] == 1
    assert manifest["rejects"]["not a RRUFF text file, it has no ##RRUFFID"] == 1
    assert str(source) not in json.dumps(manifest), "no path of this machine"


@pytest.mark.parametrize("form", FORMATS)
def test_no_pattern_at_all(source: Path, form: str) -> None:
    output = source.parent / "c"
    with pytest.raises(InputError, match="the folder is empty"):
        import_measured(source, output, form=form)
    with pytest.raises(InputError, match="no such folder of patterns"):
        import_measured(source / "none", output, form=form)
    (source / "labels.csv").write_text("file\nx.json\n")
    (source / "x.json").write_text("nothing")
    with pytest.raises(InputError, match="not one usable pattern"):
        import_measured(source, output, form=form)
    assert not output.exists()


def test_what_cannot_be_asked_for(source: Path) -> None:
    (source / "a.txt").write_text(rruff())
    with pytest.raises(InputError, match="format 'xrdml': measured patterns come as rruff, dif, folder, opxrd"):
        imported(source, "xrdml")
    with pytest.raises(InputError, match="a table of labels goes with --format folder; rruff files carry their own"):
        imported(source, "rruff", labels=source / "labels.csv")
    with pytest.raises(InputError, match="wavelength"):
        imported(source, "rruff", wavelength="green")
    imported(source, "rruff")
    with pytest.raises(InputError, match="holds a corpus already; give another folder, or remove it first"):
        imported(source, "rruff")


def test_a_full_disk(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source / "a.txt").write_text(rruff())

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); make room"):
            imported(source, "rruff")
    assert not (source.parent / "corpus-rruff").exists(), "nothing half written"
    imported(source, "rruff")


@pytest.fixture
def measured(source: Path) -> Path:
    for at, place in enumerate((27.0, 40.0, 50.0)):
        (source / f"{at}.xy").write_text(columns(curve(place)))
    (source / "labels.csv").write_text(
        "file,space_group,wavelength\n0.xy,136,1.541838\n1.xy,,1.541838\n2.xy,225,0.7107\n"
    )
    imported(source, "folder")
    return source.parent / "corpus-folder"


def test_measured_patterns_are_refused_as_training_data(measured: Path) -> None:
    corpus = StoredCorpus.open(measured, GRID)
    with pytest.raises(InputError, match=r"a corpus of measured patterns is for testing.*allow_measured=True insists"):
        CorpusStream(corpus, "all", size=2, seed=0)
    batch = CorpusStream(corpus, "all", size=3, seed=0, shuffle=False, allow_measured=True).batch(0)
    assert batch.space_group.tolist() == [136, 0, 225]
    assert batch.crystal_system.tolist() == [3, -1, 6]
    assert GRID.two_theta_deg[batch.patterns[:2].argmax(axis=1)] == pytest.approx([27, 40], abs=0.03)
    with pytest.raises(InputError, match="its patterns are measured, not drawn"):
        DrawnCorpus.open(measured)


def test_a_measured_corpus_is_read_like_another(measured: Path) -> None:
    corpus = StoredCorpus.open(measured, GRID)
    assert (len(corpus), corpus.kind, corpus.parts, corpus.per_crystal) == (3, "measured", ("all",), 1)
    drawn = corpus.draw(np.array([2, 0]))
    assert (drawn.shape, drawn.dtype) == ((2, 800), np.float32)
    np.testing.assert_array_equal(drawn[1], corpus.draw(np.array([0]))[0])
    again = pickle.loads(pickle.dumps(corpus))
    np.testing.assert_array_equal(again.draw(np.array([2, 0])), drawn)
    labels = corpus.labels(corpus.numbers("all"))
    assert labels.space_group.tolist() == [136, 0, 225]
    assert np.isnan(labels.cell).all()
    with pytest.raises(InputError, match="an imported corpus has one part, all"):
        corpus.numbers("train")
    with pytest.raises(InputError, match="open the corpus with a grid"):
        _ = StoredCorpus.open(measured).grid
    with pytest.raises(IndexError, match="the corpus has 3"):
        corpus.draw(np.array([3]))


def test_the_axis_is_turned_to_the_wavelength_of_the_grid(measured: Path) -> None:
    """A line at 50 degrees of Mo radiation stands where Bragg's law has it for copper, beyond this grid."""
    wide = Grid(start_deg=20.0, step_deg=0.05, points=2800, wavelength_A=1.541838)
    pattern = StoredCorpus.open(measured, wide).draw(np.array([2]))[0]
    wanted = 2 * np.degrees(np.arcsin(np.sin(np.radians(25)) * 1.541838 / 0.7107))
    assert wide.two_theta_deg[pattern.argmax()] == pytest.approx(wanted, abs=0.06)


def test_no_wavelength_is_assumed(source: Path) -> None:
    """A line of molybdenum at d = 2.82 A stands at 31.73 degrees of copper, if the file says so; else it is refused."""
    x = np.arange(5.0, 50.0, 0.02)
    y = 1000 * np.exp(-(((x - 14.48) / 0.1) ** 2)) + 5
    wide = Grid(start_deg=30.0, step_deg=0.05, points=1000, wavelength_A=1.5418711)
    for name in ("known", "unknown"):
        np.savetxt(source / f"{name}.xy", np.column_stack([x, y]))
    (source / "labels.csv").write_text("file,space_group,wavelength\nknown.xy,225,0.7107\nunknown.xy,225,\n")
    imported(source, "folder")
    corpus = StoredCorpus.open(source.parent / "corpus-folder", wide)
    assert corpus.with_wavelength == 1
    drawn = corpus.draw(np.array([0]))[0]
    assert wide.two_theta_deg[drawn.argmax()] == pytest.approx(31.73, abs=0.05)
    for ask in (corpus.draw, corpus.conditions):
        with pytest.raises(WavelengthError, match=r"unknown: .* states no wavelength for it; import it again"):
            ask(np.array([1]))
    assert corpus.pattern(1, 0.7107).wavelength_A == 0.7107, "who knows it may say so"
    (source / "labels.csv").write_text("file,space_group\nunknown.xy,225\n")
    import_measured(source, source.parent / "none", form="folder")
    with pytest.raises(WavelengthError, match=r"none of its 1 patterns states a wavelength; import it again"):
        StoredCorpus.open(source.parent / "none", wide)
    assert len(StoredCorpus.open(source.parent / "none")) == 1, "it may be looked at"


def test_stored_patterns_are_prepared_as_identify_does_it(source: Path) -> None:
    """The same numbers whether a file is asked about or the corpus that it went into; simulated ones keep theirs."""
    y = curve(30.0) + 400 * (1.2 - ANGLES / 80)
    (source / "a.xy").write_text(columns(y + np.random.default_rng(0).normal(0, 1, len(ANGLES))))
    (source / "labels.csv").write_text("file,space_group,wavelength\na.xy,225,CuKa\n")
    imported(source, "folder")
    folder = source.parent / "corpus-folder"
    asked = prepare(read_pattern(source / "a.xy", wavelength="CuKa"), GRID)
    assert asked.background
    corpus = StoredCorpus.open(folder, GRID)
    for floor in (True, False):
        expected = asked.for_network(floor=floor, mask=True)
        np.testing.assert_array_equal(corpus.draw(np.array([0]), floor=floor)[0], expected)
    np.testing.assert_array_equal(corpus.prepared(0).mask, asked.mask)
    write_manifest(folder, {**read_manifest(folder), "kind": "stored"})
    simulated = StoredCorpus.open(folder, GRID).prepared(0)
    assert not simulated.background
    np.testing.assert_array_equal(simulated.flat, to_grid(corpus.pattern(0), GRID)[0])


def test_a_changed_bit_is_found(measured: Path) -> None:
    assert verify(measured).whole
    path = measured / "patterns.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    (damage,) = verify(measured).damage
    assert (damage.file, damage.mib) == ("patterns.parquet", 0)


def test_a_damaged_table_and_a_newer_version(measured: Path) -> None:
    manifest = {**read_manifest(measured), "schema_version": 2}
    path = measured / "patterns.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(InputError, match=r"patterns\.parquet: damaged .*; import it again"):
        StoredCorpus.open(measured).numbers()
    write_manifest(measured, manifest)
    with pytest.raises(InputError, match="a corpus of version 2, made by powderlens"):
        StoredCorpus.open(measured)


def test_a_number_tells_the_centring_where_all_settings_agree() -> None:
    cubic = (5.6402, 5.6402, 5.6402, 90.0, 90.0, 90.0)
    assert label_of(Stated(group="225", cell=cubic)).niggli == pytest.approx([5.6402 / np.sqrt(2)] * 3 + [60] * 3)
    assert label_of(Stated(group="221", cell=cubic)).niggli == pytest.approx(cubic)
    monoclinic = (9.83, 8.92, 5.27, 90.0, 105.9, 90.0)
    assert label_of(Stated(group="12", cell=monoclinic)).niggli is None, "C, A or I"
    assert label_of(Stated(group="C 2/m", cell=monoclinic)).niggli is not None
    assert label_of(Stated(group="148", cell=(5.0, 5.0, 17.0, 90.0, 90.0, 120.0))).niggli is None, "two kinds of axes"


@pytest.mark.parametrize(
    ("letter", "symbol"),
    [
        ("P", "P 1"),
        ("A", "A 1 2 1"),
        ("B", "B 1 1 2"),
        ("C", "C 1 2 1"),
        ("I", "I 2 2 2"),
        ("F", "F 2 2 2"),
        ("R", "R 3:H"),
    ],
)
def test_primitive_bases_are_those_of_the_centrings(letter: str, symbol: str) -> None:
    """They span every centring vector of gemmi's operators, and nothing finer."""
    centrings = np.array(gemmi.find_spacegroup_by_name(symbol).operations().cen_ops) / gemmi.Op.DEN
    basis = PRIMITIVE[letter]
    assert np.linalg.det(basis) == pytest.approx(1 / len(centrings))
    coordinates = np.concatenate([centrings, np.eye(3)]) @ np.linalg.inv(basis)
    assert coordinates == pytest.approx(np.round(coordinates), abs=1e-9)
