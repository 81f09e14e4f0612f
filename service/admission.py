"""Whether a request can be taken now: what it will cost, and what is before it.

The plan of windows follows from the picture's size, so the work of a request is known from its
header. What a pixel of a window costs on this machine is measured at every engine call.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from i2i.predictor import Predictor
from service.errors import Problem
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
class Estimate:
    """Engine seconds of a request itself, and of what others get before it is done."""

    work_s: float
    wait_s: float

    @property
    def seconds(self) -> float:
        return self.work_s + self.wait_s


class Admission:
    """Takes a request where it will be done in time, by what is measured.

    Args:
        queue_s: most seconds that a request may wait for others.
    """

    def __init__(self, scheduler: Scheduler, speed: Speed, queue_s: float) -> None:
        self._scheduler, self._speed, self._queue_s = scheduler, speed, queue_s
        # Engine seconds of those that are admitted and still being decoded, and their urgency.
        self._coming: dict[object, tuple[float, bool]] = {}

    def estimate(
        self, predictor: Predictor, height: int, width: int, urgent: bool = False
    ) -> Estimate:
        """For a picture of this size, were it sent now.

        Turns are fair, so each other request is given as much time as this one needs, at most; an
        urgent one goes before all that are not.
        """
        plan = predictor.plan(height, width)
        pixels = len(plan) * plan.rows.side * plan.columns.side
        work_s = self._speed.seconds(predictor.spec.address, pixels)
        at_engine = (
            (self._speed.seconds(other.model, other.sweep.pixels_left), other.urgent)
            for other in self._scheduler.works
        )
        others = [s for s, first in (*at_engine, *self._coming.values()) if first or not urgent]
        return Estimate(work_s, sum(min(left_s, work_s) for left_s in others))

    @contextlib.contextmanager
    def admitted(self, estimate: Estimate, urgent: bool) -> Iterator[Callable[[], None]]:
        """Counts a request until it has come to the engine: then the block calls what it is given.

        Else many that come at once would all be taken, each as if it were alone.
        """
        key = object()
        self._coming[key] = estimate.work_s, urgent

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
        if estimate.work_s > left_s:
            raise Problem(
                "deadline",
                "the picture takes longer than this request may last; send it as a job",
                expected=f"work of at most {left_s:.0f} s",
                got=f"about {estimate.work_s:.0f} s",
            )
        late_s = max(estimate.wait_s - self._queue_s, estimate.seconds - left_s)
        if late_s > 0:
            raise Problem(
                "queue_full",
                f"other requests are before this one for about {estimate.wait_s:.0f} s",
                retry_after_s=math.ceil(late_s),
            )
