"""Which pictures a model was trained on, or chosen by: its scores on them say little of others."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from i2i.spec import ModelSpec
from training.data.cache import mark_of
from training.tasks import Sample

# Of the digest of a picture's pixels: beside 10,000 known ones, one in 400,000 others is taken for
# one of them.
_BYTES = 4
# A model's spec, where these stand, is read and sent whole.
MOST = 10_000


def marks(digests: Iterable[bytes]) -> str | None:
    """A text by which pictures are known again; None of more than `MOST`."""
    short = sorted({digest[:_BYTES] for digest in digests})
    return base64.b64encode(b"".join(short)).decode() if len(short) <= MOST else None


class Known:
    """Finds pictures that the training of a model knows, by their pixels.

    Attributes:
        found: names of those that `trained` it, and of those that `validated` it: they chose its
            checkpoint. Without what an earlier export, or a training on very many pictures, has not
            noted.
    """

    def __init__(self, spec: ModelSpec) -> None:
        noted = spec.provenance.get("data", {}).get("marks", {})
        self._marks = {part: _taken_apart(text) for part, text in noted.items() if text is not None}
        self.found: dict[str, list[str]] = {part: [] for part in self._marks}

    def watched(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The samples, as they are."""
        for sample in samples:
            mark = mark_of(sample.image)[:_BYTES]
            for part, known in self._marks.items():
                if mark in known:
                    self.found[part].append(sample.name)
            yield sample


def _taken_apart(text: str) -> set[bytes]:
    together = base64.b64decode(text)
    return {together[i : i + _BYTES] for i in range(0, len(together), _BYTES)}
