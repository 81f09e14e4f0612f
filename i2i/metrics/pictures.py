"""How near a picture is to its target: PSNR and structural similarity, on all channels or on Y.

As the papers do: crop the target to a multiple of the scale, score each picture, then the mean.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# ITU-R BT.601, studio range, as MATLAB's rgb2ycbcr: Y in 16..235 for RGB in [0, 1].
_LUMA_WEIGHTS = (65.481, 128.553, 24.966)
_LUMA_OFFSET = 16.0
# Sides of SSIM's window, and the weights of MS-SSIM's sizes, largest first (Wang et al. 2003).
_WINDOW = 11
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def round_to_8_bit(image: Tensor) -> Tensor:
    """The image as an 8-bit file would hold it, still in [0, 1]: clamped, 255 levels, half up."""
    return torch.floor(image.clamp(0, 1) * 255 + 0.5) / 255


def luma(image: Tensor) -> Tensor:
    """Brightness in 8-bit units, not rounded, as the super-resolution papers measure on.

    Args:
        image: (N, 3, H, W) RGB or (N, 1, H, W) gray, values in [0, 1].

    Returns:
        (N, 1, H, W) float64: Y of BT.601 (16..235) of RGB; of gray, the gray value (0..255) itself.

    Raises:
        ValueError: another shape.
    """
    if image.ndim != 4 or image.shape[1] not in (1, 3):
        raise ValueError(f"expected (N, 3, H, W) RGB or (N, 1, H, W) gray, got {_shape(image)}")
    if image.shape[1] == 1:
        return image.double() * 255
    weights = torch.tensor(_LUMA_WEIGHTS, dtype=torch.float64, device=image.device)
    return (image.double() * weights.view(1, 3, 1, 1)).sum(dim=1, keepdim=True) + _LUMA_OFFSET


def psnr(output: Tensor, target: Tensor, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each image, in dB.

    Args:
        output: (N, C, H, W).
        target: same shape and range.
        peak: the largest value an image can have.

    Returns:
        (N,) float64; infinite where the images are equal.

    Raises:
        ValueError: the shapes differ or are not (N, C, H, W).
    """
    _check_images(output, target)
    error = (output.double() - target.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(peak**2 / error)


def ssim(output: Tensor, target: Tensor, peak: float = 1.0) -> Tensor:
    """Structural similarity of each image: Wang et al., IEEE Trans. Image Processing 13(4), 2004.

    Gaussian window of 11 x 11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03, only where the window lies
    inside the image; mean over pixels and channels. The image is not made smaller beforehand.

    Args:
        output: (N, C, H, W), at least 11 x 11 pixels.
        target: same shape and range.
        peak: the largest value an image can have.

    Returns:
        (N,) float64, at most 1, which equal images have.

    Raises:
        ValueError: the shapes differ, are not (N, C, H, W) or below 11 x 11.
    """
    _check_images(output, target)
    if min(output.shape[2:]) < _WINDOW:
        raise ValueError(f"expected images of at least 11 x 11 pixels, got {_sides(output)}")
    luminance, structure = _similarity(output.double(), target.double(), peak)
    return (luminance * structure).mean(dim=(1, 2, 3))


def ms_ssim(output: Tensor, target: Tensor, peak: float = 1.0) -> Tensor:
    """Multi-scale structural similarity of each image: Wang et al., Asilomar 2003.

    The structure term of `ssim` at five sizes, each half of the one before, and the luminance term
    at the smallest, each to the power of the paper's weight, multiplied. Halving is the mean of
    2 x 2 pixels; an odd last row counts alone, as in the authors' code. A mean term below 0 counts
    as 0, as it has no such power.

    Args:
        output: (N, C, H, W), at least 176 x 176 pixels: 11 x 11 at the smallest size.
        target: same shape and range.
        peak: the largest value an image can have.

    Returns:
        (N,) float64 in [0, 1]; 1 for equal images.

    Raises:
        ValueError: the shapes differ, are not (N, C, H, W) or below 176 x 176.
    """
    _check_images(output, target)
    least = _WINDOW * 2 ** (len(_SCALE_WEIGHTS) - 1)
    if min(output.shape[2:]) < least:
        raise ValueError(
            f"expected images of at least {least} x {least} pixels, got {_sides(output)}; use ssim"
        )
    x, y = output.double(), target.double()
    product = torch.ones(len(x), x.shape[1], dtype=x.dtype, device=x.device)
    for weight in _SCALE_WEIGHTS[:-1]:
        _, structure = _similarity(x, y, peak)
        product = product * structure.mean(dim=(2, 3)).clamp(min=0) ** weight
        x, y = (functional.avg_pool2d(image, 2, ceil_mode=True) for image in (x, y))
    luminance, structure = _similarity(x, y, peak)
    last = (luminance * structure).mean(dim=(2, 3)).clamp(min=0)
    return (product * last ** _SCALE_WEIGHTS[-1]).mean(dim=1)


def psnr_y(output: Tensor, target: Tensor, border: int) -> Tensor:
    """PSNR of each image on `luma`, in dB, as the super-resolution papers report it.

    Args:
        output: (N, C, H, W), C = 1 or 3, values in [0, 1]; rounded to 8 bit here.
        target: same shape and range.
        border: pixels left out at each edge; the papers' is the scale.

    Returns:
        (N,) float64; infinite where the images are equal.

    Raises:
        ValueError: the shapes differ, or nothing is left inside the border.
    """
    return psnr(*_luma_inside(output, target, border), peak=255)


def ssim_y(output: Tensor, target: Tensor, border: int) -> Tensor:
    """SSIM of each image on `luma`, as the super-resolution papers report it.

    Arguments and errors as for `psnr_y`; at least 11 x 11 pixels must be left inside the border.
    """
    return ssim(*_luma_inside(output, target, border), peak=255)


def _luma_inside(output: Tensor, target: Tensor, border: int) -> tuple[Tensor, Tensor]:
    _check_images(output, target)
    height, width = output.shape[2:]
    if border < 0 or 2 * border >= min(height, width):
        raise ValueError(f"expected a border below half of {_sides(output)}, got {border}")
    inside = (..., slice(border, height - border), slice(border, width - border))
    return luma(round_to_8_bit(output[inside])), luma(round_to_8_bit(target[inside]))


def _similarity(x: Tensor, y: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    """SSIM's luminance term and its contrast and structure term, where the window fits."""
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return luminance, structure


def _blur(image: Tensor) -> Tensor:
    """Each channel under SSIM's Gaussian window, one axis after the other."""
    offsets = torch.arange(-5, 6, dtype=image.dtype, device=image.device)
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    # All planes as channels of one image: ten times as fast on processors as a batch of planes.
    planes = image.flatten(0, 1)
    for shape in ((11, 1), (1, 11)):
        weight = window.view(1, 1, *shape).expand(len(planes), -1, -1, -1)
        planes = functional.conv2d(planes.unsqueeze(0), weight, groups=len(planes)).squeeze(0)
    return planes.reshape(*image.shape[:2], *planes.shape[1:])


def _check_images(output: Tensor, target: Tensor) -> None:
    if output.ndim != 4 or output.shape != target.shape:
        raise ValueError(
            f"expected two (N, C, H, W) tensors of one shape, "
            f"got {_shape(output)} and {_shape(target)}"
        )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _sides(image: Tensor) -> str:
    return f"{image.shape[-2]} x {image.shape[-1]}"
