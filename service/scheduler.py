"""Whose window is next: the windows of all live requests and models, one engine call at a time.

Turns are fair by measured time, over models and then over a model's requests (`service.turns`): a
small picture comes next however much of a huge one is left, and no stream of small ones starves the
huge one. The law of prediction makes the order of windows invisible in the result.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable

from i2i.engines.halves import run_window
from i2i.predictor import Band, Cancelled, DeadlineExceeded, Sweep
from service.turns import Turns

# Of bands of a request that its encoder has not taken yet; more would only fill the memory.
UNDELIVERED_BYTES = 64 << 20
# How often works are looked at for their deadline while none can go on.
BLOCKED_S = 0.1
# How long after its deadline a work waits for the window that is being run: the engine may hang.
HANGS_S = 10.0
# No window takes so long, be the machine ever so busy.
WINDOW_S = 120.0
# How long the end waits for the window that is being run; what hangs ends with the process.
_END_S = 10.0


class NoTurn(Exception):
    """The work has waited for its first window for as long as it may."""


class Work:
    """One request at the engine: its sweep over the picture, and until when.

    Made on the event loop that takes the bands.

    Args:
        deadline: moment of `time.monotonic()` after which no further window is begun.
        gone: is asked before each window; the work ends where it is true.
        urgent: goes before all that is not.
        patience_s: seconds to wait for the first window.
    """

    def __init__(
        self,
        sweep: Sweep,
        deadline: float,
        gone: Callable[[], bool],
        *,
        urgent: bool = False,
        patience_s: float = math.inf,
    ) -> None:
        self.sweep, self.deadline, self.gone, self.urgent = sweep, deadline, gone, urgent
        self._last_start = time.monotonic() + patience_s
        self.model = sweep.predictor.spec.address
        self.since = time.monotonic()
        self.engine_s = 0.0
        self._undelivered_bytes = 0
        self._counting = threading.Lock()
        self._abandoned = False
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Band | Exception | None] = asyncio.Queue()
        self.taken: Callable[[], None] = lambda: None

    @property
    def unwanted(self) -> bool:
        """Whether nobody waits for what is left of it."""
        return self._abandoned or self.gone()

    @property
    def impatient(self) -> bool:
        """Whether it has waited too long for its first window."""
        return self.engine_s == 0 and time.monotonic() > self._last_start

    @property
    def blocked(self) -> bool:
        """Whether its bands are not taken as fast as they come."""
        return self._undelivered_bytes >= UNDELIVERED_BYTES

    async def bands(self) -> AsyncGenerator[Band, None]:
        """The prediction from top to bottom, as it is made.

        Raises:
            DeadlineExceeded, Cancelled, NoTurn: between two windows; DeadlineExceeded also where
                the engine hangs in one; or what the engine raised.
        """
        try:
            while (arrived := await self._next_arrived()) is not None:
                if isinstance(arrived, Exception):
                    raise arrived
                yield arrived
                self._count(-_bytes(arrived))
                self.taken()
        finally:
            self._abandoned = True
            self.taken()

    async def _next_arrived(self) -> Band | Exception | None:
        end = None if math.isinf(self.deadline) else self.deadline + HANGS_S - time.monotonic()
        try:
            async with asyncio.timeout(end):
                return await self._arrived.get()
        except TimeoutError:
            raise DeadlineExceeded from None

    def deliver(self, band: Band) -> None:
        self._count(_bytes(band))
        self._tell(band)

    def _count(self, change: int) -> None:
        # The engine's thread adds, the event loop takes away.
        with self._counting:
            self._undelivered_bytes += change

    def end(self, failure: Exception | None = None) -> None:
        self._tell(failure)

    def _tell(self, item: Band | Exception | None) -> None:
        # A loop that is closed belongs to a service that has stopped: nobody waits there.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, item)


def _bytes(band: Band) -> int:
    return sum(plane.nbytes for plane in band.planes.values())


class Scheduler:
    """The engine's thread and the works that wait for it; what fails ends its own work only.

    Args:
        measured: is told of each turn that did not fail: model address, input pixels of its
            window, seconds.
    """

    def __init__(
        self,
        measured: Callable[[str, int, float], None] = lambda model, pixels, seconds: None,
    ) -> None:
        self._measured = measured
        self._works: list[Work] = []
        self._models = Turns()
        self._requests: dict[str, Turns] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._window_began: float | None = None
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    @property
    def works(self) -> list[Work]:
        """Those at the engine or waiting for it."""
        with self._changed:
            return list(self._works)

    @property
    def hangs(self) -> bool:
        """Whether the window that is being run takes longer than any does."""
        began = self._window_began
        return began is not None and time.perf_counter() - began > WINDOW_S

    def submit(self, work: Work) -> None:
        """Puts a work among those that wait."""
        with self._changed:
            work.taken = self._wake
            self._works.append(work)
            self._changed.notify()

    def close(self) -> None:
        """Ends the thread after the window that is being run."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_END_S)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _serve(self) -> None:
        while (work := self._next()) is not None:
            try:
                self._run(work)
            except Exception as failure:
                self._end(work, failure)
            del work  # while this thread waits, it holds no picture and no model

    def _next(self) -> Work | None:
        """The work whose window is next; waits until there is one. None at the end."""
        with self._changed:
            while not self._closed:
                self._end_overdue()
                ready = self._seated()
                if ready:
                    return self._fairest([work for work in ready if work.urgent] or ready)
                # A blocked work can still pass its deadline, or its client go.
                self._changed.wait(BLOCKED_S if self._works else None)
            return None

    def _seated(self) -> list[Work]:
        """The works that can be served, once their models and they have a place."""
        by_model: dict[str, list[Work]] = {}
        for work in self._works:
            if not work.blocked:
                by_model.setdefault(work.model, []).append(work)
        self._models.seat(by_model)
        self._requests = {model: self._requests.get(model, Turns()) for model in by_model}
        for model, works in by_model.items():
            self._requests[model].seat(works)
        return [work for works in by_model.values() for work in works]

    def _fairest(self, works: list[Work]) -> Work:
        """The work whose turn it is; of equals the one that is done soonest."""
        model = self._models.next(dict.fromkeys(work.model for work in works), tie=str)
        candidates = [work for work in works if work.model == model]
        return self._requests[model].next(candidates, tie=lambda work: work.sweep.windows_left)

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for work in list(self._works):
            if work.unwanted:
                self._end(work, Cancelled())
            elif now > work.deadline:
                self._end(work, DeadlineExceeded())
            elif work.impatient:
                self._end(work, NoTurn())

    def _run(self, work: Work) -> None:
        """One window of the work.

        Raises:
            Exception: whatever the engine or the memory came to.
        """
        predictor = work.sweep.predictor
        self._window_began = started = time.perf_counter()
        try:
            window = work.sweep.cut()
            band = work.sweep.put(run_window(predictor.engine, predictor.spec, window))
        finally:
            self._window_began = None
            seconds = time.perf_counter() - started
            self._charge(work, seconds)
        self._measured(work.model, window.shape[-2] * window.shape[-1], seconds)
        if band is not None:
            work.deliver(band)
        if work.sweep.windows_left == 0:
            self._end(work, None)

    def _charge(self, work: Work, seconds: float) -> None:
        with self._changed:
            work.engine_s += seconds
            self._requests[work.model].served(work, seconds)
            self._models.served(work.model, seconds)

    def _end(self, work: Work, failure: Exception | None) -> None:
        with self._changed:
            self._works.remove(work)
        work.end(failure)
