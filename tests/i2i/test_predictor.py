from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from i2i.engines import Engine
from i2i.image import ImageError, Picture, decode, decode_map, encode, read_header
from i2i.model_folder import ModelError, ModelFolder, digest_of
from i2i.prediction import to_samples
from i2i.predictor import Cancelled, DeadlineExceeded, Predictor, load
from i2i.resize import bicubic
from i2i.spec import ModelSpec
from i2i.windows import Axis, Plan, plan_windows

few = settings(max_examples=20, deadline=None)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
Noise = Callable[..., NDArray[np.uint8]]


def test_predicting_twice_gives_the_same_bytes(noise: Noise, enlarging: Predictor) -> None:
    picture = Picture(noise(30, 33))

    assert enlarging.predict(picture).encode() == enlarging.predict(picture).encode()


def small_windows(predictor: Predictor) -> Plan:
    """Nine windows of a 30 x 30 picture."""
    margin, multiple = predictor.spec.margin, predictor.spec.size_multiple
    return plan_windows(30, 30, window=2 * margin + 10, margin=margin, size_multiple=multiple)


def test_progress_counts_every_window(noise: Noise, enlarging: Predictor) -> None:
    calls: list[tuple[int, int]] = []
    plan = small_windows(enlarging)

    enlarging.predict(
        Picture(noise(30, 30)), plan=plan, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(i + 1, len(plan)) for i in range(len(plan))]
    assert len(plan) == 9


def unexpected(done: int, total: int) -> None:
    pytest.fail("a window was predicted")


def test_no_window_begins_after_the_deadline(noise: Noise, enlarging: Predictor) -> None:
    picture = Picture(noise(20, 20))

    with pytest.raises(DeadlineExceeded):
        enlarging.predict(picture, deadline=time.monotonic() - 1, progress=unexpected)
    enlarging.predict(picture, deadline=time.monotonic() + 1000)


def test_a_cancel_acts_after_the_window_in_hand(noise: Noise, enlarging: Predictor) -> None:
    done: list[int] = []

    with pytest.raises(Cancelled):
        enlarging.predict(
            Picture(noise(30, 30)),
            plan=small_windows(enlarging),
            progress=lambda number, total: done.append(number),
            cancelled=lambda: len(done) == 2,
        )
    assert done == [1, 2]


class Identity:
    """An engine that gives back what it gets, so that a test sees it."""

    name, precision = "openvino", "f32"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        self.shapes.append(image.shape)
        return {"image": image}


def identity(**fields: Any) -> Predictor:
    given: dict[str, Any] = {"window": 64, "margin": 4, "size_multiple": 4, **fields}
    spec = ModelSpec(name="identity", kind="image", task="test", net={}, **given)
    engine: Engine = Identity()  # type: ignore[assignment]
    return Predictor(ModelFolder(Path("identity"), spec), engine)


@few
@given(sizes, st.sampled_from([1, 3]))
def test_the_way_into_a_net_and_back_changes_no_pixel(
    noise: Noise, size: tuple[int, int], channels: int
) -> None:
    pixels = noise(*size, channels)

    picture = identity().predict(Picture(pixels)).picture
    assert picture is not None
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_every_gray_stays_what_it_is() -> None:
    grays = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)

    picture = identity().predict(Picture(grays)).picture
    assert picture is not None
    np.testing.assert_array_equal(picture.pixels, grays)


def test_a_gray_net_gets_the_brightness_of_a_picture(noise: Noise) -> None:
    red = np.zeros((5, 5, 3), np.uint8)
    red[..., 0] = 200
    predictor = identity(input_channels=1)

    picture = predictor.predict(Picture(red)).picture
    assert picture is not None
    np.testing.assert_array_equal(picture.pixels, np.full((5, 5, 1), 60))  # 0.299 of 200
    gray = predictor.predict(Picture(noise(5, 5, 1))).picture
    assert gray is not None
    np.testing.assert_array_equal(gray.pixels, noise(5, 5, 1))


def test_gray_in_is_gray_out(noise: Noise, enlarging: Predictor) -> None:
    gray = noise(12, 9, 1)

    picture = enlarging.predict(Picture(gray)).picture
    assert picture is not None
    assert picture.pixels.shape == (24, 18, 1)
    coloured = enlarging.predict(Picture(gray.repeat(3, axis=2))).picture
    assert coloured is not None
    brightness = coloured.pixels @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(picture.pixels[..., 0], brightness, atol=0.51)


def test_alpha_is_enlarged_beside_the_picture(noise: Noise, enlarging: Predictor) -> None:
    alpha = noise(6, 5, 1)[..., 0]

    picture = enlarging.predict(Picture(noise(6, 5), alpha)).picture
    assert picture is not None
    np.testing.assert_array_equal(picture.alpha, bicubic(alpha, 12, 10))
    same_size = identity().predict(Picture(noise(6, 5), alpha)).picture
    assert same_size is not None
    np.testing.assert_array_equal(same_size.alpha, alpha)


def test_a_model_of_whole_pictures_gets_one_window(noise: Noise) -> None:
    predictor = identity(tiling="whole", max_pixels=400)

    predictor.predict(Picture(noise(10, 40)))
    assert predictor.engine.shapes == [(1, 3, 12 + 8, 40 + 8)]  # type: ignore[attr-defined]
    with pytest.raises(ImageError, match="at most 400 pixels, got 41 x 10") as caught:
        predictor.predict(Picture(noise(10, 41)))
    assert caught.value.code == "too_many_pixels"


