"""Pairs of pictures: of as many channels, and gray ones whose targets are in colour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from i2i.engines.torch import TorchEngine
from i2i.image import Picture
from i2i.metrics import psnr
from i2i.model_folder import ModelFolder
from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from i2i.predictor import Predictor
from training.data.cache import Samples
from training.data.crops import to_tensor
from training.evaluation.evaluate import evaluate
from training.export.export import _spec
from training.tasks import Paired, Sample
from training.tasks.paired import Channels

RANDOM = np.random.default_rng(0)


def predictor_of(task: Paired) -> Predictor:
    """One of an untrained net that mixes its channels."""
    torch.manual_seed(0)
    channels = cast(Channels, task.net_arguments()["encoder"]["input_channels"])
    head = PictureHead(4, **task.net_arguments()["head"])
    net = Autoencoder(Encoder([4, 4], [0, 0], input_channels=channels), Decoder([4, 4], [0]), head)
    torch.nn.init.normal_(head.residual.weight, std=0.1)
    recipe: dict[str, Any] = {"task": {}, "net": {}, "data": {}, "steps": 0, "core_minutes": 0.0}
    spec = _spec("paired", task, net.eval(), recipe, licence="none")
    return Predictor(ModelFolder(Path("paired"), spec), TorchEngine(net, spec))


def test_a_pair_is_input_and_target_of_one_size_and_as_many_channels(
    picture: Callable[..., np.ndarray],
) -> None:
    task, colours = Paired(), picture()
    gray = colours[..., :1]

    image, target = task.pair(Sample("s", colours, target=gray), RANDOM)

    assert (target == gray).all()
    assert image.shape == target.shape
    assert task.pair(Sample("s", gray, target=gray), RANDOM)[0].shape == gray.shape
    with pytest.raises(ValueError, match=r"s: expected a picture with a target"):
        task.pair(Sample("s", gray), RANDOM)


def test_a_gray_input_with_a_target_in_colour_is_refused_when_it_is_read(
    picture: Callable[..., np.ndarray],
) -> None:
    sample = Sample("scan", picture()[..., :1], target=picture(seed=1))

    with pytest.raises(
        ValueError, match=r"scan: expected an input in colour, .* set model\.task\.input_channels"
    ):
        Samples([lambda: sample], cache_bytes=0, check=Paired().check_sample)
    Samples([lambda: sample], cache_bytes=0, check=Paired(input_channels=1).check_sample)


@pytest.mark.parametrize(("input_channels", "seen"), [(1, 1), (1, 3), (3, 3)])
def test_what_is_measured_of_pairs_is_what_is_answered(
    input_channels: Channels, seen: int, picture: Callable[..., np.ndarray]
) -> None:
    task = Paired(input_channels)
    image, target = picture()[..., :seen], picture(seed=1)
    predictor = predictor_of(task)

    score = evaluate(predictor, task, [Sample("s", image, target=target)])["scores"]["psnr"]

    answer = predictor.predict(Picture(np.ascontiguousarray(image))).picture
    assert answer is not None
    assert answer.pixels.shape == target.shape
    output, expected = (task.input_tensor(to_tensor(p)[None]) for p in (answer.pixels, target))
    assert score == pytest.approx(psnr(output, expected).item(), abs=1e-4)


def test_the_trivial_answer_to_a_gray_input_is_gray_in_three_channels(
    picture: Callable[..., np.ndarray],
) -> None:
    gray = picture()[..., :1]

    assert (Paired(input_channels=1).baseline(gray) == gray.repeat(3, axis=2)).all()
    assert (Paired().baseline(gray) == gray).all()
