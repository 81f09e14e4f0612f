from __future__ import annotations

import torch
from torch import nn

from i2i.nets import Autoencoder, ClassHead, Decoder, Encoder
from i2i.nets.anatomy import Layer, anatomy


def layers_of(**style: object) -> dict[str, Layer]:
    torch.manual_seed(0)
    net = Autoencoder(
        Encoder([4, 6], [0, 1], **style),  # type: ignore[arg-type]  # any argument
        Decoder([6, 4], [0], **{**style, "dilations": [1]}),  # type: ignore[arg-type]  # the same
        ClassHead(4),
        auxiliary=[],
    )
    return {layer.name.removeprefix("encoder.stages.1."): layer for layer in anatomy(net, 16, 24)}


def test_a_depthwise_convolution_multiplies_each_channel_once() -> None:
    layers = layers_of(block="large_kernel")

    # Three of the six channels at half of the size; the field as wide as the pixels are.
    assert layers["2.0.wide.0"].connections == 3 * 81 * 8 * 12
    assert layers["2.0.wide.0"].weights == 3 * 81 + 3
    # 3 x 3, then kernel 4 at stride 2, then 9 x 9 at pixels of 2.
    assert layers["2.0.wide.0"].receptive_field == (3 + 3 + 8 * 2, 3 + 3 + 8 * 2)
    assert layers["2.0.expand.0"].connections == 6 * 12 * 8 * 12


def test_a_dilated_one_by_three_convolution_looks_along_one_axis() -> None:
    layers = layers_of(block="factorised", dilations=[3])

    before = layers["2.0.layers.2.0"].receptive_field
    assert layers["2.0.layers.4.0"].receptive_field == (before[0] + 3 * 2 * 2, before[1])
    assert layers["2.0.layers.4.0"].connections == 3 * 36 * 8 * 12


def test_all_that_has_weights_is_counted() -> None:
    layers = layers_of(block="dense", norm="layer", activation="prelu", padding="partial")

    kinds = {layer.kind for layer in layers.values()}
    assert kinds == {"Conv2d", "PartialConv2d", "PartialConvTranspose2d", "LayerNorm2d", "PReLU"}
    net = Autoencoder(
        Encoder([4, 6], [0, 1], block="dense", norm="layer", activation="prelu"),
        Decoder([6, 4], [0], block="dense", norm="layer", activation="prelu"),
        ClassHead(4),
    )
    assert sum(layer.weights for layer in layers.values()) == sum(
        parameter.numel() for parameter in net.parameters()
    )


def test_a_transposed_convolution_multiplies_at_the_size_of_its_input() -> None:
    (up,) = (layer for layer in layers_of().values() if layer.name == "decoder.ups.0.0")

    assert up.kind == nn.ConvTranspose2d.__name__
    assert up.output == (4, 16, 24)
    assert up.connections == 6 * 4 * 16 * 8 * 12
