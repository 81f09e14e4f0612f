"""Pictures that a table lists, with their masks or targets."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from training.data.file_data import FileData, read_classes
from training.data.files import Entry
from training.data.splits import EveryTenth, Fraction, Parts, Split, divide
from training.tasks.task import Task

COLUMNS = ("image", "mask", "target", "split", "group")
SIDES = ("train", "val")
# Not read: what a list keeps for a test at the end.
TEST = "test"

# A row: where it is, for an error, and its cells that are not empty by column.
Row = tuple[str, dict[str, str]]


class Listed(FileData):
    """The pictures of a CSV file (UTF-8, commas) or a Parquet file, one a row.

    The column `image` names the picture; `mask` its class ids, for a segmentation, whose classes
    stand in classes.txt beside the list; `target` its picture or map, for a task that has one of
    its own. `split` is train or val; rows of test are left out. Pictures of one `group` (a patient,
    a scene) are never on both sides. Other columns are not read.

    Paths are relative to the list's folder and lie in it: a list may come from anyone, so `..` and
    absolute paths are refused. Links in that folder are its owner's, and are followed.

    Args:
        path: the list.
        split: which pictures validate where no column says so; by default every tenth, or a tenth
            of the groups.
    """

    def __init__(self, path: str, split: Split | None = None, **options: Any) -> None:
        super().__init__(split, **options)
        self.path = Path(path)
        _check_suffix(self.path)

    def where(self) -> dict[str, Any]:
        return {"path": str(self.path.absolute()), **super().where()}

    def class_names(self) -> list[str] | None:
        folder = self.path.parent
        return read_classes(folder) if (folder / "classes.txt").is_file() else None

    def parts(self, task: Task) -> Parts:
        columns = ["image", *{"masks": ["mask"], "targets": ["target"]}.get(task.needs, [])]
        entries: list[Entry] = []
        sides: list[str | None] = []
        seen: dict[Path, str] = {}
        for place, row in read_rows(self.path):
            side = row.get("split")
            sides.append(side)
            if side not in (None, *SIDES, TEST):
                raise ValueError(f"{place}: split: expected train, val or test, got {side!r}")
            if (side is None) != (sides[0] is None):
                raise ValueError(f"{place}: split: expected train or val in every row or in none")
            if side == TEST:
                continue
            entry = self._entry(place, row, columns)
            if entry.image in seen:
                raise ValueError(
                    f"{place}: expected each picture once, got {row['image']} again after "
                    f"{seen[entry.image]}; take one away"
                )
            seen[entry.image] = place
            entries.append(entry)
        if (left_out := sides.count(TEST)) > 0:
            logging.getLogger(__name__).warning(
                "%s: %d of %d rows have the split test; they are left out",
                *(self.path, left_out, len(sides)),
            )
        parts = self._divided(entries, [side for side in sides if side in SIDES])
        _check_groups(self.path, parts)
        return parts

    def _entry(self, place: str, row: dict[str, str], columns: list[str]) -> Entry:
        """The files of a row that the task needs."""
        if missing := [column for column in columns if column not in row]:
            raise ValueError(f"{place}: expected a path in the column {missing[0]}, got none")
        files = {column: self._file(place, column, row[column]) for column in columns}
        name = PurePosixPath(row["image"]).as_posix()
        return Entry(**files, name=name, group=row.get("group"))

    def _file(self, place: str, column: str, path: str) -> Path:
        parts = PurePosixPath(path)
        if parts.is_absolute() or ".." in parts.parts or Path(path).is_absolute():
            raise ValueError(
                f"{place}: {column}: expected a path in the list's folder, got {path}; write it "
                "relative to that folder, or move the file or the list"
            )
        file = self.path.parent / parts
        if not file.is_file():
            raise ValueError(f"{place}: {column}: expected a file, got {path}, which is none")
        return file

    def _divided(self, entries: list[Entry], sides: list[str]) -> Parts:
        if not sides:
            grouped = any(entry.group is not None for entry in entries)
            default = Fraction() if grouped else EveryTenth()
            return divide(entries, self.split or default, str(self.path))
        if self.split is not None:
            raise ValueError(
                f"split: expected none, as {self.path} has a column split, got "
                f"{type(self.split).__name__}; leave one of them out"
            )
        parts: Parts = ([], [])
        for entry, side in zip(entries, sides, strict=True):
            parts[SIDES.index(side)].append(entry)
        if not all(parts):
            raise ValueError(f"{self.path}: split: expected rows of train and of val, got one side")
        return parts


def _check_groups(path: Path, parts: Parts) -> None:
    training, validation = ({entry.group for entry in part} - {None} for part in parts)
    if shared := sorted(map(str, training & validation)):
        raise ValueError(
            f"{path}: group: expected each group on one side, got {', '.join(shared[:5])} on both; "
            "split by groups, for which no column split is needed"
        )


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a CSV or Parquet list; empty cells and unknown columns are left out.

    Raises:
        ValueError: the file is missing, no list, without a column image or without rows.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected a list of pictures, got no file")
    read = _read_csv if path.suffix.lower() == ".csv" else _read_parquet
    empty = True
    for place, row in read(path):
        cells = {column: row[column] for column in COLUMNS if row.get(column)}
        if cells:
            empty = False
            yield place, cells
    if empty:
        raise ValueError(f"{path}: expected rows that list pictures, got none")


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in (".csv", ".parquet"):
        what = "a folder" if path.is_dir() else "another name"
        raise ValueError(f"{path}: expected a list that ends in .csv or .parquet, got {what}")


def _read_csv(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            _check_columns(path, list(reader.fieldnames or []))
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise ValueError(
                        f"{place}: expected {len(reader.fieldnames or [])} cells, got another "
                        "number; quote a cell that holds a comma"
                    )
                yield place, {column: cell.strip() for column, cell in row.items()}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8, got {error}; save it as UTF-8") from error
    except csv.Error as error:
        raise ValueError(f"{path}: expected a CSV file, got {error}; save it again") from error


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ValueError(
            f"{path}: expected pyarrow, which reads Parquet, got none; pip install pyarrow, or "
            "save the list as CSV"
        ) from error
    try:
        names = parquet.read_schema(path).names
        _check_columns(path, names)
        rows = parquet.read_table(path, columns=[c for c in COLUMNS if c in names]).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path}: expected a Parquet file, got {error}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}, row {number}", {c: str(cell) for c, cell in row.items() if cell is not None}


def _check_columns(path: Path, columns: list[str]) -> None:
    if len(columns) == 1 and {";", "\t"} & set(columns[0]):
        raise ValueError(
            f"{path}: expected commas between the columns, got {columns[0]!r}; use commas"
        )
    for name in columns:
        if name not in COLUMNS and (meant := name.strip().lower()) in COLUMNS:
            raise ValueError(f"{path}: expected a column {meant}, got {name!r}; write it so")
    if "image" not in columns:
        raise ValueError(
            f"{path}: expected a column image in the first line, got {', '.join(columns) or 'none'}"
        )
    if repeated := [name for name in COLUMNS if columns.count(name) > 1]:
        raise ValueError(f"{path}: expected each column once, got {repeated[0]} twice")
