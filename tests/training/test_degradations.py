"""Degradations: the same size, the same result for the same random state, and what each does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.degradations import (
    Blur,
    Chain,
    Degradation,
    GaussianNoise,
    Gray,
    Holes,
    Jpeg,
    MotionBlur,
    Resize,
)
from training.pixels import to_8_bit, to_float
from training.recipe import build, describe

KEEPING = [
    Blur((0.0, 2.0)),
    Blur((0.2, 3.0), anisotropic=True),
    MotionBlur((1, 9)),
    Resize((0.3, 1.5)),
    Gray(),
    Holes((0.0, 0.4)),
    Holes(0.1, "rectangles"),
    Holes(0.1, "strokes"),
]
WILD = Chain(
    [Blur((0.2, 2.0)), Resize((0.5, 1.5)), GaussianNoise((1, 20)), Jpeg((30, 95))],
    [0.8, 0.5, 0.8, 0.9],
    shuffle=True,
)
ALL = [*KEEPING, GaussianNoise((0, 50)), GaussianNoise(25, clip=True), Jpeg((10, 90)), WILD]
seeds = st.integers(0, 2**31 - 1)
sides = st.integers(1, 24)


def spoiled(degradation: Degradation, image: np.ndarray, seed: int) -> np.ndarray:
    return degradation(image, np.random.default_rng(seed))


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(ALL),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    sides,
    sides,
    st.sampled_from([1, 3]),
    seeds,
)
def test_a_degradation_keeps_the_size_and_repeats_itself(
    degradation: Degradation, dtype: type, height: int, width: int, channels: int, seed: int
) -> None:
    image = np.random.default_rng(seed).random((height, width, channels))
    image = (image if dtype is np.float32 else image * np.iinfo(dtype).max).astype(dtype)
    before = image.copy()

    first, again = spoiled(degradation, image, seed), spoiled(degradation, image, seed)

    assert first.shape == (height, width, 3 if isinstance(degradation, Holes) else channels)
    assert np.array_equal(first, again)
    assert np.array_equal(image, before)
    expected = {Jpeg: np.uint8, GaussianNoise: np.float32}.get(type(degradation), dtype)
    if isinstance(degradation, GaussianNoise) and degradation.clip:
        expected = np.uint8
    if degradation is not WILD:
        assert first.dtype == expected


@pytest.mark.parametrize("degradation", ALL, ids=str)
def test_a_degradation_can_be_described_and_built_again(
    degradation: Degradation, picture: Callable[..., np.ndarray]
) -> None:
    again = build(describe(degradation))

    assert str(again) == str(degradation)
    assert np.array_equal(spoiled(again, picture(), 3), spoiled(degradation, picture(), 3))


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 60), seeds)
def test_noise_has_its_sigma_and_is_not_clipped(sigma: float, seed: int) -> None:
    black = np.zeros((64, 64, 3), np.uint8)

    noise = 255 * spoiled(GaussianNoise(sigma), black, seed)

    assert noise.std() == pytest.approx(sigma, rel=0.05)
    assert noise.mean() == pytest.approx(0, abs=0.05 * sigma)
    assert (spoiled(GaussianNoise(sigma, clip=True), black, seed) == to_8_bit(noise / 255)).all()


def test_a_lower_quality_spoils_more(picture: Callable[..., np.ndarray]) -> None:
    errors = [
        np.abs(to_float(spoiled(Jpeg(quality), picture(), 0)) - to_float(picture())).mean()
        for quality in (10, 50, 95)
    ]

    assert errors[0] > errors[1] > errors[2] > 0


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([*KEEPING[:4]]), st.integers(0, 255), seeds)
def test_blur_and_resizing_leave_a_flat_picture(
    degradation: Degradation, level: int, seed: int
) -> None:
    flat = np.full((20, 30, 3), level, np.uint8)

    assert (spoiled(degradation, flat, seed) == flat).all()


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_a_blur_has_its_sigma_along_each_axis(sigma: float) -> None:
    point = np.zeros((41, 41, 1), np.float32)
    point[20, 20] = 1

    blurred = spoiled(Blur(sigma), point, 0)[..., 0]

    offsets = np.arange(41) - 20
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    for axis in (0, 1):
        assert np.sqrt(blurred.sum(axis) @ offsets**2) == pytest.approx(sigma, rel=0.03)


@settings(deadline=None, max_examples=20)
@given(st.floats(2, 15), seeds)
def test_a_moving_camera_draws_a_point_as_a_line_of_that_length(length: float, seed: int) -> None:
    point = np.zeros((41, 41, 1), np.float32)
    point[20, 20] = 1

    y, x = np.nonzero(spoiled(MotionBlur(length), point, seed)[..., 0] > 1e-3)

    across = np.hypot(np.ptp(x), np.ptp(y))
    assert length - 2.5 <= across <= length + 3


def test_gray_has_the_brightness_in_each_channel(picture: Callable[..., np.ndarray]) -> None:
    gray = spoiled(Gray(), picture(), 0)

    expected = picture() @ [0.299, 0.587, 0.114]
    assert np.abs(gray - expected[..., None]).max() <= 0.501


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["rectangles", "strokes", "both"]), st.floats(0, 0.5), seeds)
def test_holes_have_their_share_and_nothing_else_changes(
    shape: str, share: float, seed: int
) -> None:
    image = np.random.default_rng(seed).integers(10, 240, (48, 64, 3)).astype(np.uint8)

    changed = spoiled(Holes(share, shape, (2, 16)), image, seed)  # type: ignore[arg-type]

    holes = (changed == [255, 0, 255]).all(-1)
    assert (changed[~holes] == image[~holes]).all()
    # One hole may come on top.
    assert share <= holes.mean() <= share + 0.15


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), seeds)
def test_a_rectangle_is_as_large_as_it_is_said_to_be(size: int, seed: int) -> None:
    image = np.zeros((48, 64, 3), np.uint8)

    # So small a share is one rectangle, which may reach beyond the picture.
    holes = (spoiled(Holes(1e-6, "rectangles", size), image, seed) == [255, 0, 255]).all(-1)

    rows, columns = (np.flatnonzero(holes.any(axis)) for axis in (1, 0))
    for places, length in ((rows, 48), (columns, 64)):
        if places[0] > 0 and places[-1] < length - 1:
            assert len(places) == size
        assert len(places) <= size


def test_a_chain_takes_what_its_probabilities_say(picture: Callable[..., np.ndarray]) -> None:
    both = Chain([Gray(), Holes(0.2)])
    never, first = Chain([Gray(), Holes(0.2)], [0, 0]), Chain([Gray(), Holes(0.2)], [1, 0])

    assert (spoiled(never, picture(), 0) == picture()).all()
    assert (spoiled(first, picture(), 0) == spoiled(Gray(), picture(), 0)).all()
    magenta = (spoiled(both, picture(), 0) == [255, 0, 255]).all(-1)
    assert 0.2 <= magenta.mean() < 1


def test_a_shuffled_chain_draws_its_order(picture: Callable[..., np.ndarray]) -> None:
    # Gray after the holes leaves no magenta.
    chain = Chain([Gray(), Holes(0.2)], shuffle=True)

    coloured = {np.ptp(spoiled(chain, picture(), seed), axis=-1).any() for seed in range(16)}

    assert coloured == {np.True_, np.False_}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianNoise(-1), r"sigma: expected a number or a pair .* 0 to 255, got -1"),
        (lambda: GaussianNoise((30, 10)), r"sigma: expected .*, got \(30, 10\)"),
        (lambda: GaussianNoise(float("nan")), r"sigma: expected .*, got nan"),
        (lambda: Jpeg((0, 50)), r"quality: expected .* 1 to 95, got \(0, 50\)"),
        (lambda: Blur(21), r"sigma: expected .* 0 to 20, got 21"),
        (lambda: MotionBlur(0.5), r"length: expected .* 1 to 100, got 0.5"),
        (lambda: Resize((0.01, 1)), r"factor: expected .* 0.05 to 4, got \(0.01, 1\)"),
        (lambda: Holes(1.0), r"share: expected .* 0 to 0.9, got 1.0"),
        (
            lambda: Holes(0.1, "circles"),  # type: ignore[arg-type]
            r"shape: expected one of rectangles, strokes, both, got 'circles'",
        ),
        (lambda: Holes(0.1, size=0), r"size: expected .* 1 to 1000, got 0"),
        (lambda: Holes(0.1, colour=(0, 0, 256)), r"colour: expected three of 0 to 255"),
        (lambda: Chain([]), r"degradations: expected a list of at least one, got \[\]"),
        (
            lambda: Chain([25]),  # type: ignore[list-item]
            r"degradation: expected an object of a class of training.degradations, got 25",
        ),
        (lambda: Chain([Gray()], [0.5, 0.5]), r"probabilities: expected 1 of 0 to 1, got \[0.5"),
        (lambda: Chain([Gray()], [1.5]), r"probabilities: expected 1 of 0 to 1, got \[1.5\]"),
    ],
)
def test_wrong_ranges_are_refused_with_words(make: Callable[[], Degradation], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
