"""The samples of a TIFF file.

A band of strips or a row of tiles becomes a small TIFF of its own, which libtiff unpacks through
Pillow: as bytes, which become samples here, or as pixels where they are packed otherwise. So any
size is decoded in little memory, and 16 bits, floats, planes and BigTIFF need nothing of Pillow.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from i2i.image import tiff as tags
from i2i.image.container import jpeg_sides
from i2i.image.picture import ImageError, Samples
from i2i.image.pillow_strips import samples_of
from i2i.image.stored import CHANNELS, STRIP_PIXELS, Space, Stored, row_strips
from i2i.image.tiff import Tiff, pack_directory

_SPACES: dict[int, Space] = {
    tags.RGB: "RGB",
    tags.PALETTE: "RGB",
    tags.YCBCR: "RGB",
    tags.CMYK: "CMYK",
}
# What a small TIFF keeps: bits, compression, photometric, fax options, predictor, palette, extra
# samples, JPEG tables, subsampling.
_KEPT = (258, 259, 262, 266, 277, 292, 293, 317, 320, 338, 347, 530)


def stored_tiff(tiff: Tiff) -> Stored:
    """The samples of a TIFF file of whole numbers.

    Raises:
        ImageError: unsupported_format, a map of float values.
    """
    if tiff.dtype.kind == "f":
        raise ImageError(
            "unsupported_format",
            "float values are a map, no picture",
            "whole numbers of 8 or 16 bits",
            f"{8 * tiff.dtype.itemsize}-bit float values",
        )
    space = _SPACES.get(tiff.photometric, "GRAY")
    if not tiff.plain:
        return Stored(tiff.height, tiff.width, space, lambda: _pillow_bands(tiff))
    return Stored(tiff.height, tiff.width, space, lambda: _plain_strips(tiff, space))


def numbers_of(tiff: Tiff) -> Iterator[NDArray[Any]]:
    """Bands (rows, W, samples of a pixel) of a plain TIFF file, from top to bottom, as stored."""
    planes = tiff.samples if tiff.planar else 1
    per_plane = len(tiff.starts) // planes
    for first, last, rows in _bands(tiff):
        rows_of = [
            _unpacked(tiff, slice(plane * per_plane + first, plane * per_plane + last), rows)
            for plane in range(planes)
        ]
        # Whole rows of tiles, but strips in pieces: the whole picture may be one strip.
        for part in [slice(0, rows)] if tiff.tiled else row_strips(rows, tiff.width):
            samples = [_samples(tiff, of, part) for of in rows_of]
            yield samples[0] if planes == 1 else np.concatenate(samples, axis=2)


def _bands(tiff: Tiff) -> Iterator[tuple[int, int, int]]:
    """First and last block of a band, counted in one plane, and its rows in the picture."""
    down, across = tiff.block
    beside = -(-tiff.width // across)
    step = max(1, STRIP_PIXELS // (down * across * beside))  # rows of blocks
    for top in range(0, -(-tiff.height // down), step):
        rows = min(step * down, tiff.height - top * down)
        yield top * beside, (top + -(-rows // down)) * beside, rows


def _unpacked(tiff: Tiff, blocks: slice, rows: int) -> Callable[[slice], NDArray[np.uint8]]:
    """What gives rows of bytes of consecutive blocks, one below the other."""
    down, across = tiff.block
    row = across * (1 if tiff.planar else tiff.samples) * tiff.dtype.itemsize
    count = blocks.stop - blocks.start
    high = count * down if tiff.tiled else rows
    if tiff.compression == tags.RAW:
        sizes = np.full(count, down * row)
        sizes[-1] = row * (high - down * (count - 1))
        places = zip(tiff.starts[blocks], sizes, strict=True)
        parts = [np.frombuffer(tiff.directory.data, np.uint8, size, at) for at, size in places]
        stored = (parts[0] if count == 1 else np.concatenate(parts)).reshape(high, row)
        return lambda part: stored[part]
    size = {256: row, 257: high, 258: 8, 259: tiff.compression, 262: 1, 277: 1, 278: down}
    fields = {tag: np.array([size[tag]], np.uint32) for tag in size}
    image = _small_file(tiff, blocks, fields)
    return lambda part: np.asarray(image.crop((0, part.start, row, part.stop)))


def _samples(
    tiff: Tiff, rows_of: Callable[[slice], NDArray[np.uint8]], part: slice
) -> NDArray[Any]:
    """Some rows of the samples of a plane, (rows, W, samples)."""
    down, across = tiff.block
    depth = 1 if tiff.planar else tiff.samples
    beside = -(-tiff.width // across)
    if not tiff.tiled:
        return _without_predictor(tiff, rows_of(part), depth).reshape(-1, tiff.width, depth)
    rows = -(-part.stop // down) * down
    samples = _without_predictor(tiff, rows_of(slice(0, rows * beside)), depth)
    samples = samples.reshape(-1, beside, down, across, depth).swapaxes(1, 2)
    return samples.reshape(rows, beside * across, depth)[part, : tiff.width]


def _without_predictor(tiff: Tiff, unpacked: NDArray[np.uint8], depth: int) -> NDArray[Any]:
    """Rows of bytes as samples, of `depth` planes side by side: TIFF 6.0 section 14, note 3."""
    predictor = tiff.directory.number(317, 1)
    rows, size = len(unpacked), tiff.dtype.itemsize
    if predictor == 1 or tiff.compression in (tags.RAW, tags.PACKBITS):
        return unpacked.view(tiff.dtype)
    if predictor == 2:
        whole = unpacked.view(f"{tiff.dtype.byteorder}u{size}").reshape(rows, -1, depth)
        native = whole.dtype.newbyteorder("=")
        return np.add.accumulate(whole, axis=1, dtype=native).view(tiff.dtype.newbyteorder("="))
    if predictor == 3 and tiff.dtype.kind == "f":
        summed = np.add.accumulate(unpacked.reshape(rows, -1, depth), axis=1, dtype=np.uint8)
        by_value = np.ascontiguousarray(summed.reshape(rows, size, -1).swapaxes(1, 2))
        return by_value.view(f">f{size}")
    raise ImageError("unsupported_format", "the predictor of the TIFF file is unknown")


def _small_file(
    tiff: Tiff, blocks: slice, fields: dict[int, NDArray[Any]]
) -> TiffImagePlugin.TiffImageFile:
    """The blocks as the strips of a TIFF, opened by Pillow."""
    data, order = memoryview(tiff.directory.data), tiff.directory.order
    sizes = tiff.sizes[blocks]
    places = 8 + np.concatenate(([0], np.cumsum(sizes)))
    end = int(places[-1]) + int(places[-1]) % 2
    strips = {273: places[:-1].astype(np.uint32), 279: sizes.astype(np.uint32)}
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", end)
    packed = [data[at : at + size] for at, size in zip(tiff.starts[blocks], sizes, strict=True)]
    padding = bytes(end - int(places[-1]))
    listing = pack_directory(fields | strips, end, order)
    return TiffImagePlugin.TiffImageFile(io.BytesIO(b"".join((head, *packed, padding, listing))))


def _pillow_bands(tiff: Tiff) -> Iterator[Samples]:
    """Strips of a picture whose samples only libtiff unpacks: fax, JPEG, less than 8 bits."""
    listed = tiff.directory
    kept = {tag: listed.numbers(tag) for tag in _KEPT if tag in listed.entries}
    down, across = tiff.block
    beside = -(-tiff.width // across)
    for first, last, rows in _bands(tiff):
        high = (last - first) * down if tiff.tiled else rows
        if tiff.compression == tags.JPEG:
            _check_jpeg_blocks(tiff, slice(first, last), high)
        size = {256: across, 257: high, 278: down}
        fields = kept | {tag: np.array([size[tag]], np.uint32) for tag in size}
        samples = samples_of(_small_file(tiff, slice(first, last), fields))
        if tiff.tiled:
            samples = samples.reshape(-1, beside, down, *samples.shape[1:]).swapaxes(1, 2)
            samples = samples.reshape(-1, beside * across, samples.shape[-1])
        yield samples[:rows, : tiff.width]


def _check_jpeg_blocks(tiff: Tiff, blocks: slice, high: int) -> None:
    """libtiff leaves black what a block's JPEG is too small for.

    Raises:
        ValueError: there is such a block.
    """
    down, across = tiff.block
    for start, size in zip(tiff.starts[blocks], tiff.sizes[blocks], strict=True):
        height, width = jpeg_sides(tiff.directory.data[start : start + size])
        if height < min(down, high) or width < across:
            raise ValueError("a block of the TIFF file is smaller than the file says")
        high -= down


def _plain_strips(tiff: Tiff, space: Space) -> Iterator[Samples]:
    alpha = _alpha(tiff)
    colours = CHANNELS[space]
    stored = 1 if tiff.photometric == tags.PALETTE else colours
    most = np.iinfo(tiff.dtype).max
    palette = _palette(tiff) if tiff.photometric == tags.PALETTE else None
    for numbers in numbers_of(tiff):
        samples = numbers[..., : stored + bool(alpha)]
        samples = samples.astype(tiff.dtype.newbyteorder("="), copy=False)
        if tiff.photometric == tags.WHITE_IS_ZERO:
            samples = np.concatenate((most - samples[..., :1], samples[..., 1:]), axis=2)
        if palette is not None:
            samples = np.concatenate((palette[samples[..., 0]], samples[..., 1:]), axis=2)
        if alpha == 1:
            weight = np.maximum(samples[..., colours:], 1).astype(np.uint64)
            divided = (samples[..., :colours] * np.uint64(most) + weight // 2) // weight
            divided = np.minimum(divided, most).astype(samples.dtype)
            samples = np.concatenate((divided, samples[..., colours:]), axis=2)
        yield samples


def _alpha(tiff: Tiff) -> int:
    """Of the sample behind the colours: 0 no alpha, 1 multiplied into them, 2 apart."""
    colours = {tags.RGB: 3, tags.CMYK: 4}.get(tiff.photometric, 1)
    if tiff.samples == colours or tiff.photometric == tags.CMYK:
        return 0
    # Without the tag it is alpha, as for Pillow; so is 999, which a Corel program wrote.
    kind = tiff.directory.number(338, 2)
    return {0: 0, 1: 1}.get(kind, 2)


def _palette(tiff: Tiff) -> NDArray[np.uint8]:
    values = tiff.directory.numbers(320)
    if len(values) != 3 * 256:
        raise ImageError("damaged", "the palette of the TIFF file makes no sense")
    # Of 16 bits; old programs wrote 8.
    deep = values.max() > 255
    return (values.reshape(3, 256).T >> (8 if deep else 0)).astype(np.uint8)
