"""Losses of pictures against pictures, all of them 0 at equality."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from i2i.losses.checks import same_shape
from i2i.metrics.pictures import ssim


class Charbonnier(nn.Module):
    """Smooth absolute error sqrt(d^2 + epsilon^2) - epsilon, mean over all values; 0 at equality.

    Charbonnier et al., ICIP 1994; in super-resolution LapSRN (arXiv 1704.03915), there without the
    constant, so never 0.

    Args:
        epsilon: errors well below it count as squares, well above it as absolutes; in image values.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        if not 0 < epsilon < math.inf:
            raise ValueError(f"expected an epsilon above 0, got {epsilon}")
        self.epsilon = epsilon

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of two tensors of one shape; ValueError if the shapes differ."""
        output, target = same_shape(output, target)
        square = (output - target).square()
        # The difference of square roots as a quotient: no cancellation, exactly 0 at equality.
        return (square / ((square + self.epsilon**2).sqrt() + self.epsilon)).mean()


class FrequencyL1(nn.Module):
    """Mean absolute error of the Fourier transform, real and imaginary parts (arXiv 2108.05054).

    The transform is orthonormal (times 1 / sqrt(H · W)), so noise of one strength costs the same in
    pictures of every size. Half of the spectrum is counted: the other half mirrors it.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of two (N, C, H, W); ValueError if the shapes differ."""
        output, target = same_shape(output, target)
        spectrum = torch.fft.rfft2(output - target, norm="ortho")
        return torch.view_as_real(spectrum).abs().mean()


class Luma(nn.Module):
    """Another loss, of the brightness alone: where the eye, and PSNR-Y, see most.

    Brightness is BT.601's weighted mean of red, green and blue, in [0, 1]; gray is itself. It says
    nothing of colour: add it to a loss that does.

    Args:
        loss: Charbonnier by default.
    """

    def __init__(self, loss: nn.Module | None = None) -> None:
        super().__init__()
        self.loss = Charbonnier() if loss is None else loss

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of two (N, 3 or 1, H, W); ValueError if the shapes differ."""
        output, target = same_shape(output, target)
        value: Tensor = self.loss(brightness(output), brightness(target))
        return value


def brightness(picture: Tensor) -> Tensor:
    """Of (N, 3, H, W) by BT.601, (N, 1, H, W); a gray picture is its own."""
    if picture.shape[1] == 1:
        return picture
    red, green, blue = (picture[:, i : i + 1] for i in range(3))
    return 0.299 * red + 0.587 * green + 0.114 * blue


class Ssim(nn.Module):
    """1 - `i2i.metrics.ssim`, mean over the pictures; in float64, at least 11 x 11 pixels.

    It tells little of brightness and colour: add it to an absolute error (arXiv 1511.08861).
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of two (N, C, H, W) with values in [0, 1]; ValueError as the metric's."""
        return (1 - ssim(output, target)).mean().float()
