"""The encoder of LeNet, with its average pooling or with strided convolutions in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from i2i.nets.convolutions import conv2d
from i2i.nets.encoder import FeatureEncoder
from i2i.nets.style import check_choice, check_counts

Subsampling = Literal["average", "stride"]


class LeNet(FeatureEncoder):
    """The layers C1 to C5 of LeNet-5 (LeCun et al., "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE, 1998), (N, input_channels, H, W) → features at stride 1,
    2, 4, …

    Each stage: subsampling by 2 (not in the first), a 5 x 5 convolution, the scaled tanh. Unlike
    the paper's: borders are padded, so that sizes stay; each map of a convolution sees all maps
    before it. H and W must be multiples of the last stride.

    Examples:
        >>> import torch
        >>> [tuple(f.shape) for f in LeNet()(torch.rand(1, 3, 32, 32))]
        [(1, 6, 32, 32), (1, 16, 16, 16), (1, 120, 8, 8)]

    Args:
        widths: channels of each stage.
        subsampling: `average`: the mean of 2 x 2 pixels, times a trained coefficient, plus a
            trained bias, through the tanh, as the paper's; `stride`: a strided convolution in place
            of the mean.
    """

    def __init__(
        self,
        widths: Sequence[int] = (6, 16, 120),
        input_channels: int = 3,
        subsampling: Subsampling = "average",
    ) -> None:
        super().__init__()
        if not widths:
            raise ValueError("widths: expected one for each stage, got none")
        check_counts("widths", widths, 1)
        check_counts("input_channels", [input_channels], 1)
        check_choice("subsampling", subsampling, Subsampling)
        self.widths, self.input_channels = list(widths), input_channels
        self.stem_stride, self.subsampling = 1, subsampling
        self.stages = nn.ModuleList()
        before = input_channels
        for i, width in enumerate(widths):
            down = _subsampling(before, subsampling) if i else nn.Identity()
            self.stages.append(nn.Sequential(down, _convolution(before, width, 5), ScaledTanh()))
            before = width

    def forward(self, image: Tensor) -> list[Tensor]:
        # The paper's inputs have mean 0 and deviation 1, roughly.
        x = 2 * image - 1
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class ScaledTanh(nn.Module):
    """1.7159 tanh(2x / 3): f(1) = 1 and f(-1) = -1 (LeCun et al. 1998, appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * x)


def _convolution(inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    layer = conv2d(inputs, outputs, kernel_size, stride=stride)
    bound = 2.4 / (inputs * kernel_size**2)  # the paper's, appendix A
    nn.init.uniform_(layer.weight, -bound, bound)
    return layer


def _subsampling(channels: int, kind: Subsampling) -> nn.Sequential:
    if kind == "stride":
        return nn.Sequential(_convolution(channels, channels, 4, stride=2), ScaledTanh())
    scaled = nn.Conv2d(channels, channels, 1, groups=channels)
    nn.init.ones_(scaled.weight)
    assert scaled.bias is not None
    nn.init.zeros_(scaled.bias)
    return nn.Sequential(nn.AvgPool2d(2), scaled, ScaledTanh())
