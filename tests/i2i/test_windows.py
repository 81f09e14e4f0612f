from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from i2i.windows import SMALLEST_SIDE, Plan, cut, keep, plan_windows, reflect, stitch

lengths = st.integers(1, 300)


@st.composite
def demands(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of a plan that can be met."""
    multiple = draw(st.sampled_from([1, 2, 3, 4, 8, 16]))
    margin = multiple * draw(st.integers(0, 4))
    kept = multiple * draw(st.integers(1, 20))
    spare = draw(st.integers(0, multiple - 1))
    return {
        "height": draw(lengths),
        "width": draw(lengths),
        "window": draw(st.sampled_from([None, 2 * margin + kept + spare])),
        "margin": margin,
        "size_multiple": multiple,
    }


def planned(demand: dict[str, Any]) -> Plan:
    return plan_windows(
        demand["height"],
        demand["width"],
        window=demand["window"],
        margin=demand["margin"],
        size_multiple=demand["size_multiple"],
    )


def numbered(height: int, width: int) -> NDArray[np.uint8]:
    """A picture whose three channels name the pixel."""
    number = np.arange(height * width).reshape(height, width)
    return np.stack([number % 256, number // 256 % 256, number // 65536], axis=2).astype(np.uint8)


@given(demands(), st.integers(1, 4))
def test_stitch_undoes_cut(demand: dict[str, Any], scale: int) -> None:
    pixels = numbered(demand["height"] % 60 + 1, demand["width"] % 60 + 1)
    height, width = pixels.shape[:2]
    canvas = np.zeros((scale * height, scale * width, 3), np.uint8)

    for window in planned({**demand, "height": height, "width": width}):
        output = cut(pixels, window).repeat(scale, axis=0).repeat(scale, axis=1)
        stitch(canvas, keep(output, window, scale), window, scale)
    np.testing.assert_array_equal(canvas, pixels.repeat(scale, axis=0).repeat(scale, axis=1))


@given(demands())
def test_every_pixel_is_kept_once(demand: dict[str, Any]) -> None:
    times = np.zeros((demand["height"], demand["width"]), int)

    for window in planned(demand):
        times[slice(*window.rows), slice(*window.columns)] += 1
        assert window.rows[0] < window.rows[1] <= demand["height"]
        assert window.columns[0] < window.columns[1] <= demand["width"]
    assert (times == 1).all()


@given(demands())
def test_what_is_kept_lies_a_margin_away_from_the_cuts(demand: dict[str, Any]) -> None:
    margin = demand["margin"]
    for window in planned(demand):
        for origin, side, kept in (
            (window.top, window.height, window.rows),
            (window.left, window.width, window.columns),
        ):
            assert origin + margin <= kept[0]
            assert kept[1] <= origin + side - margin


@given(demands())
def test_windows_fit_the_net(demand: dict[str, Any]) -> None:
    plan, multiple = planned(demand), demand["size_multiple"]
    windows = list(plan)

    assert len(windows) == len(plan) >= 1
    assert len({(window.height, window.width) for window in windows}) == 1
    for window in windows:
        numbers = (window.top, window.left, window.height, window.width)
        assert all(number % multiple == 0 for number in numbers)
    if demand["window"] is None:
        assert len(windows) == 1
    else:
        assert max(windows[0].height, windows[0].width) <= demand["window"]


@given(demands())
def test_a_plan_is_a_function_of_its_numbers(demand: dict[str, Any]) -> None:
    assert planned(demand) == planned(demand)
    assert list(planned(demand)) == list(planned(demand))


def test_a_plan_has_no_more_windows_than_the_largest_side_asks_for() -> None:
    plan = plan_windows(700, 1300, window=384, margin=24, size_multiple=8)

    assert (len(plan.rows), len(plan.columns)) == (3, 4)
    assert (plan.rows.side, plan.columns.side) == (320, 384)
    small = plan_windows(1, 1, window=384, margin=24, size_multiple=8)
    assert (len(small), small.rows.side) == (1, SMALLEST_SIDE)


def test_pictures_of_all_sizes_share_few_sides() -> None:
    sides = {
        plan_windows(length, 1, window=384, margin=24, size_multiple=8).rows.side
        for length in range(1, 2000)
    }

    assert sides <= {64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384}


@given(st.integers(1, 9), st.integers(0, 30))
def test_the_plane_is_the_symmetric_extension_of_the_picture(length: int, around: int) -> None:
    line = np.arange(length)

    index = reflect(np.arange(-around, length + around), length)
    np.testing.assert_array_equal(line[index], np.pad(line, around, mode="symmetric"))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5))
def test_a_window_is_cut_from_the_plane(height: int, width: int, margin: int) -> None:
    pixels = numbered(height, width)
    plan = plan_windows(height, width, window=None, margin=margin, size_multiple=1)

    (window,) = plan
    expected = np.pad(pixels, [(margin, margin), (margin, margin), (0, 0)], mode="symmetric")
    np.testing.assert_array_equal(cut(pixels, window), expected)


def test_a_window_of_a_wide_picture_costs_the_window_alone() -> None:
    pixels = np.zeros((1, 2_000_000, 3), np.uint8)
    window = next(iter(plan_windows(1, 2_000_000, window=256, margin=16, size_multiple=4)))

    tracemalloc.start()
    assert cut(pixels, window).shape == (window.height, window.width, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 256 * 256 * 3


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"height": 0}, "at least 1 x 1, got 0 x 5"),
        ({"width": -1}, "at least 1 x 1, got 5 x -1"),
        ({"margin": 6}, "margin: expected a multiple of 4, got 6"),
        ({"window": 16}, "window: expected more than twice the margin 8, got 16"),
        ({"window": 19}, "window: expected more than twice the margin 8, got 19"),
    ],
)
def test_a_plan_that_cannot_be_met_is_refused(fields: dict[str, Any], complaint: str) -> None:
    demand = {"height": 5, "width": 5, "window": 64, "margin": 8, "size_multiple": 4}

    with pytest.raises(ValueError, match=complaint):
        planned({**demand, **fields})
