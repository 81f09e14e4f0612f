"""The decoder: stages that each double the size by a transposed convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from i2i.nets.activations import activation_layer
from i2i.nets.blocks import blocks
from i2i.nets.convolutions import styled_convolution, styled_transposed_convolution
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

Skip = Literal["add", "concat", "none"]
Up = Literal["transposed", "resize"]


class Decoder(nn.Module):
    """Back up from the deepest feature, joined by the encoder's features of the same size.

    Each stage: transposed convolution (kernel 4, stride 2, padding 1), join, blocks. The result has
    `widths[-1]` channels and the size of the encoder's first feature.

    Examples:
        >>> import torch
        >>> deep, shallow = torch.rand(1, 16, 8, 8), torch.rand(1, 8, 16, 16)
        >>> tuple(Decoder(widths=[16, 8], depths=[1])([shallow, deep]).shape)
        (1, 8, 16, 16)

    Args:
        widths: channels, deepest first: the encoder's deepest width, then one for each stage.
        depths: blocks of each stage, one fewer than widths.
        skip: `add` the encoder's feature (widths must mirror the encoder's), `concat` it and reduce
            the channels by a 1 x 1 convolution, or `none`: a plain autoencoder.
        skip_widths: the encoder's widths, deepest first, where the decoder's do not mirror them:
            `add` then brings each feature to its stage's width by a 1 x 1 convolution.
        up: what doubles the size: the `transposed` convolution, or, for comparison, `resize`: each
            pixel repeated, then a 3 x 3 convolution (Odena et al. 2016, distill.00003).
        norm, activation, block, dilations, padding, dropout, initialisation: see `Style`; the
            deepest stage is the first.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        skip: Skip = "add",
        norm: Norm = Style.norm,
        activation: Activation = Style.activation,
        skip_widths: Sequence[int] | None = None,
        block: BlockKind = Style.block,
        dilations: Sequence[int] = Style.dilations,
        padding: Padding = Style.padding,
        dropout: float = Style.dropout,
        initialisation: Initialisation = Style.initialisation,
        up: Up = "transposed",
    ) -> None:
        super().__init__()
        if len(depths) != len(widths) - 1:
            raise ValueError(
                f"depths: expected one fewer than the widths {list(widths)}, got {list(depths)}"
            )
        check_counts("widths", widths, 1)
        check_counts("depths", depths, 0)
        check_choice("skip", skip, Skip)
        check_choice("up", up, Up)
        if skip_widths is not None:
            _check_skip_widths(skip_widths, widths, skip)
        style = Style(block, dilations, activation, norm, padding, dropout, initialisation)
        check_dilated(dilations, depths[0] if depths else 0)
        self.widths, self.depths = list(widths), list(depths)
        self.skip_widths = None if skip_widths is None else list(skip_widths)
        self.skip, self.up = skip, up
        self.norm: Norm = norm
        self.activation, self.block, self.dilations = activation, block, list(dilations)
        self.padding, self.dropout, self.initialisation = padding, dropout, initialisation
        self.ups, self.joins, self.blocks = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        joined = (skip_widths or widths)[1:]
        stages = zip(widths[:-1], widths[1:], joined, depths, strict=True)
        for i, (inputs, width, skip_width, depth) in enumerate(stages):
            self.ups.append(_up(inputs, width, up, style))
            self.joins.append(_join(skip, width, skip_width, style))
            refined = blocks(depth, width, style, (1,) if i else dilations)
            self.blocks.append(nn.Sequential(activation_layer(activation), refined))

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.stages(features)[-1]

    def stages(self, features: list[Tensor]) -> list[Tensor]:
        """The deepest feature, then the result of each stage; the last is the decoder's.

        Without skips the deepest feature alone is enough.
        """
        results = [features[-1]]
        for i, (up, join, refine) in enumerate(zip(self.ups, self.joins, self.blocks, strict=True)):
            x = up(results[-1])
            if self.skip == "add":
                x = x + join(features[-2 - i])
            elif self.skip == "concat":
                x = join(torch.cat([x, features[-2 - i]], dim=1))
            results.append(refine(x))
        return results


def _up(inputs: int, width: int, up: Up, style: Style) -> nn.Sequential:
    if up == "transposed":
        return styled_transposed_convolution(inputs, width, style)
    return nn.Sequential(nn.Upsample(scale_factor=2), styled_convolution(inputs, width, style))


def _join(skip: Skip, width: int, skip_width: int, style: Style) -> nn.Module:
    """What a feature goes through before it is added, or the channels after concatenation."""
    if skip == "concat":
        return styled_convolution(width + skip_width, width, style, kernel_size=1)
    if skip == "add" and width != skip_width:
        return styled_convolution(skip_width, width, style, kernel_size=1)
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
