"""The decoder: stages that each double the size by a transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
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

Skip = Literal["add", "concat", "none"]


class Decoder(nn.Module):
    """Back up from the deepest feature, joined by the encoder's features of the same size.

    Each stage: transposed convolution (kernel 4, stride 2, padding 1), join, residual blocks. The
    result has `widths[-1]` channels and the size of the encoder's first feature.

    >>> import torch
    >>> deep, shallow = torch.rand(1, 16, 8, 8), torch.rand(1, 8, 16, 16)
    >>> tuple(Decoder(widths=[16, 8], depths=[1])([shallow, deep]).shape)
    (1, 8, 16, 16)

    Args:
        widths: channels, deepest first: the encoder's deepest width, then one for each stage.
        depths: residual blocks of each stage, one fewer than widths.
        skip: `add` the encoder's feature (widths must mirror the encoder's), `concat` it and reduce
            the channels by a 1 x 1 convolution, or `none`: a plain autoencoder.
        skip_widths: the encoder's widths, deepest first, where the decoder's do not mirror them:
            `add` then brings each feature to its stage's width by a 1 x 1 convolution.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        skip: Skip = "add",
        norm: Norm = "none",
        activation: Activation = "relu",
        skip_widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if len(depths) != len(widths) - 1:
            raise ValueError(
                f"depths: expected one fewer than the widths {list(widths)}, got {list(depths)}"
            )
        check_counts("widths", widths, 1)
        check_counts("depths", depths, 0)
        check_choice("skip", skip, Skip)
        check_choice("norm", norm, Norm)
        if skip_widths is not None:
            _check_skip_widths(skip_widths, widths, skip)
        self.widths, self.depths = list(widths), list(depths)
        self.skip_widths = None if skip_widths is None else list(skip_widths)
        self.norm: Norm = norm
        self.skip, self.activation = skip, activation
        self.ups, self.joins, self.blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        joined = (skip_widths or widths)[1:]
        stages = zip(widths[:-1], widths[1:], joined, depths, strict=True)
        for inputs, width, skip_width, depth in stages:
            self.ups.append(
                convolution(inputs, width, kernel_size=4, stride=2, transposed=True, norm=norm)
            )
            self.joins.append(_join(skip, width, skip_width, norm))
            blocks = residual_blocks(depth, width, norm, activation)
            self.blocks.append(nn.Sequential(activation_layer(activation), blocks))

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        shallower = features[-2::-1]
        stages = zip(self.ups, self.joins, self.blocks, shallower, strict=True)
        for up, join, blocks, feature in stages:
            x = up(x)
            if self.skip == "add":
                x = x + join(feature)
            elif self.skip == "concat":
                x = join(torch.cat([x, feature], dim=1))
            x = blocks(x)
        return x


def _join(skip: Skip, width: int, skip_width: int, norm: Norm) -> nn.Module:
    """What a feature goes through before it is added, or the channels after concatenation."""
    if skip == "concat":
        return convolution(width + skip_width, width, kernel_size=1, norm=norm)
    if skip == "add" and width != skip_width:
        return convolution(skip_width, width, kernel_size=1, norm=norm)
    return nn.Identity()


def _check_skip_widths(skip_widths: Sequence[int], widths: Sequence[int], skip: Skip) -> None:
    check_counts("skip_widths", skip_widths, 1)
    if skip == "none":
        raise ValueError(f"skip_widths: expected null with skip 'none', got {list(skip_widths)}")
    if len(skip_widths) != len(widths) or skip_widths[0] != widths[0]:
        raise ValueError(
            f"skip_widths: expected {len(widths)}, beginning with the decoder's {widths[0]}, "
            f"got {list(skip_widths)}"
        )
