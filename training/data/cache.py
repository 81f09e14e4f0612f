"""Decoded samples in memory, up to a number of bytes; beyond it, read again at each use."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence

import numpy as np

from i2i.image import darkness
from training.data.names import TOLD, some_of
from training.passing_bar import passing
from training.pixels import Values, to_8_bit
from training.tasks.task import Sample

Load = Callable[[], Sample]
Check = Callable[[Sample], None]

CACHE_BYTES = 4 << 30


class Samples(Sequence[Sample]):
    """The samples that `loads` give.

    Each is read once at construction, before any worker process starts: bad files end the run
    before it begins, all workers share what is kept, and the digests cost no further reading.

    Args:
        cache_bytes: decoded bytes to keep at most; 0 keeps none.
        check: raises where a sample is of no use, such as `Task.check_sample`.
        taken: how many of `cache_bytes` others keep.

    Attributes:
        name_of: the first sample's name for the mark of each picture.
        digest: of all names, pictures, masks and targets, in hexadecimal.
        sizes: (height, width) of the pictures, in pixels.
        dark: what is to be said of those that are nearly black, by name.
        kept_bytes: of the samples in memory.
    """

    def __init__(
        self,
        loads: Sequence[Load],
        cache_bytes: int = CACHE_BYTES,
        check: Check | None = None,
        taken: int = 0,
    ) -> None:
        self._loads = loads
        self._kept: list[Sample] = []
        self.name_of: dict[bytes, str] = {}
        self.sizes: list[tuple[int, int]] = []
        self.dark: dict[str, str] = {}
        held = self.kept_bytes = 0
        total = hashlib.sha256()
        errors: list[ValueError] = []
        for load in passing(loads, "Reading pictures"):
            try:
                sample = load()
                if check is not None:
                    check(sample)
            except ValueError as error:
                errors.append(error)
                continue
            self.sizes.append((sample.image.shape[0], sample.image.shape[1]))
            if (words := darkness(sample.image)) is not None:
                self.dark[sample.name] = words
            pixels = pixels_digest(sample.image)
            mark = pixels if sample.image.dtype == np.uint8 else mark_of(sample.image)
            self.name_of.setdefault(mark, sample.name)
            others = [part for part in (sample.mask, sample.target) if part is not None]
            for part in (sample.name.encode(), pixels, *map(pixels_digest, others)):
                total.update(part)
            held += sample.image.nbytes + sum(part.nbytes for part in others)
            if held <= cache_bytes - taken:
                self._kept.append(sample)
                self.kept_bytes = held
        if errors:
            raise _together(errors)
        self.digest = total.hexdigest()
        if 0 < cache_bytes < held + taken:
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


def _together(errors: list[ValueError]) -> ValueError:
    """One error for all bad files, each reason once: they are mended at once, not one a run."""
    if len(errors) == 1:
        return errors[0]
    named: dict[str, list[str]] = {}
    for error in errors:
        name, _, reason = str(error).partition(": ")
        named.setdefault(reason, []).append(name)
    told = "; ".join(f"{reason} ({some_of(named[reason])})" for reason in list(named)[:TOLD])
    more = sum(len(names) for names in list(named.values())[TOLD:])
    others = f"; and {more} more" if more else ""
    return ValueError(f"{len(errors)} pictures cannot be used: {told}{others}")


def mark_of(image: Values) -> bytes:
    """By what a picture is known again, whether it is read in 8 bits or in 16."""
    return pixels_digest(to_8_bit(image))


def pixels_digest(values: Values) -> bytes:
    """SHA-256 of shape, type and values."""
    digest = hashlib.sha256(f"{values.shape} {values.dtype}".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.digest()
