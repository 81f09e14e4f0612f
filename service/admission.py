"""Whether a request can be taken now: what it will cost, and what is before it.

The plan of windows follows from the picture's size, so the work of a request is known from its
header. What a pixel of a window costs on this machine is measured at every engine call.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from i2i.predictor import Predictor
from service.errors import Problem, late
from service.scheduler import Scheduler, Work

# Weight of the newest engine call in the mean of a model's seconds per pixel.
_NEWEST = 0.1
# How long a measurement refuses pictures: the machine may have been busy, and what is refused
# measures nothing.
_FRESH_S = 60.0


@dataclass
class _Measured:
    """Engine calls of windows of about one size: how many, their seconds per pixel, and when."""

    calls: int
    per_pixel: float
    at: float


class Speed:
    """Seconds of a model's windows, as measured of late.

    Windows of each size, to a factor of two, are measured apart: a small one costs more per pixel.
    """

    def __init__(self) -> None:
        self._measured: dict[str, dict[int, _Measured]] = {}
        self._lock = threading.Lock()

    def note(self, model: str, window: int, seconds: float) -> None:
        """Takes note of an engine call for a window of so many pixels."""
        with self._lock:
            sizes = self._measured.setdefault(model, {})
            known = sizes.get(window.bit_length(), _Measured(0, 0.0, 0.0))
            # The first call compiles for its shape: the second takes its place.
            newest = max(_NEWEST, 1 / max(1, known.calls))
            per_pixel = (1 - newest) * known.per_pixel + newest * seconds / window
            measured = _Measured(known.calls + 1, per_pixel, time.monotonic())
            sizes[window.bit_length()] = measured

    def seconds(self, model: str, window: int, windows: int) -> float:
        """What so many windows of `window` pixels will take; 0 for a model that has not run yet."""
        with self._lock:
            sizes = self._measured.get(model)
            if sizes is None:
                return 0.0
            size = window.bit_length()
            nearest = min(sizes, key=lambda other: (abs(other - size), other))
            return sizes[nearest].per_pixel * window * windows

    def knows(self, model: str, window: int) -> bool:
        """Whether windows of this size have been measured of late, beside a first one."""
        with self._lock:
            known = self._measured.get(model, {}).get(window.bit_length())
            return known is not None and known.calls > 1 and time.monotonic() - known.at < _FRESH_S


@dataclass(frozen=True)
class Claim:
    """What a request wants of the engine: seconds of a model; an urgent one is served first."""

    model: str
    seconds: float
    urgent: bool = False


@dataclass(frozen=True)
class Estimate:
    """What a request wants, and the engine seconds that others get before it is done.

    `own_s` is what is known of its own seconds: 0 where the claim is only guessed from windows of
    other sizes.
    """

    claim: Claim
    wait_s: float
    own_s: float

    @property
    def seconds(self) -> float:
        return self.claim.seconds + self.wait_s


def wait_s(claim: Claim, others: Sequence[Claim]) -> float:
    """The engine seconds that others get before a claim is met, were it made now.

    Turns are fair over models, then over a model's requests: each other request of the same model
    is given as much as this one needs, at most, and each other model as much as this model. What is
    urgent goes before all that is not.
    """
    before_s = sum(other.seconds for other in others if other.urgent and not claim.urgent)
    by_model: dict[str, list[float]] = {claim.model: []}
    for other in others:
        if other.urgent == claim.urgent:
            by_model.setdefault(other.model, []).append(other.seconds)
    beside_s = sum(min(seconds, claim.seconds) for seconds in by_model.pop(claim.model))
    model_s = beside_s + claim.seconds
    return before_s + beside_s + sum(min(sum(each), model_s) for each in by_model.values())


class Admission:
    """Takes a request where it will be done in time, by what is measured.

    Args:
        queue_s: most seconds that a request may wait for others.
    """

    def __init__(self, scheduler: Scheduler, speed: Speed, queue_s: float) -> None:
        self._scheduler, self._speed, self._queue_s = scheduler, speed, queue_s
        # Those that are admitted and still being decoded.
        self._coming: dict[object, Claim] = {}

    def estimate(
        self, predictor: Predictor, height: int, width: int, urgent: bool = False
    ) -> Estimate:
        """For a picture of this size, were it sent now."""
        plan = predictor.plan(height, width)
        window = plan.rows.side * plan.columns.side
        model = predictor.spec.address
        claim = Claim(model, self._speed.seconds(model, window, len(plan)), urgent)
        at_engine = [self._left(work) for work in self._scheduler.works]
        own_s = claim.seconds if self._speed.knows(model, window) else 0.0
        return Estimate(claim, wait_s(claim, [*at_engine, *self._coming.values()]), own_s)

    def _left(self, work: Work) -> Claim:
        height, width = work.sweep.window_shape
        windows = work.sweep.windows_left
        seconds = self._speed.seconds(work.model, height * width, windows)
        return Claim(work.model, seconds, work.urgent)

    @contextlib.contextmanager
    def admitted(self, estimate: Estimate) -> Iterator[Callable[[], None]]:
        """Counts a request until it has come to the engine: then the block calls what it is given.

        Else many that come at once would all be taken, each as if it were alone.
        """
        key = object()
        self._coming[key] = estimate.claim

        def at_engine() -> None:
            self._coming.pop(key, None)

        try:
            yield at_engine
        finally:
            at_engine()

    def check(self, estimate: Estimate, deadline: float) -> None:
        """Refuses what would wait too long, or not be done by its deadline.

        Args:
            deadline: moment of `time.monotonic()`.

        Raises:
            Problem: queue_full, with the seconds after which another try makes sense; deadline
                where even an idle service would be too slow.
        """
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise late()
        if estimate.own_s > left_s:
            raise Problem(
                "deadline",
                "the picture takes longer than this request may last; send it as a job",
                expected=f"work of at most {left_s:.0f} s",
                got=f"about {estimate.own_s:.0f} s",
            )
        late_s = max(estimate.wait_s - self._queue_s, estimate.wait_s + estimate.own_s - left_s)
        if late_s > 0:
            raise Problem(
                "queue_full",
                f"other requests are before this one for about {estimate.wait_s:.0f} s",
                retry_after_s=math.ceil(late_s),
            )
