"""One picture's way: decode, queue, run, encode; nothing of it on the event loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from i2i.image import Format, ImageError, Picture, decode, read_header
from i2i.prediction import Prediction, View, check_file
from i2i.predictor import Cancelled, DeadlineExceeded, Predictor
from service.errors import Problem
from service.inflight import Hold
from service.record import Record
from service.settings import Settings

# Codecs leave the interpreter to other threads for most of their time. Two keep the engine fed;
# more would only hold more pictures in memory and take cores from it.
_CODEC_THREADS = 2

# A decoded pixel in and out, with its alpha, for the account of bytes in flight.
_BYTES_PER_PIXEL = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What one request asks for, until when (`time.monotonic()`), and if its client has gone."""

    predictor: Predictor
    format: Format
    view: View | None
    deadline: float
    gone: threading.Event


class Pipeline:
    """The threads of one process: two for files, one for the engine, one picture at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._codecs = ThreadPoolExecutor(_CODEC_THREADS, "codec")
        self._engine = ThreadPoolExecutor(1, "engine")
        self._turn = asyncio.Lock()

    async def predict(self, data: bytes, order: Order, hold: Hold, record: Record) -> bytes:
        """The encoded prediction for the picture in `data`.

        Raises:
            ImageError: the picture cannot be read, or the result not be held by the format.
            Problem: too_many_pixels, queue_full, deadline, model_failed.
            Cancelled: the client has gone.
        """
        loop = asyncio.get_running_loop()
        with record.phase("decode"):
            picture = await loop.run_in_executor(
                self._codecs, self._decode, data, order, hold, record
            )
        with record.phase("queue"):
            await self._wait_for_turn(order.deadline)
        try:
            with record.phase("run"):
                prediction = await loop.run_in_executor(
                    self._engine, self._run, picture, order, record.id
                )
        finally:
            self._turn.release()
        with record.phase("encode"):
            return await loop.run_in_executor(
                self._codecs, prediction.encode, order.format, order.view
            )

    def close(self) -> None:
        """Ends the threads once they are idle."""
        self._codecs.shutdown(wait=False)
        self._engine.shutdown(wait=False)

    def _decode(self, data: bytes, order: Order, hold: Hold, record: Record) -> Picture:
        spec, settings = order.predictor.spec, self._settings
        header = read_header(data)
        record.pixels = header.width * header.height
        most = min(
            settings.max_pixels,
            settings.max_output_pixels // spec.scale**2,
            spec.max_pixels or settings.max_pixels,
        )
        if record.pixels > most:
            raise Problem(
                "too_many_pixels",
                f"the picture is larger than {spec.name} takes here",
                expected=f"at most {most} pixels",
                got=f"{header.width} x {header.height}",
            )
        check_file(spec, order.format, order.view, header.height, header.width)
        hold.add(record.pixels * (1 + spec.scale**2) * _BYTES_PER_PIXEL)
        return decode(data, max_pixels=most)

    async def _wait_for_turn(self, deadline: float) -> None:
        patience = min(self._settings.queue_s, deadline - time.monotonic())
        try:
            async with asyncio.timeout(patience):
                await self._turn.acquire()
        except TimeoutError:
            if time.monotonic() >= deadline:
                raise late() from None
            raise Problem("queue_full", "the engine was busy with other requests") from None

    def _run(self, picture: Picture, order: Order, request_id: str) -> Prediction:
        try:
            return order.predictor.predict(
                picture, deadline=order.deadline, cancelled=order.gone.is_set
            )
        except DeadlineExceeded:
            raise late() from None
        except (Cancelled, ImageError):
            raise
        except Exception:
            address = order.predictor.spec.address
            logger.exception("request %s: the model %s failed", request_id, address)
            raise Problem("model_failed", "the model failed on this picture") from None


def late() -> Problem:
    return Problem(
        "deadline",
        "the work was not done in time and has been stopped",
        expected="a smaller picture, or more time (deadline_s)",
    )
