"""The program, called as a user calls it."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from powderlens.cli.main import main


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on stderr that a user gets for bad input."""
        assert self.out == ""
        assert self.err.count("\n") == 1
        assert self.err.startswith("powderlens: ")
        return self.err.removeprefix("powderlens: ").strip()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`powderlens` in this process, where an exception that is not caught fails the test."""

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def run_apart() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`powderlens` in a process of its own."""

    def call(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "powderlens.cli.main", *map(str, arguments)]
        options = {
            "capture_output": True,
            "text": True,
            "timeout": 1200,
            "env": {**os.environ, "NO_COLOR": "1"},
            **more,
        }
        return subprocess.run(command, **options)  # type: ignore[call-overload]

    return call
