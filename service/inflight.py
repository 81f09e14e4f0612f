"""How many bytes of bodies, decoded pictures and replies one process holds at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from service.errors import Problem


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

    def change(self, hold: Hold, size: int) -> None:
        with self._lock:
            alone = self._total == hold.size
            if size > 0 and not alone and self._total + size > self._limit:
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
