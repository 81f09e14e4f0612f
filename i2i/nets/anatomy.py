"""The parts of a net in numbers: units, weights, connections, output sizes, receptive field."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from i2i.nets.autoencoder import Autoencoder
from i2i.nets.margin import receptive_fields


@dataclass(frozen=True)
class Layer:
    """One layer that has weights, on one picture.

    Attributes:
        output: channels, height and width of its output.
        units: values in its output.
        weights: numbers that are trained, biases included.
        connections: multiply-adds; a transposed convolution is counted at its input's resolution.
        receptive_field: input pixels, (rows, columns), that one of its units depends on at most.
    """

    name: str
    kind: str
    output: tuple[int, int, int]
    units: int
    weights: int
    connections: int
    receptive_field: tuple[int, int]


def anatomy(net: Autoencoder, height: int, width: int) -> list[Layer]:
    """The layers with weights in the order of the data, for a picture of (height, width).

    Examples:
        >>> from i2i.nets import Autoencoder, Decoder, Encoder, PictureHead
        >>> net = Autoencoder(Encoder([8, 16], [0, 0]), Decoder([16, 8], [0]), PictureHead(8))
        >>> for layer in anatomy(net, 32, 32):
        ...     print(layer.name, layer.output, layer.connections, layer.receptive_field)
        encoder.stages.0.0.0 (8, 32, 32) 221184 (3, 3)
        encoder.stages.1.0.0 (16, 16, 16) 524288 (6, 6)
        decoder.ups.0.0 (8, 32, 32) 524288 (8, 8)
        head.residual (3, 32, 32) 221184 (10, 10)
    """
    fields = receptive_fields(net)
    layers: list[Layer] = []

    def note(name: str) -> object:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            layers.append(_layer(name, module, inputs[0], output, fields[name]))

        return hook

    hooks = [
        module.register_forward_hook(note(name))
        for name, module in net.named_modules()
        if not list(module.children()) and any(True for _ in module.parameters())
    ]
    parameter = next(net.parameters())
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(
                torch.zeros(1, net.encoder.input_channels, height, width, device=parameter.device)
            )
    finally:
        net.train(training)
        for handle in hooks:
            handle.remove()
    return layers


def _layer(
    name: str, module: nn.Module, inputs: Tensor, output: Tensor, field: tuple[int, int]
) -> Layer:
    _, channels, height, width = output.shape
    connections = 0
    if isinstance(module, nn.Conv2d):
        connections = height * width * module.weight.numel()
    elif isinstance(module, nn.ConvTranspose2d):
        connections = inputs.shape[-2] * inputs.shape[-1] * module.weight.numel()
    return Layer(
        name,
        type(module).__name__,
        (channels, height, width),
        channels * height * width,
        sum(parameter.numel() for parameter in module.parameters()),
        connections,
        field,
    )
