from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.margin import extents, margin
from tests.i2i.nets.probing import probe


def plain(*, stages: int = 1, blocks: int = 0) -> Autoencoder:
    widths, depths = [4] * stages, [blocks] * stages
    return Autoencoder(Encoder(widths, depths), Decoder(widths, depths[1:]), ClassHead(4))


def replace_stem(net: Autoencoder, layer: nn.Module) -> None:
    assert isinstance(net.encoder, Encoder)
    net.encoder.stages[0] = nn.Sequential(layer, nn.ReLU())


def test_two_convolutions_look_two_pixels_far() -> None:
    assert extents(plain()) == (2, 2)


def test_a_residual_block_looks_two_pixels_further() -> None:
    assert extents(plain(blocks=3)) == (2 + 3 * 2, 2 + 3 * 2)


def test_a_strided_stage_looks_three_pixels_further() -> None:
    # One for the stem, one for the scores, and three for the way down and up: a pixel is made of
    # its own coarse pixel and the one at its side, each of 4 pixels.
    assert extents(plain(stages=2)) == (1 + 3 + 1, 1 + 3 + 1)
    assert margin(plain(stages=2)) == 6


def test_the_bicubic_skip_looks_two_pixels_far() -> None:
    net = Autoencoder(Encoder([4], [0]), Decoder([4], []), PictureHead(4, stride=2, scale=2))
    replace_stem(net, nn.Conv2d(3, 4, 1))

    assert extents(net) == (2, 2)


def test_dilation_and_an_asymmetric_layer_are_followed() -> None:
    net = plain()
    replace_stem(net, nn.Conv2d(3, 4, 3, padding=4, dilation=4))
    assert extents(net) == (5, 5)
    replace_stem(net, nn.Conv2d(3, 4, (1, 4), padding=(0, 1)))
    assert extents(net, axis=0) == (1, 1)
    assert extents(net, axis=1) == (2, 3)
    assert margin(net) == 3


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Identity(), (5, 5)),
        (nn.MaxPool2d(3, stride=1, padding=1), (6, 6)),
        (nn.AvgPool2d((5, 3), stride=1, padding=(2, 1)), (7, 7)),
        (nn.Sequential(nn.ZeroPad2d((0, 0, 2, 0)), nn.MaxPool2d((3, 1), stride=1)), (7, 5)),
        # What is needed of two pixels begins and ends with a pair of them.
        (nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), (5, 5)),
        (nn.Sequential(nn.AvgPool2d(3, 2, padding=1), nn.Upsample(scale_factor=2)), (6, 5)),
        (nn.Sequential(nn.Conv2d(3, 3, 5, padding=2, groups=3), nn.GELU()), (7, 7)),
    ],
)
def test_pools_and_other_layers_are_followed(layer: nn.Module, expected: tuple[int, int]) -> None:
    net = Autoencoder(Encoder([4, 4], [0, 0]), Decoder([4, 4], [0], skip="none"), ClassHead(4))
    replace_stem(net, nn.Sequential(layer, nn.Conv2d(3, 4, 3, padding=1)))

    assert extents(net) == expected
    assert probe(net, 40) == max(expected)


class Functional(nn.Module):
    """Pools as torchvision's Inception calls them, in a residual sum."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)
        x = x + F.max_pool2d(F.relu(pooled), 5, 1, 2)
        return torch.cat([x[:, :2], x[:, 2:]], dim=1)


def test_pools_that_are_called_are_followed() -> None:
    net = plain()
    replace_stem(net, nn.Sequential(Functional(), nn.Conv2d(3, 4, 1)))

    assert extents(net) == (1 + 3, 1 + 3)
    assert probe(net, 16) == 4


class Rolled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, 3, dims=2)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.AdaptiveAvgPool2d(8), "AdaptiveAvgPool2d"),
        (nn.InstanceNorm2d(3), "InstanceNorm2d"),
        (nn.Upsample(scale_factor=1, mode="bilinear"), "Upsample"),
        (Rolled(), "roll"),
    ],
)
def test_a_layer_of_unknown_extent_is_refused(layer: nn.Module, name: str) -> None:
    net = plain()
    replace_stem(net, nn.Sequential(layer, nn.Conv2d(3, 4, 1)))

    with pytest.raises(ValueError, match=f"the extent of .*{name}.* is not known; add it"):
        margin(net)
