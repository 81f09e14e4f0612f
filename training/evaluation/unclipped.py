"""Answers to pictures that no file can hold: values below black and above white.

The literature's denoisers see noise that was not clipped; a file's is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from i2i.engines.halves import run_window
from i2i.predictor import Predictor
from i2i.windows import cut, keep, stitch
from training.pixels import Pixels, brightness, from_float, in_colour


def predict_unclipped(predictor: Predictor, image: NDArray[np.float32]) -> Pixels:
    """The model's answer to a picture (H, W, 1 or 3) float32 of any values, in 8 bit.

    By the predictor's windows and engine; only the input's rounding is left out.
    """
    colours = in_colour(image)
    answer = np.empty_like(colours)
    for window in predictor.plan(*image.shape[:2]):
        batch = np.ascontiguousarray(cut(colours, window).transpose(2, 0, 1))[None]
        output = run_window(predictor.engine, predictor.spec, batch)["image"][0]
        stitch(answer, keep(output.transpose(1, 2, 0), window, scale=1), window, scale=1)
    if image.shape[2] == 1:
        answer = brightness(answer)[..., None]
    return from_float(answer, np.uint8)
