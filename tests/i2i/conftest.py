"""Predictors of models that nobody trained, and pictures for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from i2i.predictor import Predictor, load


@pytest.fixture(scope="session")
def enlarging(tiny_x2: Path) -> Predictor:
    """Doubles a picture."""
    return load(tiny_x2, engine="openvino", precision="f32", threads=1)


@pytest.fixture(scope="session")
def labelling(tiny_labels: Path) -> Predictor:
    """Tells three classes."""
    return load(tiny_labels, engine="openvino", precision="f32", threads=1)


@pytest.fixture(scope="session")
def measuring(tiny_map: Path) -> Predictor:
    """Tells a number for every pixel."""
    return load(tiny_map, engine="openvino", precision="f32", threads=1)


@pytest.fixture(scope="session")
def noise() -> Callable[..., NDArray[np.uint8]]:
    """`noise(height, width, channels=3)`: pixels without order, the same at each call."""

    def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
        random = np.random.default_rng([height, width, channels])
        return random.integers(0, 256, (height, width, channels), np.uint8)

    return noise
