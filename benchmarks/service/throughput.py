"""How much of a core reaches the pictures: throughput against the parts alone, and the overhead."""

from __future__ import annotations

import asyncio
import http.client
import re
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.service.load import client, closed_loop
from benchmarks.service.pictures import photo
from benchmarks.service.server import SERVER_CORE, Server, on_core, server
from i2i import decode, encode, load
from i2i.predictor import Sweep

MODEL = "depixelate"
PREDICT = f"/v1/models/{MODEL}/predict"
CLIENTS = 8


def measure(seconds: float = 20.0) -> dict[str, Any]:
    """512 x 512 JPEG in and out by 8 clients; then 64 x 64 PNG on one connection.

    Each part is timed alone by wall clock and by processor time, before and after the load, on the
    server's core. The share by processor time also holds where others use the core.
    """
    picture = encode(photo(512, 512), "jpeg")
    before = _parts_alone(picture)
    with server() as one:
        figures = asyncio.run(_throughput(one, picture, seconds)) | _overhead(one)
    after = _parts_alone(picture)
    wall_s = (before["wall_s"] + after["wall_s"]) / 2
    cpu_s = (before["cpu_s"] + after["cpu_s"]) / 2
    return {
        **figures,
        "alone_ms": 1e3 * wall_s,
        "alone_cpu_ms": 1e3 * cpu_s,
        "share": figures["per_s"] * wall_s,
        "share_by_cpu": 1e3 * cpu_s / figures["cpu_ms"],
    }


def _parts_alone(data: bytes) -> dict[str, float]:
    """Decode, engine and encode of one picture, nothing else running in this process."""
    with on_core(SERVER_CORE):
        predictor = load(MODEL, engine="openvino", threads=1)
        picture = decode(data)
        answer = predictor.predict(picture)
        sweep = Sweep(predictor, picture)
        window, windows = sweep.cut(), sweep.windows_left

        def engine() -> None:
            for _ in range(windows):
                predictor.engine.run(window)

        parts: list[Callable[[], object]] = [
            lambda: decode(data),
            engine,
            lambda: answer.encode("jpeg"),
        ]
        timed = [_median(part) for part in parts]
    return {"wall_s": sum(wall for wall, _ in timed), "cpu_s": sum(cpu for _, cpu in timed)}


def _median(part: Callable[[], object], runs: int = 15) -> tuple[float, float]:
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        part()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


async def _throughput(one: Server, picture: bytes, seconds: float) -> dict[str, float]:
    path = f"{PREDICT}?format=jpeg"
    async with client(one.url) as asking:
        await closed_loop(asking, path, picture, clients=CLIENTS, seconds=2)
        began, cpu_s, client_cpu_s = time.monotonic(), one.cpu_s, time.process_time()
        replies = await closed_loop(asking, path, picture, clients=CLIENTS, seconds=seconds)
        took = time.monotonic() - began
    assert all(reply.status == 200 for reply in replies)
    return {
        "requests": len(replies),
        "per_s": len(replies) / took,
        "cpu_ms": 1e3 * (one.cpu_s - cpu_s) / len(replies),
        "client_cpu_share": (time.process_time() - client_cpu_s) / took,
    }


def _overhead(one: Server, count: int = 400) -> dict[str, float]:
    """What is not the engine's, of a picture of 64 x 64, one request after the other."""
    picture = encode(photo(64, 64))
    # A client that costs little: its own time is in what it sees.
    connection = http.client.HTTPConnection(one.url.removeprefix("http://"))
    seen_ms, run_ms = [], []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("POST", PREDICT, picture)
        reply = connection.getresponse()
        reply.read()
        seen_ms.append(1e3 * (time.perf_counter() - began))
        run_ms.append(float(re.findall(r"run;dur=([\d.]+)", reply.headers["Server-Timing"])[0]))
    connection.close()
    overhead_ms = [seen - run for seen, run in zip(seen_ms, run_ms, strict=True)][count // 10 :]
    return {
        "small_p50_ms": statistics.median(seen_ms),
        "small_run_ms": statistics.median(run_ms),
        "overhead_ms": statistics.median(overhead_ms),
        "overhead_p10_ms": statistics.quantiles(overhead_ms, n=10)[0],
    }
