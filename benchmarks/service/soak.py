"""Hours of mixed use in minutes: is every answer as expected, and does the memory stay?"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from typing import Any

import httpx

from benchmarks.service.load import client
from benchmarks.service.pictures import photo
from benchmarks.service.server import Server, server
from i2i import encode

MODEL = "depixelate"
CLIENTS = 4
# Every size is new to the engine's plan of windows.
SIDES = range(1, 200)
FORMATS = ("png", "jpeg", "webp", "tiff")
PREDICT, JOBS = f"/v1/models/{MODEL}/predict", f"/v1/models/{MODEL}/jobs"


def measure(minutes: float = 30.0) -> dict[str, Any]:
    """Pictures of all sizes, unknown paths, jobs and cancels; memory at a third and at the end."""
    # Finished jobs go as fast as they come, or the disk would fill.
    with server(job_ttl_s=5) as one:
        return asyncio.run(_Soak(one, 60 * minutes).run())


class _Soak:
    def __init__(self, one: Server, seconds: float) -> None:
        self._server, self._seconds = one, seconds
        self._random = random.Random(0)
        self._sizes: set[tuple[int, int]] = set()
        self._asked: Counter[str] = Counter()
        self._unexpected: Counter[str] = Counter()
        self._memory_mib: list[tuple[float, float]] = []

    async def run(self) -> dict[str, Any]:
        self._end = time.monotonic() + self._seconds
        async with client(self._server.url) as asking:
            await asyncio.gather(self._watch(), *(self._use(asking) for _ in range(CLIENTS)))
        third = self._memory_between(0.30, 0.37)
        end = self._memory_between(0.93, 1.0)
        return {
            "minutes": self._seconds / 60,
            "requests": dict(self._asked),
            "sizes": len(self._sizes),
            "unexpected": sum(self._unexpected.values()),
            "unexpected_answers": dict(self._unexpected),
            "memory_third_mib": third,
            "memory_end_mib": end,
            "memory_growth": end / third,
            "memory_mib": [mib for _, mib in self._memory_mib[:: len(self._memory_mib) // 30]],
        }

    def _memory_between(self, begin: float, end: float) -> float:
        """The median over a part of the time: memory breathes with what is in flight."""
        return statistics.median(
            mib for at, mib in self._memory_mib if begin <= at / self._seconds <= end
        )

    async def _watch(self) -> None:
        began = time.monotonic()
        while time.monotonic() < self._end:
            self._memory_mib.append((time.monotonic() - began, self._server.memory_mib))
            await asyncio.sleep(self._seconds / 500)

    async def _use(self, asking: httpx.AsyncClient) -> None:
        uses = [self._picture] * 5 + [self._unknown_path, self._bad_picture, self._cancel]
        uses += [self._job, self._cancelled_job]
        while time.monotonic() < self._end:
            use = self._random.choice(uses)
            self._asked[use.__name__.strip("_")] += 1
            await use(asking)

    def _photo(self) -> bytes:
        size = self._random.choice(SIDES), self._random.choice(SIDES)
        self._sizes.add(size)
        return encode(photo(*size), self._random.choice(FORMATS))  # type: ignore[arg-type]

    def _expect(self, reply: httpx.Response, *statuses: int) -> bool:
        if reply.status_code not in statuses:
            self._unexpected[f"{reply.request.method} {reply.status_code}"] += 1
        return reply.is_success

    async def _picture(self, asking: httpx.AsyncClient) -> None:
        format = self._random.choice(FORMATS)
        reply = await asking.post(PREDICT, params={"format": format}, content=self._photo())
        self._expect(reply, 200)

    async def _unknown_path(self, asking: httpx.AsyncClient) -> None:
        self._expect(await asking.get(f"/{self._random.getrandbits(64):x}"), 404)

    async def _bad_picture(self, asking: httpx.AsyncClient) -> None:
        data = bytearray(self._photo())
        data[self._random.randrange(len(data))] ^= 0xFF
        # A flipped byte may hit what is not read, or only a pixel.
        self._expect(await asking.post(PREDICT, content=bytes(data)), 200, 413, 415, 422)

    async def _cancel(self, asking: httpx.AsyncClient) -> None:
        after_s = self._random.uniform(0, 0.2)
        try:
            reply = await asking.post(PREDICT, content=self._photo(), timeout=after_s)
        except httpx.TimeoutException:
            return
        self._expect(reply, 200)

    async def _job(self, asking: httpx.AsyncClient) -> None:
        reply = await asking.post(JOBS, content=self._photo())
        if not self._expect(reply, 202):
            return
        job = reply.headers["Location"]
        while (told := (await asking.get(job)).json()).get("state") in ("queued", "running"):
            await asyncio.sleep(0.1)
        if told.get("state") == "done":
            self._expect(await asking.get(f"{job}/result"), 200)
        else:
            self._unexpected[f"job {told}"] += 1

    async def _cancelled_job(self, asking: httpx.AsyncClient) -> None:
        reply = await asking.post(JOBS, content=self._photo())
        if self._expect(reply, 202):
            self._expect(await asking.delete(reply.headers["Location"]), 204)
