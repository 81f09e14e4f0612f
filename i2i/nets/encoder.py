"""Encoders: the interface of all, and the one of strided convolutions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from i2i.nets.activations import activation_layer
from i2i.nets.blocks import blocks
from i2i.nets.convolutions import styled_convolution
from i2i.nets.style import (
    Activation,
    BlockKind,
    Initialisation,
    Norm,
    Padding,
    Style,
    check_choice,
    check_counts,
    check_dilated,
)

StemStride = Literal[1, 2]
Down = Literal["stride", "max", "average"]


class FeatureEncoder(nn.Module, ABC):
    """Features of a picture at falling sizes: the base of every encoder.

    (N, input_channels, H, W), values in [0, 1] → one tensor a stage, shallow first: feature i is
    (N, widths[i], H / strides[i], W / strides[i]). H and W must be multiples of the last stride.

    Attributes:
        input_channels: channels of the picture.
        widths: channels of each feature.
        stem_stride: input pixels per pixel of the first feature; each further feature has half the
            size of the one before.
        padding: what its convolutions see beyond the border.
    """

    input_channels: int
    widths: list[int]
    stem_stride: int
    padding: Padding = "zeros"

    @property
    def strides(self) -> list[int]:
        """Input pixels per feature pixel, of each feature."""
        return [self.stem_stride * 2**i for i in range(len(self.widths))]

    @abstractmethod
    def forward(self, image: Tensor) -> list[Tensor]:
        """The features, shallow first."""


class Encoder(FeatureEncoder):
    """Features of a picture at falling sizes, (N, input_channels, H, W) → one tensor a stage.

    Feature i is (N, widths[i], H / strides[i], W / strides[i]), strides = stem_stride ·
    (1, 2, 4, …). H and W must be multiples of the last stride. No pooling: strided convolutions
    reduce size, looking at local portions of the picture only (Springenberg et al., arXiv
    1412.6806).

    Examples:
        >>> import torch
        >>> features = Encoder(widths=[8, 16], depths=[0, 1])(torch.rand(1, 3, 32, 32))
        >>> [tuple(f.shape) for f in features]
        [(1, 8, 32, 32), (1, 16, 16, 16)]

    Args:
        widths: channels of each stage, the stem first.
        depths: blocks of each stage.
        stem_stride: 1 keeps the size in the stem; 2 halves it there.
        down: what halves the size: the convolution's `stride`, or, for comparison, pooling (`max`,
            `average`) after a 3 x 3 convolution.
        norm, activation, block, dilations, padding, dropout, initialisation: see `Style`.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        input_channels: int = 3,
        stem_stride: StemStride = 1,
        norm: Norm = Style.norm,
        activation: Activation = Style.activation,
        block: BlockKind = Style.block,
        dilations: Sequence[int] = Style.dilations,
        padding: Padding = Style.padding,
        dropout: float = Style.dropout,
        initialisation: Initialisation = Style.initialisation,
        down: Down = "stride",
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(depths):
            raise ValueError(
                f"depths: expected one for each of the widths {list(widths)}, got {list(depths)}"
            )
        check_counts("widths", widths, 1)
        check_counts("depths", depths, 0)
        check_counts("input_channels", [input_channels], 1)
        check_choice("stem_stride", stem_stride, StemStride)
        check_choice("down", down, Down)
        style = Style(block, dilations, activation, norm, padding, dropout, initialisation)
        check_dilated(dilations, depths[-1])
        self.widths, self.depths = list(widths), list(depths)
        self.input_channels, self.stem_stride, self.down = input_channels, stem_stride, down
        self.norm: Norm = norm
        self.activation, self.block, self.dilations = activation, block, list(dilations)
        self.padding, self.dropout, self.initialisation = padding, dropout, initialisation
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            inputs = widths[i - 1] if i else input_channels
            stride = stem_stride if i == 0 else 2
            pooled = down == "max" and stride == 2
            stage = nn.Sequential(
                _down(inputs, width, stride, down, style),
                # `_down` has activated what it takes the maximum of.
                nn.Identity() if pooled else activation_layer(activation),
                blocks(depth, width, style, dilations if i == len(widths) - 1 else (1,)),
            )
            self.stages.append(stage)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        x = image
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _down(inputs: int, width: int, stride: int, down: Down, style: Style) -> nn.Sequential:
    if stride == 1:
        return styled_convolution(inputs, width, style)
    if down == "stride":
        return styled_convolution(inputs, width, style, kernel_size=4, stride=2)
    if down == "max":
        # The other order is the same where an activation rises everywhere; gelu and silu do not,
        # and OpenVINO 2026.4 exchanges the two all the same: a test of the graph shows it.
        activation = activation_layer(style.activation)
        return nn.Sequential(styled_convolution(inputs, width, style), activation, nn.MaxPool2d(2))
    return nn.Sequential(styled_convolution(inputs, width, style), nn.AvgPool2d(2))
