"""What a net's padding costs at the border of a picture, where no window hides it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from i2i.metrics import luma, round_to_8_bit
from i2i.nets.margin import margin
from training.checkpoint import read_checkpoint
from training.data.crops import to_tensor
from training.evaluation.sample_folders import find_samples


@torch.inference_mode()
def border_and_inside(checkpoint: Path, images: Path) -> tuple[float, float]:
    """PSNR-Y of the outputs that the net's padding reaches, and of those it does not, in dB.

    Means over the pictures; each goes through torch as a whole. A served model never shows the
    first: the picture goes on in windows, reflected, and what padding reaches is cut away.
    """
    task, net, _ = read_checkpoint(checkpoint)
    reach, multiple = margin(net), net.size_multiple
    scores: list[tuple[float, float]] = []
    for load in find_samples(images, None, None, task):
        image, target = task.pair(load().in_colour(), np.random.default_rng(0))
        height, width = (side // multiple * multiple for side in image.shape[:2])
        input = task.input_tensor(to_tensor(image[:height, :width])[None])
        wanted = task.target_tensor(to_tensor(target)[None])
        wanted = wanted[..., : net.scale * height, : net.scale * width]
        output = round_to_8_bit(net(input).clamp(0, 1))
        squared = (luma(output) - luma(wanted)).square()[0, 0]
        inside = torch.zeros_like(squared, dtype=torch.bool)
        cut = reach * net.scale
        inside[cut:-cut, cut:-cut] = True
        scores.append((_psnr(squared[~inside]), _psnr(squared[inside])))
    border, within = np.mean(scores, axis=0)
    return float(border), float(within)


def _psnr(squared: torch.Tensor) -> float:
    return (10 * torch.log10(255**2 / squared.mean())).item()
