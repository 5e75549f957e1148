"""Whether the audit of a corpus finds planted leaks, and passes the splits that hold apart what they say.

    python benchmarks/corpus_audit.py crystals.parquet --output results/corpus-audit.json

CRYSTALS is a table of crystals. 100 crystals of the training part of its out-of-library split are copied under new ids:
in other axes of the same lattice, at another origin, turned, atoms in another order; their symmetry is found anew. The
copies are put into the test part. Two corpora are built of the crystals with the copies: one by that leaking list, one
by structure type, where copies must have been dealt to the side of their original. Both are audited as `powderlens
corpus audit` does. The splits that remain are audited on the table, without copies; of the split by consecutive ids,
which is SimXRD's, the audit counts what it lets through.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from crystal_sample import hardware
from duplicate_recovery import other_origin, other_setting, turned

import powderlens
from powderlens.core.files import atomic_write, file_sha256
from powderlens.corpus.audit import Audit, audit, audit_corpus
from powderlens.corpus.splits import make_split
from powderlens.corpus.store.build import build_corpus
from powderlens.corpus.store.corpus import Corpus
from powderlens.crystal.label import find_symmetry
from powderlens.crystals.table import SCHEMA, CrystalTable, crystal_row, write_crystals

SEED, PLANTED, PER_CRYSTAL = 20261121, 100, 3
PROTOCOL = "simxrd"
ON_THE_TABLE = ("in-library", "out-of-library", "out-of-library-consecutive", "composition")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crystals", type=Path, metavar="CRYSTALS")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    table = CrystalTable.load(given.crystals)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        planted = plant(given.crystals, table, folder)
        print(f"{len(planted)} copies planted among {len(table)} crystals", flush=True)
        corpora = {}
        for name, split in (("planted", folder / "leaking.csv"), ("structure-type", "structure-type")):
            build_corpus(
                folder / "crystals.parquet",
                folder / name,
                protocol=PROTOCOL,
                per_crystal=PER_CRYSTAL,
                split=str(split),
                seed=SEED,
                workers=given.workers,
            )
            began = time.process_time()
            corpora[name] = (audit_corpus(Corpus.open(folder / name)), time.process_time() - began)
            print(f"{name}: {'broken' if corpora[name][0].broken else 'holds'}", flush=True)
        leak, parted = corpora["planted"][0], corpora["structure-type"][0]
        record = {
            "what": "leaks found by the audit of a corpus; see benchmarks/corpus_audit.py",
            "command": "python benchmarks/corpus_audit.py crystals.parquet --output results/corpus-audit.json",
            "data": {given.crystals.name: file_sha256(given.crystals)},
            "crystals": len(table),
            "seed": SEED,
            "protocol": PROTOCOL,
            "versions": {name: version(name) for name in ("numpy", "numba", "moyopy", "pyarrow")}
            | {"powderlens": powderlens.__version__, "python": platform.python_version()},
            "hardware": hardware(),
            "date": datetime.now(UTC).date().isoformat(),
            "planted": {
                "copies": len(planted),
                "found": found_copies(folder / "planted", planted),
                "broken": leak.broken,
                "core_seconds": round(corpora["planted"][1], 1),
                **told(leak),
            },
            "structure_type": {
                "copies_apart_from_their_originals": apart(folder / "structure-type", planted),
                "broken": parted.broken,
                "core_seconds": round(corpora["structure-type"][1], 1),
                **told(parted),
            },
            "other_splits_without_copies": {name: told(on_the_table(table, name)) for name in ON_THE_TABLE},
        }
    print(json.dumps({key: record[key] for key in ("planted", "structure_type")}), flush=True)
    if given.output:
        with atomic_write(given.output) as aside:
            aside.write_text(json.dumps(record, indent=1) + "\n")


def plant(path: Path, table: CrystalTable, folder: Path) -> dict[str, str]:
    """Write the crystals with the copies, and the list that leaks. Id of a copy -> id of its original."""
    rng = np.random.default_rng(SEED)
    split = make_split("out-of-library", table, 1, SEED)
    part_of = {name: np.flatnonzero(chosen.any(axis=1)) for name, chosen in split.parts.items()}
    rows, copies = [], {}
    for at, row in enumerate(rng.choice(part_of["train"], PLANTED, replace=False).tolist()):
        crystal = turned(other_origin(other_setting(table.structure(row), rng), rng), rng)
        made = crystal_row(find_symmetry(crystal))
        made["id"], made["source"] = f"planted:{at}", "planted"
        rows.append(made)
        copies[made["id"]] = table.ids[row]
    write_crystals(
        pa.concat_tables(
            [pq.read_table(path, columns=SCHEMA.names).cast(SCHEMA), pa.Table.from_pylist(rows, schema=SCHEMA)]
        ),
        folder / "crystals.parquet",
    )
    with open(folder / "leaking.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "part"])
        writer.writerows((table.ids[row], name) for name, held in part_of.items() for row in held.tolist())
        writer.writerows((identity, "test") for identity in copies)
    return copies


def found_copies(corpus: Path, planted: dict[str, str]) -> int:
    """How many copies the search for duplicates gives the same first crystal as their original."""
    from powderlens.crystal.duplicates import find_duplicates

    crystals = Corpus.open(corpus).crystals
    first = find_duplicates(list(crystals.column("bucket")), crystals.structure)
    row = {identity: at for at, identity in enumerate(crystals.ids)}
    return sum(copy in row and bool(first[row[copy]] == first[row[original]]) for copy, original in planted.items())


def apart(corpus: Path, planted: dict[str, str]) -> int:
    """How many copies are in another part than their original."""
    part = {}
    for file in (corpus / "split").glob("*.parquet"):
        part.update(dict.fromkeys(pq.read_table(file, columns=["id"])["id"].to_pylist(), file.stem))
    return sum(part[copy] != part[original] for copy, original in planted.items())


def on_the_table(table: CrystalTable, name: str) -> Audit:
    split = make_split(name, table, 33, SEED)
    parts = {part: np.flatnonzero(chosen.any(axis=1)) for part, chosen in split.parts.items()}
    return audit(table, parts, split=name, statement=split.statement)


def told(found: Audit) -> dict[str, Any]:
    shared = [
        {
            "measure": entry.measure,
            "parts": f"{entry.a} and {entry.b}",
            "kinds": entry.kinds,
            "crystals": [entry.crystals_a, entry.crystals_b],
            "broken": entry.broken,
        }
        for entry in found.shared
    ]
    return {
        "split": found.split,
        "statement": found.statement,
        "crystals_of_parts": found.crystals,
        "broken": found.broken,
        "shared": shared,
    }


if __name__ == "__main__":
    main()
