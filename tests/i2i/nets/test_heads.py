from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from i2i.metrics import psnr_y
from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
from i2i.nets.heads import BicubicEnlargement, PictureActivation
from i2i.nets.margin import margin
from i2i.resize import bicubic

SCALES = [2, 3, 4]


def untrained(scale: int) -> Autoencoder:
    return Autoencoder(
        Encoder([8, 12], [0, 1]), Decoder([12, 8], [0]), PictureHead(8, stride=scale, scale=scale)
    ).eval()


@pytest.mark.parametrize("scale", [*SCALES, 5, 8])
@pytest.mark.parametrize("size", [(9, 14), (17, 8)])
def test_the_fixed_enlargement_is_that_of_the_papers(scale: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*size, 3)).astype(np.float32)

    enlarged = BicubicEnlargement(3, scale)(torch.from_numpy(image).movedim(-1, 0)[None])
    got = enlarged[0].movedim(0, -1).numpy()
    expected = bicubic(image.astype(np.float64), scale * size[0], scale * size[1])
    inside = slice(2 * scale, -2 * scale)
    np.testing.assert_allclose(got[inside, inside], expected[inside, inside], atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_a_flat_picture_stays_flat_up_to_its_border(scale: int) -> None:
    flat = torch.full((1, 3, 1, 6), 0.7)

    enlarged = BicubicEnlargement(3, scale)(flat)
    torch.testing.assert_close(enlarged, torch.full((1, 3, scale, 6 * scale), 0.7))


@pytest.mark.parametrize("scale", SCALES)
def test_the_untrained_net_is_the_fixed_enlargement(scale: int) -> None:
    image = torch.rand(2, 3, 8, 10)

    with torch.no_grad():
        assert torch.equal(untrained(scale)(image), BicubicEnlargement(3, scale)(image))


@pytest.mark.parametrize("activation", ["clamp", "sigmoid"])
def test_an_activation_keeps_the_enlargement_and_its_range(activation: PictureActivation) -> None:
    head = PictureHead(4, stride=2, scale=2, activation=activation)
    features, image = torch.randn(1, 4, 8, 8), torch.rand(1, 3, 8, 8).round(decimals=1)

    expected = BicubicEnlargement(3, 2)(image).clamp(0, 1)
    # The logit is cut a quarter of a step of 8 bit before black and white.
    torch.testing.assert_close(head(features, image), expected, atol=0.26 / 255, rtol=0)
    nn.init.normal_(head.residual.weight, std=10)
    with torch.autocast("cpu", torch.bfloat16):
        trained = head(features, image)
    assert trained.dtype == torch.float32
    assert 0 <= trained.min() < 0.01
    assert 0.99 < trained.max() <= 1


def test_only_a_clamp_takes_the_gradient_of_values_beyond_white() -> None:
    features, image = torch.ones(1, 4, 4, 4), torch.ones(1, 3, 4, 4)
    steep = {}
    for activation in get_args(PictureActivation):
        head = PictureHead(4, skip="identity", activation=activation)
        bias = head.residual.get_parameter("bias")
        nn.init.constant_(bias, 0.1)
        (slope,) = torch.autograd.grad(head(features, image).sum(), bias)
        steep[activation] = slope.abs().sum().item()

    assert steep["linear"] > steep["sigmoid"] > steep["clamp"] == 0


def test_the_fixed_enlargement_stays_in_float32() -> None:
    image = torch.rand(1, 3, 8, 8)
    net = untrained(2)

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(image), BicubicEnlargement(3, 2)(image))


def test_the_fixed_enlargement_is_not_learned_and_not_stored() -> None:
    enlargement = BicubicEnlargement(3, 2)

    assert list(enlargement.parameters()) == []
    assert enlargement.state_dict() == {}


@pytest.mark.parametrize("skip", ["bicubic", "identity"])
def test_the_untrained_net_at_scale_1_changes_nothing(skip: str) -> None:
    head = PictureHead(4, skip=skip)  # type: ignore[arg-type]
    image = torch.rand(1, 3, 6, 6)

    with torch.no_grad():
        assert torch.equal(head(torch.rand(1, 4, 6, 6), image), image)


@pytest.mark.data
@pytest.mark.parametrize(("scale", "decibels"), [(2, 33.66), (3, 30.39), (4, 28.42)])
def test_the_untrained_net_scores_what_the_papers_say_of_bicubic(
    test_data: Path, scale: int, decibels: float
) -> None:
    net = untrained(scale)
    scores = []
    for path in sorted((test_data / "sr" / "set5").glob("*.[jp]*g")):
        with Image.open(path) as file:
            picture = np.array(file.convert("RGB"))
        height, width = (side - side % scale for side in picture.shape[:2])
        target = picture[:height, :width]
        small = bicubic(target, height // scale, width // scale)
        around = margin(net)
        sides = [(around, around + -side % net.size_multiple) for side in small.shape[:2]]
        plane = np.pad(small, [*sides, (0, 0)], mode="symmetric")
        image = torch.from_numpy(plane).movedim(-1, 0)[None].float() / 255
        with torch.no_grad():
            output = net(image)[..., scale * around :, scale * around :][..., :height, :width]
        truth = torch.from_numpy(target).movedim(-1, 0)[None].float() / 255
        scores.append(float(psnr_y(output, truth, scale)))

    assert len(scores) == 5
    assert np.mean(scores) == pytest.approx(decibels, abs=0.02)
