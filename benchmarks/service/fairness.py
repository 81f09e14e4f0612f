"""Whether a small picture is answered soon while huge ones are in work."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from typing import Any

import httpx

from benchmarks.service.load import ask, client, open_loop, percentile, repeated
from benchmarks.service.pictures import photo
from benchmarks.service.server import Server, server
from i2i import encode

MODEL = "depixelate"
PREDICT = f"/v1/models/{MODEL}/predict"
LARGE = (6000, 8000)  # 48 megapixels
# Of what the service could answer alone: the small ones shall not wait for one another.
LOAD = 0.15


def measure(idle: int = 500, busy: int = 300, runs: int = 3) -> dict[str, Any]:
    """99th percentile of 256 x 256 requests: idle, and while one and two of 48 megapixels are made.

    Args:
        idle, busy: requests of each run.
    """
    small, large = encode(photo(256, 256)), encode(photo(*LARGE), "jpeg")
    with server(deadline_s=3600) as one:
        return asyncio.run(_measure(one, small, large, idle, busy, runs))


async def _measure(
    one: Server, small: bytes, large: bytes, idle: int, busy: int, runs: int
) -> dict[str, Any]:
    p99: dict[str, list[float]] = {"idle_ms": [], "one_ms": [], "two_ms": []}
    async with client(one.url) as asking:
        first = [await ask(asking, PREDICT, small) for _ in range(20)]
        per_s = LOAD / statistics.median(reply.seconds for reply in first)
        began, cpu_s = time.monotonic(), time.process_time()
        for _ in range(runs):
            for count, figures in enumerate(p99.values()):
                requests = busy if count else idle
                figures.append(await _p99(asking, small, large, count, per_s, requests))
        client_cpu = (time.process_time() - cpu_s) / (time.monotonic() - began)
    medians = {name: statistics.median(figures) for name, figures in p99.items()}
    return {
        "per_s": per_s,
        "idle_requests": idle,
        "busy_requests": busy,
        "runs": runs,
        "p99_ms": p99,
        **medians,
        "ratio_one": medians["one_ms"] / medians["idle_ms"],
        "ratio_two": medians["two_ms"] / medians["idle_ms"],
        "client_cpu_share": client_cpu,
    }


async def _p99(
    asking: httpx.AsyncClient, small: bytes, large: bytes, count: int, per_s: float, requests: int
) -> float:
    async with repeated(lambda: ask(asking, PREDICT + "?format=jpeg", large), count):
        if count:
            await _in_work(asking, count)
        replies = await open_loop(asking, PREDICT, small, per_s=per_s, count=requests)
    assert all(reply.status == 200 for reply in replies)
    await _in_work(asking, 0)
    return percentile([reply.seconds for reply in replies], 99)


async def _in_work(asking: httpx.AsyncClient, count: int) -> None:
    """Waits until `count` requests are in work."""
    while True:
        text = (await asking.get("/metrics")).text
        found = re.search(r"^i2i_requests_in_flight (\S+)$", text, re.MULTILINE)
        if found and float(found[1]) == count + 1:  # this one too
            return
        await asyncio.sleep(0.1)
