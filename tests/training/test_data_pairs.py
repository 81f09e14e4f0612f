"""Pairs of files: pictures, maps, and what is said where they do not fit."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import Pairs
from training.data.files import Entry, find_photos, find_pictures, loads_of, read_entry
from training.tasks import Paired, Segmentation, SuperResolution

PICTURES = Paired()


@pytest.fixture
def pairs(photos: Callable[..., Path]) -> Path:
    """A folder of three pairs: the target is the input, mirrored."""
    root = Path("root")
    for path in find_pictures(photos(root / "input", 3, (16, 20))):
        (root / "target").mkdir(exist_ok=True)
        mirrored = np.array(Image.open(path))[:, ::-1]
        Image.fromarray(mirrored).save(root / "target" / f"{path.stem}.tif")
    return root


def test_a_pair_is_a_picture_and_its_target(pairs: Path) -> None:
    data = Pairs(str(pairs), geometry=[])

    (validates,) = data.validation_loads(PICTURES)
    trains = data.training_loads(PICTURES)

    assert [load().name for load in (validates, *trains)] == ["photo-0", "photo-1", "photo-2"]
    for load in trains:
        sample = load()
        assert sample.target is not None
        assert (sample.target == sample.image[:, ::-1]).all()


def test_train_and_val_hold_pairs(pairs: Path) -> None:
    pairs.rename("all")
    Path("set").mkdir()
    for part in ("train", "val"):
        Path("set", part).symlink_to(Path("all").absolute())

    with pytest.raises(ValueError, match="expected pictures that only validate, got one that"):
        Pairs("set", geometry=[]).training_loads(PICTURES)
    assert len(Pairs("set", geometry=[]).validation_loads(PICTURES)) == 3


def test_maps_keep_their_numbers() -> None:
    depths = np.array([[0.5, np.nan], [-3.25, 1e6]], np.float32)
    Image.fromarray(depths).save("depth.tif")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save("image.png")

    sample = read_entry(Entry(Path("image.png"), target=Path("depth.tif")), kind="map")

    assert sample.target is not None
    assert sample.target.dtype == np.float32
    np.testing.assert_array_equal(sample.target, depths)


def test_pictures_of_16_bits_are_kept_where_they_are_asked_for() -> None:
    gray = np.arange(256 * 4, dtype=np.uint16).reshape(32, 32) * 60
    Image.fromarray(gray).save("gray.png")
    entry = Entry(Path("gray.png"), target=Path("gray.png"))

    exact, rounded = read_entry(entry, depth=16), read_entry(entry)

    for values in (exact.image, exact.target):
        assert values is not None
        np.testing.assert_array_equal(values[..., 0], gray)
    assert rounded.image.dtype == np.uint8


def test_a_target_of_another_size_is_named_with_both_sizes(pairs: Path) -> None:
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(pairs / "target" / "photo-1.tif")

    with pytest.raises(
        ValueError, match=r"photo-1\.tif: expected the size of its picture, 20×16, got 16×16"
    ):
        Pairs(str(pairs), geometry=[]).training_loads(PICTURES)[0]()


def test_a_target_twice_as_large_is_told_what_trains_from_it_alone(pairs: Path) -> None:
    Image.fromarray(np.zeros((32, 40, 3), np.uint8)).save(pairs / "target" / "photo-1.tif")

    with pytest.raises(
        ValueError, match=r"20×16, got 40×32; super-resolution .*Photos with the root root/target$"
    ):
        Pairs(str(pairs), geometry=[]).training_loads(PICTURES)[0]()


def test_a_mask_drawn_on_the_picture_before_it_was_turned_is_told() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((16, 20, 3), np.uint8)).save("photo.jpg", exif=exif)
    Image.fromarray(np.zeros((16, 20), np.uint8)).save("mask.png")

    with pytest.raises(ValueError, match=r"mask\.png: expected .* 16×20, got 20×16; .*EXIF"):
        read_entry(Entry(Path("photo.jpg"), Path("mask.png")))


def test_a_picture_without_a_target_is_named(pairs: Path) -> None:
    (pairs / "target" / "photo-2.tif").unlink()

    with pytest.raises(ValueError, match=r"input/photo-2\.png: expected a target .*add it"):
        Pairs(str(pairs), geometry=[]).training_loads(PICTURES)


def test_a_target_for_no_picture_is_told(pairs: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pairs / "input" / "photo-2.png").unlink()

    with caplog.at_level(logging.WARNING):
        Pairs(str(pairs), geometry=[]).training_loads(PICTURES)

    assert "1 files in root/target are a target for no picture, first photo-2.tif" in caplog.text


def test_classes_are_not_learned_from_pairs(pairs: Path) -> None:
    with pytest.raises(ValueError, match=r"got Segmentation, which needs masks; use .*\.Masks"):
        Pairs(str(pairs), geometry=[]).training_loads(Segmentation(["a", "b"]))


def test_a_file_in_place_of_a_folder_is_named() -> None:
    Path("photos").write_text("no folder")

    with pytest.raises(ValueError, match=r"expected a folder of pictures, got photos, .* a file"):
        find_pictures(Path("photos"))


def test_folders_that_hold_themselves_are_read_once(photos: Callable[..., Path]) -> None:
    root = photos(Path("root"))
    (root / "again").symlink_to(root.absolute())

    assert len(find_pictures(root)) == 2


def test_a_linked_folder_that_is_not_followed_is_told(
    photos: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = photos(Path("root"))
    (root / "deep").mkdir()
    (root / "deep" / "more").symlink_to(photos(Path("elsewhere")).absolute())
    (root / "one.png").symlink_to(Path("elsewhere/photo-0.png").absolute())

    with caplog.at_level(logging.WARNING):
        assert len(find_pictures(root)) == 3

    (said,) = caplog.messages
    assert "1 links to folders in root are not followed, such as deep/more; link or" in said


def test_a_link_to_no_picture_is_named(photos: Callable[..., Path]) -> None:
    root = photos(Path("root"))
    (root / "loop.png").symlink_to("loop.png")

    with pytest.raises(ValueError, match=r"root/loop\.png: expected a picture, got a link to none"):
        find_pictures(root)


def test_hidden_files_and_folders_are_not_read(photos: Callable[..., Path]) -> None:
    # A hidden folder above is the user's own choice.
    root = photos(Path(".cache/root"))
    photos(root / ".ipynb_checkpoints")
    (root / "._photo-0.png").write_bytes(b"what macOS leaves beside a picture")

    assert [path.name for path in find_pictures(root)] == ["photo-0.png", "photo-1.png"]


def test_pictures_that_are_not_read_are_told(
    photos: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    root = photos(Path("root"))
    for name in ("IMG_1.HEIC", "b/frame.gif", ".hidden.gif", "notes.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"")

    with caplog.at_level(logging.WARNING):
        assert len(find_pictures(root)) == 2

    assert re.search(r"2 pictures in root are not read, such as .*; save them as one", caplog.text)


def test_pictures_of_one_name_are_told_apart_by_their_folders(photos: Callable[..., Path]) -> None:
    for folder in ("a", "b"):
        photos(Path("root", folder))
    Path("root/b/photo-1.png").rename("root/b/other.png")

    loads = loads_of(find_photos(Path("root")), SuperResolution(2))

    names = [load().name for load in loads]
    assert names == ["a/photo-0.png", "photo-1", "other", "b/photo-0.png"]


def test_a_name_that_is_not_utf_8_is_named(photos: Callable[..., Path]) -> None:
    root = photos(Path("root"))
    os.rename(root / "photo-0.png", os.fsencode(root) + b"/caf\xe9.png")

    with pytest.raises(ValueError, match=r"caf\\udce9\.png': expected a file name in UTF-8"):
        find_pictures(root)
