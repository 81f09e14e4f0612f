"""Masks: the class ids in a file, and what is said of those that hold none."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i.image import read
from i2i.image.tiff import pack_directory
from training.data.cache import Samples
from training.data.checks import check_masks
from training.data.files import (
    find_masked,
    read_class_ids,
    read_entry,
    warn_of_palettes,
)
from training.tasks import Sample, Segmentation, SuperResolution

TASK = Segmentation(["ground", "thing"])


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


COLOURS = np.full((8, 8, 3), [200, 0, 0], np.uint8)
WRONG_MASKS: dict[str, tuple[np.ndarray, str]] = {
    "colours": (COLOURS, "save it as indexed PNG.*got RGB colours"),
    "16-bit": (np.full((8, 8), 300, np.uint16), "save it as indexed PNG.*gray from 300 to 300"),
    "an id out of range": (
        np.full((8, 8), 2, np.uint8),
        r"expected class ids 0 to 1 or 255 .*got \[2\]; renumber",
    ),
}


@pytest.mark.parametrize("case", WRONG_MASKS)
def test_a_mask_that_holds_no_ids_is_named_with_its_remedy(case: str) -> None:
    pixels, words = WRONG_MASKS[case]
    path = save(Path("mask.png"), pixels)

    with pytest.raises(ValueError, match=rf"mask\.png: .*{words}"):
        read_class_ids(path, num_classes=2, ignore=255)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no picture", "no format that is read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "does not begin with its header"),
    ],
)
def test_a_damaged_mask_is_named(content: bytes, words: str) -> None:
    Path("mask.png").write_bytes(content)

    with pytest.raises(ValueError, match=rf"mask\.png: .*{words}"):
        read_class_ids(Path("mask.png"), num_classes=2, ignore=255)


def test_a_mask_cut_short_is_named() -> None:
    save(Path("whole.png"), np.random.default_rng(0).integers(2, size=(64, 64), dtype=np.uint8))
    Path("mask.png").write_bytes(Path("whole.png").read_bytes()[:300])

    with pytest.raises(ValueError, match=r"mask\.png: the png file ends early"):
        read_class_ids(Path("mask.png"), num_classes=2, ignore=255)


def test_indexed_gray_and_black_and_white_masks_hold_ids() -> None:
    ids = np.array([[0, 1], [1, 255]], np.uint8)
    indexed = Image.fromarray(ids % 255)
    indexed.putpalette([5, 5, 5, 250, 0, 0])
    indexed.save("indexed.png")
    save(Path("gray.png"), ids)
    Image.fromarray(ids == 1).save("two.png")

    assert (read_class_ids(Path("indexed.png"), 2, 255) == ids % 255).all()
    assert (read_class_ids(Path("gray.png"), 2, 255) == ids).all()
    assert (read_class_ids(Path("two.png"), 2, 255) == (ids == 1)).all()


def packed(ids: np.ndarray, bits: int) -> np.ndarray:
    """Rows of bytes, with as many ids in each as fit."""
    lowest = np.unpackbits(ids[..., None], axis=2)[..., -bits:]
    return np.packbits(lowest.reshape(len(ids), -1), axis=1)


def gray_png(ids: np.ndarray, bits: int) -> bytes:
    rows = np.pad(packed(ids, bits), ((0, 0), (1, 0)))  # filter 0
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", ids.shape[1], ids.shape[0], bits, 0, 0, 0, 0),
        b"IDAT": zlib.compress(rows.tobytes()),
        b"IEND": b"",
    }
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gray_tiff(ids: np.ndarray, bits: int) -> bytes:
    rows, (height, width) = packed(ids, bits).tobytes(), ids.shape
    numbers = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    numbers[279], end = len(rows), 8 + len(rows) + len(rows) % 2
    tags = {tag: np.array([number], np.uint32) for tag, number in numbers.items()}
    head = b"II*\0" + struct.pack("<I", end) + rows.ljust(end - 8, b"\0")
    return head + pack_directory(tags, end)


@pytest.mark.parametrize("write", [gray_png, gray_tiff])
@pytest.mark.parametrize("bits", [2, 4])
def test_gray_masks_of_few_bits_hold_the_ids_of_their_file(
    bits: int, write: Callable[[np.ndarray, int], bytes]
) -> None:
    ids = np.arange(4 * 16, dtype=np.uint8).reshape(4, 16) % (1 << bits)
    Path("mask").write_bytes(write(ids, bits))

    np.testing.assert_array_equal(read_class_ids(Path("mask"), 1 << bits, 255), ids)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["gray.png", "gray.tif", "indexed.png", "indexed.tif"])
def test_a_mask_is_turned_upright_as_a_picture_is(kind: str, orientation: int) -> None:
    ids = np.arange(3 * 5, dtype=np.uint8).reshape(3, 5)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(ids).save("picture.png", exif=exif)
    mask = Image.fromarray(ids)
    if kind.startswith("indexed"):
        mask.putpalette(np.random.default_rng(0).bytes(3 * 256))
    mask.save(kind, exif=exif)

    upright = read(Path("picture.png")).pixels[..., 0]

    np.testing.assert_array_equal(read_class_ids(Path(kind), 15, 255), upright)


def test_a_mask_of_another_size_than_its_picture_is_named(masked: Callable[[Path], Path]) -> None:
    part = masked(Path("set")) / "train"
    save(part / "masks" / "photo-0.png", np.zeros((32, 40), np.uint8))

    with pytest.raises(
        ValueError, match=r"masks/photo-0\.png: expected .*80×64, got 40×32; export"
    ):
        read_entry(find_masked(part)[0], 2)


def test_masks_of_0_and_255_are_refused_with_the_remedy() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4] = 255
    samples = Samples([lambda: Sample("one", COLOURS, mask)], cache_bytes=10_000)

    with pytest.raises(ValueError, match=r"masks of one .*got \[0, 255\] only.*saved as 0 and 1"):
        check_masks(samples, TASK)
    check_masks(samples, SuperResolution(2))


def test_masks_that_number_colours_each_in_its_own_order_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, second in (("a", (250, 0, 0)), ("b", (250, 0, 0)), ("c", (0, 0, 250))):
        save(tmp_path / "images" / f"{name}.png", np.zeros((8, 8, 3), np.uint8))
        indexed = Image.fromarray(np.eye(8, dtype=np.uint8))
        indexed.putpalette([5, 5, 5, *second])
        (tmp_path / "masks").mkdir(exist_ok=True)
        indexed.save(tmp_path / "masks" / f"{name}.png")
    entries = find_masked(tmp_path)

    warn_of_palettes(entries[:2])
    assert not caplog.text
    warn_of_palettes(entries)
    assert "c.png have ids of other colours" in caplog.text
