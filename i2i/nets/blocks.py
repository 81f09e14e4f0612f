"""Blocks, (N, C, H, W) → the same: what a stage is made of after its change of size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle

import torch
from torch import Tensor, nn

from i2i.nets.activations import activation_layer
from i2i.nets.convolutions import styled_convolution
from i2i.nets.style import Style

# Of the large-kernel block: four pixels to each side, more than ConvNeXt's 7.
LARGE_KERNEL = 9


def blocks(
    count: int, channels: int, style: Style, dilations: Sequence[int] = (1,)
) -> nn.Sequential:
    """`count` blocks of the style's kind, their dilations cycled."""
    pairs = zip(range(count), cycle(dilations), strict=False)
    return nn.Sequential(*(_block(channels, style, dilation) for _, dilation in pairs))


def _block(channels: int, style: Style, dilation: int) -> nn.Module:
    match style.block:
        case "residual" | "dilated":
            return ResidualBlock(channels, style, dilation)
        case "factorised":
            return FactorisedBlock(channels, style, dilation)
        case "bottleneck":
            return BottleneckBlock(channels, style)
        case "large_kernel":
            return LargeKernelBlock(channels, style)
        case "dense":
            return DenseBlock(channels, style)
        case "inception":
            return InceptionBlock(channels, style)
        case "reparameterised":
            return ReparameterisedBlock(channels, style)
        case "plain":
            return PlainBlock(channels, style)


class Residual(nn.Module, ABC):
    """last(x + branch(x)): the frame of the residual blocks.

    With batch norm the sum is activated, as He et al., arXiv 1512.03385; without, it is not, as
    EDSR, arXiv 1707.02921.
    """

    def __init__(self, style: Style) -> None:
        super().__init__()
        self.dropout = _dropout(style)
        batch = style.norm in ("batch", "folded")
        self.last = activation_layer(style.activation) if batch else nn.Identity()

    @abstractmethod
    def branch(self, x: Tensor) -> Tensor:
        """What is added to x, of its shape."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(x + self.dropout(self.branch(x)))
        return out


class ResidualBlock(Residual):
    """Two 3 x 3 convolutions, both dilated where a dilation is given."""

    def __init__(self, channels: int, style: Style, dilation: int = 1) -> None:
        super().__init__(style)
        self.first = styled_convolution(channels, channels, style, dilation=dilation)
        self.activation = activation_layer(style.activation)
        self.second = _small(styled_convolution(channels, channels, style, dilation=dilation))

    def branch(self, x: Tensor) -> Tensor:
        out: Tensor = self.second(self.activation(self.first(x)))
        return out


class BottleneckBlock(Residual):
    """1 x 1 down to a quarter of the channels, 3 x 3, 1 x 1 back up: ResNet, arXiv 1512.03385."""

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__(style)
        narrow = max(1, channels // 4)
        self.layers = nn.Sequential(
            styled_convolution(channels, narrow, style, kernel_size=1),
            activation_layer(style.activation),
            styled_convolution(narrow, narrow, style),
            activation_layer(style.activation),
            _small(styled_convolution(narrow, channels, style, kernel_size=1)),
        )

    def branch(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class FactorisedBlock(Residual):
    """3 x 1 and 1 x 3 convolutions, twice, the second pair dilated; a norm after each pair.

    ERFNet's non-bottleneck-1D (Romera et al. 2018, doi 10.1109/TITS.2017.2750080): two thirds of
    the weights of two 3 x 3 convolutions.
    """

    def __init__(self, channels: int, style: Style, dilation: int = 1) -> None:
        super().__init__(style)
        bare = replace(style, norm="none")
        self.layers = nn.Sequential(
            styled_convolution(channels, channels, bare, kernel_size=(3, 1)),
            activation_layer(style.activation),
            styled_convolution(channels, channels, style, kernel_size=(1, 3)),
            activation_layer(style.activation),
            styled_convolution(channels, channels, bare, kernel_size=(3, 1), dilation=dilation),
            activation_layer(style.activation),
            _small(
                styled_convolution(channels, channels, style, kernel_size=(1, 3), dilation=dilation)
            ),
        )

    def branch(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class LargeKernelBlock(Residual):
    """A 9 x 9 depthwise convolution on half of the channels, then 1 x 1 up and down.

    The order of ConvNeXt (arXiv 2201.03545), twice the channels between the 1 x 1 convolutions; on
    part of the channels as InceptionNeXt (arXiv 2303.16900), for depthwise convolutions cost more
    time than their multiply-adds say.
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__(style)
        self.part = (channels + 1) // 2
        self.wide = styled_convolution(
            self.part, self.part, style, kernel_size=LARGE_KERNEL, groups=self.part
        )
        self.expand = styled_convolution(channels, 2 * channels, style, kernel_size=1)
        self.activation = activation_layer(style.activation)
        self.project = _small(styled_convolution(2 * channels, channels, style, kernel_size=1))

    def branch(self, x: Tensor) -> Tensor:
        mixed = torch.cat([self.wide(x[:, : self.part]), x[:, self.part :]], dim=1)
        out: Tensor = self.project(self.activation(self.expand(mixed)))
        return out


