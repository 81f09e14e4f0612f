"""How much memory a prediction on the command line will need, told from a picture's header."""

from __future__ import annotations

from i2i.image import Format, Header
from i2i.memory import held_bytes
from i2i.predictor import Predictor

# Interpreter, libraries, and an engine with its window: 0.2 GiB for the shipped models on OpenVINO
# (python -m benchmarks.predict_memory), and as much again for larger nets.
_PROGRAM = 400 << 20
# Of an engine that takes a picture as a whole, for each of its pixels: 690 of super-resolution-x2.
_WHOLE = 768


def needed_bytes(
    predictor: Predictor, header: Header, file_bytes: int, format: Format, depth: int
) -> int:
    """About the most memory that the process will hold while it predicts a picture.

    Args:
        file_bytes: of the picture's file.
        depth: bits of a sample in memory.

    Raises:
        ImageError: too_many_pixels, the model takes pictures as a whole, and this one is too large.
    """
    # A bad file may say 0, and is refused when it is decoded.
    plan = predictor.plan(max(1, header.height), max(1, header.width))
    program = _PROGRAM
    if predictor.spec.tiling == "whole":
        program += _WHOLE * plan.rows.side * plan.columns.side
    decoding, answering = held_bytes(predictor.spec, plan, header, format, depth)
    return program + max(decoding + file_bytes, answering)
