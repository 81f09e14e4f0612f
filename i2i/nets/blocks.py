"""Building blocks: convolutions with their norm and activation, and the residual block.

Strided convolutions have kernel 4, stride 2, padding 1, and transposed convolutions the same, so
that the grids of input and output are symmetric: nothing shifts by half a pixel on its way down and
up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

# "folded": batch norm that the export has folded into the convolutions.
Norm = Literal["none", "batch", "folded"]
Activation = Literal["relu", "leaky_relu", "silu"]


def check_choice(name: str, value: object, choices: Any) -> None:
    """Raises ValueError where `value` is none of the Literal `choices`."""
    if value not in get_args(choices):
        expected = ", ".join(map(str, get_args(choices)))
        raise ValueError(f"{name}: expected one of {expected}, got {value!r}")


def check_counts(name: str, values: Sequence[int], least: int) -> None:
    """Raises ValueError where one of `values` is below `least`."""
    if any(value < least for value in values):
        raise ValueError(f"{name}: expected numbers of at least {least}, got {list(values)}")


def activation_layer(activation: Activation) -> nn.Module:
    match activation:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(0.1, inplace=True)
        case "silu":
            return nn.SiLU(inplace=True)
    raise ValueError(f"activation: expected relu, leaky_relu or silu, got {activation!r}")


def convolution(
    inputs: int,
    outputs: int,
    *,
    kernel_size: int = 3,
    stride: int = 1,
    transposed: bool = False,
    norm: Norm = "none",
) -> nn.Sequential:
    """A (transposed) convolution, zero-padded symmetrically, followed by its norm.

    (N, inputs, H, W) → (N, outputs, H / stride, W / stride), or H · stride where transposed.
    With a norm the convolution has no bias: the norm would remove it.
    """
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(
        inputs,
        outputs,
        kernel_size,
        stride=stride,
        padding=(kernel_size - stride + 1) // 2,
        bias=norm != "batch",
    )
    # A transposed convolution sums kernel_size² / stride² taps at each output.
    fan_in = inputs * kernel_size**2 / (stride**2 if transposed else 1)
    nn.init.normal_(layer.weight, std=(2 / fan_in) ** 0.5)  # He et al., arXiv 1502.01852
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    if norm == "batch":
        return nn.Sequential(layer, nn.BatchNorm2d(outputs))
    return nn.Sequential(layer)


class ResidualBlock(nn.Module):
    """x + convolution(activation(convolution(x))), (N, C, H, W) → the same.

    With batch norm the sum is activated, as He et al., arXiv 1512.03385; without, it is not, as
    EDSR, arXiv 1707.02921. The second convolution starts small, so that a deep stack begins near
    the identity.
    """

    def __init__(self, channels: int, norm: Norm = "none", activation: Activation = "relu") -> None:
        super().__init__()
        self.first = convolution(channels, channels, norm=norm)
        self.activation = activation_layer(activation)
        self.second = convolution(channels, channels, norm=norm)
        self.last = activation_layer(activation) if norm != "none" else nn.Identity()
        weight = self.second[-1].weight
        assert isinstance(weight, Tensor)
        with torch.no_grad():
            weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(x + self.second(self.activation(self.first(x))))
        return out


def residual_blocks(
    count: int, channels: int, norm: Norm = "none", activation: Activation = "relu"
) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, norm, activation) for _ in range(count)))
