"""Masks: what is beside the ids in a file does not cost them."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from i2i.image import ImageError, decode, decode_mask
from tests.i2i.bad_pictures import encoded, png_chunk

IDS = np.arange(6, dtype=np.uint8).reshape(2, 3)
# What Pillow refuses, or warns of, where it is given a whole file.
BESIDE = {
    "text of two megabytes": png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2 << 20))),
    "text of a wrong sum": png_chunk(b"tEXt", b"a\0b")[:-1] + b"?",
    "gamma cut short": png_chunk(b"gAMA", b"\0"),
    "resolution cut short": png_chunk(b"pHYs", b"\0"),
    "colours cut short": png_chunk(b"cHRM", b"\0"),
    "a profile packed in an unknown way": png_chunk(b"iCCP", b"a\0\7x"),
}


def indexed() -> Image.Image:
    image = Image.fromarray(IDS)
    image.putpalette(np.random.default_rng(0).bytes(3 * 256))
    return image


@pytest.mark.parametrize("beside", BESIDE.values(), ids=BESIDE.keys())
def test_a_mask_is_read_whatever_is_said_beside_its_ids(beside: bytes) -> None:
    whole = encoded(indexed(), "PNG")
    end_of_header = 8 + 25
    data = whole[:end_of_header] + beside + whole[end_of_header:]
    assert decode(data).pixels.shape == (2, 3, 3)
    np.testing.assert_array_equal(decode_mask(data), IDS)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("mode", ["P", "L", "1"])
def test_every_format_of_masks_holds_ids(format: str, mode: str) -> None:
    image = indexed() if mode == "P" else Image.fromarray(IDS > 2 if mode == "1" else IDS)
    expected = IDS > 2 if mode == "1" else IDS
    np.testing.assert_array_equal(decode_mask(encoded(image, format)), expected)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["I;16", "RGB"])
def test_ids_are_read_from_files_that_spend_more_bits_on_them(format: str, mode: str) -> None:
    wider = IDS.astype(np.uint16) if mode == "I;16" else np.stack([IDS] * 3, axis=-1)
    data = encoded(Image.fromarray(wider), format)
    ids = decode_mask(data)
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, IDS)


def test_ids_in_the_lower_halves_of_16_bit_colours_are_refused_and_not_lost() -> None:
    samples = np.repeat(IDS.astype(">u2"), 3)
    rows = b"".join(b"\0" + row.tobytes() for row in samples.reshape(2, -1))
    header = struct.pack(">IIBBBBB", 3, 2, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)
    data += png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="got RGB colours"):
        decode_mask(data)


def test_the_limit_of_pixels_holds_before_they_are_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b""))
    )
    with pytest.raises(ValueError, match="too many pixels"):
        decode_mask(data + png_chunk(b"IEND", b""))
