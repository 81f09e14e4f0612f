from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from i2i.metrics import psnr_y, ssim_y
from i2i.resize import bicubic, bicubic_part, pixelate

Array = NDArray[Any]

sides = st.integers(1, 9)


@st.composite
def pictures(draw: st.DrawFn) -> Array:
    shape = (draw(sides), draw(sides), draw(st.sampled_from([1, 3])))
    return draw(hnp.arrays(np.uint8, shape))


def exact_kernel(x: Fraction) -> Fraction:
    x = abs(x)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    return -Fraction(1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2 if x < 2 else Fraction(0)


def exact_line(line: list[int], size: int, scale: Fraction) -> list[int]:
    """One row or column of pixels, in rational numbers, from the definition alone."""
    mirrored = line + line[::-1]
    shrink = min(scale, Fraction(1))
    reach = math.ceil(2 / shrink)
    result = []
    for place in range(size):
        centre = (place + Fraction(1, 2)) / scale - Fraction(1, 2)
        near = range(math.floor(centre) - reach, math.ceil(centre) + reach + 1)
        weights = [exact_kernel(shrink * (centre - x)) for x in near]
        total = sum(w * mirrored[x % len(mirrored)] for w, x in zip(weights, near, strict=True))
        result.append(min(max(math.floor(total / sum(weights) + Fraction(1, 2)), 0), 255))
    return result


def exact_axis(image: Array, axis: int, size: int, scale: Fraction) -> Array:
    def resized(line: Array) -> list[int]:
        return exact_line([int(x) for x in line], size, scale)

    return np.apply_along_axis(resized, axis, image).astype(np.uint8)


@given(pictures(), sides, sides)
def test_a_stretched_picture_is_that_of_exact_arithmetic(
    image: Array, rows: int, cols: int
) -> None:
    scale = Fraction(rows, image.shape[0]), Fraction(cols, image.shape[1])
    first, last = (0, 1) if scale[0] <= scale[1] else (1, 0)
    expected = exact_axis(image, first, (rows, cols)[first], scale[first])
    expected = exact_axis(expected, last, (rows, cols)[last], scale[last])

    np.testing.assert_array_equal(bicubic(image, rows, cols), expected)


def test_a_known_edge_is_resized_as_by_hand() -> None:
    edge = np.array([[0.0, 0.0, 0.0, 128.0, 128.0, 128.0]])

    # The kernel at distances 1/4, 3/4, 5/4 and 7/4 is 111, 29, -9 and -3 in 128ths.
    doubled = [[0, 0, 0, -3, -9, 29 - 3, 111 - 9, 128 + 9, 128 + 3, 128, 128, 128]]
    np.testing.assert_allclose(bicubic(edge, 1, 12), doubled)


@given(st.floats(-10, 10), sides, sides, sides, sides)
def test_a_flat_image_stays_flat(
    value: float, rows: int, cols: int, height: int, width: int
) -> None:
    image = np.full((rows, cols), value)

    np.testing.assert_allclose(bicubic(image, height, width), value, atol=1e-12)


@given(pictures(), sides, sides)
def test_turning_the_image_turns_the_result(image: Array, rows: int, cols: int) -> None:
    image = image.astype(np.float64)

    result = bicubic(image, rows, cols)
    np.testing.assert_allclose(
        bicubic(image[::-1, ::-1], rows, cols), result[::-1, ::-1], atol=1e-9
    )
    swapped = bicubic(image.swapaxes(0, 1), cols, rows)
    np.testing.assert_allclose(swapped, result.swapaxes(0, 1), atol=1e-9)


@given(pictures())
def test_the_same_size_gives_the_same_picture(image: Array) -> None:
    np.testing.assert_array_equal(bicubic(image, *image.shape[:2]), image)


def test_a_large_picture_is_the_same_as_its_parts() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)

    whole = bicubic(image, 200, 150)
    part = bicubic(image[100:300, 100:200], 100, 50)
    np.testing.assert_array_equal(whole[54:146, 54:96], part[4:-4, 4:-4])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_result_has_the_type_of_the_image(dtype: type[np.generic]) -> None:
    image = np.ones((6, 4), dtype)

    for result in (bicubic(image, 3, 5), pixelate(image, 4)):
        assert result.dtype == dtype
        assert result.flags.c_contiguous
        np.testing.assert_allclose(result, 1, rtol=1e-6)


def test_sixteen_bits_are_clamped_at_their_own_limit() -> None:
    edge = np.array([[0, 0, 0, 65535, 65535, 65535]], np.uint16)

    assert bicubic(edge, 1, 12).max() == 65535