class DenseBlock(Residual):
    """Three 3 x 3 convolutions that each see all before them, then 1 x 1 back to the channels.

    DenseNet's growth (arXiv 1608.06993) in a residual, as in ESRGAN (arXiv 1809.00219); each layer
    adds half of the channels.
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__(style)
        growth = (channels + 1) // 2
        self.layers = nn.ModuleList(
            nn.Sequential(
                styled_convolution(channels + i * growth, growth, style),
                activation_layer(style.activation),
            )
            for i in range(3)
        )
        self.fuse = _small(
            styled_convolution(channels + 3 * growth, channels, style, kernel_size=1)
        )

    def branch(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        out: Tensor = self.fuse(x)
        return out


class InceptionBlock(Residual):
    """1 x 1, 3 x 3 and 5 x 5 convolutions side by side, then 1 x 1 back to the channels.

    Inception (arXiv 1409.4842) in a residual, as Inception-ResNet (arXiv 1602.07261); a 1 x 1
    convolution halves the channels before the larger kernels.
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__(style)
        narrow = (channels + 1) // 2
        self.branches = nn.ModuleList()
        for side in (1, 3, 5):
            layers = [
                styled_convolution(channels, narrow, style, kernel_size=1),
                activation_layer(style.activation),
            ]
            if side > 1:
                layers += [
                    styled_convolution(narrow, narrow, style, kernel_size=side),
                    activation_layer(style.activation),
                ]
            self.branches.append(nn.Sequential(*layers))
        self.fuse = _small(styled_convolution(3 * narrow, channels, style, kernel_size=1))

    def branch(self, x: Tensor) -> Tensor:
        seen = [branch(x) for branch in self.branches]
        out: Tensor = self.fuse(torch.cat(seen, dim=1))
        return out


class ReparameterisedBlock(nn.Module):
    """activation(3 x 3 + 1 x 1 + identity): three branches that the export makes one convolution.

    RepVGG (arXiv 2101.03697), each branch with its own batch norm; without norm as ECBSR's plain
    branches (Zhang et al. 2021, doi 10.1145/3474085.3475291).
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.channels, self.style = channels, style
        self.wide = _small(styled_convolution(channels, channels, style))
        self.narrow = _small(styled_convolution(channels, channels, style, kernel_size=1))
        self.same = nn.BatchNorm2d(channels) if style.norm == "batch" else nn.Identity()
        self.activation = activation_layer(style.activation)
        self.dropout = _dropout(style)

    def forward(self, x: Tensor) -> Tensor:
        summed = self.wide(x) + self.narrow(x) + self.same(x)
        out: Tensor = self.dropout(self.activation(summed))
        return out


class PlainBlock(nn.Module):
    """activation(3 x 3 convolution): a folded ReparameterisedBlock, or VGG's layer."""

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.convolution = styled_convolution(channels, channels, style)
        self.activation = activation_layer(style.activation)
        self.dropout = _dropout(style)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout(self.activation(self.convolution(x)))
        return out


def _dropout(style: Style) -> nn.Module:
    """Dropout of whole channels (Tompson et al., arXiv 1411.4280), or nothing."""
    return nn.Dropout2d(style.dropout) if style.dropout else nn.Identity()


def _small(layer: nn.Sequential) -> nn.Sequential:
    """The convolution, or its norm, started small: a deep stack begins near the identity."""
    weight = layer[-1].weight
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight.mul_(0.1)
    return layer
