"""Threads for what may hang with the folder of jobs, which others may hold or a network lose.

What hangs there keeps these threads and no other: predictions go on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import TypeVar

from service.lanes import Lane

_THREADS = 8
# How long an end is waited for; what hangs ends by itself, or with the process.
_END_S = 5.0

T = TypeVar("T")


class Disk:
    """The threads of one folder."""

    def __init__(self) -> None:
        self._threads = Lane(_THREADS, "jobs-disk")

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What `function` gives; who is cancelled does not wait for it."""
        return await asyncio.wrap_future(self._threads.submit(function, *arguments))

    @contextlib.asynccontextmanager
    async def entered(self, manager: AbstractContextManager[T]) -> AsyncIterator[T]:
        """Enters and leaves `manager`; also where who wanted to enter has gone meanwhile."""

        def leave(entered: Future[T] | None = None) -> None:
            if entered is None or entered.exception() is None:
                manager.__exit__(None, None, None)

        entering = self._threads.submit(manager.__enter__)
        try:
            value = await asyncio.wrap_future(entering)
        except asyncio.CancelledError:
            if not entering.cancel():
                entering.add_done_callback(leave)
            raise
        try:
            yield value
        finally:
            leaving = asyncio.wrap_future(self._threads.submit(leave))
            with contextlib.suppress(OSError):  # its patience's end is one, too
                await asyncio.wait_for(asyncio.shield(leaving), _END_S)

    def close(self) -> None:
        """Ends the threads once they are idle."""
        self._threads.shutdown()