@given(st.integers(0, 3000), st.integers(1, 200), st.sampled_from([(1500, 3000), (9000, 3000)]))
def test_rows_of_a_long_side_are_those_of_the_whole(
    start: int, count: int, sizes: tuple[int, int]
) -> None:
    length, size = sizes
    image = np.random.default_rng(0).integers(0, 256, (length, 1), dtype=np.uint8)
    stop = min(start + count, size)
    start = min(start, stop - 1)

    whole = bicubic(image, size, 2)
    part = bicubic_part(image, size, 2, (start, stop), (0, 2))
    np.testing.assert_array_equal(part, whole[start:stop])
    # Far from both ends, the same grid begins at any multiple of 3.
    near = bicubic(image[length // 3 : 2 * length // 3], size // 3, 2)
    np.testing.assert_array_equal(near[50:-50], whole[size // 3 + 50 : 2 * size // 3 - 50])


def test_the_weights_of_a_long_side_are_not_kept() -> None:
    tracemalloc.start()
    bicubic(np.zeros((1, 100_000), np.uint8), 2, 200_000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 2**24


@given(pictures(), st.integers(1, 12))
def test_pixelation_gives_every_block_its_mean(image: Array, block: int) -> None:
    result = pixelate(image, block)

    assert result.shape == image.shape
    for top in range(0, image.shape[0], block):
        for left in range(0, image.shape[1], block):
            cell = (slice(top, top + block), slice(left, left + block))
            mean = image[cell].mean(axis=(0, 1), keepdims=True)
            assert (result[cell] == np.floor(mean + 0.5)).all()


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: bicubic(np.zeros((4, 4)), 0, 4), "at least 1, got 0 x 4"),
        (lambda: bicubic(np.zeros((4,)), 2, 2), r"got \(4,\)"),
        (lambda: bicubic(np.zeros((0, 4)), 2, 2), r"non-empty .* got \(0, 4\)"),
        (lambda: bicubic(np.zeros((4, 4), np.int64), 2, 2), "got int64"),
        (lambda: bicubic(np.zeros((4, 4), np.uint64), 2, 2), "got uint64"),
        (lambda: pixelate(np.zeros((4, 4)), 0), "at least 1 pixel, got 0"),
    ],
)
def test_what_cannot_be_resized_is_refused(call: Callable[[], Array], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call()


def as_image(picture: Array) -> Tensor:
    return torch.from_numpy(picture).movedim(-1, 0).unsqueeze(0).double() / 255


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "factor", "decibels", "similarity"),
    [
        ("set5", 2, 33.66, 0.9299),
        ("set5", 3, 30.39, 0.8682),
        ("set5", 4, 28.42, 0.8104),
        ("b100", 2, 29.56, 0.8431),
        ("b100", 3, 27.21, 0.7385),
        ("b100", 4, 25.96, 0.6675),
    ],
)
def test_bicubic_scores_what_the_papers_say(
    test_data: Path, folder: str, factor: int, decibels: float, similarity: float
) -> None:
    scores = []
    for path in sorted((test_data / "sr" / folder).glob("*.[jp]*g")):
        with Image.open(path) as file:
            picture = np.array(file.convert("RGB"))
        height, width = (side - side % factor for side in picture.shape[:2])
        target = picture[:height, :width]
        small = bicubic(target, height // factor, width // factor)
        output = bicubic(small, height, width)
        images = as_image(output), as_image(target)
        scores.append(torch.cat([psnr_y(*images, factor), ssim_y(*images, factor)]))

    psnr, ssim = torch.stack(scores).mean(dim=0).tolist()
    assert psnr == pytest.approx(decibels, abs=0.015)
    assert ssim == pytest.approx(similarity, abs=0.0008)


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    scale=st.integers(1, 4),
    data=st.data(),
    dtype=st.sampled_from([np.uint8, np.uint16]),
)
def test_a_part_is_that_of_the_whole(
    size: tuple[int, int], scale: int, data: st.DataObject, dtype: type
) -> None:
    image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, size, dtype, endpoint=True)
    height, width = (scale * side for side in size)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom = data.draw(st.integers(top + 1, height))
    right = data.draw(st.integers(left + 1, width))

    whole = bicubic(image, height, width)
    part = bicubic_part(image, height, width, (top, bottom), (left, right))
    np.testing.assert_array_equal(part, whole[top:bottom, left:right])


@pytest.mark.parametrize("no_part", [(-1, 3), (2, 2), (3, 9)])
def test_a_part_that_is_not_there_is_refused(no_part: tuple[int, int]) -> None:
    image = np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"expected rows within 0\.\.8"):
        bicubic_part(image, 8, 8, no_part, (0, 8))
    with pytest.raises(ValueError, match=r"expected columns within 0\.\.8"):
        bicubic_part(image, 8, 8, (0, 8), no_part)
