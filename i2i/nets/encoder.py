"""Encoders: the interface of all, and the one of strided convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from i2i.nets.blocks import (
    Activation,
    Norm,
    activation_layer,
    check_choice,
    check_counts,
    convolution,
    residual_blocks,
)

StemStride = Literal[1, 2]


class FeatureEncoder(nn.Module):
    """Features of a picture at falling sizes: the base of every encoder.

    (N, input_channels, H, W), values in [0, 1] → one tensor a stage, shallow first: feature i is
    (N, widths[i], H / strides[i], W / strides[i]). H and W must be multiples of the last stride.

    Attributes:
        input_channels: channels of the picture.
        widths: channels of each feature.
        stem_stride: input pixels per pixel of the first feature; each further feature has half the
            size of the one before.
    """

    input_channels: int
    widths: list[int]
    stem_stride: int

    @property
    def strides(self) -> list[int]:
        """Input pixels per feature pixel, of each feature."""
        return [self.stem_stride * 2**i for i in range(len(self.widths))]

    def forward(self, image: Tensor) -> list[Tensor]:
        raise NotImplementedError


class Encoder(FeatureEncoder):
    """Features of a picture at falling sizes, (N, input_channels, H, W) → one tensor a stage.

    Feature i is (N, widths[i], H / strides[i], W / strides[i]), strides = stem_stride ·
    (1, 2, 4, …). H and W must be multiples of the last stride. No pooling: strided convolutions
    reduce size, looking at local portions of the picture only (Springenberg et al., arXiv
    1412.6806).

    >>> import torch
    >>> features = Encoder(widths=[8, 16], depths=[0, 1])(torch.rand(1, 3, 32, 32))
    >>> [tuple(f.shape) for f in features]
    [(1, 8, 32, 32), (1, 16, 16, 16)]

    Args:
        widths: channels of each stage, the stem first.
        depths: residual blocks of each stage.
        stem_stride: 1 keeps the size in the stem; 2 halves it there.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        input_channels: int = 3,
        stem_stride: StemStride = 1,
        norm: Norm = "none",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(depths):
            raise ValueError(
                f"depths: expected one for each of the widths {list(widths)}, got {list(depths)}"
            )
        check_counts("widths", widths, 1)
        check_counts("depths", depths, 0)
        check_choice("stem_stride", stem_stride, StemStride)
        check_choice("norm", norm, Norm)
        self.widths, self.depths = list(widths), list(depths)
        self.input_channels, self.stem_stride = input_channels, stem_stride
        self.norm: Norm = norm
        self.activation = activation
        self.stages = nn.ModuleList()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            stride = stem_stride if i == 0 else 2
            down = convolution(
                widths[i - 1] if i else input_channels,
                width,
                kernel_size=3 if stride == 1 else 4,
                stride=stride,
                norm=norm,
            )
            blocks = residual_blocks(depth, width, norm, activation)
            self.stages.append(nn.Sequential(down, activation_layer(activation), blocks))

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        x = image
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
