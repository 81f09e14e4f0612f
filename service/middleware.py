"""What every request passes: its id, trace and log line, and the limit on its body."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Problem, model_failed
from service.inflight import ReaderGone, TooSlow
from service.metrics import Metrics
from service.record import Record, request_id
from service.tracing import traced

# A client that is still sending does not read: a refusal that closes at once is seen as a reset.
# So some of what comes is read first, as much as a refused picture usually is, but not for ever.
DISCARD_BYTES = 64 * 2**20
DISCARD_S = 5.0

CLIENT_GONE = 499  # as nginx writes it: nobody is there to be answered, or reads no more

_PROBES = {"/livez", "/readyz", "/metrics"}

logger = logging.getLogger(__name__)


class RequestLog:
    """Gives each request its record and id, and writes its log line and metrics at the end.

    It also holds the last net: whatever fails without an answer is logged and answered 503.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        record = Record(request_id(headers.get("x-request-id")), scope["method"])
        scope.setdefault("state", {})["record"] = record
        with traced(record, headers):
            await self._answer(record, scope, receive, send)

    async def _answer(self, record: Record, scope: Scope, receive: Receive, send: Send) -> None:
        async def noting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = record.id
                headers["X-Content-Type-Options"] = "nosniff"
            elif record.method != "HEAD":  # of which the server sends no body
                record.response_bytes += len(message.get("body", b""))
            await send(message)

        self.metrics.in_flight.inc()
        try:
            await self.app(scope, receive, noting_send)
        except asyncio.CancelledError:
            # The server's patience at its end is over.
            stopping = Problem("queue_full", "the service is stopping")
            if record.status:
                record.cut_off(stopping.code, stopping.status)
            else:
                await stopping.response(record)(scope, receive, noting_send)
            raise
        except TooSlow:  # the server cuts the connection of half a reply
            record.cut_off("too_slow", CLIENT_GONE)
        except ReaderGone:
            record.cut_off("client_gone", CLIENT_GONE)
        except Exception:
            logger.exception("request %s failed", record.id)
            failed = model_failed()
            if record.status:  # half a reply cannot be mended: the server cuts the connection
                record.cut_off(failed.code, failed.status)
                raise
            await failed.response(record)(scope, receive, noting_send)
        finally:
            record.status = record.status or CLIENT_GONE
            record.route = getattr(scope.get("route"), "path", "")
            self.metrics.in_flight.dec()
            self.metrics.observe(record)
            quiet = record.route in _PROBES and record.status < 400
            level = logging.DEBUG if quiet else logging.INFO
            logger.log(level, "request", extra={"fields": record.line()})


class BodyLimit:
    """Refuses bodies above `max_body` bytes, counting what comes, and lets every refusal be seen.

    Any reply to a request whose body has not been read waits until some of it has been discarded.
    """

    def __init__(self, app: ASGIApp, max_body: int) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(scope, receive, self.max_body)
        if body.declared > self.max_body:
            await refuse(body.too_large(body.declared), scope, receive, send)
        else:
            await self.app(scope, body.receive, body.patient(send))


async def refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with `problem` once some of the body has been discarded, so that it is seen."""
    body = _Body(scope, receive, sys.maxsize)
    await problem.response(Record.of(scope))(scope, body.receive, body.patient(send))


class _Body:
    """The body of one request on its way in."""

    def __init__(self, scope: Scope, receive: Receive, max_body: int) -> None:
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        self.declared = int(length) if length.isdecimal() else 0
        self._receive = receive
        self._max_body = max_body
        self._record = Record.of(scope)
        self._complete = self.declared == 0 and "transfer-encoding" not in headers
        self._waits_for_go = headers.get("expect", "").lower() == "100-continue"

    def too_large(self, size: int) -> Problem:
        return Problem(
            "body_too_large",
            "the body is larger than this service takes",
            expected=f"at most {self._max_body} bytes",
            got=f"{size} bytes" if size == self.declared else f"more than {self._max_body} bytes",
        )

    async def receive(self) -> Message:
        message = await self._next()
        if self._record.request_bytes > self._max_body:
            raise self.too_large(self._record.request_bytes)
        return message

    def patient(self, send: Send) -> Send:
        """`send`, but a reply begins once enough of the body has been read."""

        async def patient_send(message: Message) -> None:
            if message["type"] == "http.response.start" and not await self.discard():
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        return patient_send

    async def discard(self) -> bool:
        """Reads on up to the limits; whether the body then came to its end."""
        if self._waits_for_go:  # asked before sending: it reads the answer instead
            return self._complete
        enough = self._record.request_bytes + DISCARD_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_S):
                while not self._complete and self._record.request_bytes < enough:
                    await self._next()
        return self._complete

    async def _next(self) -> Message:
        self._waits_for_go = False  # reading is the go
        message = await self._receive()
        if message["type"] == "http.request":
            self._record.request_bytes += len(message.get("body", b""))
            self._complete = not message.get("more_body", False)
        else:
            self._complete = True
        return message


def nobody(record: Record) -> Response:
    """The end of a request whose client has gone; nobody reads it."""
    record.code = "client_gone"
    return Response(status_code=CLIENT_GONE)
