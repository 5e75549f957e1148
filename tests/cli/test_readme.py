"""Every fenced block of the README is executed.

`sh` and `python` blocks run as they are, those of a section one after the other, each section in a directory of its own
with a copy of `examples/`: in this process, which starts once what each of them would start anew. `console` blocks set
up a clone: of their commands, `make` targets must exist, and what `make demo` runs at its end, which is the README's
first command, is run here by a shell.
"""

import contextlib
import glob
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from powderlens.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = BLOCK.findall(README)
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
PNG = b"\x89PNG\r\n\x1a\n"


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def sections() -> list[str]:
    """Sections with something to execute."""
    return [
        text for text in re.split(r"^## ", README, flags=re.MULTILINE) if re.search(r"^```(sh|python)$", text, re.M)
    ]


@pytest.fixture
def environment(workplace: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """This interpreter's own `powderlens` and `python` come first on the path, and no outer make is felt."""
    found = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    programs = [str(Path(sys.executable).parent), found.get("PATH", "")]
    if not (Path(sys.executable).parent / "powderlens").exists():  # run from the source tree, not installed
        shim = tmp_path_factory.mktemp("bin") / "powderlens"
        code = "import sys; from powderlens.cli.main import main; sys.exit(main())"
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{code}" "$@"\n')
        shim.chmod(0o755)
        programs.insert(0, str(shim.parent))
    return {**found, "PATH": os.pathsep.join(programs)}


def run(command: list[str], environment: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=1200
    )
    assert done.returncode == 0, f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def test_every_block_is_of_a_kind_that_is_executed() -> None:
    assert len(BLOCKS) == README.count("\n```") / 2 >= 6
    assert {name for name, _ in BLOCKS} == {"sh", "python", "console"}


def call(line: str) -> None:
    """One line of a shell, of which nothing is understood but a program, patterns of files, and > FILE at the end."""
    assert not set(line) & set("|&;$`\\(){}<~'\""), f"{line}: give it to a shell"
    words = shlex.split(line, comments=True)
    program, *words = [file for word in words for file in (sorted(glob.glob(word)) or [word])]
    assert program == "powderlens", f"{line}: nothing executes this"
    made = [Path(words[words.index(option) + 1]) for option in ("--output", "--plot", ">") if option in words]
    if ">" in words:
        *words, _, _ = words
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(words) == 0, line
    if ">" in line:
        made[-1].write_text(said.getvalue())
    assert all(file.stat().st_size > 0 for file in made)


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.splitlines()[0])
def test_sections(section: str, workplace: Path) -> None:
    for language, text in BLOCK.findall(section):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(text, "README.md", "exec"), {"__name__": "__main__"})
            assert said.getvalue().strip()
        elif language == "sh":
            for line in filter(None, text.splitlines()):
                call(line)


def console_commands() -> list[list[str]]:
    lines = [line for text in blocks("console") for line in text.splitlines() if line.strip()]
    assert all(line.startswith("$ ") for line in lines), "a console block shows commands only, each after '$ '"
    return [shlex.split(part, comments=True) for line in lines for part in line[2:].split("&&")]


@pytest.mark.parametrize("words", console_commands(), ids=" ".join)
def test_console_command(words: list[str], environment: dict[str, str], workplace: Path) -> None:
    if words[0] == "make":
        steps = run(["make", "-n", *words[1:]], environment, ROOT)
        assert re.search(r"^\.venv\S*/bin/(python|powderlens) ", steps, re.MULTILINE)
    else:
        assert words[:2] == ["git", "clone"] or words == ["cd", words[-1]], f"{words}: nothing executes this"
        assert words[-1] == "powderlens"


def test_make_demo_ends_with_the_first_command_and_its_picture(environment: dict[str, str], workplace: Path) -> None:
    steps = run(["make", "-n", "demo"], environment, ROOT).splitlines()
    (command,) = [line for line in steps if line.startswith(".venv-demo/bin/powderlens ")]
    command = command.removeprefix(".venv-demo/bin/")
    assert command.startswith(blocks("sh")[0].strip())
    assert "mkdir -p output" in steps
    (workplace / "output").mkdir()
    shown = run(["bash", "-c", command], environment, workplace)
    assert "136" in shown, "rutile is P4_2/mnm, No. 136"
    assert (workplace / "output" / "demo.png").read_bytes().startswith(PNG)
