"""Decoded samples in memory, up to a number of bytes; beyond it, read again at each use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from rich.progress import track

from training.tasks.task import Sample

Load = Callable[[], Sample]


class Samples(Sequence[Sample]):
    """The samples that `loads` give.

    They are decoded at construction, before any worker process starts: all workers share them.

    Args:
        cache_bytes: decoded bytes to keep at most.
    """

    def __init__(self, loads: Sequence[Load], cache_bytes: int) -> None:
        self._loads = loads
        self._kept: list[Sample] = []
        held = 0
        for load in track(loads, "Reading pictures", transient=True):
            sample = load()
            held += sample.image.nbytes + (0 if sample.mask is None else sample.mask.nbytes)
            if held > cache_bytes:
                break
            self._kept.append(sample)
        if len(self._kept) < len(loads):
            logging.getLogger(__name__).warning(
                "%d of %d pictures fit into cache_bytes=%d; the others are decoded at each use",
                len(self._kept),
                len(loads),
                cache_bytes,
            )

    def __len__(self) -> int:
        return len(self._loads)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        index = range(len(self))[index]
        return self._kept[index] if index < len(self._kept) else self._loads[index]()
