"""What a service gives that is asked for three times as much as it can."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from benchmarks.service.load import Reply, client, closed_loop, open_loop, percentile
from benchmarks.service.pictures import photo
from benchmarks.service.server import Server, server
from i2i import encode
from service.errors import CODES

MODEL = "depixelate"
PREDICT = f"/v1/models/{MODEL}/predict"
TIMES = 3.0
# Enough at once that the engine never waits for a request.
CLIENTS = 8
# Most seconds in the queue: less than the load lasts, so that requests are refused.
QUEUE_S = 2.0


def measure(seconds: float = 60.0) -> dict[str, Any]:
    """Answers a second at full work, then under three times as many requests for `seconds`."""
    with server(queue_s=QUEUE_S) as one:
        return asyncio.run(_measure(one, encode(photo(256, 256)), seconds))


async def _measure(one: Server, picture: bytes, seconds: float) -> dict[str, Any]:
    async with client(one.url) as asking:
        await closed_loop(asking, PREDICT, picture, clients=CLIENTS, seconds=3)
        capacity = await _capacity(one, asking, picture, seconds / 3)
        memory_mib = one.memory_mib
        began, cpu_s = time.monotonic(), time.process_time()
        per_s = TIMES * capacity
        count = round(per_s * seconds)
        replies = await open_loop(asking, PREDICT, picture, per_s=per_s, count=count)
        lasted = time.monotonic() - began
        client_cpu = (time.process_time() - cpu_s) / lasted
        memory_after_mib = one.memory_mib
        capacity = (capacity + await _capacity(one, asking, picture, seconds / 3)) / 2
    answered = [reply.seconds for reply in replies if reply.status == 200]
    refused = [reply for reply in replies if reply.status != 200]
    goodput = len(answered) / lasted
    return {
        "capacity_per_s": capacity,
        "asked_per_s": per_s,
        "answered_per_s": goodput,
        "goodput": goodput / capacity,
        "answered_p99_ms": percentile(answered, 99),
        "refusals": dict(Counter(reply.code for reply in refused)),
        "undocumented": sum(not _documented(reply) for reply in refused),
        "memory_before_mib": memory_mib,
        "memory_after_mib": memory_after_mib,
        "client_cpu_share": client_cpu,
    }


async def _capacity(one: Server, asking: Any, picture: bytes, seconds: float) -> float:
    replies = await closed_loop(asking, PREDICT, picture, clients=CLIENTS, seconds=seconds)
    lasted = max(reply.due + reply.seconds for reply in replies) - replies[0].due
    return sum(reply.status == 200 for reply in replies) / lasted


def _documented(reply: Reply) -> bool:
    return CODES[reply.code][0] == reply.status == 503 and int(reply.retry_after) > 0
