"""The places of real pictures that excite each channel most."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from i2i.explain.stages import activations, find_stage
from i2i.nets.autoencoder import Autoencoder


@dataclass(frozen=True, order=True)
class Exemplar:
    """A place that excites a channel.

    Attributes:
        activation: the channel's value there.
        picture: which of the pictures, counted from 0.
        row, column: of the unit, in pixels of the picture: about the middle of what it sees.
    """

    activation: float
    picture: int
    row: int
    column: int


def exemplars(
    net: Autoencoder, stage: str, images: Iterable[Tensor], count: int = 4
) -> list[list[Exemplar]]:
    """For each channel of a stage the `count` pictures that excite it most, the strongest first.

    One place of each picture, so that they are not one edge four times (Zeiler and Fergus, arXiv
    1311.2901, show patches so); none that sees beyond the picture, where the picture is large
    enough for others.

    Args:
        stage: as in `stages`: `encoder.1`.
        images: each (1, C, H, W) in [0, 1], sides multiples of `size_multiple`.

    Raises:
        ValueError: the net has no such stage.
    """
    found = find_stage(net, stage)
    best: list[list[Exemplar]] = [[] for _ in range(found.channels)]
    with torch.no_grad():
        for number, image in enumerate(images):
            feature = activations(net, image)[stage][0]
            top, left = (
                min(-(-seen // (2 * found.stride)), (length - 1) // 2)
                for seen, length in zip(found.receptive_field, feature.shape[1:], strict=True)
            )
            height, width = feature.shape[1:]
            inner = feature[:, top : height - top, left : width - left]
            width = inner.shape[-1]
            values, places = inner.flatten(1).max(dim=1)
            for channel, (value, place) in enumerate(
                zip(values.tolist(), places.tolist(), strict=True)
            ):
                at = top + place // width, left + place % width
                row, column = (found.stride * i + found.stride // 2 for i in at)
                heapq.heappush(best[channel], Exemplar(value, number, row, column))
                if len(best[channel]) > count:
                    heapq.heappop(best[channel])
    return [sorted(each, reverse=True) for each in best]
