"""Predictions in bands, as views and as files."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from i2i.image import FORMATS, ImageError, Picture, decode, read_map
from i2i.prediction import VIEWS, Prediction, check_file, join, write_bands
from i2i.predictor import Cancelled, Predictor, Sweep
from i2i.spec import ClassInfo, MapInfo, ModelSpec
from i2i.windows import Plan, plan_windows

few = settings(max_examples=15, deadline=None)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
Noise = Callable[..., NDArray[np.uint8]]

KINDS: dict[str, dict[str, Any]] = {
    "image": {"scale": 2},
    "labels": {"classes": (ClassInfo("a", (0, 0, 0)), ClassInfo("b", (9, 9, 9)))},
    "map": {"map": MapInfo("m", -2.0, 6.0)},
}


def spec_of(kind: str) -> ModelSpec:
    return ModelSpec(name=kind, kind=kind, task="test", net={}, **KINDS[kind])  # type: ignore[arg-type]


def small_windows(predictor: Predictor, height: int, width: int) -> Plan:
    margin, multiple = predictor.spec.margin, predictor.spec.size_multiple
    return plan_windows(
        height, width, window=2 * margin + 10, margin=margin, size_multiple=multiple
    )


@few
@given(size=sizes, deep=st.booleans(), channels=st.sampled_from([1, 3]))
def test_the_bands_of_a_picture_are_its_prediction(
    noise: Noise, enlarging: Predictor, size: tuple[int, int], deep: bool, channels: int
) -> None:
    pixels, alpha = noise(*size, channels), noise(*size, 1)[..., 0]
    if deep:
        pixels, alpha = pixels * np.uint16(257), alpha * np.uint16(257)
    picture, plan = Picture(pixels, alpha), small_windows(enlarging, *size)

    bands = list(enlarging.bands(picture, plan=plan))
    assert len(bands) == len(plan.rows)
    whole = enlarging.predict(picture, plan=plan)
    for name, plane in whole.planes.items():
        assert plane.dtype == pixels.dtype
        rows = np.concatenate([band.planes[name] for band in bands])
        np.testing.assert_array_equal(rows, plane)
    np.testing.assert_array_equal(np.concatenate([b.source.pixels for b in bands]), pixels)


def test_a_band_is_made_when_it_is_asked_for(noise: Noise, enlarging: Predictor) -> None:
    done: list[int] = []
    plan = small_windows(enlarging, 30, 30)
    bands = enlarging.bands(
        Picture(noise(30, 30)), plan=plan, progress=lambda number, _: done.append(number)
    )

    assert done == []
    next(bands)
    assert done == [1, 2, 3]


def test_a_sweep_gives_a_band_after_each_row_of_windows(noise: Noise, measuring: Predictor) -> None:
    picture = Picture(noise(30, 30))
    sweep = Sweep(measuring, picture, small_windows(measuring, 30, 30))
    height, width = sweep.window_shape
    assert (sweep.windows_left, sweep.pixels_left) == (9, 9 * height * width)

    bands = []
    while sweep.windows_left:
        window = sweep.cut()
        assert window.shape == (1, 3, height, width)
        bands.append(sweep.put(measuring.engine.run(window)))
    assert [band is not None for band in bands] == [False, False, True] * 3
    whole = measuring.predict(picture)
    joined = join([band for band in bands if band], picture)
    np.testing.assert_allclose(joined.map, whole.map, atol=1e-4)  # type: ignore[arg-type]


def test_16_bits_in_are_16_bits_out_and_as_exact(noise: Noise, enlarging: Predictor) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (12, 9, 3), np.uint16)

    deep = enlarging.predict(Picture(pixels)).picture
    outputs = enlarging.engine.run
    assert deep is not None
    assert deep.depth == 16
    sweep = Sweep(enlarging, Picture(pixels))
    margin = 2 * enlarging.spec.margin
    values = outputs(sweep.cut())["image"][0].transpose(1, 2, 0)
    expected = 65535 * values[margin : margin + 24, margin : margin + 18].astype(np.float64)
    assert np.abs(deep.pixels - expected).max() <= 0.51
    assert (deep.pixels % 257 != 0).any()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_file_of_bands_is_the_file_of_the_whole(
    noise: Noise,
    enlarging: Predictor,
    labelling: Predictor,
    measuring: Predictor,
    kind: str,
    format: Any,
) -> None:
    predictor = {"image": enlarging, "labels": labelling, "map": measuring}[kind]
    picture = Picture(noise(30, 30), noise(30, 30, 1)[..., 0])
    plan = small_windows(predictor, 30, 30)

    for view in (None, *VIEWS[predictor.spec.kind]):
        file = io.BytesIO()
        write_bands(file, format, predictor.bands(picture, plan=plan), picture, view)
        whole = predictor.predict(picture, plan=plan).encode(format, view)
        assert file.getvalue() == whole


@pytest.mark.parametrize("format", FORMATS)
def test_bands_that_are_missing_are_told(
    noise: Noise, enlarging: Predictor, format: Any, tmp_path: Path
) -> None:
    picture = Picture(noise(30, 30))
    first = next(iter(enlarging.bands(picture, plan=small_windows(enlarging, 30, 30))))

    for bands in ([], [first]):
        with pytest.raises(ValueError, match=r"rows: expected \d+, got \d+"):
            write_bands(tmp_path / "out", format, bands, picture)
        assert list(tmp_path.iterdir()) == []


def test_a_prediction_that_ends_early_leaves_no_file(
    noise: Noise, enlarging: Predictor, tmp_path: Path
) -> None:
    picture = Picture(noise(30, 30))
    answers = iter([False, False, False, False, True])
    bands = enlarging.bands(
        picture, plan=small_windows(enlarging, 30, 30), cancelled=lambda: next(answers)
    )

    with pytest.raises(Cancelled):
        write_bands(tmp_path / "out.png", "png", bands, picture)
    assert list(tmp_path.iterdir()) == []


def test_a_map_is_written_in_its_unit_and_shown_in_colour(
    noise: Noise, measuring: Predictor, tmp_path: Path
) -> None:
    prediction = measuring.predict(Picture(noise(8, 10)))
    values = prediction.map
    assert values is not None
    assert (values.dtype, values.shape) == (np.float32, (8, 10))

    for format in ("tiff", "png"):
        (tmp_path / "map").write_bytes(prediction.encode(format))
        stored = read_map(tmp_path / "map")
        if format == "png":
            np.testing.assert_allclose(stored / 65535 * 8 - 2, values.clip(-2, 6), atol=1e-4)
        else:
            np.testing.assert_array_equal(stored, values)
    shown = decode(prediction.encode("webp", "colour"))
    assert shown.pixels.shape == (8, 10, 3)


def test_a_map_with_nan_is_not_written_as_png() -> None:
    values = np.full((2, 2), np.nan, np.float32)
    prediction = Prediction(spec_of("map"), Picture(np.zeros((2, 2, 3), np.uint8)), map=values)

    with pytest.raises(ImageError, match="neither NaN nor infinity; use tiff"):
        prediction.encode("png")
    assert decode(prediction.encode("png", "colour")).pixels[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    ("kind", "format", "view", "size", "depth", "said"),
    [
        ("image", "webp", None, (8192, 9), 8, "at most 16,383, got 16,384"),
        ("image", "jpeg", None, (9, 32_751), 8, "at most 65,500, got 65,502"),
        ("image", "jpeg", None, (9, 9), 16, "at most 8 bits"),
        ("labels", "jpeg", None, (9, 9), 8, "or the view overlay or confidence"),
        ("labels", "webp", "mask", (9, 9), 8, "webp would blur labels"),
        ("map", "webp", None, (9, 9), 8, "webp would blur a map"),
        ("map", "jpeg", "values", (9, 9), 8, "or the view colour"),
    ],
)
def test_what_no_file_can_hold_is_known_before(
    kind: str, format: Any, view: Any, size: tuple[int, int], depth: Any, said: str
) -> None:
    with pytest.raises(ImageError, match=said) as caught:
        check_file(spec_of(kind), format, view, *size, depth)
    assert caught.value.code == "format_cannot_hold"


@pytest.mark.parametrize(
    ("kind", "format", "view", "depth"),
    [
        ("image", "tiff", None, 16),
        ("labels", "jpeg", "overlay", 16),
        ("map", "png", None, 16),
        ("map", "tiff", "values", 8),
        ("map", "jpeg", "colour", 16),
    ],
)
def test_what_a_file_can_hold_is_let_through(kind: str, format: Any, view: Any, depth: Any) -> None:
    check_file(spec_of(kind), format, view, 70_000 if format == "tiff" else 9, 9, depth)


@pytest.mark.parametrize(("kind", "view"), [("image", "mask"), ("labels", "colour")])
def test_a_view_that_the_kind_has_not_is_refused(kind: str, view: Any) -> None:
    with pytest.raises(ValueError, match=f"^view: expected .* {kind}.*, got {view}"):
        check_file(spec_of(kind), "png", view, 9, 9)


def test_a_profile_is_kept_by_a_picture_of_its_colours(noise: Noise, enlarging: Predictor) -> None:
    picture = enlarging.predict(Picture(noise(5, 5), profile=b"a profile")).picture
    assert picture is not None
    assert picture.profile == b"a profile"


def peak_of_writing(predictor: Predictor, picture: Picture, target: Path) -> int:
    """Most bytes held at once, beside the picture."""
    tracemalloc.start()
    try:
        write_bands(target, "png", predictor.bands(picture), picture)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_height(enlarging: Predictor, tmp_path: Path) -> None:
    low, high = (
        Picture(np.zeros((height, 200, 3), np.uint8), np.zeros((height, 200), np.uint8))
        for height in (200, 1600)
    )
    peak_of_writing(enlarging, low, tmp_path / "first.png")  # what is kept for the next picture

    before = peak_of_writing(enlarging, low, tmp_path / "low.png")
    assert peak_of_writing(enlarging, high, tmp_path / "high.png") < 1.2 * before + 300_000
