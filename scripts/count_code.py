"""Lines of code below a folder, without blank lines, comments and docstrings: python scripts/count_code.py [FOLDER].

A line counts when it holds a token of a statement that is not a bare string.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from pathlib import Path

NOTHING = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(text: str) -> int:
    """How many lines of a module are code."""
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
    return len(lines - words)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "src"
    total = 0
    for package in sorted({path.relative_to(folder).parts[:2] for path in folder.rglob("*.py")}):
        root = folder.joinpath(*package)
        files = [root] if root.is_file() else sorted(root.rglob("*.py"))
        count = sum(code_lines(path.read_text(encoding="utf-8")) for path in files)
        total += count
        print(f"{count:7,d}  {'/'.join(package)}")
    print(f"{total:7,d}  in all")


if __name__ == "__main__":
    main()
