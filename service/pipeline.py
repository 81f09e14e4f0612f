"""One picture's way: header, decode, windows, encode; nothing of it on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar

from i2i.image import Format, Header, ImageError, Picture, decode, read_header
from i2i.image.formats import READING_BYTES, WRITING_BYTES
from i2i.memory import held_bytes
from i2i.prediction import BandWriter, View, check_file
from i2i.predictor import Cancelled, DeadlineExceeded, Predictor, Sweep
from service.admission import Admission
from service.errors import Problem, late
from service.inflight import Hold
from service.lanes import Lane
from service.record import Record
from service.regions import Regions, RegionsWriter
from service.scheduler import UNDELIVERED_BYTES, NoTurn, Scheduler, Work

# Codecs leave the interpreter to other threads for most of their time. Two keep the engine fed;
# more would only hold more pictures in memory and take cores from it.
_SMALL_LANE_THREADS = 2
# A larger picture goes through a lane of one thread, where it holds up no small one.
_SMALL_PIXELS = 4_000_000
# No job is refused for less, however small the pictures that are allowed.
_ANY_JOB_BYTES = 1 << 30
# The engine goes first: what it waits for is ready before it, or it would not be idle.
_CODEC_NICENESS = 5

T = TypeVar("T")

# A call that has begun, and for which nobody waits any more.
Left = Callable[[Future[Any]], None]

logger = logging.getLogger(__name__)


class Overdue(Exception):
    """A call on a lane was not done in time."""


@dataclass(frozen=True)
class Order:
    """What is asked for, until when (`time.monotonic()`), and whether it is still wanted.

    `patience_s` is how long it waits to be decoded, and then for its first turn at the engine. With
    `regions` the answer is JSON, and format and view say nothing.
    """

    predictor: Predictor
    format: Format
    view: View | None
    max_pixels: int
    deadline: float
    gone: Callable[[], bool]
    urgent: bool = False
    patience_s: float = math.inf
    regions: Regions | None = None


class Pipeline:
    """The threads of one process: lanes of codecs, and the engine behind its scheduler.

    What comes from a file, or becomes one, has lanes of its own: a disk may hang.
    """

    def __init__(self, scheduler: Scheduler, admission: Admission) -> None:
        self._scheduler, self._admission = scheduler, admission
        self._small = Lane(_SMALL_LANE_THREADS, "codec", _step_back)
        self._large = Lane(1, "large-codec", _step_back)
        self._jobs = Lane(1, "job-codec", _step_back)
        # Of one thread: the file is in memory for it.
        self._incoming = Lane(1, "job-header", _step_back)

    async def predict(self, data: bytes, order: Order, hold: Hold, record: Record) -> bytes:
        """The encoded prediction for the picture in `data`.

        Raises:
            ImageError: the picture cannot be read, or the result not be held by the format.
            Problem: too_many_pixels, queue_full, deadline, model_failed.
            Cancelled: the client has gone.
        """
        with record.phase("decode"):
            header = await self._decoded(order, self._small, self._header, data, order, record)
        size = header.height, header.width
        spec = order.predictor.spec
        estimate = self._admission.estimate(order.predictor, *size, order.urgent)
        self._admission.check(estimate, order.deadline)
        body_bytes = hold.size
        decoding_bytes, answering_bytes = _held_bytes(header, order.predictor, order.format)
        hold.add(max(decoding_bytes, answering_bytes))
        target = io.BytesIO()
        # JPEG and WebP are encoded in one piece: what comes out may be the larger picture.
        at_once = record.pixels * (spec.scale**2 if order.format in WRITING_BYTES else 1)
        lane = self._small if at_once <= _SMALL_PIXELS else self._large
        with self._admission.admitted(estimate) as is_at_engine:

            def at_engine() -> None:
                is_at_engine()
                hold.become(body_bytes + answering_bytes)

            await self._write(
                data, target, order, record, lane, at_engine=at_engine, left=hold.leave
            )
        return target.getvalue()

    async def check(self, source: Path, order: Order, record: Record) -> Header:
        """Size and format of the picture in `source`, which can be served.

        Raises:
            ImageError, Problem: as `predict`, for what its header shows.
            OSError: the file cannot be read.
        """
        return await self._on(
            self._incoming, lambda: self._header(source.read_bytes(), order, record)
        )

    async def predict_to(
        self, source: Path, target: Path, order: Order, progress: Callable[[float], None]
    ) -> None:
        """Writes the prediction for the picture in `source` to `target`, which appears complete.

        Args:
            progress: is told the share of windows done, 0 to 1.

        Raises:
            ImageError, Problem, Cancelled: as `predict`, but for queue_full.
            OSError: a file cannot be read or written.
        """
        record = Record("", "")
        data = await self._on(self._jobs, source.read_bytes)
        await self._on(self._jobs, self._header, data, order, record)
        await self._write(data, target, order, record, self._jobs, progress)

    def close(self) -> None:
        """Ends the threads once they are idle."""
        for lane in (self._small, self._large, self._jobs, self._incoming):
            lane.shutdown()
        self._scheduler.close()

    async def _write(
        self,
        data: bytes,
        target: Path | BinaryIO,
        order: Order,
        record: Record,
        lane: Lane,
        progress: Callable[[float], None] = lambda share: None,
        at_engine: Callable[[], None] = lambda: None,
        left: Left = lambda call: None,
    ) -> None:
        """Decodes, goes over the picture's windows and writes bands as they come.

        Args:
            lane: for the codecs.
            progress: as of `predict_to`.
            at_engine: is called once the windows wait for the engine.
            left: is given the encoding that goes on after the deadline.
        """

        def decoded() -> Sweep:
            _check_wanted(order)
            picture = decode(data, max_pixels=order.max_pixels, depth=_depth(order.format))
            # Here, and not in the event loop: hidden pixels are filled, all at once.
            return Sweep(order.predictor, picture)

        with record.phase("decode"):
            sweep = await self._decoded(order, lane, decoded)
        work = Work(
            sweep,
            order.deadline,
            order.gone,
            urgent=order.urgent,
            patience_s=order.patience_s,
        )
        began = time.monotonic()
        self._scheduler.submit(work)
        at_engine()
        try:
            with _translated(order, record):
                await self._encode(work, target, order, record, lane, progress, left)
        finally:
            encode_s = record.phases.pop("encode", 0.0)
            waited_s = time.monotonic() - began - work.engine_s - encode_s
            spent = {"queue": max(0.0, waited_s), "run": work.engine_s, "encode": encode_s}
            record.phases |= {name: spent[name] for name in spent if name == "queue" or spent[name]}

    async def _encode(
        self,
        work: Work,
        target: Path | BinaryIO,
        order: Order,
        record: Record,
        lane: Lane,
        progress: Callable[[float], None],
        left: Left,
    ) -> None:
        """Writes the bands of a work at the engine as they come; see `_write`."""
        async with contextlib.aclosing(work.bands()) as bands:
            with _writer(target, work.sweep.picture, order) as writer:

                def close() -> None:
                    _check_wanted(order)
                    writer.close()

                async for band in bands:
                    with record.phase("encode"):
                        await self._on(lane, writer.write, band, until=order.deadline)
                    progress(1 - work.sweep.windows_left / len(work.sweep.plan))
                with record.phase("encode"):
                    await self._on(lane, close, until=order.deadline, left=left)

    async def _decoded(
        self, order: Order, lane: Lane, function: Callable[..., T], *arguments: object
    ) -> T:
        """What `function` reads, where its turn comes as long as the request waits."""
        until = min(order.deadline, time.monotonic() + order.patience_s)
        try:
            return await self._on(lane, function, *arguments, until=until)
        except Overdue:
            if time.monotonic() >= order.deadline:
                raise late() from None
            raise Problem("queue_full", "other pictures are decoded before this one") from None

    def _header(self, data: bytes, order: Order, record: Record) -> Header:
        """Size and format, once it is known that they can be served."""
        spec = order.predictor.spec
        header = read_header(data)
        pixels = header.width * header.height
        if pixels > order.max_pixels:
            raise Problem(
                "too_many_pixels",
                f"the picture is larger than {spec.name} takes here",
                expected=f"at most {order.max_pixels} pixels",
                got=f"{header.width} x {header.height}",
            )
        # Counted from here on: a header may claim any size.
        record.pixels = pixels
        check_file(spec, order.format, order.view, header.height, header.width)
        return header

    async def _on(
        self,
        lane: Lane,
        function: Callable[..., T],
        *arguments: object,
        until: float = math.inf,
        left: Left | None = None,
    ) -> T:
        """What a call on a lane gives. One that has not begun by `until` is not made any more.

        Args:
            until: moment of `time.monotonic()`.
            left: is given a call that has begun and is not done by then, and goes on alone; without
                it such a call is waited for.

        Raises:
            Overdue: the call was not made, or goes on alone; or what it raises.
        """
        call = lane.submit(function, *arguments)
        waiting = asyncio.wrap_future(call)
        left_s = None if until == math.inf else max(0.0, until - time.monotonic())
        try:
            await asyncio.wait({waiting}, timeout=left_s)
            if not waiting.done():
                if call.cancel():
                    raise Overdue
                if left is not None:
                    left(call)
                    raise Overdue
            return await waiting
        finally:
            waiting.cancel()  # where it goes on, nobody hears of it


def job_bytes(header: Header, predictor: Predictor, format: Format, max_pixels: int) -> int:
    """What a job's picture holds at most; its file, and that of the answer, are on disk.

    Args:
        max_pixels: of any job's picture.

    Raises:
        Problem: too_many_pixels, a band of the answer takes more than all of the largest picture.
    """
    decoding, answering = _held_bytes(header, predictor, format, UNDELIVERED_BYTES)
    most = max(most_job_bytes(max_pixels) * header.depth // 8, _ANY_JOB_BYTES)
    if format not in WRITING_BYTES and answering > most:
        raise Problem(
            "too_many_pixels",
            "rows of the answer are made together, and these are too wide; turn it by 90 degrees",
            expected=f"a picture that needs at most {most >> 20} MiB",
            got=f"{header.width} x {header.height} with {answering >> 20} MiB",
        )
    return max(decoding, answering)


def most_job_bytes(pixels: int) -> int:
    """What the costliest picture of so many pixels, of 8 bits, holds while it is decoded."""
    return pixels * max(READING_BYTES.values())


def _held_bytes(
    header: Header, predictor: Predictor, format: Format, waiting: float = math.inf
) -> tuple[int, int]:
    """As `i2i.memory.held_bytes`; what is written is in memory, where nothing else is said."""
    # A bad file may say 0, and is refused when it is decoded.
    plan = predictor.plan(max(1, header.height), max(1, header.width))
    depth = min(header.depth, _depth(format))
    return held_bytes(predictor.spec, plan, header, format, depth, waiting)


def _depth(format: Format) -> Literal[8, 16]:
    """Bits of a sample to decode: more than the reply holds would cost memory for nothing."""
    return 16 if format in ("png", "tiff") else 8


def _writer(target: Path | BinaryIO, picture: Picture, order: Order) -> BandWriter | RegionsWriter:
    if order.regions is None:
        return BandWriter(target, order.format, picture, order.view)
    assert not isinstance(target, Path), "jobs give pictures"
    return RegionsWriter(target, order.regions)


def _check_wanted(order: Order) -> None:
    """Raises Cancelled or Problem where nobody waits for the answer any more."""
    if order.gone():
        raise Cancelled
    if time.monotonic() > order.deadline:
        raise late()


@contextlib.contextmanager
def _translated(order: Order, record: Record) -> Iterator[None]:
    """What the engine raised, in the words of the contract."""
    try:
        yield
    except (DeadlineExceeded, Overdue):
        raise late() from None
    except NoTurn:
        raise Problem("queue_full", "the engine was busy with other requests") from None
    except (Cancelled, ImageError, OSError, Problem):
        raise
    except Exception:
        address = order.predictor.spec.address
        logger.exception("request %s: the model %s failed", record.id, address)
        raise Problem("model_failed", "the model failed on this picture") from None


def _step_back() -> None:
    """Gives this thread less of the processor than the engine has."""
    # Linux counts niceness by thread; elsewhere this would be the whole process.
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _CODEC_NICENESS)
