"""An engine without memory for a window gives, in parts, what one with enough gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from i2i.engines.engine import Engine, EngineName, Outputs, Precision
from i2i.engines.halves import run_window
from i2i.image import Picture
from i2i.model_folder import ModelFolder
from i2i.predictor import Predictor

Noise = Callable[..., NDArray[np.uint8]]


@dataclass
class Narrow:
    """A real engine that has no memory for more pixels at once."""

    engine: Engine
    pixels: int
    ran: list[int] = field(default_factory=list)
    name: EngineName = "openvino"
    precision: Precision = "f32"

    def run(self, image: NDArray[np.float32]) -> Outputs:
        size = image.shape[-2] * image.shape[-1]
        if size > self.pixels:
            raise MemoryError
        self.ran.append(size)
        return self.engine.run(image)

    def release_memory(self) -> None:
        self.engine.release_memory()


def narrow(predictor: Predictor, steps: int, **spec: Any) -> Predictor:
    """The predictor on an engine that holds windows which keep so many multiples a side."""
    least = 2 * predictor.spec.margin + steps * predictor.spec.size_multiple
    folder = ModelFolder(predictor.folder.path, replace(predictor.spec, **spec))
    return Predictor(folder, Narrow(predictor.engine, least**2))


@settings(max_examples=6, deadline=None)
@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    steps=st.integers(2, 12),
    name=st.sampled_from(["enlarging", "labelling", "measuring"]),
)
def test_halves_do_not_show(
    request: pytest.FixtureRequest, noise: Noise, size: tuple[int, int], steps: int, name: str
) -> None:
    predictor: Predictor = request.getfixturevalue(name)
    picture = Picture(noise(*size))

    expected, got = predictor.predict(picture), narrow(predictor, steps).predict(picture)

    assert got.planes.keys() == expected.planes.keys()
    for plane, values in expected.planes.items():
        differing = np.abs(got.planes[plane].astype(float) - values.astype(float))
        # A value that lies between two of 8 bits may be rounded to the other.
        assert np.mean(differing > 1e-5) <= 0.01, plane


def test_no_part_is_larger_than_the_memory_nor_run_twice(
    enlarging: Predictor, noise: Noise
) -> None:
    small = narrow(enlarging, steps=4)
    engine = small.engine
    assert isinstance(engine, Narrow)

    small.predict(Picture(noise(60, 80)))

    assert len(engine.ran) > 4
    assert max(engine.ran) <= engine.pixels


def test_memory_for_not_even_the_smallest_part_is_an_error(
    enlarging: Predictor, noise: Noise
) -> None:
    with pytest.raises(MemoryError):
        narrow(enlarging, steps=0).predict(Picture(noise(60, 80)))


def test_a_picture_that_is_taken_as_a_whole_is_not_cut(enlarging: Predictor) -> None:
    whole = narrow(enlarging, steps=2, tiling="whole", max_pixels=10**6)
    side = 64 * enlarging.spec.size_multiple

    with pytest.raises(MemoryError):
        run_window(whole.engine, whole.spec, np.zeros((1, 3, side, side), np.float32))
