"""How many bytes of bodies, decoded pictures and replies one process holds at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any

from prometheus_client import Gauge
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.client_gone import client_gone
from service.errors import Problem

# What is given to the server at once; it waits for its reader before it takes more.
_PIECE = 2**18


class InFlight:
    """Admits requests up to `limit` bytes together; one alone is admitted whatever its size."""

    def __init__(self, limit: int, gauge: Gauge) -> None:
        self._limit = limit
        self._total = 0
        self._gauge = gauge
        self._lock = threading.Lock()

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """What one request holds: nothing yet, and nothing any more at the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self.change(hold, -hold.size)

    def change(self, hold: Hold, size: int, refusing: bool = True) -> None:
        with self._lock:
            alone = self._total == hold.size
            if refusing and size > 0 and not alone and self._total + size > self._limit:
                raise Problem("queue_full", "other requests hold the memory that this one needs")
            hold.size += size
            self._total += size
            self._gauge.set(self._total)


class Hold:
    """The bytes that one request holds."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self.size = 0

    def add(self, size: int) -> None:
        """Holds `size` more bytes; from any thread.

        Raises:
            Problem: queue_full; what was held before stays held.
        """
        self._in_flight.change(self, size)

    def become(self, size: int) -> None:
        """Holds `size` bytes in place of what it held; errors as of `add`."""
        self._in_flight.change(self, size - self.size)

    def settle(self, size: int) -> None:
        """As `become`, for an answer that is there already: to refuse it would free no memory."""
        self._in_flight.change(self, size - self.size, refusing=False)

    def leave(self, call: Future[Any]) -> None:
        """What it holds is held until `call` is done, whatever becomes of the request."""
        kept = Hold(self._in_flight)
        kept.size, self.size = self.size, 0
        call.add_done_callback(lambda done: kept.settle(0))


class TooSlow(Exception):
    """Who reads a reply has not taken it in time; a part of it has been sent."""


class ReaderGone(Exception):
    """Who was to read a reply has closed the connection; a part of it has been sent."""


@asynccontextmanager
async def _patience(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TooSlow from None


class HeldResponse(Response):
    """A reply whose bytes are held until its reader has them, or is too slow.

    A server would take a body in one piece as fast as it comes, however slowly it is read.

    Args:
        held: closed at the end.
        patience_s: for all of the body; then `TooSlow` ends it.
    """

    def __init__(
        self,
        content: bytes,
        headers: dict[str, str],
        media_type: str,
        held: ExitStack,
        patience_s: float,
    ) -> None:
        super().__init__(content, 200, headers, media_type)
        self._held, self._patience_s = held, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        with self._held:
            await send(start)
            async with _patience(self._patience_s), client_gone(receive) as gone:
                for at in range(0, len(self.body), _PIECE):
                    piece = bytes(self.body[at : at + _PIECE])
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    # The server takes what nobody reads without a word.
                    if gone():
                        raise ReaderGone
                await send({"type": "http.response.body"})


class PatientResponse(StreamingResponse):
    """A file of any size, whose reader may take `patience_s` for each piece, else `TooSlow`.

    Args:
        held: closed at the end.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        headers: dict[str, str],
        media_type: str,
        held: AsyncExitStack,
        patience_s: float,
    ) -> None:
        super().__init__(pieces, 200, headers, media_type)
        self._held, self._patience_s = held, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def patient_send(message: Message) -> None:
            async with _patience(self._patience_s):
                await send(message)

        async with self._held:
            await super().__call__(scope, receive, patient_send)
