"""Which input pixels an answer rests on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from i2i.nets.autoencoder import Autoencoder, check_size

# From an output region (N, channels, h, w) to the one number that is explained.
Quantity = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Region:
    """A rectangle of the input, in its pixels; of the output it is the same, times the scale."""

    top: int
    left: int
    height: int
    width: int

    def of(self, output: Tensor, scale: int) -> Tensor:
        """The region's part of an output (N, C, H, W)."""
        rows = slice(scale * self.top, scale * (self.top + self.height))
        columns = slice(scale * self.left, scale * (self.left + self.width))
        return output[..., rows, columns]


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each input pixel adds to a quantity of the answer.

    Attributes:
        pixels: (H, W), summed over the channels; they sum to `explained`, but for the error of so
            many steps.
        explained: the quantity of the picture, less that of the same picture blurred.
    """

    pixels: Tensor
    explained: float


def detail(output: Tensor) -> Tensor:
    """How much there is to see: the sum of differences between neighbours. For pictures."""
    across = (output[..., 1:] - output[..., :-1]).abs().sum()
    return across + (output[..., 1:, :] - output[..., :-1, :]).abs().sum()


def amount(output: Tensor) -> Tensor:
    """The mean of the output. For maps."""
    return output.mean()


def evidence(label: int) -> Quantity:
    """How much speaks for a class: its mean score, less that of all classes."""

    def of(output: Tensor) -> Tensor:
        return output[:, label].mean() - output.mean()

    return of


def saliency(net: Autoencoder, image: Tensor, region: Region, quantity: Quantity) -> Tensor:
    """How much the quantity would change with each input pixel: (H, W), at least 0.

    The largest absolute derivative of the channels (Simonyan et al., arXiv 1312.6034). It says
    where a change would matter, not where the answer comes from.

    Args:
        image: (1, C, H, W) in [0, 1], sides multiples of `size_multiple`.
    """
    return _gradient(net, image, region, quantity)[0].abs().amax(dim=0)


def attribution(
    net: Autoencoder,
    image: Tensor,
    region: Region,
    quantity: Quantity,
    steps: int = 32,
    sigma: float = 4.0,
) -> Attribution:
    """Where the quantity comes from: its derivatives, summed on the way from a blurred picture.

    Integrated gradients (Sundararajan et al., arXiv 1703.01365) along a path of ever less blur, as
    local attribution maps do (Gu and Dong, arXiv 2011.11036): detail is what the path adds, so
    detail is what gets the credit.

    Args:
        image: (1, C, H, W) in [0, 1], sides multiples of `size_multiple`.
        steps: points of the path; the error of the sum falls with their square.
        sigma: standard deviation of the strongest blur, in pixels.
    """
    if steps < 1 or sigma <= 0:
        raise ValueError(f"expected steps and sigma above 0, got {steps} and {sigma}")
    share = [1 - i / steps for i in range(steps + 1)]
    path = [blurred(image, sigma * left) for left in share]
    pixels = torch.zeros_like(image)
    for before, after in itertools.pairwise(path):
        middle = (before + after) / 2
        pixels += _gradient(net, middle, region, quantity) * (after - before)
    with torch.no_grad():
        ends = [quantity(region.of(net(end), net.scale)).item() for end in (path[-1], path[0])]
    return Attribution(pixels[0].sum(dim=0), ends[0] - ends[1])


def diffusion_index(attributed: Tensor) -> float:
    """How many pixels take part, from 0 (one) to 100 (all alike): 100 (1 - Gini coefficient).

    Of Gu and Dong, arXiv 2011.11036. It depends on how many pixels there are: compare maps of one
    size.
    """
    values = attributed.abs().flatten().double().sort().values
    total = values.sum().item()
    if total == 0:
        return 100.0
    ranks = torch.arange(1, len(values) + 1, dtype=torch.float64, device=values.device)
    gini = (2 * ranks - len(values) - 1).mul(values).sum().item() / (len(values) * total)
    return 100 * (1 - gini)


def blurred(image: Tensor, sigma: float) -> Tensor:
    """A picture (N, C, H, W) under a Gaussian of that many pixels; it goes on at its border."""
    if sigma < 0.05:  # the nearest neighbour weighs e^-200
        return image
    reach = int(3 * sigma) + 1
    offsets = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    row = torch.softmax(-((offsets / sigma) ** 2) / 2, dim=0)
    channels = image.shape[1]
    across = row.expand(channels, 1, 1, -1)
    padded = F.pad(image, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(
        F.conv2d(padded, across, groups=channels), across.mT.contiguous(), groups=channels
    )


def _gradient(net: Autoencoder, image: Tensor, region: Region, quantity: Quantity) -> Tensor:
    """Derivatives of the quantity by the input, (1, C, H, W)."""
    check_size(image, net.size_multiple)
    with torch.enable_grad():
        leaf = image.detach().clone().requires_grad_()
        (derivatives,) = torch.autograd.grad(quantity(region.of(net(leaf), net.scale)), leaf)
    return derivatives
