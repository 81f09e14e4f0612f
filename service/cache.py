"""Finished answers kept in memory: a picture asked about once more takes no engine turn."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Hashable

from service.inflight import Hold
from service.pipeline import Order, Pipeline
from service.record import Record


class Cache:
    """The answers used last, up to `most_bytes` together; used from one thread."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._answers: OrderedDict[Hashable, bytes] = OrderedDict()

    def get(self, key: Hashable) -> bytes | None:
        """The answer kept by this key."""
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        return answer

    def put(self, key: Hashable, answer: bytes) -> None:
        """Keeps an answer, in place of those used longest ago; not one above the limit."""
        if len(answer) > self._most_bytes:
            return
        self._bytes += len(answer) - len(self._answers.pop(key, b""))
        self._answers[key] = answer
        while self._bytes > self._most_bytes:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest)


class CachedPipeline:
    """A pipeline that keeps its answers, for each caller apart.

    What one has asked must not show in how fast another is answered.

    Args:
        most_bytes: of answers kept; 0 keeps none.
    """

    def __init__(self, pipeline: Pipeline, most_bytes: int) -> None:
        self._pipeline = pipeline
        self._cache = Cache(most_bytes) if most_bytes else None

    async def predict(
        self, data: bytes, order: Order, hold: Hold, record: Record, caller: str
    ) -> bytes:
        """As `Pipeline.predict`; an answer from the cache has no phase but `cache`."""
        if self._cache is None:
            return await self._pipeline.predict(data, order, hold, record)
        with record.phase("cache"):
            key = caller, await asyncio.to_thread(_question, data, order)
            answer = self._cache.get(key)
        if answer is None:
            del record.phases["cache"]
            answer = await self._pipeline.predict(data, order, hold, record)
            self._cache.put(key, answer)
        return answer


def _question(data: bytes, order: Order) -> Hashable:
    """All that the answer's bytes follow from."""
    spec, engine = order.predictor.spec, order.predictor.engine
    picture = hashlib.sha256(data).digest()
    asked = order.format, order.view, order.regions
    return picture, spec.digest, engine.name, engine.precision, *asked
