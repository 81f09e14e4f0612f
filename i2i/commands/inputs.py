"""Which pictures a call of `i2i predict` names, and where the answer for each is written."""

from __future__ import annotations

import glob
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i.image.formats import READ_SUFFIXES


@dataclass(frozen=True)
class Found:
    """A picture file, and its folder below the INPUT that named it."""

    path: Path
    folder: Path = Path()


def find(inputs: Sequence[str], output: Path) -> list[Found]:
    """The picture files that INPUTs name, each once.

    A file is taken whatever its name. Of a folder or a pattern those are taken whose suffix is a
    picture's, in the order of their names, but nothing hidden and nothing below `output`.

    Raises:
        ValueError: a folder or pattern has no pictures, or is that of `output` itself.
    """
    found: dict[Path, Found] = {}
    for name in inputs:
        for one in _of(name, output):
            # `Path.resolve` raises for links that go round in a circle.
            found.setdefault(Path(os.path.realpath(one.path)), one)
    return list(found.values())


def _of(name: str, output: Path) -> Iterator[Found]:
    path = Path(name)
    # `Path.is_dir` raises where nobody may look.
    if os.path.isdir(path):
        base, files = path, _below(path)
    elif glob.has_magic(name) and not os.path.exists(path):
        fixed = tuple(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
        if ".." in path.parts[len(fixed) :]:
            raise ValueError(f"{name}: expected no .. behind a wildcard; name the folder it means")
        base = Path(*fixed)
        files = (Path(match) for match in sorted(glob.iglob(name, recursive=True)))
    else:
        yield Found(path)  # or whatever the name is: opening it says what is wrong
        return
    written = output.resolve()
    if written == base.resolve():
        raise ValueError(
            f"--output: expected another folder than {base}, where the pictures are: a second call "
            "would take the answers for pictures"
        )
    inside = written.is_relative_to(base.resolve())
    none = True
    for file in files:
        named = file.suffix.lower() in READ_SUFFIXES and not os.path.isdir(file)
        # What cannot be looked at or read is tried, so that opening it says why.
        readable = os.access(file.parent, os.X_OK)
        is_picture = named and (os.path.isfile(file) or not readable)
        if not is_picture and not (os.path.isdir(file) and not os.access(file, os.R_OK)):
            continue
        if inside and Path(os.path.realpath(file)).is_relative_to(written):
            continue
        none = False
        yield Found(file, file.parent.relative_to(base))
    if none:
        suffixes = " ".join(sorted(READ_SUFFIXES))
        raise ValueError(f"{name}: expected pictures ({suffixes}), got none")


def _below(folder: Path) -> Iterator[Path]:
    """Files, hidden ones and links to folders left out; and folders that cannot be read."""
    unreadable: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))
    yield from (Path(error.filename) for error in unreadable)


def output_paths(found: Sequence[Found], output: Path, suffix: str) -> list[tuple[Path, Path]]:
    """(input, output) of each file: its folder below `output`, <stem><suffix>, or <stem>_1 …

    An output never has the path of an input, nor that of another input's output.
    """
    taken = {Path(os.path.realpath(one.path)) for one in found}
    folders = {one.folder: Path(os.path.realpath(output / one.folder)) for one in found}
    numbers: Counter[tuple[Path, str]] = Counter()
    paths = []
    for one in found:
        stem, folder = one.path.stem, folders[one.folder]
        while True:
            # Of many files of one name, none tries the numbers of those before it again.
            number = numbers[folder, stem]
            numbers[folder, stem] += 1
            name = f"{stem}_{number}{suffix}" if number else f"{stem}{suffix}"
            if folder / name not in taken:
                break
        taken.add(folder / name)
        paths.append((one.path, output / one.folder / name))
    return paths


def shared_stems(found: Sequence[Found]) -> set[Path]:
    """The files whose output would have the name of another's, but for its number."""
    counts = Counter((one.folder, one.path.stem) for one in found)
    return {one.path for one in found if counts[one.folder, one.path.stem] > 1}
