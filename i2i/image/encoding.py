"""Pixels to bytes: a picture or labels as a file without metadata."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from i2i.image.picture import ImageError, Picture

Format = Literal["png", "jpeg", "webp", "tiff"]
FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp", "tiff")
MEDIA_TYPES: dict[Format, str] = {name: f"image/{name}" for name in FORMATS}
SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tiff"}

# libjpeg's JPEG_MAX_DIMENSION (the format could hold 65,535) and libwebp's WEBP_MAX_DIMENSION.
_MAX_SIDE: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383}


def encode(picture: Picture, format: Format = "png") -> bytes:
    """The picture as a file without metadata; PNG and TIFF are lossless.

    JPEG has no alpha: it is laid on white. WebP has no gray: it decodes to three equal channels.

    Raises:
        ImageError: format_cannot_hold, a side is too long for the format.
    """
    longest, most = max(picture.height, picture.width), _MAX_SIDE.get(format)
    if most is not None and longest > most:
        raise ImageError(
            "format_cannot_hold",
            f"the sides of a {format} picture are limited; use png or tiff",
            f"at most {most:,}",
            f"{longest:,}",
        )
    pixels = picture.pixels
    image = Image.fromarray(pixels if picture.channels == 3 else pixels[..., 0])
    if picture.alpha is not None:
        mask = Image.fromarray(picture.alpha)
        if format == "jpeg":
            paper = Image.new(image.mode, image.size, "white")
            paper.paste(image, mask=mask)
            image = paper
        else:
            image.putalpha(mask)
    return _save(image, format, **_OPTIONS[format])


def encode_labels(
    labels: NDArray[np.uint8],
    colours: Sequence[tuple[int, int, int]],
    format: Format = "png",
) -> bytes:
    """Labels (H, W) as an indexed picture: the values in the file are the labels themselves.

    Args:
        colours: (red, green, blue) of label 0, 1, ...; a label beyond them is black.

    Raises:
        ImageError: format_cannot_hold, the format is not png or tiff.
    """
    if format not in ("png", "tiff"):
        raise ImageError("format_cannot_hold", f"{format} would blur labels", "png or tiff", format)
    # All 256 entries: Pillow packs the labels into fewer bits where the palette is shorter.
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    image = Image.fromarray(labels)
    image.putpalette(palette.tobytes())
    return _save(image, format, **({"compression": "tiff_lzw"} if format == "tiff" else {}))


# PNG level 1 is four times as fast as level 6 for some per cent more bytes; LZW with the
# horizontal predictor is five times as fast as deflate with it. JPEG keeps full colour resolution:
# halving it would take back what a model just drew.
_OPTIONS: dict[Format, dict[str, Any]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 92, "subsampling": "4:4:4"},
    "webp": {"quality": 90, "method": 2},
    "tiff": {"compression": "tiff_lzw", "tiffinfo": {TiffImagePlugin.PREDICTOR: 2}},
}


def _save(image: Image.Image, format: Format, **options: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **options)
    except (OSError, ValueError) as error:  # lossy WebP of a huge noisy picture: partition overflow
        detail = f"the picture does not fit into a {format} file; use png"
        raise ImageError("format_cannot_hold", detail) from error
    return buffer.getvalue()
