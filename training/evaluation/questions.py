"""What an evaluation asks of a model: input and target of each picture, and their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.degradations import Degradation
from training.evaluation.protocol import SEED
from training.pixels import Values, as_stored
from training.tasks import Sample, Task


@dataclass(frozen=True, eq=False)
class Question:
    """A picture as the model takes it, and what is expected.

    Attributes:
        image: (H, W, C), uint8 or float32.
        target: a picture (H, W, C), labels or a map (H, W).
        digest: of both, in hexadecimal.
    """

    name: str
    image: Values
    target: Values
    digest: str


class Questions:
    """The questions that samples make, one after the other, and the digest of those asked so far.

    Args:
        unclipped: whether an input stays as the degradation made it; by default it is as an 8-bit
            file would hold it.
        spoiled_by: what happens to each input beside; its target stays what it was.
    """

    def __init__(
        self,
        task: Task,
        samples: Iterable[Sample],
        unclipped: bool = False,
        spoiled_by: Degradation | None = None,
    ) -> None:
        self.task, self.samples, self.unclipped = task, samples, unclipped
        self.spoiled_by = spoiled_by
        self._content = hashlib.sha256()
        self._asked: list[dict[str, str]] = []

    def __iter__(self) -> Iterator[Question]:
        for index, sample in enumerate(self.samples):
            image, target = self.task.pair(sample, np.random.default_rng([SEED, index]))
            if self.spoiled_by is not None:
                image = self.spoiled_by(image, np.random.default_rng([SEED, index, 1]))
            if not self.unclipped:
                image = as_stored(image)
            own = hashlib.sha256()
            for values in (image, target):
                for part in (f"{values.shape} {values.dtype}".encode(), values.tobytes()):
                    self._content.update(part)
                    own.update(part)
            digest = own.hexdigest()[:16]
            self._asked.append({"name": sample.name, "digest": digest})
            yield Question(sample.name, image, target, digest)

    def asked(self) -> dict[str, Any]:
        """The `set` and the `pictures` of results, without scores, of those asked so far."""
        of_set = {"pictures": len(self._asked), "digest": self._content.hexdigest()}
        return {"set": of_set, "pictures": self._asked}

    def read(self) -> dict[str, Any]:
        """Goes through all that are left; gives `asked`."""
        for _ in self:
            pass
        return self.asked()
