"""Long work in parts, each on disk whole or not at all: who is interrupted goes on where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from powderlens.core.errors import InputError
from powderlens.core.files import atomic_write, make_folder
from powderlens.core.pool import Mapper


def parts_folder(folder: Path, settings: str, *, anew: Callable[[], None], keep: bool = True) -> Path:
    """The folder of the parts, swept of what was half written; parts that were made otherwise are thrown away.

    Args:
        folder: made where it is not there.
        settings: what the parts depend on; a file in the folder keeps it.
        anew: called when parts are thrown away.
        keep: False throws away whatever is there.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    kept = folder / "settings.json"
    if folder.is_dir() and not (keep and kept.is_file() and kept.read_text(encoding="utf-8") == settings):
        anew()
        shutil.rmtree(folder)
    make_folder(folder)
    with atomic_write(kept) as aside:
        aside.write_text(settings, encoding="utf-8")
    for left in folder.glob(".*"):
        left.unlink()
    return folder


def make_parts(
    function: Callable[[Any], tuple[int, bytes]], paths: Sequence[Path], task: Callable[[int], Any], mapper: Mapper
) -> Iterator[int]:
    """Have every part made that is not there.

    Args:
        function: gives the number and the bytes of a part from its task.
        paths: where each part goes.
        task: what the function needs for the part of a number; made as it is needed.
        mapper: does the work.

    Yields:
        The number of each part as it is written.

    Raises:
        InputError: a part did not come back, or the disk refuses.
    """
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    for number, content in mapper(function, (task(number) for number in missing)):
        with atomic_write(paths[number]) as aside:
            aside.write_bytes(content)
        yield number
    lost = [number for number in missing if not paths[number].is_file()]
    if lost:
        raise InputError(f"part {lost[0]} was handed out and did not come back; give the same command again")
