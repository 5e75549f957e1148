"""Change one thing of the code, see whether a unit test of its package notices; draw the changes by seed.

The changes are those of cosmic-ray (MIT), which need not be installed beside powderlens:

    python -m venv /tmp/mutants && /tmp/mutants/bin/pip install cosmic-ray
    /tmp/mutants/bin/python scripts/mutate.py --python .venv/bin/python --package pattern --count 12 --seed 1

Every place where something can be changed is as likely as any other, then every change there. A copy of `src` is
changed, never the original. One line a change: killed or survived, where, what, and by which test.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cosmic_ray.ast import get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = re.compile("noop|no_op|bitor|variable|decorator", re.IGNORECASE)
"""No change; unions of types; changes with arguments of their own; decorators that every caller needs."""
Change = tuple[str, int]


def nodes(tree) -> Iterator:
    """A tree and all below it, as cosmic-ray walks it."""
    yield tree
    for child in getattr(tree, "children", ()):
        yield from nodes(child)


def changes(path: Path) -> dict[tuple[int, int], list[Change]]:
    """Operators and their occurrences at every place of a file."""
    found = defaultdict(list)
    tree = get_ast_from_path(path)
    for name in sorted(filter(lambda name: not LEFT_OUT.search(name), operator_names())):
        operator, occurrence = get_operator(name)(), 0
        for node in nodes(tree):
            for start, _ in operator.mutation_positions(node):
                found[start].append((name, occurrence))
                occurrence += 1
    return found


def drawn(package: str, count: int, seed: int) -> list[tuple[Path, int, str]]:
    """So many changed files of a package, with the line of the change."""
    places = [
        (path, start[0], options)
        for path in sorted((ROOT / "src" / "powderlens" / package).rglob("*.py"))
        for start, options in sorted(changes(path).items())
    ]
    rng = random.Random(f"{seed} {package}")
    rng.shuffle(places)
    found = []
    while len(found) < count:
        path, line, options = places.pop()
        change = rng.choice(options)
        with suppress(AttributeError):  # cosmic-ray cannot change `except (A, B)`
            found.append((path, line, mutated(path.read_text(), change)))
    return found


def mutated(text: str, change: Change) -> str:
    """A file with one change."""
    name, occurrence = change
    return mutate_code(text, get_operator(name)(), occurrence)


def tests_of(path: Path) -> list[list[str]]:
    """The quick tests of a module's package, then those that take their time; Ray's for what works on Ray."""
    inside = path.relative_to(ROOT / "src" / "powderlens")
    tests = [f"tests/unit/{inside.parts[0]}"]
    if "cluster" not in inside.parts:
        tests.append("--ignore=tests/unit/corpus/cluster")
    return [[*tests, "-m", "not slow"], [*tests, "-m", "slow and not long"]]


def run(python: str, sources: Path, tests: list[str], timeout_s: float) -> str:
    """The first test that fails; empty when none does."""
    environment = {**os.environ, "PYTHONPATH": str(sources)}
    try:
        done = subprocess.run(
            [python, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider", *tests],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it never ended"
    if done.returncode in (0, 5):  # 5: no such test
        return ""
    if "ModuleNotFoundError" in done.stdout:
        sys.exit(done.stdout)
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[1] if failed else (done.stdout + done.stderr).strip().splitlines()[-1]


def main() -> int:
    """Draw, change, test, tell."""
    parser = argparse.ArgumentParser(description="Change one thing of the code, see whether a unit test notices.")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with everything for the tests")
    parser.add_argument("--package", required=True, help="pattern, library, identification, corpus, train, ...")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="go on with this one of the changes")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds after which a change counts as noticed")
    given = parser.parse_args()
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder) / "src"
        shutil.copytree(ROOT / "src", sources)
        for tests in tests_of(ROOT / "src" / "powderlens" / given.package / "any.py"):
            if by := run(given.python, sources, tests, given.timeout):
                parser.error(f"{by} fails as it is")
        for path, line, changed in drawn(given.package, given.count, given.seed)[given.first :]:
            text = path.read_text()
            copy = sources / path.relative_to(ROOT / "src")
            copy.write_text(changed)
            runs = (run(given.python, sources, tests, given.timeout) for tests in tests_of(path))
            by = next(filter(None, runs), "")
            shutil.copy2(path, copy)
            before, after = next(
                (a, b) for a, b in zip(text.splitlines(), changed.splitlines(), strict=False) if a != b
            )
            survived += not by
            where = f"{path.relative_to(ROOT / 'src' / 'powderlens')}:{line}"
            print(
                f"{'killed' if by else 'SURVIVED'}  {where}  `{before.strip()}` -> `{after.strip()}`  {by}", flush=True
            )
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
