"""How much memory a picture will need, told from its header."""

from __future__ import annotations

from i2i.image import Format, Header
from i2i.image.formats import READING_BYTES, WRITING_BYTES
from i2i.predictor import Predictor

# Interpreter, libraries, and an engine with its window: 0.2 GiB for the shipped models on OpenVINO
# (python -m benchmarks.predict_memory), and as much again for larger nets.
_PROGRAM = 400 << 20
# Of an engine that takes a picture as a whole, for each of its pixels: 690 of super-resolution-x2.
_WHOLE = 768
_CHANNELS = 4  # red, green, blue, alpha; a header does not say how many there are
# What is made at once of a pixel of the output: its samples, again as a file holds them, and
# numbers between (a float for the brightness or the value, wider integers for a mixed colour).
_BAND, _LABELLED = 16, 24


def needed_bytes(
    predictor: Predictor, header: Header, file_bytes: int, format: Format, depth: int
) -> int:
    """About the most memory that the process will hold while it predicts a picture.

    PNG and TIFF are written band by band, others need the whole answer.

    Args:
        file_bytes: of the picture's file.
        depth: bits of a sample in memory.

    Raises:
        ImageError: too_many_pixels, the model takes pictures as a whole, and this one is too large.
    """
    # A bad file may say 0, and is refused when it is decoded.
    height, width = max(1, header.height), max(1, header.width)
    spec, pixels = predictor.spec, height * width
    read = pixels * _CHANNELS * depth // 8
    decoding = pixels * READING_BYTES[header.format] * depth // 8 + file_bytes
    enlarged = spec.scale**2
    plan = predictor.plan(height, width)
    program = _PROGRAM
    if spec.tiling == "whole":
        program += _WHOLE * plan.rows.side * plan.columns.side
    rows = min(plan.rows.step, height)
    band = enlarged * rows * width * max(_BAND * depth // 8, _LABELLED)
    # Under alpha the net sees other colours than the file's, beside which they are held.
    seen = read if spec.kind == "image" and header.format != "jpeg" else 0
    answer = 0
    if format in ("jpeg", "webp"):
        writing = WRITING_BYTES[format]
        answer = enlarged * pixels * (writing if spec.kind == "image" else max(writing, _LABELLED))
    return program + max(decoding, read + seen + band + answer)
