"""Pixels to bytes: a picture as a file without metadata."""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
from PIL import Image

from i2i.image.formats import Format, check_format
from i2i.image.picture import ImageError, Picture
from i2i.image.stored import row_strips
from i2i.image.strip_writer import open_writer

# JPEG keeps full colour resolution: halving it would take back what a model just drew.
_OPTIONS: dict[Format, dict[str, Any]] = {
    "jpeg": {"quality": 92, "subsampling": "4:4:4"},
    "webp": {"quality": 90, "method": 2},
}


def encode(picture: Picture, format: Format = "png") -> bytes:
    """The picture as a file without metadata but its profile; PNG and TIFF are lossless.

    JPEG has no alpha: it is laid on white. WebP has no gray: it decodes to three equal channels.

    Raises:
        ImageError: format_cannot_hold: a side is too long or 16 bits are too deep for the format;
            a gray profile for WebP.
        TypeError: no Picture.
    """
    if not isinstance(picture, Picture):
        raise TypeError(
            f"picture: expected an i2i.image.Picture, got {type(picture).__name__}; Picture(array) "
            "gives one"
        )
    check_format(format, picture.height, picture.width, picture.depth)
    if format in ("png", "tiff"):
        return _lossless(picture, format)
    check_profile(format, picture)
    if format == "jpeg":
        picture = picture.over((255, 255, 255))
    image = Image.fromarray(picture.pixels if picture.channels == 3 else picture.pixels[..., 0])
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    return _save(image, format, icc_profile=picture.profile)


def check_profile(format: Format, picture: Picture) -> None:
    """Raises ImageError, format_cannot_hold, where the format has no place for the profile."""
    if format == "webp" and picture.channels == 1 and picture.profile:
        raise ImageError("format_cannot_hold", "webp has no gray for a profile; use png")


def _lossless(picture: Picture, format: Literal["png", "tiff"]) -> bytes:
    channels = picture.channels + (picture.alpha is not None)
    shape, buffer = (picture.height, picture.width, channels), io.BytesIO()
    kind, profile = picture.pixels.dtype, picture.profile
    with open_writer(buffer, format, *shape, kind, profile=profile) as writer:
        for part in row_strips(picture.height, picture.width):
            pixels, alpha = picture.pixels[part], picture.alpha
            writer.write(pixels if alpha is None else np.dstack((pixels, alpha[part])))
    return buffer.getvalue()


def _save(image: Image.Image, format: Format, **more: Any) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, format, **_OPTIONS[format], **more)
    except (OSError, ValueError) as error:  # lossy WebP of a huge noisy picture: partition overflow
        detail = f"the picture does not fit into a {format} file; use png"
        raise ImageError("format_cannot_hold", detail) from error
    return buffer.getvalue()
