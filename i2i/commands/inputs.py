"""Which pictures a call of `i2i predict` names, and where the answer for each is written."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i.image.formats import READ_SUFFIXES, UNREAD_SUFFIXES

_NUMBER = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Found:
    """A picture file, and its folder below the INPUT that named it."""

    path: Path
    folder: Path = Path()


def find(inputs: Sequence[str], output: Path) -> tuple[list[Found], list[Path]]:
    """The picture files that INPUTs name, each once; and pictures of kinds that are not read.

    A file is taken whatever its name. Of a folder or a pattern those are taken whose suffix is a
    picture's, in the order of their names, but nothing hidden and nothing below `output`.

    Raises:
        ValueError: a folder or pattern has no pictures, or is that of `output` itself.
    """
    found: dict[Path, Found] = {}
    unread: list[Path] = []
    for name in inputs:
        for one in _of(name, output, unread):
            found.setdefault(_real(one.path), one)
    return list(found.values()), unread


def _of(name: str, output: Path, unread: list[Path]) -> Iterator[Found]:
    """The pictures of an INPUT; those that are not read are added to `unread`."""
    base, files = _meant(name)
    if base is None:
        yield Found(Path(name))  # or whatever the name is: opening it says what is wrong
        return
    none, before = True, len(unread)
    for file in _outside(output, base, files):
        if file.suffix.lower() in UNREAD_SUFFIXES:
            unread.append(file)
        if _is_wanted(file):
            none = False
            # The base itself is among them where nobody may look into it.
            yield Found(file, Path() if file == base else file.parent.relative_to(base))
    if none:
        suffixes, others = " ".join(sorted(READ_SUFFIXES)), kinds(unread[before:])
        got = f"only of kinds that are not read ({others})" if others else "none"
        raise ValueError(f"{name}: expected pictures ({suffixes}), got {got}")


def _meant(name: str) -> tuple[Path | None, Iterator[Path]]:
    """The folder of an INPUT that is a folder or a pattern, and the files that it means there."""
    path = Path(name)
    # `Path.is_dir` raises where nobody may look.
    if os.path.isdir(path):
        return path, _below(path)
    fixed = _fixed(path.parts)
    base, pattern = Path(*fixed), path.parts[len(fixed) :]
    if not pattern:
        return None, iter(())
    if ".." in pattern:
        raise ValueError(f"{name}: expected no .. behind a wildcard; name the folder it means")
    return base, _matching(base, pattern)


def _outside(output: Path, base: Path, files: Iterator[Path]) -> Iterator[Path]:
    """The files that are not below `output`, which must not be the very folder of them all."""
    written, read = _real(output), _real(base)
    if written == read:
        raise ValueError(
            f"--output: expected another folder than {base}, where the pictures are: a second call "
            "would take the answers for pictures"
        )
    inside = written.is_relative_to(read)
    for file in files:
        if not (inside and _real(file).is_relative_to(written)):
            yield file


def _fixed(parts: Sequence[str]) -> Sequence[str]:
    """The first parts of a name that are no wildcards, or whose brackets are those of a file."""
    for count, part in enumerate(parts):
        if glob.has_magic(part) and not os.path.exists(Path(*parts[: count + 1])):
            return parts[:count]
    return parts


def kinds(files: Sequence[Path]) -> str:
    """The suffixes of files, each once, in lower case."""
    return " ".join(sorted({file.suffix.lower() for file in files}))


def _matching(base: Path, pattern: Sequence[str]) -> Iterator[Path]:
    """Files that a pattern below `base` means: nothing hidden, and ** goes through no link."""
    ending = ("*",) if pattern[-1] == "**" else ()
    for file in sorted(base.glob("/".join((*pattern, *ending)))):
        if not any(part.startswith(".") for part in file.relative_to(base).parts):
            yield file


def _is_wanted(file: Path) -> bool:
    """A picture by its name; or what cannot be looked at or read, for opening it says why."""
    if os.path.isdir(file):
        return not os.access(file, os.R_OK)
    named = file.suffix.lower() in READ_SUFFIXES
    reachable = os.path.exists(file) and os.access(file.parent, os.X_OK)
    return named and (os.path.isfile(file) or not reachable)


def _real(path: Path) -> Path:
    """Where a path leads; `Path.resolve` would raise for links that go round in a circle."""
    return Path(os.path.realpath(path))


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
    taken = {_real(one.path) for one in found}
    folders = {one.folder: _real(output / one.folder) for one in found}
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
    """The files whose output may have, or have had, the name of another's: by stem or by number.

    Beside two files `a` the name a_1 is the second one's, or that of a file `a_1`. What earlier
    calls named is not known here.
    """
    counts = Counter((one.folder, one.path.stem) for one in found)
    shared = {key for key, count in counts.items() if count > 1}
    return {
        one.path
        for one in found
        if {(one.folder, one.path.stem), (one.folder, _NUMBER.sub("", one.path.stem))} & shared
    }
