"""Samples as pairs of tensors: random crops for training, whole pictures for validation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torch.utils.data.distributed import DistributedSampler

from training.augment import Augmentation
from training.pixels import Values, float_tensor
from training.tasks.task import Sample, Task

Pair = tuple[Tensor, Tensor]


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """(epoch, index) for each of `count` samples: the random state of a sample follows from both.

    Lightning calls `set_epoch`, but when a run is resumed only after the loader's processes have
    begun to make batches: the sampler is told then by its constructor.

    Args:
        first: place in the epoch, of one process, that a resumed run begins with.
        rank: of this process, which takes every `processes`-th sample.
    """

    def __init__(
        self, count: int, epoch: int = 0, first: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        # A DistributedSampler, so that Lightning does not divide the samples again.
        places: Any = range(count)
        super().__init__(places, processes, rank, shuffle=False, drop_last=True)
        self.epoch, self.first = epoch, first

    def __iter__(self) -> Iterator[tuple[int, int]]:
        first, self.first = self.first, 0
        places = range(first, self.num_samples)
        return ((self.epoch, place * self.num_replicas + self.rank) for place in places)


class TrainingCrops(Dataset[Pair]):
    """Geometry on the original, then the task's pair, then noise and colour on the input only."""

    def __init__(
        self, samples: Sequence[Sample], task: Task, augmentation: Augmentation, seed: int
    ) -> None:
        self.samples, self.task, self.augmentation, self.seed = samples, task, augmentation, seed

    def __getitem__(self, key: tuple[int, int]) -> Pair:
        random = np.random.default_rng([self.seed, *key])
        sample = self.samples[int(random.integers(len(self.samples)))]
        sample = self.augmentation.geometry(sample, random)
        image, target = self.task.widened(*self.task.pair(sample, random))
        image, target = cut_border(image, target, self.task.border)
        image = self.augmentation.appearance(image, random)
        return to_tensor(image), to_tensor(target)


class ValidationPictures(Dataset[Pair]):
    """Pairs of the pictures themselves, cut at the bottom right to what the net takes.

    Quick, and good enough to choose a checkpoint; the scores that are published are measured on
    whole pictures by `evaluate`. Degradations are the same in every run.

    Args:
        multiple: the net's size_multiple.
        longest: largest side of an input, in pixels; the middle of a larger picture is taken.
    """

    def __init__(
        self, samples: Sequence[Sample], task: Task, multiple: int, longest: int = 512
    ) -> None:
        if longest < multiple:
            raise ValueError(
                f"validation_longest: expected at least {multiple} pixels, which this net takes a "
                f"multiple of, got {longest}"
            )
        self.samples, self.task = samples, task
        self.multiple, self.longest = multiple, longest

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Pair:
        scale, border = self.task.scale, math.ceil(self.task.border / self.multiple) * self.multiple
        # A pair of all of a large picture would cost more than the net.
        sample = middle(self.samples[index], scale * (self.longest + 2 * border), self.multiple)
        image, target = self.task.pair(sample, np.random.default_rng([0, index]))
        # A gray target stays gray: as such it is scored.
        image, _ = self.task.widened(image, target)
        top, height = self._span(image.shape[0])
        left, width = self._span(image.shape[1])
        image = image[top : top + height, left : left + width]
        target = target[scale * top : scale * (top + height), scale * left : scale * (left + width)]
        return to_tensor(image), to_tensor(target)

    def _span(self, length: int) -> tuple[int, int]:
        """Begin and length of the part of an axis that is taken."""
        taken = min(length, self.longest) // self.multiple * self.multiple
        if taken == 0:
            raise ValueError(
                f"expected an input of at least {self.multiple} pixels a side, got {length}"
            )
        return (length - taken) // 2 // self.multiple * self.multiple, taken


def middle(sample: Sample, side: int, multiple: int) -> Sample:
    """The middle of a sample, of at most `side` pixels a side, from a multiple of `multiple` on."""
    spans = []
    for length in sample.image.shape[:2]:
        first = max(0, length - side) // 2 // multiple * multiple
        spans.append(slice(first, first + side))
    rows, columns = spans

    def cut(values: Any) -> Any:
        return None if values is None else values[rows, columns]

    return Sample(sample.name, cut(sample.image), cut(sample.mask), cut(sample.target))


def cut_border(image: Values, target: Values, border: int) -> tuple[Values, Values]:
    """The pair without `border` input pixels at each side.

    Raises:
        ValueError: nothing is left.
    """
    if border == 0:
        return image, target
    if min(image.shape[:2]) <= 2 * border:
        raise ValueError(
            f"geometry: expected crops that give inputs above {2 * border} pixels a side, got "
            f"{image.shape[0]}×{image.shape[1]}; make the crop larger"
        )
    scaled = border * (target.shape[0] // image.shape[0])
    return (
        image[border:-border, border:-border],
        target[scaled:-scaled, scaled:-scaled],
    )


def check_inputs(images: Sequence[Tensor], multiple: int) -> None:
    """Raises ValueError where these inputs (C, H, W) make no batch, or the net does not take it."""
    height, width = _one_size(images)
    if height % multiple or width % multiple:
        raise ValueError(
            f"geometry: expected inputs whose sides are multiples of {multiple}, got "
            f"{height}×{width}; change the crop's size"
        )


def collate(pairs: Sequence[Pair]) -> Pair:
    """A batch of pairs; where pictures of several depths meet, all are float32 with white at 1."""
    images, targets = zip(*pairs, strict=True)
    _one_size(images)
    return _stack(images), _stack(targets)


def _one_size(images: Sequence[Tensor]) -> tuple[int, int]:
    """Height and width of all inputs; ValueError where they differ."""
    sizes = sorted({(image.shape[1], image.shape[2]) for image in images})
    if len(sizes) > 1:
        found = ", ".join(f"{height}×{width}" for height, width in sizes[:3])
        turned = len(sizes) == 2 and sizes[0] == sizes[1][::-1]
        remedy = "quarter turns want a square crop" if turned else "begin with a crop"
        raise ValueError(f"geometry: expected inputs of one size, got {found}; {remedy}")
    return sizes[0]


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    # torch would take 255 in 8 bit for 255.0.
    mixed = len({tensor.dtype for tensor in tensors}) > 1
    return torch.stack([float_tensor(tensor) if mixed else tensor for tensor in tensors])


def to_tensor(pixels: Values) -> Tensor:
    """(H, W, C) or (H, W) as (C, H, W) or (H, W) of its type; it becomes float on the device."""
    if pixels.ndim == 3:
        pixels = pixels.transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels))
