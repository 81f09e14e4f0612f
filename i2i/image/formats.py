"""Suffixes that are read; the formats that are written: names, media types, what each can hold."""

from __future__ import annotations

from typing import Literal

from i2i.image.picture import ImageError

Format = Literal["png", "jpeg", "webp", "tiff"]
FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp", "tiff")
MEDIA_TYPES: dict[Format, str] = {name: f"image/{name}" for name in FORMATS}
SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tiff"}

# Of files that are taken for pictures where a folder is gone through.
READ_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".tif", ".tiff", ".bmp"}
)

# Pictures of these kinds are not read, which is told: they would be missed without a word.
_UNREAD = "arw avif cr2 cr3 dng exr gif heic heif jp2 jxl nef pgm ppm psd tga"
UNREAD_SUFFIXES = frozenset(f".{name}" for name in _UNREAD.split())

# libjpeg's JPEG_MAX_DIMENSION (the format could hold 65,535) and libwebp's WEBP_MAX_DIMENSION.
_MAX_SIDE: dict[Format, int] = {"jpeg": 65_500, "webp": 16_383}
# Held at once for a pixel while a picture is written as a whole: its samples, Pillow's four bytes
# and the codec's own. Measured on noise of 36 megapixels, the costliest content.
WRITING_BYTES: dict[Format, int] = {"jpeg": 10, "webp": 17}
# Held at once for a pixel of 8 bits while a file is decoded and its hidden pixels are filled, the
# file itself and 80 MB for a strip apart. Measured on 48 megapixels, the costliest kind of each:
# JPEG progressive in CMYK, WebP lossless, PNG of 16 bits brought to 8, TIFF half of it hidden.
READING_BYTES: dict[str, int] = {"jpeg": 12, "webp": 19, "png": 13, "tiff": 10, "bmp": 8}
_MAX_DEPTH: dict[Format, int] = {"jpeg": 8, "webp": 8, "png": 16, "tiff": 32}


def check_known(format: str) -> None:
    """Raises ValueError for what is no format that is written, such as jpg."""
    if format not in FORMATS:
        raise ValueError(f"format: expected {', '.join(FORMATS)}, got {format}")


def check_format(format: Format, height: int, width: int, depth: int = 8) -> None:
    """Refuses a picture that the format cannot hold, before it is made.

    Args:
        depth: bits of a sample: 8, 16, or 32 (float).

    Raises:
        ImageError: format_cannot_hold.
        ValueError: another format.
    """
    check_known(format)
    longest, most = max(height, width), _MAX_SIDE.get(format)
    if most is not None and longest > most:
        raise ImageError(
            "format_cannot_hold",
            f"the sides of a {format} picture are limited; use png or tiff",
            f"at most {most:,}",
            f"{longest:,}",
        )
    if depth > _MAX_DEPTH[format]:
        raise ImageError(
            "format_cannot_hold",
            f"the depth of a {format} picture is limited; use "
            + ("tiff" if depth > 16 else "png or tiff"),
            f"at most {_MAX_DEPTH[format]} bits",
            f"{depth}",
        )
