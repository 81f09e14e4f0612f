"""How good an output is: the measures of the papers, as pure functions on tensors.

Evaluation, validation steps and reports share them. Pictures: crop the target to a multiple of the
scale, take `psnr_y` and `ssim_y` of each, then the mean. Labels: add up the confusion matrices of
all pictures, then score the sum.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# ITU-R BT.601, studio range, as MATLAB's rgb2ycbcr: Y in 16..235 for RGB in [0, 1].
_LUMA_WEIGHTS = (65.481, 128.553, 24.966)
_LUMA_OFFSET = 16.0


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
    if min(output.shape[2:]) < 11:
        raise ValueError(f"expected images of at least 11 x 11 pixels, got {_sides(output)}")
    x, y = output.double(), target.double()
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))


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


def confusion_matrix(labels: Tensor, target: Tensor, num_classes: int, ignore: int = 255) -> Tensor:
    """How many pixels of each class were given each label; matrices of several batches add up.

    Args:
        labels: predicted classes, integers in 0..num_classes - 1, any shape.
        target: true classes, same shape; pixels that are `ignore` do not count.
        num_classes: K.
        ignore: the target value of pixels without a true class.

    Returns:
        (K, K) int64, rows the true classes, columns the labels.

    Raises:
        ValueError: the shapes differ, or a value is no class.
    """
    if labels.shape != target.shape:
        raise ValueError(f"expected labels of shape {_shape(target)}, got {_shape(labels)}")
    counted = target != ignore
    truth, label = target[counted].long(), labels[counted].long()
    for name, values in (("labels", label), ("target", truth)):
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < num_classes:
            raise ValueError(
                f"expected {name} in 0..{num_classes - 1} (or {ignore} in the target, to ignore), "
                f"got {int(values.min())}..{int(values.max())}"
            )
    pairs = torch.bincount(truth * num_classes + label, minlength=num_classes**2)
    return pairs.view(num_classes, num_classes)


def iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, (K,) float64; NaN where labels and target lack it."""
    hits, union = _hits_and_union(confusion)
    return hits / union


def mean_iou(confusion: Tensor) -> Tensor:
    """Mean of `iou` over the classes in the labels or the target; NaN without any pixel."""
    return iou(confusion).nanmean()


def dice(confusion: Tensor) -> Tensor:
    """Dice coefficient of each class, (K,) float64; NaN where labels and target lack it."""
    hits, union = _hits_and_union(confusion)
    return 2 * hits / (union + hits)


def accuracy(confusion: Tensor) -> Tensor:
    """Share of the counted pixels that have their true class; NaN without any pixel."""
    counts = confusion.double()
    return counts.diagonal().sum() / counts.sum()


def object_f1(labels: Tensor, target: Tensor, threshold: float = 0.5, ignore: int = 255) -> Tensor:
    """F1 of the objects found in each image: connected regions of class 1 matched by their overlap.

    A region is connected over edges and corners (8 neighbours): a diagonal line is one object. A
    predicted and a true object match if the intersection over union of their pixels exceeds the
    threshold; from 0.5 on, no object can match two.

    Args:
        labels: (N, H, W), 1 on the objects and 0 elsewhere.
        target: same shape; pixels that are `ignore` count for neither side.
        threshold: in [0.5, 1).
        ignore: the target value of pixels without a true class.

    Returns:
        (N,) float64: 2 TP / (2 TP + FP + FN); NaN for an image without any object.

    Raises:
        ValueError: the shapes differ or are not (N, H, W), or the threshold is outside its range.
    """
    if labels.ndim != 3 or labels.shape != target.shape:
        raise ValueError(
            f"expected two (N, H, W) tensors of one shape, "
            f"got {_shape(labels)} and {_shape(target)}"
        )
    if not 0.5 <= threshold < 1:
        raise ValueError(f"expected a threshold in [0.5, 1), got {threshold}")
    counted = target != ignore
    found, num_found = _components((labels == 1) & counted)
    true, num_true = _components((target == 1) & counted)
    return 2 * _num_matches(found, true, threshold) / (num_found + num_true).double()


def _luma_inside(output: Tensor, target: Tensor, border: int) -> tuple[Tensor, Tensor]:
    _check_images(output, target)
    height, width = output.shape[2:]
    if border < 0 or 2 * border >= min(height, width):
        raise ValueError(f"expected a border below half of {_sides(output)}, got {border}")
    inside = (..., slice(border, height - border), slice(border, width - border))
    return luma(round_to_8_bit(output[inside])), luma(round_to_8_bit(target[inside]))


def _blur(image: Tensor) -> Tensor:
    """Each channel under SSIM's Gaussian window, one axis after the other."""
    offsets = torch.arange(-5, 6, dtype=image.dtype, device=image.device)
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    planes = image.flatten(0, 1).unsqueeze(1)
    planes = functional.conv2d(planes, window.view(1, 1, 11, 1))
    planes = functional.conv2d(planes, window.view(1, 1, 1, 11))
    return planes.view(*image.shape[:2], *planes.shape[2:])


def _components(mask: Tensor) -> tuple[Tensor, Tensor]:
    """(N, H, W) a number for each connected region, 0 outside; and (N,) how many regions."""
    places = torch.arange(1, mask.numel() + 1, device=mask.device).view_as(mask) * mask
    numbers = places
    while True:
        # A pixel takes the largest number around it, which is the place of a pixel of its region,
        # and then the number found there: the reach doubles in each round, so rounds are few.
        padded = functional.pad(numbers, (1, 1, 1, 1))
        largest = padded.unfold(1, 3, 1).amax(-1).unfold(2, 3, 1).amax(-1) * mask
        followed = functional.pad(largest.flatten(), (1, 0))[largest]
        if torch.equal(followed, numbers):
            return numbers, ((numbers == places) & mask).sum(dim=(1, 2))
        numbers = followed


def _num_matches(found: Tensor, true: Tensor, threshold: float) -> Tensor:
    """(N,) how many regions of the two numberings overlap by more than the threshold."""
    size = found.numel() + 1
    shared = (found > 0) & (true > 0)
    keys = found[shared] * size + true[shared]
    # torch leaves `unique` untyped, which only strict checking minds.
    pairs, overlap = keys.unique(return_counts=True)  # type: ignore[no-untyped-call,unused-ignore]
    first, second = pairs // size, pairs % size
    union = found.flatten().bincount()[first] + true.flatten().bincount()[second] - overlap
    matched: Tensor = first[overlap / union.double() > threshold]
    images = (matched - 1) // found[0].numel()
    return images.bincount(minlength=len(found))


def _hits_and_union(confusion: Tensor) -> tuple[Tensor, Tensor]:
    counts = confusion.double()
    hits = counts.diagonal()
    return hits, counts.sum(dim=0) + counts.sum(dim=1) - hits


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
