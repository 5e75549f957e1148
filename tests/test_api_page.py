"""docs/API.md lists what is public, documents use nothing else, and its examples run."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import powderlens

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "results" / "README.md"]
PAGE = (ROOT / "docs" / "API.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_public_name_has_its_line() -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(powderlens.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_documents_import_public_names_only(page: Path) -> None:
    """Fenced or indented; `import powderlens.x` neither."""
    wrong = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if not re.match(r"\s*(from|import) powderlens\b", line):
            continue
        node = ast.parse(line.strip()).body[0]
        if isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            wrong += [line] if node.module != "powderlens" or names - set(powderlens.__all__) else []
        else:
            wrong += [line] if line.strip() != "import powderlens" else []
    assert not wrong


def test_attributes_that_documents_use_are_public() -> None:
    """`powderlens.name(` or `powderlens.name` in code; files (`powderlens.toml`) and modules are no such."""
    used = {name for page in PAGES for name in re.findall(r"\bpowderlens\.(\w+)\(", page.read_text(encoding="utf-8"))}
    assert used
    assert used <= set(powderlens.__all__)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_run(example: str, workplace: Path) -> None:
    done = subprocess.run([sys.executable, "-c", example], cwd=workplace, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if "identify_many" in example:
        assert done.stdout.splitlines() == ["examples/rutile.txt P42/mnm", "examples/quartz.txt P3121"]
    if "given" in example:
        assert done.stdout.startswith("[('Quartz', ")
