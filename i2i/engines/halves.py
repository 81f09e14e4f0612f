"""A window that is too large for the engine's memory, run in parts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from i2i.engines import Engine
from i2i.engines.engine import Outputs
from i2i.spec import ModelSpec


def run_window(engine: Engine, spec: ModelSpec, window: NDArray[np.float32]) -> Outputs:
    """The engine's outputs for one window (1, C, H, W); where memory is lacking, of its halves.

    Each half reaches a margin beyond the middle, so what lies a margin from the window's cuts is
    the same, by the law of prediction. What lies nearer is not kept anyway.

    Raises:
        MemoryError: no part is small enough, or the model takes pictures as a whole.
    """
    try:
        return engine.run(window)
    except MemoryError:
        # The window is longer than two margins: what is kept of a half has a row at least.
        axis = -2 if window.shape[-2] >= window.shape[-1] else -1
        half = (window.shape[axis] - 2 * spec.margin) // 2
        half -= half % spec.size_multiple
        if spec.tiling == "whole" or half <= 0:
            raise
    first, second = np.split(window, [half], axis)
    beyond, _ = np.split(second, [2 * spec.margin], axis)
    parts = np.concatenate([first, beyond], axis), second
    before, after = (run_window(engine, spec, np.ascontiguousarray(part)) for part in parts)
    middle, cut = (spec.scale * at for at in (half + spec.margin, spec.margin))
    return {
        name: np.concatenate(
            [np.split(values, [middle], axis)[0], np.split(after[name], [cut], axis)[1]], axis
        )
        for name, values in before.items()
    }
