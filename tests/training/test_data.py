"""Folders of pictures: what is found, how it is split, and what is said when it is wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.data import EmbeddedPhotos, EmbeddedShapes, Fraction, Masks, Photos
from training.data.embedded import SHAPES, TRAINING, VALIDATION, generate_shapes, photographs
from training.data.files import (
    Entry,
    find_masked,
    find_pictures,
    read_entry,
)
from training.tasks import Segmentation, SuperResolution

TASK = Segmentation(["ground", "thing"])
TASK_2X = SuperResolution(2)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def test_pictures_are_found_in_any_tree_in_one_order(photos: Callable[..., Path]) -> None:
    photos(Path("root/b"))
    photos(Path("root/a/deep"))
    Path("root/notes.txt").write_text("no picture")

    found = find_pictures(Path("root"))

    assert [str(path) for path in found] == [
        "root/a/deep/photo-0.png",
        "root/a/deep/photo-1.png",
        "root/b/photo-0.png",
        "root/b/photo-1.png",
    ]


def test_a_missing_folder_is_named() -> None:
    with pytest.raises(ValueError, match="expected a folder of pictures, got nowhere"):
        find_pictures(Path("nowhere"))


def test_a_folder_without_pictures_is_named_with_what_counts_as_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"expected pictures \(.*\.png.*\) in {tmp_path}"):
        find_pictures(tmp_path)


def test_pictures_and_masks_meet_by_name(masked: Callable[[Path], Path]) -> None:
    entries = find_masked(masked(Path("set")) / "train")

    assert [(e.image.name, e.mask.name) for e in entries if e.mask] == [
        ("photo-0.png", "photo-0.png"),
        ("photo-1.png", "photo-1.png"),
    ]


def test_a_picture_without_a_mask_is_named(masked: Callable[[Path], Path]) -> None:
    part = masked(Path("set")) / "train"
    (part / "masks" / "photo-1.png").unlink()

    with pytest.raises(ValueError, match=r"images/photo-1\.png: expected a mask .*add it"):
        find_masked(part)


def test_all_pictures_without_a_mask_are_told_at_once(photos: Callable[..., Path]) -> None:
    photos(Path("set/images"), count=9, size=(8, 8))
    photos(Path("set/masks"), count=2, size=(8, 8))

    with pytest.raises(
        ValueError,
        match=r"photo-2\.png, .*photo-6\.png and 2 more: expected a mask .* in set/masks,",
    ):
        find_masked(Path("set"))


def test_masks_in_a_folder_of_another_name_are_found_in_the_message(
    masked: Callable[[Path], Path],
) -> None:
    part = masked(Path("set")) / "train"
    (part / "masks").rename(part / "labels")

    with pytest.raises(
        ValueError, match=r"got set/train/masks, .*; set/train holds images, labels"
    ):
        find_masked(part)


@pytest.mark.parametrize("layout", ["{kind}", "{part}/{kind}", "{kind}/{part}"])
@pytest.mark.parametrize("kinds", [("images", "masks"), ("input", "target")])
def test_masks_among_the_photographs_are_told(
    layout: str,
    kinds: tuple[str, str],
    photos: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    parts = ("train", "val") if "part" in layout else ("",)
    for part in parts:
        for kind in kinds:
            photos(Path("root", layout.format(kind=kind, part=part)), size=(8, 8))

    with caplog.at_level(logging.WARNING):
        Photos("root", geometry=[]).training_loads(TASK_2X)

    told = Path("root", layout.format(kind=kinds[0], part="train").removesuffix("/train"))
    (said,) = (text for text in caplog.messages if "photographs lie in a folder" in text)
    count = 2 * len(parts)
    assert said.startswith(f"{count} of {2 * count} photographs lie in a folder {kinds[1]} beside")
    assert said.endswith(f"say --data.root {told}")

    caplog.clear()
    Photos(str(told), geometry=[]).training_loads(TASK_2X)
    assert not caplog.messages


@pytest.mark.parametrize("folder", ["images", "masks"])
def test_two_files_of_one_name_are_not_guessed_about(
    folder: str, masked: Callable[[Path], Path]
) -> None:
    part = masked(Path("set")) / "train"
    save(part / folder / "photo-1.bmp", np.zeros((64, 80), np.uint8))

    with pytest.raises(ValueError, match=r"photo-1\.png: expected one file of this name, got .*"):
        find_masked(part)


def test_names_that_repeat_from_folder_to_folder_meet_by_their_paths(tmp_path: Path) -> None:
    for day in ("monday", "tuesday"):
        for part in ("images", "masks"):
            save(tmp_path / part / day / "DSC_0001.png", np.zeros((8, 8), np.uint8))

    entries = find_masked(tmp_path)

    assert [(e.image.parent.name, e.mask.parent.name) for e in entries if e.mask] == [
        ("monday", "monday"),
        ("tuesday", "tuesday"),
    ]


def test_masks_may_all_end_alike_behind_the_names_of_their_pictures(tmp_path: Path) -> None:
    for name in ("a", "a_1", "b"):
        save(tmp_path / "images" / f"{name}.png", np.zeros((8, 8), np.uint8))
        save(tmp_path / "masks" / f"{name}_mask.png", np.zeros((8, 8), np.uint8))

    entries = find_masked(tmp_path)

    assert [(e.image.stem, e.mask.stem) for e in entries if e.mask] == [
        ("a", "a_mask"),
        ("a_1", "a_1_mask"),
        ("b", "b_mask"),
    ]


@pytest.mark.parametrize(
    ("pictures", "masks"),
    [
        (["a_001", "b"], ["a_001_mask", "b_other"]),
        (["a_001"], ["a_001_mask", "a_001_outline"]),
        (["b", "a_001"], ["b", "a_001_mask"]),
    ],
)
def test_a_mask_whose_name_goes_on_by_itself_is_told(
    pictures: list[str], masks: list[str], tmp_path: Path
) -> None:
    for part, names in (("images", pictures), ("masks", masks)):
        for name in names:
            save(tmp_path / part / f"{name}.png", np.zeros((8, 8), np.uint8))

    with pytest.raises(ValueError, match=r"a_001\.png.*rename a_001_mask\.png, or name both in"):
        find_masked(tmp_path)


def test_a_run_keeps_its_batches_up_to_the_end_of_an_epoch(photos: Callable[..., Path]) -> None:
    data = Photos(str(photos(Path("photos"))), geometry=[], batch_size=4)

    data.load_state_dict({"epoch": 3, "batch": 0, "batch_size": 8})
    with pytest.raises(ValueError, match="batch_size: expected 8 up to the end of the epoch"):
        data.load_state_dict({"epoch": 3, "batch": 5, "batch_size": 8})


def test_pictures_of_16_bits_that_are_read_as_8_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(30):
        save(tmp_path / f"{number:02}.png", np.full((8, 8), 9, np.uint8))
    save(tmp_path / "00.png", np.full((8, 8), 999, np.uint16))

    for depth, told in ((16, 0), (8, 1)):
        caplog.clear()
        Photos(str(tmp_path), geometry=[], depth=depth).training_loads(TASK_2X)
        assert caplog.text.count("00.png holds 16 bits a sample, of which 8 are used") == told


def test_a_gray_picture_has_three_equal_channels() -> None:
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    save(Path("a/gray.png"), gray)

    sample = read_entry(Entry(find_pictures(Path("a"))[0]))

    assert (sample.image == gray[..., None]).all()
    assert sample.image.flags.c_contiguous


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"classes\.txt: expected the names of the classes, a line each, got no file"),
        (b"caf\xe9\nsea\n", r"classes\.txt: expected UTF-8"),
    ],
)
def test_a_classes_file_that_is_missing_or_unreadable_is_named(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "classes.txt").write_bytes(content)

    with pytest.raises(ValueError, match=words):
        Masks(str(tmp_path), geometry=[]).task_arguments()


def test_the_classes_are_the_lines_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_bytes("\ufeffsky \r\nsea\r\n\r\n".encode())

    assert Masks(str(tmp_path), geometry=[]).task_arguments() == {"class_names": ["sky", "sea"]}


def names(loads: list) -> list[str]:
    return [str(load.args[0].image) for load in loads]


@pytest.mark.parametrize("count", [2, 9, 23])
def test_the_split_of_photos_is_whole_stable_and_does_not_overlap(
    count: int, photos: Callable[..., Path]
) -> None:
    data, task = Photos(str(photos(Path("root"), count, (8, 8))), geometry=[]), SuperResolution(2)

    training, validation = names(data.training_loads(task)), names(data.validation_loads(task))

    assert not set(training) & set(validation)
    assert len(training) + len(validation) == count
    assert len(validation) == -(-count // 10)
    assert training == names(Photos("root", geometry=[]).training_loads(task))


def test_train_and_val_folders_are_the_split(photos: Callable[..., Path]) -> None:
    photos(Path("root/train"))
    photos(Path("root/val"))
    photos(Path("more"))
    data, task = Photos("root", also=["more"], geometry=[]), SuperResolution(2)

    assert {Path(n).parent.name for n in names(data.training_loads(task))} == {"train", "more"}
    assert {Path(n).parent.name for n in names(data.validation_loads(task))} == {"val"}


def test_one_photo_cannot_be_split(photos: Callable[..., Path]) -> None:
    photos(Path("root"), count=1)

    with pytest.raises(ValueError, match="root: expected at least 2 pictures"):
        Photos("root", geometry=[]).training_loads(SuperResolution(2))


def test_masks_are_for_segmentation(masked: Callable[[Path], Path]) -> None:
    data = Masks(str(masked(Path("set"))), geometry=[])

    with pytest.raises(
        ValueError,
        match=r"needs masks .*, got SuperRes.* none; use .*\.Photos",
    ):
        data.training_loads(SuperResolution(2))
    assert len(data.training_loads(TASK)) == len(data.validation_loads(TASK)) == 2


@pytest.mark.parametrize("batch_size", [0, 5])
def test_a_batch_is_at_least_one_and_at_most_an_epoch(batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size: expected 1 to .* = 4, got {batch_size}"):
        Photos("root", geometry=[], batch_size=batch_size, epoch_samples=4)


@pytest.mark.parametrize("longest", [0, -1])
def test_a_validation_picture_has_at_least_a_pixel(longest: int) -> None:
    with pytest.raises(ValueError, match=f"validation_longest: expected at least 1, got {longest}"):
        Photos("root", geometry=[], validation_longest=longest)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_workers": -1}, "num_workers: expected at least 0, got -1"),
        ({"cache_bytes": -1}, "cache_bytes: expected at least 0, got -1"),
        ({"prefetch": 0}, "prefetch: expected at least 1 batch, got 0"),
        ({"depth": 12}, "depth: expected one of 8, 16, got 12"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Photos("root", geometry=[], **options)


def test_embedded_photos_need_no_download_and_do_not_overlap() -> None:
    assert not set(TRAINING) & set(VALIDATION)
    data, task = EmbeddedPhotos(geometry=[]), SuperResolution(2)

    training, validation = names(data.training_loads(task)), names(data.validation_loads(task))

    assert len(training) == len(TRAINING)
    assert all(Path(path).is_file() for path in training + validation)


def test_a_generated_picture_is_the_same_for_the_same_index() -> None:
    photo = photographs(("coffee",))[0]

    first, again, other = (generate_shapes(photo, index) for index in (3, 3, 4))

    assert (first.image == again.image).all()
    assert first.mask is not None
    assert again.mask is not None
    assert (first.mask == again.mask).all()
    assert first.name == again.name != other.name
    assert (first.image != other.image).any()


def test_no_mask_of_generated_shapes_is_on_both_sides() -> None:
    data = EmbeddedShapes(count=16, geometry=[])
    training, validation = (
        {sample.mask.tobytes() for sample in (load() for load in loads) if sample.mask is not None}
        for loads in (data.training_loads(TASK), data.validation_loads(TASK))
    )
    assert len(training) == 16
    assert len(validation) == 2
    assert not training & validation


@pytest.mark.parametrize("index", range(4))
def test_a_mask_of_generated_shapes_covers_what_was_drawn(index: int) -> None:
    data = EmbeddedShapes(count=8, geometry=[])
    load: Any = data.training_loads(TASK)[index]
    sample = load()
    plain = read_entry(Entry(load.args[0])).image
    random = np.random.default_rng([1, index])
    top, left = (int(random.integers(side - 192 + 1)) for side in plain.shape[:2])
    part = plain[top : top + 192, left : left + 192]
    changed = np.any(sample.image != part, axis=2)

    assert sample.mask is not None
    assert set(np.unique(sample.mask)) <= set(range(len(SHAPES)))
    assert not changed[sample.mask == 0].any()
    assert changed[sample.mask > 0].mean() > 0.98


@pytest.mark.data
def test_the_sequences_of_camvid_are_on_one_side_each(test_data: Path) -> None:
    root = test_data / "seg" / "camvid"
    data = Masks(str(root / "train"), split=Fraction(0.3, group="^[^_]+"), geometry=[])
    task = Segmentation(Masks(str(root), geometry=[]).class_names())

    sides = [
        {Path(name).name.partition("_")[0] for name in names(loads)}
        for loads in (data.training_loads(task), data.validation_loads(task))
    ]

    assert all(sides)
    assert not sides[0] & sides[1]