def test_what_is_no_picture_is_told_how_to_become_one(noise: Noise, enlarging: Predictor) -> None:
    with pytest.raises(TypeError, match=r"expected an i2i.image.Picture, got ndarray; .*Picture"):
        enlarging.predict(noise(4, 4))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected an i2i.image.Picture, got str"):
        next(enlarging.bands("photo.png"))  # type: ignore[arg-type]
    for read_bytes in (decode, read_header, decode_map):
        with pytest.raises(TypeError, match="expected the bytes of a file, got str"):
            read_bytes("photo.png")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected an i2i.image.Picture, got ndarray"):
        encode(noise(4, 4))  # type: ignore[arg-type]


def test_a_plan_is_for_one_size(noise: Noise, enlarging: Predictor) -> None:
    with pytest.raises(ValueError, match=r"expected one of \(4, 5\) pixels, got one of \(5, 4\)"):
        enlarging.predict(Picture(noise(4, 5)), plan=enlarging.plan(5, 4))


@pytest.mark.parametrize(("side", "margin"), [(66, 4), (64, 5), (62, 3)])
def test_a_plan_that_meets_the_strides_in_another_phase_is_refused(
    noise: Noise, side: int, margin: int
) -> None:
    fitting, other = Axis(30, 64, 4), Axis(30, side, margin)
    complaint = f"multiples of 4, .* got windows of {side} with margins of {margin}"
    for plan in (Plan(other, fitting), Plan(fitting, other)):
        with pytest.raises(ValueError, match=complaint):
            identity().predict(Picture(noise(30, 30)), plan=plan)


def test_a_plan_of_less_margin_is_not_refused(noise: Noise) -> None:
    plan = Plan(Axis(30, 16, 0), Axis(30, 16, 0))
    picture = identity().predict(Picture(noise(30, 30)), plan=plan).picture
    assert picture is not None
    np.testing.assert_array_equal(picture.pixels, noise(30, 30))


def test_a_precision_that_the_export_left_out_is_refused(tiny_x2: Path, tmp_path: Path) -> None:
    spec = ModelFolder.open(tiny_x2).spec
    folder = shutil.copytree(tiny_x2, tmp_path / "model")
    spec = dataclasses.replace(spec, tolerance={"openvino": {"f32": 1.0}})
    spec = dataclasses.replace(spec, digest=digest_of(folder, spec.to_dict()))
    (folder / "model.json").write_text(spec.to_json())
    assert load(folder, engine="openvino").spec.digest == spec.digest
    with pytest.raises(ModelError, match="expected a tolerance for torch bf16, got none"):
        load(folder, engine="torch", precision="bf16")


def test_values_are_rounded_half_up() -> None:
    values = np.array([0, 0.5, 126.49, 126.51, 254.5, 255], np.float32) / np.float32(255)

    assert to_samples(values, np.uint8).tolist() == [0, 1, 126, 127, 255, 255]


def test_a_picture_is_written_in_the_format_asked_for(noise: Noise, enlarging: Predictor) -> None:
    prediction = enlarging.predict(Picture(noise(8, 8)))

    assert prediction.picture is not None
    np.testing.assert_array_equal(
        decode(prediction.encode("tiff")).pixels, prediction.picture.pixels
    )
    assert prediction.encode("jpeg").startswith(b"\xff\xd8")


def test_labels_are_written_in_three_views(noise: Noise, labelling: Predictor) -> None:
    picture = Picture(noise(8, 10))
    prediction = labelling.predict(picture)
    labels, confidence = prediction.labels, prediction.confidence
    assert labels is not None
    assert confidence is not None
    assert len(np.unique(labels)) == 3

    colours = np.array([entry.colour for entry in labelling.spec.classes])
    np.testing.assert_array_equal(decode(prediction.encode()).pixels, colours[labels])
    shown = decode(prediction.encode(view="overlay")).pixels
    np.testing.assert_array_equal(shown[labels == 0], picture.pixels[labels == 0])
    assert (shown[labels > 0] != picture.pixels[labels > 0]).any()
    np.testing.assert_array_equal(
        decode(prediction.encode(view="confidence")).pixels[..., 0],
        to_samples(confidence, np.uint8),
    )


def test_a_mask_is_refused_by_a_format_that_would_blur_it(
    noise: Noise, labelling: Predictor
) -> None:
    prediction = labelling.predict(Picture(noise(4, 4)))

    with pytest.raises(ImageError) as caught:
        prediction.encode("jpeg")
    assert caught.value.code == "format_cannot_hold"
    assert prediction.encode("jpeg", view="overlay").startswith(b"\xff\xd8")
    for wrong in ("jpg", "PNG"):
        with pytest.raises(ValueError, match=f"expected png, jpeg, webp, tiff, got {wrong}"):
            prediction.encode(wrong)  # type: ignore[arg-type]


BLOCKED = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "pytorch_lightning", "albumentations", "bentoml"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refused())
import i2i
predictor = i2i.load(sys.argv[1], engine="openvino", precision="f32", threads=1)
predictor.check_golden()
with open(sys.argv[1] + "/golden-input.png", "rb") as file:
    prediction = predictor.predict(i2i.decode(file.read()))
print(i2i.decode(prediction.encode()).pixels.shape)
"""


def test_predicting_on_openvino_needs_no_torch(tiny_x2: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(tiny_x2)], capture_output=True, text=True, check=False
    )

    assert run.stderr == ""
    assert run.stdout == "(42, 68, 3)\n"


def test_importing_i2i_does_no_work() -> None:
    code = "import sys, i2i; print(sorted({'numpy', 'PIL', 'torch', 'openvino'} & {*sys.modules}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "[]\n"


def test_modules_of_i2i_are_there_without_an_import_of_their_own() -> None:
    code = "import i2i; print(i2i.image.read is i2i.read, hasattr(i2i, 'picture'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout == "True False\n"
