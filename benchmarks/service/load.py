"""Requests as clients send them: at their own times, whether earlier ones are answered or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import numpy as np

# Nothing here waits for less: a reply that takes longer is a hang.
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Reply:
    """One answer; seconds from when the request was due, and the phases the server tells, in ms."""

    due: float
    seconds: float
    status: int
    code: str
    retry_after: str
    phases: dict[str, float] = field(default_factory=dict)


def client(url: str, **headers: str) -> httpx.AsyncClient:
    """A client of as many connections as it takes."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits, headers=headers)


async def ask(one: httpx.AsyncClient, path: str, body: bytes, due: float | None = None) -> Reply:
    """Posts a picture; an answer that is no picture and no documented problem raises."""
    due = due or time.monotonic()
    reply = await one.post(path, content=body)
    seconds = time.monotonic() - due
    code = "" if reply.is_success else reply.json()["code"]
    timing = reply.headers.get("Server-Timing", "")
    phases = dict(part.split(";dur=") for part in timing.split(", ") if part)
    return Reply(
        due,
        seconds,
        reply.status_code,
        code,
        reply.headers.get("Retry-After", ""),
        {name: float(value) for name, value in phases.items()},
    )


async def answered(one: httpx.AsyncClient, path: str, body: bytes) -> None:
    """Posts a picture; what is no picture raises."""
    reply = await ask(one, path, body)
    if reply.status != 200:
        raise RuntimeError(f"{path}: expected a picture, got {reply.status} {reply.code}")


async def open_loop(
    one: httpx.AsyncClient, path: str, body: bytes, *, per_s: float, count: int
) -> list[Reply]:
    """`count` requests whose moments are those of a Poisson process of `per_s` a second."""
    gaps = np.random.default_rng(0).exponential(1 / per_s, count)
    moments = time.monotonic() + np.cumsum(gaps)
    async with asyncio.TaskGroup() as tasks:
        asked = []
        for moment in moments:
            await asyncio.sleep(moment - time.monotonic())
            asked.append(tasks.create_task(ask(one, path, body, float(moment))))
    return [task.result() for task in asked]


async def closed_loop(
    one: httpx.AsyncClient, path: str, body: bytes, *, clients: int, seconds: float
) -> list[Reply]:
    """`clients` that each send their next request when the last one is answered."""
    end = time.monotonic() + seconds

    async def keep_asking() -> list[Reply]:
        replies = []
        while time.monotonic() < end:
            replies.append(await ask(one, path, body))
        return replies

    every = await asyncio.gather(*(keep_asking() for _ in range(clients)))
    return [reply for replies in every for reply in replies]


@asynccontextmanager
async def repeated(send: Callable[[], Awaitable[object]], clients: int) -> AsyncIterator[None]:
    """While the block runs, `clients` that call `send` again and again; what it raises, ends it."""

    async def again() -> None:
        while True:
            await send()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(again()) for _ in range(clients)]
        yield
        for task in tasks:
            task.cancel()


def percentile(seconds: list[float], share: float) -> float:
    """In milliseconds."""
    return 1e3 * float(np.percentile(seconds, share))
