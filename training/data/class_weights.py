"""Weights of the classes of a segmentation, from the pixels of its masks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from training.pixels import Pixels

ClassWeights = Literal["none", "inverse", "median_frequency", "logarithmic", "effective_number"]
# Of Paszke et al.: it bounds the weights, to 36 times that of a class of all pixels.
OFFSET = 1.02
# Of Cui et al.: with it a class in 1,000 pictures weighs about a seventh of a class in 100.
BETA = 0.999


def class_weights(
    masks: Iterable[Pixels | None],
    names: Sequence[str],
    method: ClassWeights,
    ignore: int = 255,
) -> list[float]:
    """A weight for each class, 1 on average over the classes that occur; others weigh 1.

    - `inverse`: 1 / the class's share of all pixels.
    - `median_frequency`: 1 / the class's share of the pixels of the pictures that show it (Eigen
      and Fergus, arXiv 1411.4734); gentler on classes that few pictures show.
    - `logarithmic`: 1 / ln(1.02 + the class's share of all pixels), of ENet (arXiv 1606.02147); a
      class of 0.3 % of the pixels weighs eleven times one of 27 %, not ninety times.
    - `effective_number`: (1 - b) / (1 - b^n), arXiv 1901.05555, with n the number of pictures
      that show the class: pixels of one picture are too alike to count each.

    Args:
        masks: class ids (H, W); ids beyond the names are left out, as the ignored one is.
        ignore: id of the pixels that do not count.

    Raises:
        ValueError: no class occurs, or `method` is none.
    """
    pixels, surroundings, pictures = np.zeros((3, len(names)))
    for mask in masks:
        if mask is None:
            continue
        counts = np.bincount(mask[mask != ignore], minlength=256)[: len(names)]
        pixels += counts
        surroundings += np.where(counts > 0, counts.sum(), 0)
        pictures += counts > 0
    shown = pixels > 0
    if not shown.any():
        raise ValueError("class_weights: expected masks that show a class, got none")
    absent = [name for i, name in enumerate(names) if not shown[i] and i != ignore]
    if absent:
        logging.getLogger(__name__).warning("no training mask shows %s", ", ".join(absent))
    rarity = {
        "inverse": lambda: 1 / pixels[shown],
        "median_frequency": lambda: surroundings[shown] / pixels[shown],
        "logarithmic": lambda: 1 / np.log(OFFSET + pixels[shown] / pixels.sum()),
        "effective_number": lambda: (1 - BETA) / (1 - BETA ** pictures[shown]),
    }[method]()
    weights = np.ones(len(names))
    weights[shown] = rarity / rarity.mean()
    # Short enough to be read in a config.
    return [float(f"{weight:.5g}") for weight in weights]
