"""Whether the client of a request has closed its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from starlette.types import Receive


@asynccontextmanager
async def client_gone(receive: Receive) -> AsyncIterator[Callable[[], bool]]:
    """What tells, from any thread, whether the client has gone or the block has been left.

    Args:
        receive: of a request whose body has been read.
    """

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    watching = asyncio.create_task(watch())
    try:
        yield watching.done
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
