"""Lists of pictures: CSV and Parquet, and what is said of a wrong line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training.data import Fraction, Listed
from training.tasks import Paired, Segmentation, SuperResolution

TASK = Segmentation(["ground", "thing"])
PICTURES = SuperResolution(2)

GOOD = """\
image,mask,target,split,group,camera
train/images/photo-0.png,train/masks/photo-0.png,,train,a,x
train/images/photo-1.png,train/masks/photo-1.png,val/images/photo-1.png,train,a,"y,z"

val/images/photo-0.png,val/masks/photo-0.png,,val,b,x
"""


@pytest.fixture
def folder(masked: Callable[[Path], Path]) -> Path:
    return masked(Path("set"))


def listed(text: str | bytes, **options: Any) -> Listed:
    content = text if isinstance(text, bytes) else text.encode()
    Path("set/list.csv").write_bytes(content)
    return Listed("set/list.csv", geometry=[], **options)


def images(loads: list) -> list[str]:
    return [str(load.args[0].image) for load in loads]


def test_a_list_says_which_pictures_train_and_validate(folder: Path) -> None:
    data = listed(GOOD)

    training, validation = data.training_loads(TASK), data.validation_loads(TASK)

    assert images(training) == [f"set/train/images/photo-{index}.png" for index in (0, 1)]
    assert images(validation) == ["set/val/images/photo-0.png"]
    assert all(load().mask is not None for load in [*training, *validation])
    assert data.class_names() == ["ground", "thing"]


def test_rows_of_a_test_set_are_left_out_and_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = listed(GOOD + "not/here.png,,,test,b,x\nnor/here.png,,,test,c,x\n")

    with caplog.at_level(logging.WARNING):
        parts = data.training_loads(TASK), data.validation_loads(TASK)

    assert [len(part) for part in parts] == [2, 1]
    assert caplog.messages == ["set/list.csv: 2 of 5 rows have the split test; they are left out"]


def test_a_task_with_targets_reads_these_and_no_masks(folder: Path) -> None:
    text = f"image,mask,target,split\n{A},,{B},train\n{B},,{A},val\n"

    (sample,) = [load() for load in listed(text).training_loads(Paired())]

    assert sample.target is not None
    assert sample.mask is None


def test_parquet_and_csv_say_the_same(folder: Path) -> None:
    csv, parquet = (pytest.importorskip(f"pyarrow.{name}") for name in ("csv", "parquet"))
    expected = listed(GOOD)
    parquet.write_table(csv.read_csv("set/list.csv"), "set/list.parquet")
    data = Listed("set/list.parquet", geometry=[])

    for task in (TASK, PICTURES):
        assert images(data.training_loads(task)) == images(expected.training_loads(task))
        assert images(data.validation_loads(task)) == images(expected.validation_loads(task))


def test_a_list_without_a_split_divides_its_groups(folder: Path) -> None:
    rows = "image,group\n" + "".join(
        f"{part}/images/photo-{index}.png,{part}\n" for index in (0, 1) for part in ("train", "val")
    )

    for options in ({}, {"split": Fraction(0.5, seed=4)}):
        data = listed(rows, **options)
        sides = [
            {Path(name).parts[1] for name in images(loads)}
            for loads in (data.training_loads(PICTURES), data.validation_loads(PICTURES))
        ]
        assert sorted(len(side) for side in sides) == [1, 1]
        assert not sides[0] & sides[1]


A, B = "train/images/photo-0.png", "val/images/photo-0.png"
WRONG = {
    "": "list.csv: expected a column image in the first line, got none",
    "picture,mask\na,b\n": "expected a column image in the first line, got picture, mask",
    "image,image\na,b\n": "expected each column once, got image twice",
    "image\n": "list.csv: expected rows that list pictures, got none",
    f"image\n{A}\n": "list.csv: expected at least 2 pictures",
    f"image\n{A}\n../other.png\n": (
        r"line 3: image: expected a path in the list's folder, got \.\./other\.png"
    ),
    "image\n/etc/passwd\n": "line 2: image: expected a path in the list's folder, got /etc/passwd",
    f"image\n{A}\ntrain/nothing.png\n": "line 3: image: expected a file, got train/nothing.png",
    "image\ntrain\n": "line 2: image: expected a file, got train, which is none",
    f"image\n{A}\n{B}\n./{A}\n": r"line 4: expected each picture once, got \./train.* line 2; take",
    f"image, split\n{A},train\n{B},val\n": "expected a column split, got ' split'; write it so",
    f"Image,split\n{A},train\n{B},val\n": "expected a column image, got 'Image'; write it so",
    f"image,split\n{A},train\n{B},tets\n": "line 3: split: expected train, val or test, got 'tets'",
    f"image,split\n{A},test\n{B},\n": "line 3: split: expected train or val in every row or in",
    f"image,group\n{A},a\n{B},a\n": "at least 2 groups, .* name more in the column group$",
    f"image;split\n{A};train\n": "expected commas between the columns, .*image;split'; use commas$",
    f"image\tsplit\n{A}\ttrain\n": "expected commas between the columns",
    f"image,split\n{A},train\n{B},\n": "line 3: split: expected train or val in every row or in",
    f"image,split\n{A},val\n{B},val\n": "split: expected rows of train and of val, got one side",
    f"image,split,group\n{A},train,a\n{B},val,a\n": "group: expected each group on one side, got a",
    f"image\n{A},more\n": "line 2: expected 1 cells, got another number; quote",
    f"image,group\n{A}\n": "line 2: expected 2 cells, got another number",
    'image\n"a\n': "list.csv: expected a CSV file, got unexpected end of data",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_list_is_named_with_its_line(text: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=WRONG[text]):
        listed(text).training_loads(PICTURES)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        ("", "line 3: expected a path in the column mask, got none"),
        ("no.png", "line 3: mask: expected a file, got no.png, which is none"),
        ("../no.png", "line 3: mask: expected a path in the list's folder"),
    ],
)
def test_a_row_without_a_mask_is_named(mask: str, words: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=words):
        listed(f"image,mask\n{A},train/masks/photo-0.png\n{B},{mask}\n").training_loads(TASK)


def test_a_list_in_another_encoding_is_named(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"list\.csv: expected UTF-8"):
        listed("image\ncafé.png\n".encode("latin-1")).training_loads(PICTURES)


def test_a_column_split_and_a_split_are_not_both_obeyed(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"split: expected none, as .* has a column split"):
        listed(GOOD, split=Fraction()).training_loads(TASK)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("list.txt", r"list\.txt: expected a list that ends in \.csv or \.parquet"),
        ("set", r"set: expected a list that ends in \.csv or \.parquet, got a folder"),
        ("none.csv", r"none\.csv: expected a list of pictures, got no file"),
        ("set/list.parquet", r"list\.parquet: expected a Parquet file, got"),
    ],
)
def test_a_file_that_is_no_list_is_named(name: str, words: str, folder: Path) -> None:
    (folder / "list.parquet").write_bytes(b"no parquet")

    with pytest.raises(ValueError, match=words):
        Listed(name, geometry=[]).training_loads(PICTURES)


def test_links_of_the_folder_are_its_owners(folder: Path, photos: Callable[..., Path]) -> None:
    (folder / "linked").symlink_to(photos(Path("elsewhere")).absolute())

    data = listed("image\nlinked/photo-0.png\nlinked/photo-1.png\n")

    assert len(data.training_loads(PICTURES)) == 1
