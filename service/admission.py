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
from service.scheduler import Scheduler

# Weight of the newest engine call in the mean of a model's seconds per pixel.
_NEWEST = 0.1


class Speed:
    """Seconds per input pixel of a window, for each model, as measured of late."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, model: str, pixels: int, seconds: float) -> None:
        with self._lock:
            before = self._seconds.get(model, seconds / pixels)
            self._seconds[model] = (1 - _NEWEST) * before + _NEWEST * seconds / pixels

    def seconds(self, model: str, pixels: int) -> float:
        """What `pixels` will take; 0 for a model that has not run yet."""
        return self._seconds.get(model, 0.0) * pixels


@dataclass(frozen=True)
class Claim:
    """What a request wants of the engine: seconds of a model; an urgent one is served first."""

    model: str
    seconds: float
    urgent: bool = False


@dataclass(frozen=True)
class Estimate:
    """What a request wants, and the engine seconds that others get before it is done."""

    claim: Claim
    wait_s: float

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
        pixels = len(plan) * plan.rows.side * plan.columns.side
        model = predictor.spec.address
        claim = Claim(model, self._speed.seconds(model, pixels), urgent)
        at_engine = [
            Claim(work.model, self._speed.seconds(work.model, work.sweep.pixels_left), work.urgent)
            for work in self._scheduler.works
        ]
        return Estimate(claim, wait_s(claim, [*at_engine, *self._coming.values()]))

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
        if estimate.claim.seconds > left_s:
            raise Problem(
                "deadline",
                "the picture takes longer than this request may last; send it as a job",
                expected=f"work of at most {left_s:.0f} s",
                got=f"about {estimate.claim.seconds:.0f} s",
            )
        late_s = max(estimate.wait_s - self._queue_s, estimate.seconds - left_s)
        if late_s > 0:
            raise Problem(
                "queue_full",
                f"other requests are before this one for about {estimate.wait_s:.0f} s",
                retry_after_s=math.ceil(late_s),
            )
