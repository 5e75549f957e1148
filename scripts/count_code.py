"""Lines of code below a folder, without blank lines, comments and docstrings.

    python scripts/count_code.py [FOLDER]                 a line for each package
    python scripts/count_code.py FOLDER --functions       one for each function and class

A line counts when it holds a token of a statement that is not a bare string. A method counts for itself and not for
its class.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

NOTHING = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(text: str) -> set[int]:
    """Which lines of a module are code."""
    bare = [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    words = {line for node in bare for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOTHING:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - words


def by_function(text: str) -> Iterator[tuple[str, int]]:
    """Lines of code of each function and class, and of what stands outside them."""
    left = code_lines(text)

    def visit(body: list[ast.stmt], before: str) -> Iterator[tuple[str, int]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                if isinstance(node, ast.ClassDef):
                    yield from visit(node.body, f"{before}{node.name}.")
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                own = left & set(range(first, (node.end_lineno or first) + 1))
                left.difference_update(own)
                yield before + node.name, len(own)

    yield from visit(ast.parse(text).body, "")
    yield "outside", len(left)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[1] / "src")
    parser.add_argument("--functions", action="store_true", help="one line for each function and class")
    given = parser.parse_args()
    total = 0
    for package in sorted({path.relative_to(given.folder).parts[:2] for path in given.folder.rglob("*.py")}):
        root = given.folder.joinpath(*package)
        files = [root] if root.is_file() else sorted(root.rglob("*.py"))
        count = 0
        for path in files:
            text = path.read_text(encoding="utf-8")
            count += len(code_lines(text))
            if given.functions:
                for name, lines in by_function(text):
                    print(f"{lines:7,d}  {path.relative_to(given.folder)} {name}")
        total += count
        if not given.functions:
            print(f"{count:7,d}  {'/'.join(package)}")
    print(f"{total:7,d}  in all")


if __name__ == "__main__":
    main()
