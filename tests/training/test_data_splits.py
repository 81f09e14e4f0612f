"""Which pictures validate: by chance, by group, by name; and that no picture does both."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data import Fraction, Masks, NamesFile, Pairs, Photos
from training.data.cache import Samples
from training.data.checks import warn_of_leaks
from training.data.files import Entry
from training.recipe import build
from training.tasks import Paired, Sample, Segmentation, SuperResolution

TASK = SuperResolution(2)
names = st.lists(st.text("abc/", min_size=1), min_size=2, max_size=40, unique=True)


def entries(names: list[str]) -> list[Entry]:
    return [Entry(Path(name), name=name) for name in names]


def chosen(split: Fraction | NamesFile, names: list[str]) -> set[str]:
    validating = split.validating(entries(names))
    return {name for name, validates in zip(names, validating, strict=True) if validates}


@given(names, st.floats(0.01, 0.99), st.integers(0, 9))
def test_both_sides_of_a_fraction_hold_a_picture(
    names: list[str], fraction: float, seed: int
) -> None:
    validating = Fraction(fraction, seed).validating(entries(names))

    assert any(validating)
    assert not all(validating)


def test_a_picture_stays_on_its_side_when_others_are_added() -> None:
    few, many = ([f"{number:04d}.png" for number in range(count)] for count in (300, 2000))

    assert chosen(Fraction(0.2), many) & set(few) == chosen(Fraction(0.2), few[::-1])
    assert len(chosen(Fraction(0.2), many)) == pytest.approx(400, abs=60)
    assert chosen(Fraction(0.2, seed=1), many) != chosen(Fraction(0.2), many)


def test_a_group_is_on_one_side() -> None:
    names = [f"patient-{number // 7}/slice-{number % 7}.png" for number in range(350)]

    validating = chosen(Fraction(0.3, group=r"^(.+)/"), names)

    sides = {name.partition("/")[0] for name in validating}
    assert sides.isdisjoint(name.partition("/")[0] for name in set(names) - validating)
    assert 5 <= len(sides) <= 25


WRONG_FRACTIONS = {
    "fraction: expected a number between 0 and 1, got 1.0": lambda: Fraction(1.0),
    "group: expected a regular expression, got '\\('": lambda: Fraction(group="("),
    "group: expected 'z' to match every picture's name, got a": lambda: chosen(
        Fraction(group="z"), ["a", "b"]
    ),
    "expected at least 2 groups, .* got \\['scene'\\]; change the expression": lambda: chosen(
        Fraction(group="scene"), ["scene-1", "scene-2"]
    ),
}


@pytest.mark.parametrize("words", WRONG_FRACTIONS)
def test_a_fraction_that_cannot_be_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match=words):
        WRONG_FRACTIONS[words]()


def test_a_file_names_the_pictures_that_validate() -> None:
    Path("val.txt").write_text("\ufeffa/one.png\n\nb/two\n", encoding="utf-8")

    validating = chosen(NamesFile("val.txt"), ["a/one.png", "a/two.png", "b/two.jpg"])

    assert validating == {"a/one.png", "b/two.jpg"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"val\.txt: expected the names of the pictures that validate, .* got no file"),
        (b"caf\xe9", r"val\.txt: expected UTF-8"),
        (b"a.png\nc.png\n", r"val\.txt, line 2: expected .* such as a\.png, got c\.png"),
        (b"", "root: expected pictures to validate, got none"),
        (b"a.png\nb.png\n", "root: expected pictures to train on, got none"),
    ],
)
def test_a_file_of_names_that_does_not_fit_is_named(
    content: bytes | None, words: str, photos: Callable[..., Path]
) -> None:
    root = photos(Path("root"))
    for old, new in (("photo-0", "a"), ("photo-1", "b")):
        (root / f"{old}.png").rename(root / f"{new}.png")
    if content is not None:
        Path("val.txt").write_bytes(content)

    with pytest.raises(ValueError, match=words):
        Photos("root", split=NamesFile("val.txt"), geometry=[]).training_loads(TASK)


def test_folders_and_a_split_are_not_both_obeyed(photos: Callable[..., Path]) -> None:
    photos(Path("root/train"))
    photos(Path("root/val"))

    with pytest.raises(ValueError, match=r"split: expected none, as root holds .* got Fraction"):
        Photos("root", split=Fraction(), geometry=[]).validation_loads(TASK)


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (["train", "valid", "test"], "train and valid"),
        (["Train", "Val"], "Train and Val"),
        (["val", "others"], "val"),
    ],
)
def test_folders_that_seem_to_be_a_split_and_are_none_are_told(
    folders: list[str], told: str, photos: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    for folder in folders:
        photos(Path("root", folder))

    with caplog.at_level(logging.WARNING):
        data = Photos("root", geometry=[])
        data.training_loads(TASK)
        data.validation_loads(TASK)

    (record,) = caplog.records
    assert f"root holds {told}, but not both train and val: " in record.getMessage()
    caplog.clear()
    Photos("root", split=Fraction(group="^[^/]+"), geometry=[]).training_loads(TASK)
    assert not caplog.records


@pytest.mark.parametrize(
    ("made", "got"), [("train/images", "train"), ("notes", "notes"), ("", "none")]
)
def test_masks_that_lie_elsewhere_are_told_where_they_are_looked_for(made: str, got: str) -> None:
    Path("set", made).mkdir(parents=True)

    with pytest.raises(
        ValueError,
        match="set: expected the folders train/images, train/masks, val/images, val/masks, or "
        f"images and masks to be split, got {got}$",
    ):
        Masks("set", geometry=[]).validation_loads(Segmentation(["a", "b"]))


def test_masks_that_train_alone_can_be_split(masked: Callable[[Path], Path]) -> None:
    root = masked(Path("set"))
    shutil.rmtree(root / "val")

    with pytest.raises(
        ValueError, match=r"got classes.txt, train; give set/train, with classes\.txt in it, as the"
    ):
        Masks("set", geometry=[]).training_loads(Segmentation(["ground", "thing"]))
    alone = Masks("set/train", geometry=[])
    with pytest.raises(ValueError, match=r"set/train/classes\.txt: .*no file; move .*set/classes"):
        alone.class_names()
    (root / "classes.txt").rename(root / "train" / "classes.txt")
    assert len(alone.training_loads(Segmentation(alone.class_names()))) == 1


@pytest.mark.parametrize("data", [Masks, Pairs])
def test_a_split_within_the_folders_of_a_kind_is_not_mixed(
    data: type[Masks] | type[Pairs], photos: Callable[..., Path]
) -> None:
    one, other = {Masks: ("images", "masks"), Pairs: ("input", "target")}[data]
    for side in ("train", "val"):
        for kind in (one, other):
            photos(Path("set", kind, side))
    task = Segmentation(["ground", "thing"]) if data is Masks else Paired()

    with pytest.raises(
        ValueError,
        match=f"set: expected the folders train/{one}, train/{other}, val/{one}, val/{other}, got "
        f"{one}/train, {one}/val, {other}/train, {other}/val; move them, or say --data.split",
    ):
        data("set", geometry=[]).training_loads(task)
    mixed = data("set", split=Fraction(0.5), geometry=[])
    assert len(mixed.training_loads(task)) + len(mixed.validation_loads(task)) == 4


def test_a_root_that_does_not_exist_is_told_before_what_lies_in_it() -> None:
    Path("sets/good").mkdir(parents=True)
    told = "expected a folder of pictures, got sets/god, which is none; sets holds good$"

    with pytest.raises(ValueError, match=told):
        Masks("sets/god", geometry=[]).class_names()
    with pytest.raises(ValueError, match=told):
        Pairs("sets/god", geometry=[]).training_loads(Paired())


def test_masks_need_no_folders_for_their_split(masked: Callable[[Path], Path]) -> None:
    root = masked(Path("set")) / "train"
    task = Segmentation(["ground", "thing"])

    default = Masks(str(root), geometry=[])
    by_name = Masks(str(root), split=NamesFile("val.txt"), geometry=[])
    Path("val.txt").write_text("photo-1")

    assert default.validation_loads(task)[0]().name == "photo-0"
    assert by_name.validation_loads(task)[0]().name == "photo-1"
    assert by_name.training_loads(task)[0]().name == "photo-0"


def test_a_checkpoint_finds_the_pictures_that_validated(
    photos: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch
) -> None:
    photos(Path("root"), 12, (8, 8))
    Path("val.txt").write_text("photo-3\nphoto-7\n")
    for split in (Fraction(0.4, seed=3, group=r"\d+"), NamesFile("val.txt")):
        data = Photos("root", split=split, depth=16, geometry=[])
        source = data.source()
        expected = [load().name for load in data.validation_loads(TASK)]
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path_factory.mktemp("elsewhere"))
            again = build(source)
            assert [load().name for load in again.validation_loads(TASK)] == expected
            assert again.depth == 16


def test_a_file_that_trains_and_validates_is_named(photos: Callable[..., Path]) -> None:
    root = photos(Path("root"))
    photos(Path("more"), 1)
    (Path("more") / "link.png").symlink_to((root / "photo-0.png").absolute())

    with pytest.raises(ValueError, match=r"photo-0\.png: expected .* as more/link\.png; take it"):
        Photos("root", also=["more"], geometry=[]).training_loads(TASK)


def test_equal_pixels_on_both_sides_are_told(
    picture: Callable[..., np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    def samples(**seeds: int) -> Samples:
        named = [Sample(name, picture(8, 8, seed=seed)) for name, seed in seeds.items()]
        return Samples([partial(lambda sample: sample, sample) for sample in named], cache_bytes=0)

    with caplog.at_level(logging.WARNING):
        warn_of_leaks(samples(one=0, two=1), samples(three=2))
        assert caplog.text == ""
        warn_of_leaks(samples(one=0, two=1), samples(copy=1, three=2))

    assert "1 of 2 pictures that validate have the pixels" in caplog.text
    assert "such as copy and two" in caplog.text
