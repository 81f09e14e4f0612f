from __future__ import annotations

import pytest
from torch import nn

from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder, PictureHead
from i2i.nets.margin import extents, margin


def plain(*, stages: int = 1, blocks: int = 0) -> Autoencoder:
    widths, depths = [4] * stages, [blocks] * stages
    return Autoencoder(Encoder(widths, depths), Decoder(widths, depths[1:]), ClassHead(4))


def replace_stem(net: Autoencoder, layer: nn.Module) -> None:
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


def test_a_layer_of_unknown_extent_is_refused() -> None:
    net = plain()
    replace_stem(net, nn.AvgPool2d(3, stride=1, padding=1))

    with pytest.raises(ValueError, match="the extent of AvgPool2d is not known; add it"):
        margin(net)
