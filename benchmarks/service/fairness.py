"""Whether a small picture is answered soon while huge ones are in work."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from typing import Any

import httpx

from benchmarks.service.load import answered, ask, client, open_loop, percentile, repeated
from benchmarks.service.peers import BOUNDARY, Peer, litserve, rembg
from benchmarks.service.pictures import photo
from benchmarks.service.server import Server, server
from i2i import encode, shipped_models

MODEL = "nuclei"
PREDICT = f"/v1/models/{MODEL}/predict"
LARGE = (6000, 8000)  # 48 megapixels
# Of what the service could answer alone: the small ones shall not wait for one another.
LOAD = 0.25
# The peers' one large picture keeps small ones waiting for as long as it takes: fewer do.
PEERS = {"litserve": litserve, "rembg": rembg}
PEER_IDLE, PEER_BUSY = 100, 60
# Until a peer, which does not tell, has read the large picture.
BEGUN_S = 3.0


def measure(idle: int = 500, busy: int = 300, runs: int = 3) -> dict[str, Any]:
    """99th percentile of 256 x 256 requests: idle, and while one and two of 48 megapixels are made.

    Beside it that of the peers with the same net, idle and beside one large picture.

    Args:
        idle, busy: requests of each run.
    """
    small, large = encode(photo(256, 256)), encode(photo(*LARGE), "jpeg")
    # Else the second of two huge ones would be refused: for its wait, and for the memory of both.
    with server(deadline_s=3600, queue_s=3600, inflight_bytes=2**32) as one:
        figures = asyncio.run(_measure(one, small, large, idle, busy, runs))
    for name, start in PEERS.items():
        with start(shipped_models()[MODEL]) as peer:
            figures[name] = asyncio.run(_peer(peer, small, large, figures["per_s"]))
    return figures


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
    async with repeated(lambda: answered(asking, PREDICT, large), count):
        if count:
            await _in_work(asking, count)
        replies = await open_loop(asking, PREDICT, small, per_s=per_s, count=requests)
    assert all(reply.status == 200 for reply in replies)
    await _in_work(asking, 0)
    return percentile([reply.seconds for reply in replies], 99)


async def _peer(peer: Peer, small: bytes, large: bytes, per_s: float) -> dict[str, float]:
    """The same of a server that knows no turns, beside one large picture."""
    small, large = peer.body(small), peer.body(large)
    async with client(peer.url, **{"Content-Type": BOUNDARY}) as asking:
        await ask(asking, peer.path, small)
        quiet = await open_loop(asking, peer.path, small, per_s=per_s, count=PEER_IDLE)
        async with repeated(lambda: answered(asking, peer.path, large), 1):
            await asyncio.sleep(BEGUN_S)
            replies = await open_loop(asking, peer.path, small, per_s=per_s, count=PEER_BUSY)
    assert all(reply.status == 200 for reply in quiet + replies)
    idle_ms = percentile([reply.seconds for reply in quiet], 99)
    one_ms = percentile([reply.seconds for reply in replies], 99)
    return {"idle_ms": idle_ms, "one_ms": one_ms, "ratio_one": one_ms / idle_ms}


async def _in_work(asking: httpx.AsyncClient, count: int) -> None:
    """Waits until `count` requests are in work."""
    while True:
        text = (await asking.get("/metrics")).text
        found = re.search(r"^i2i_requests_in_flight (\S+)$", text, re.MULTILINE)
        if found and float(found[1]) == count + 1:  # this one too
            return
        await asyncio.sleep(0.1)
