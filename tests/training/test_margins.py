"""Margins as the export chooses them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import i2i
from i2i.engines.torch import TorchEngine
from i2i.image import ImageError, Picture
from i2i.model_folder import ModelFolder
from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder
from i2i.nets.margin import margin
from i2i.nets.style import Padding
from i2i.predictor import Predictor, golden_difference
from i2i.spec import ModelSpec
from i2i.windows import plan_windows
from training import cli
from training.export.card import card
from training.export.margins import Margins, window_for, with_margin


@pytest.fixture(scope="module")
def exact() -> Predictor:
    """A segmentation with its exact margin."""
    return i2i.load("nuclei", engine="torch", precision="f32", threads=1)


@pytest.fixture(scope="module")
def images(exact: Predictor) -> list[Picture]:
    """Its golden sample, and that turned."""
    picture, _ = exact.folder.golden()
    return [picture, Picture(np.ascontiguousarray(np.rot90(picture.pixels)))]


def chosen(
    exact: Predictor,
    images: list[Picture],
    margins: Margins,
    tolerance: float = 0.01,
    padding: Padding = "zeros",
) -> ModelSpec:
    net = Autoencoder(Encoder([4], [0], padding=padding), Decoder([4], []), ClassHead(4))
    return with_margin(exact, images, margins, tolerance, max_pixels=6000, net=net)


def test_a_measured_margin_is_the_smallest_that_keeps_its_word(
    exact: Predictor, images: list[Picture]
) -> None:
    spec = chosen(exact, images, "measured")
    note = spec.provenance["margin"]

    def difference(pixels: int) -> float:
        multiple = spec.size_multiple
        sides = {"window": 2 * pixels + 16 * multiple, "margin": pixels, "size_multiple": multiple}
        return max(
            golden_difference(
                exact.predict(each, plan=plan_windows(each.height, each.width, **sides)),
                exact.predict(each).planes,
            )
            for each in images
        )

    assert spec.margin_kind == "measured"
    assert 0 < spec.margin < exact.spec.margin == note["exact"]
    assert difference(spec.margin) == note["difference"] <= note["tolerance"] == 0.01
    assert difference(spec.margin - spec.size_multiple) > 0.01
    assert "(measured)" in card(spec)


def test_any_difference_is_none_too_large_for_a_tolerance_of_one(
    exact: Predictor, images: list[Picture]
) -> None:
    assert chosen(exact, images, "measured", tolerance=1.0).margin == 0


def test_windows_are_never_smaller_than_what_a_net_reflects(
    exact: Predictor, images: list[Picture]
) -> None:
    deep: dict[str, Any] = {"widths": [4] * 4, "padding": "reflect"}
    encoder = Encoder(depths=[0, 0, 0, 1], block="dilated", dilations=[16], **deep)
    net = Autoencoder(encoder, Decoder(depths=[0] * 3, **deep), ClassHead(4, padding="reflect"))
    reach = margin(net)
    assert net.size_multiple == 8
    spec = replace(exact.spec, size_multiple=8, margin=reach, window=window_for(reach, 8))

    def predictor(spec: ModelSpec) -> Predictor:
        return Predictor(ModelFolder(exact.folder.path, spec), TorchEngine(net, spec))

    measured = chosen(predictor(spec), images, "measured", tolerance=1.0)
    assert 0 < measured.margin < reach
    predictor(measured).predict(Picture(np.zeros((1, 1, 3), np.uint8)))


def test_a_model_without_windows_takes_pictures_up_to_its_limit(
    exact: Predictor, images: list[Picture]
) -> None:
    spec = chosen(exact, images, "whole")
    whole = Predictor(ModelFolder(exact.folder.path, spec), exact.engine)

    assert "taken as a whole, up to 6000 pixels" in card(spec)
    whole.predict(Picture(np.zeros((75, 80, 3), np.uint8)))
    with pytest.raises(ImageError, match="at most 6000 pixels, got 80 x 76"):
        whole.predict(Picture(np.zeros((76, 80, 3), np.uint8)))


@pytest.mark.parametrize(
    ("padding", "kept"),
    [
        ("zeros", False),
        ("replicate", False),
        ("partial", False),
        ("reflect", True),
        ("valid", True),
    ],
)
def test_a_whole_picture_has_beyond_its_borders_what_crops_had(
    exact: Predictor, images: list[Picture], padding: Padding, kept: bool
) -> None:
    spec = chosen(exact, images, "whole", padding=padding)

    assert spec.margin == (exact.spec.margin if kept else 0)
    plan = Predictor(ModelFolder(exact.folder.path, spec), exact.engine).plan(50, 70)
    multiple = spec.size_multiple
    sides = [-(-length // multiple) * multiple + 2 * spec.margin for length in (50, 70)]
    assert [plan.rows.side, plan.columns.side] == sides


def test_a_margin_that_is_too_large_for_windows_is_warned_of(
    exact: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    huge = Predictor(ModelFolder(exact.folder.path, replace(exact.spec, window=4096)), exact.engine)
    with caplog.at_level(logging.WARNING):
        assert chosen(huge, [], "exact") == huge.spec

    assert "--margin measured or whole is better" in caplog.text


def test_a_tolerance_below_zero_is_refused(exact: Predictor, images: list[Picture]) -> None:
    with pytest.raises(ValueError, match="margin_tolerance: expected at least 0, got -1"):
        chosen(exact, images, "measured", tolerance=-1)


@pytest.mark.slow
def test_the_export_measures_what_it_will_serve(
    run_of: Callable[[str], Any], tmp_path: Path
) -> None:
    run = run_of("segmentation")
    where = ["--checkpoint", str(run.checkpoint), *run.where]
    cli.main(["export", *where, "--output", "measured", "--margin=measured"])
    cli.main(["export", *where, "--output", "whole", "--margin=whole", "--max-pixels=6000"])

    measured, whole = (i2i.load(tmp_path / name).spec for name in ("measured", "whole"))
    assert measured.margin_kind == "measured"
    assert (whole.tiling, whole.max_pixels) == ("whole", 6000)
