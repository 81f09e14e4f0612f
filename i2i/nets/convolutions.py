"""Convolutions and transposed convolutions: what they see beyond the border, how they start.

Strided convolutions have kernel 4, stride 2, padding 1, and transposed convolutions the same, so
that the grids of input and output are symmetric: nothing shifts by half a pixel on its way down and
up.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.nets.norms import norm_layers
from i2i.nets.style import Initialisation, Padding, Style

KernelSize = int | tuple[int, int]


def styled_convolution(
    inputs: int,
    outputs: int,
    style: Style,
    *,
    kernel_size: KernelSize = 3,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """A convolution and its norm, (N, inputs, H, W) → (N, outputs, H / stride, W / stride)."""
    layer = conv2d(
        inputs,
        outputs,
        kernel_size,
        stride=stride,
        dilation=dilation,
        groups=groups,
        padding=style.padding,
        bias=_needs_bias(style),
    )
    _initialise(layer, style.initialisation)
    return nn.Sequential(layer, *norm_layers(style.norm, outputs))


def styled_transposed_convolution(
    inputs: int, outputs: int, style: Style, *, kernel_size: int = 4, stride: int = 2
) -> nn.Sequential:
    """A transposed one and its norm, (N, inputs, H, W) → (N, outputs, H · stride, W · stride)."""
    layer = conv_transpose2d(
        inputs, outputs, kernel_size, stride, padding=style.padding, bias=_needs_bias(style)
    )
    _initialise(layer, style.initialisation)
    return nn.Sequential(layer, *norm_layers(style.norm, outputs))


def conv2d(
    inputs: int,
    outputs: int,
    kernel_size: KernelSize = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    padding: Padding = Style.padding,
    bias: bool = True,
) -> nn.Conv2d:
    """A convolution padded symmetrically, with torch's initial weights."""
    sides = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    rows, columns = ((dilation * (side - 1) - stride + 2) // 2 for side in sides)
    shape = inputs, outputs, sides, stride, (rows, columns), dilation, groups, bias
    match padding:
        case "partial" if rows or columns:
            return PartialConv2d(*shape)
        case "reflect" if rows or columns:
            return ReflectConv2d(*shape, padding_mode="reflect")
        case "replicate" if rows or columns:
            return nn.Conv2d(*shape, padding_mode="replicate")
        case _:
            return nn.Conv2d(*shape)


def conv_transpose2d(
    inputs: int,
    outputs: int,
    kernel_size: int,
    stride: int,
    *,
    padding: Padding = Style.padding,
    bias: bool = True,
) -> nn.ConvTranspose2d:
    """A transposed convolution cropped symmetrically, with torch's initial weights."""
    crop = (kernel_size - stride + 1) // 2
    shape = inputs, outputs, kernel_size, stride, crop
    match padding:
        case "partial":
            return PartialConvTranspose2d(*shape, bias=bias)
        case "reflect" | "replicate":
            return ExtendedConvTranspose2d(*shape, bias=bias, padding_mode=padding)
        case _:
            return nn.ConvTranspose2d(*shape, bias=bias)


class ReflectConv2d(nn.Conv2d):
    """A convolution whose input is reflected at its border.

    Raises:
        ValueError: the input is too small to be reflected.
    """

    def forward(self, input: Tensor) -> Tensor:
        assert isinstance(self.padding, tuple)
        _check_reflects(input, *self.padding)
        return super().forward(input)


class ExtendedConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution whose input goes on beyond the border, by `padding_mode`.

    The input is extended by as many pixels as the kernel reaches, the output cropped back.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        stride: int,
        padding: int,
        *,
        bias: bool,
        padding_mode: Literal["reflect", "replicate"],
    ) -> None:
        super().__init__(inputs, outputs, kernel_size, stride, padding, bias=bias)
        # torch has the attribute, but refuses the argument.
        self.padding_mode = padding_mode
        self.extension = (kernel_size - 1 - padding) // stride
        self.crop = padding + self.extension * stride

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        if self.padding_mode == "reflect":
            _check_reflects(input, self.extension, self.extension)
        extended = F.pad(input, 4 * (self.extension,), mode=self.padding_mode)
        return F.conv_transpose2d(extended, self.weight, self.bias, self.stride, self.crop)


class PartialConv2d(nn.Conv2d):
    """A convolution without the taps that lie beyond the border: those inside count for more.

    Liu et al., arXiv 1811.11718: the sum over the taps inside, times taps / taps inside, plus the
    bias.
    """

    def forward(self, input: Tensor) -> Tensor:
        assert isinstance(self.padding, tuple)
        where = self.stride, self.padding, self.dilation
        image, kernel = _ones(input, self.kernel_size)
        inside = F.conv2d(image, kernel, None, *where)
        summed = F.conv2d(input, self.weight, None, *where, self.groups)
        return _weighted(summed, math.prod(self.kernel_size) / inside, self.bias)


class PartialConvTranspose2d(nn.ConvTranspose2d):
    """The same for a transposed convolution, where kernel / stride taps a side make an output."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        assert isinstance(self.padding, tuple)
        where = self.stride, self.padding
        image, kernel = _ones(input, self.kernel_size)
        inside = F.conv_transpose2d(image, kernel, None, *where)
        summed = F.conv_transpose2d(input, self.weight, None, *where)
        taps = math.prod(self.kernel_size) / math.prod(self.stride)
        return _weighted(summed, taps / inside, self.bias)


def _check_reflects(features: Tensor, rows: int, columns: int) -> None:
    height, width = features.shape[-2:]
    if height <= rows or width <= columns:
        raise ValueError(
            f"padding: expected features above {rows} x {columns} to reflect, got "
            f"{height} x {width}; take a larger picture, fewer stages, or padding replicate"
        )


def _needs_bias(style: Style) -> bool:
    """Batch norm would remove it."""
    return style.norm != "batch"


def _ones(image: Tensor, kernel_size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A picture of the image's size and a kernel, both of ones: convolved, they count taps."""
    return image.new_ones(1, 1, *image.shape[-2:]), image.new_ones(1, 1, *kernel_size)


def _weighted(summed: Tensor, ratio: Tensor, bias: Tensor | None) -> Tensor:
    weighted = summed * ratio
    return weighted if bias is None else weighted + bias[:, None, None]


def _initialise(layer: nn.Conv2d | nn.ConvTranspose2d, initialisation: Initialisation) -> None:
    """New weights whose power suits what one output sums; biases of 0."""
    taps = math.prod(layer.kernel_size)
    fan_in: float = layer.in_channels // layer.groups * taps
    fan_out: float = layer.out_channels // layer.groups * taps
    # The finer side of a strided convolution sees its taps stride² times less often.
    if isinstance(layer, nn.ConvTranspose2d):
        fan_in /= math.prod(layer.stride)
    else:
        fan_out /= math.prod(layer.stride)
    match initialisation:
        case "he" | "orthogonal":
            std = (2 / fan_in) ** 0.5
        case "xavier":
            std = (2 / (fan_in + fan_out)) ** 0.5
        case "lecun":
            std = (1 / fan_in) ** 0.5
    if initialisation == "orthogonal":
        nn.init.orthogonal_(layer.weight)
        with torch.no_grad():
            layer.weight.mul_(std / layer.weight.square().mean().sqrt())
    else:
        nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
