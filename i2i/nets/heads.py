"""Heads: from the decoder's features to the picture, or to a score for every class."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from i2i.nets.convolutions import conv2d, conv_transpose2d
from i2i.nets.style import Padding, Style, check_choice, check_counts
from i2i.resize import cubic

PictureSkip = Literal["bicubic", "identity", "none"]
PictureActivation = Literal["linear", "clamp", "sigmoid"]

# A quarter of a step of 8 bit: as near as the logit of a picture comes to black and white.
_NEAR_BLACK = 0.25 / 255


class PictureHead(nn.Module):
    """A picture of `scale` x the size: a learned residual on a fixed enlargement of the input.

    The last layer starts at zero, so the untrained net is the enlargement itself: bicubic, or the
    identity at scale 1.

    Args:
        features: channels of the decoder's output.
        stride: output pixels per pixel of the decoder's output; one transposed convolution brings
            it up.
        channels: channels of the picture.
        scale: output pixels per input pixel.
        skip: what the residual is added to: `bicubic` enlargement, the `identity` (scale 1), or
            `none`.
        padding: what the last layer sees beyond the border: see `Style`.
        activation: of the sum: `linear`; `clamp` to [0, 1], where no gradient comes from beyond; or
            `sigmoid`, with the residual added to the logit of the enlargement. A prediction is
            clamped in any case.
    """

    def __init__(
        self,
        features: int,
        stride: int = 1,
        channels: int = 3,
        scale: int = 1,
        skip: PictureSkip = "bicubic",
        padding: Padding = Style.padding,
        activation: PictureActivation = "linear",
    ) -> None:
        super().__init__()
        check_counts("features, stride, channels, scale", [features, stride, channels, scale], 1)
        check_choice("skip", skip, PictureSkip)
        check_choice("padding", padding, Padding)
        check_choice("activation", activation, PictureActivation)
        if skip == "identity" and scale != 1:
            raise ValueError(f"skip: expected bicubic or none at scale {scale}, got identity")
        self.features, self.stride, self.channels = features, stride, channels
        self.scale, self.skip, self.padding = scale, skip, padding
        self.activation = activation
        self.residual = _enlargement(features, channels, stride, padding)
        self.base: nn.Module = (
            BicubicEnlargement(channels, scale)
            if skip == "bicubic" and scale > 1
            else nn.Identity()
        )
        nn.init.zeros_(self.residual.weight)
        assert self.residual.bias is not None
        nn.init.zeros_(self.residual.bias)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        output: Tensor = self.residual(features)
        if self.skip != "none":
            base = self.base(image)
            if self.activation == "sigmoid":
                base = torch.logit(base, eps=_NEAR_BLACK)
            # Autocast gives bfloat16 here, whose steps near 1 are 4e-3: the sum is kept in float32.
            output = base + output.float()
        if self.activation == "linear":
            return output
        return output.clamp(0, 1) if self.activation == "clamp" else output.float().sigmoid()

    def at(self, features: int, stride: int) -> PictureHead:
        """A new head for the same picture, from features of another width and size."""
        own = self.channels, self.scale, self.skip, self.padding, self.activation
        return PictureHead(features, stride, *own)


class ClassHead(nn.Module):
    """Scores (logits) of each class, (N, features, H, W) → (N, classes, H · stride, W · stride)."""

    scale = 1
    skip = "none"

    def __init__(
        self, features: int, stride: int = 1, classes: int = 2, padding: Padding = Style.padding
    ) -> None:
        super().__init__()
        check_counts("features, stride, classes", [features, stride, classes], 1)
        check_choice("padding", padding, Padding)
        self.features, self.stride, self.classes, self.padding = features, stride, classes, padding
        self.scores = _enlargement(features, classes, stride, padding)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        scores: Tensor = self.scores(features)
        return scores

    def at(self, features: int, stride: int) -> ClassHead:
        """A new head for the same classes, from features of another width and size."""
        return ClassHead(features, stride, self.classes, self.padding)


def _enlargement(
    inputs: int, outputs: int, stride: int, padding: Padding = Style.padding
) -> nn.Conv2d | nn.ConvTranspose2d:
    """The last layer: a transposed convolution on a symmetric grid, or a convolution at stride 1.

    Kernel 2s for even s, 3s for odd s: symmetric, and divisible by the stride.
    """
    if stride == 1:
        return conv2d(inputs, outputs, padding=padding)
    kernel_size = 2 * stride if stride % 2 == 0 else 3 * stride
    return conv_transpose2d(inputs, outputs, kernel_size, stride, padding=padding)


class BicubicEnlargement(nn.Module):
    """Bicubic enlargement (a = -0.5, replicated border) as a frozen transposed convolution.

    The same values as MATLAB's imresize, apart from two pixels at the border (torch's own bicubic
    has a = -0.75). Depthwise; kernel length 4s for even s, 4s - 1 for odd s, centred. Kept in
    float32 under autocast.

    Examples:
        >>> import torch
        >>> tuple(BicubicEnlargement(3, 2)(torch.rand(1, 3, 5, 7)).shape)
        (1, 3, 10, 14)
    """

    kernel: Tensor

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.channels, self.scale = channels, scale
        taps = 4 * scale - scale % 2
        row = torch.from_numpy(cubic((np.arange(taps) - (taps - 1) / 2) / scale))
        kernel = torch.outer(row, row).to(torch.float32)
        self.register_buffer("kernel", kernel.expand(channels, 1, -1, -1).clone(), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            padded = F.pad(image.float(), (2, 2, 2, 2), mode="replicate")
            taps = self.kernel.shape[-1]
            return F.conv_transpose2d(
                padded,
                self.kernel,
                stride=self.scale,
                # The two replicated pixels at each side, and the kernel's reach beyond its pixel.
                padding=2 * self.scale + (taps - self.scale) // 2,
                groups=self.channels,
            )
