"""Which pictures of a set validate, where its folders do not say so."""

from __future__ import annotations

import hashlib
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from training.data.files import Entry, check_folder

Parts = tuple[list[Entry], list[Entry]]

# How others name the folders of a split.
SIDE_NAMES = ("train", "training", "val", "valid", "validation")


class Split(ABC):
    """Chooses the pictures that validate; it keeps its arguments as attributes of their names."""

    @abstractmethod
    def validating(self, entries: Sequence[Entry]) -> list[bool]:
        """Whether each picture validates; ValueError where these pictures cannot be split so."""


class EveryTenth(Split):
    """The first picture and every tenth after it: of a folder by name, of a list by its rows."""

    def validating(self, entries: Sequence[Entry]) -> list[bool]:
        return [index % 10 == 0 for index in range(len(entries))]


class Fraction(Split):
    """About a fraction of the pictures, or of groups of them, by a hash of the name.

    A picture stays on its side when others are added or taken away. A group (a patient, a scene,
    a drive) is never on both sides: pictures that are nearly alike would make the score flatter.

    Args:
        fraction: of the pictures or groups, between 0 and 1.
        seed: another seed is another split.
        group: regular expression that is searched in a picture's name, folders included: what its
            first parentheses match, or else the whole match, is the picture's group. None: the
            group that a list names, else each picture by itself.
    """

    def __init__(self, fraction: float = 0.1, seed: int = 0, group: str | None = None) -> None:
        if not 0 < fraction < 1:
            raise ValueError(f"fraction: expected a number between 0 and 1, got {fraction}")
        try:
            self._pattern = None if group is None else re.compile(group)
        except re.error as error:
            raise ValueError(
                f"group: expected a regular expression, got {group!r}: {error}"
            ) from error
        self.fraction, self.seed, self.group = fraction, seed, group

    def validating(self, entries: Sequence[Entry]) -> list[bool]:
        keys = [self._key(entry) for entry in entries]
        ranks = {key: self._rank(key) for key in keys}
        ordered = sorted(ranks, key=ranks.__getitem__)
        if len(ordered) < 2:
            remedy = (
                "name more in the column group" if self.group is None else "change the expression"
            )
            raise ValueError(
                f"split: expected at least 2 groups, one to validate, got {ordered}; {remedy}"
            )
        # Of few groups chance could leave one side empty.
        count = sum(rank < self.fraction for rank in ranks.values())
        chosen = set(ordered[: min(max(count, 1), len(ordered) - 1)])
        return [key in chosen for key in keys]

    def _key(self, entry: Entry) -> str:
        if self._pattern is None:
            return entry.name if entry.group is None else entry.group
        match = self._pattern.search(entry.name)
        group = match and match[1 if self._pattern.groups else 0]
        if group is None:
            raise ValueError(
                f"group: expected {self.group!r} to match every picture's name, got {entry.name}"
            )
        return group

    def _rank(self, key: str) -> float:
        """A number in [0, 1) that depends on the key and the seed alone."""
        digest = hashlib.sha256(f"{self.seed} {key}".encode()).digest()
        return int.from_bytes(digest[:7]) / 2**56


class NamesFile(Split):
    """The pictures that a text file names, a line each, with or without their suffix.

    Args:
        path: the file, UTF-8; a name is a picture's path below the set's folder, with slashes.
    """

    def __init__(self, path: str) -> None:
        # Absolute: the checkpoint must find it from any folder.
        self.path = str(Path(path).absolute())

    def validating(self, entries: Sequence[Entry]) -> list[bool]:
        names = read_lines(Path(self.path), "the names of the pictures that validate")
        listed = [{entry.name, entry.name.rpartition(".")[0]} for entry in entries]
        known = set().union(*listed)
        for number, name in enumerate(names, start=1):
            if name and name not in known:
                raise ValueError(
                    f"{self.path}, line {number}: expected the name of a picture of the set, such "
                    f"as {entries[0].name}, got {name}"
                )
        return [not forms.isdisjoint(names) for forms in listed]


def read_lines(path: Path, what: str) -> list[str]:
    """The lines of a text file without space around them.

    Raises:
        ValueError: there is no file, or it is not UTF-8.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected {what}, a line each, got no file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, got {error}; save it as UTF-8") from error
    return [line.strip() for line in text.rstrip().splitlines()]


def split_folder(
    root: Path,
    split: Split | None,
    find: Callable[[Path], list[Entry]],
    folders: Sequence[str] = (),
) -> Parts:
    """Training and validation of a folder: its folders `train` and `val`, else what a split says.

    Args:
        find: gives the pictures of a folder.
        folders: that `find` looks for, if it does for any.

    Raises:
        ValueError: there are both, or one side is empty, or folders are missing or lie the other
            way round: images/train for train/images.
    """
    check_folder(root)
    if (root / "train").is_dir() and (root / "val").is_dir():
        if split is not None:
            raise ValueError(
                f"split: expected none, as {root} holds folders train and val, got "
                f"{type(split).__name__}; give root one of them, or no split"
            )
        return find(root / "train"), find(root / "val")
    expected = ", ".join(f"{side}/{folder}" for side in ("train", "val") for folder in folders)
    if not all((root / folder).is_dir() for folder in folders):
        raise ValueError(
            f"{root}: expected the folders {expected}, or {' and '.join(folders)} to be split, "
            f"got {', '.join(sorted(path.name for path in root.iterdir())) or 'none'}"
            f"{_one_side(root, folders)}"
        )
    within = [f"{folder}/{side}" for folder in folders for side in side_folders(root / folder)]
    if split is None and within:
        raise ValueError(
            f"{root}: expected the folders {expected}, got {', '.join(within)}; move them, or say "
            "--data.split Fraction to have all split anew"
        )
    if split is None and (sides := side_folders(root)):
        logging.getLogger(__name__).warning(
            "%s holds %s, but not both train and val: every tenth picture of all its folders "
            "validates, those of a test set train too; name the one that trains train and the one "
            "that validates val, or give the one that trains as the root",
            *(root, " and ".join(sides)),
        )
    return divide(find(root), split or EveryTenth(), str(root))


def side_folders(root: Path) -> list[str]:
    """The names of those folders in `root` that seem to be sides of a split, such as `Train`."""
    return sorted(p.name for p in root.iterdir() if p.name.lower() in SIDE_NAMES and p.is_dir())


def _one_side(root: Path, folders: Sequence[str]) -> str:
    """What to do where all is there but what validates."""
    if not all((root / "train" / folder).is_dir() for folder in folders):
        return ""
    moved = ", with classes.txt in it," if (root / "classes.txt").is_file() else ""
    return f"; give {root / 'train'}{moved} as the root to have it split"


def divide(entries: list[Entry], split: Split, where: str) -> Parts:
    """The pictures that train and those that validate; ValueError where one side is empty."""
    if len(entries) < 2:
        raise ValueError(
            f"{where}: expected at least 2 pictures, one to validate, got {len(entries)}"
        )
    validating = split.validating(entries)
    if all(validating) or not any(validating):
        side = "train on" if all(validating) else "validate"
        raise ValueError(f"{where}: expected pictures to {side}, got none from the split")
    pairs = list(zip(entries, validating, strict=True))
    return [e for e, chosen in pairs if not chosen], [e for e, chosen in pairs if chosen]
