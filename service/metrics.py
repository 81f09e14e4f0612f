"""What Prometheus reads at /metrics: by route template and loaded model, never by what was asked.

The numbers of one process, in its memory: a worker is a process with metrics of its own, and the
sum over replicas is Prometheus' work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

import i2i
from i2i.predictor import Predictor
from service.job import State
from service.record import Record
from service.scheduler import Work

# From a small picture on a GPU to a large one on a CPU; the top is the default deadline.
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
_WINDOW_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.in_flight = Gauge(
            "i2i_requests_in_flight", "Requests being answered", registry=registry
        )
        self.held_bytes = Gauge(
            "i2i_held_bytes", "Bodies, decoded pictures and replies held", registry=registry
        )
        self._requests = Counter(
            "i2i_requests",
            "Requests answered, by route template, method, status and code of the refusal",
            ("route", "method", "status", "code"),
            registry=registry,
        )
        self._phases = Histogram(
            "i2i_phase_seconds",
            "Seconds in each phase of a prediction",
            ("model", "phase"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._windows = Histogram(
            "i2i_window_seconds",
            "Seconds of the engine for a window",
            ("model",),
            buckets=_WINDOW_SECONDS,
            registry=registry,
        )
        self._pixels = Counter(
            "i2i_pixels", "Pixels of the pictures that were answered", ("model",), registry=registry
        )
        self._jobs = Counter(
            "i2i_jobs", "Jobs ended here, by how they ended", ("state",), registry=registry
        )
        # A rate needs a beginning.
        for state in ("done", "failed", "cancelled"):
            self._jobs.labels(state)
        self._by_model = (self._phases, self._windows, self._pixels)
        self._seen_models: set[str] = set()
        self._models = Gauge(
            "i2i_model_info",
            "1 for each model that is loaded",
            ("name", "version", "kind", "engine", "precision"),
            registry=registry,
        )
        Info("i2i_build", "What runs here", registry=registry).info({"version": i2i.__version__})

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Adds a number that is asked for whenever the metrics are read."""
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def show_queue(self, works: Callable[[], list[Work]]) -> None:
        """Adds what waits for the engine; `works` gives it."""
        self.gauge(
            "i2i_queue_windows",
            "Windows that requests wait for",
            lambda: sum(work.sweep.windows_left for work in works()),
        )
        self.gauge(
            "i2i_queue_megapixels",
            "Millions of pixels in the windows that requests wait for",
            lambda: sum(work.sweep.pixels_left for work in works()) / 1e6,
        )
        self.gauge(
            "i2i_queue_oldest_seconds",
            "Seconds since the oldest request came to the engine that is still there",
            lambda: max((time.monotonic() - work.since for work in works()), default=0.0),
        )

    def observe(self, record: Record) -> None:
        """Counts a request that has ended."""
        method = record.method if record.method in _METHODS else "other"
        self._requests.labels(record.route, method, record.status, record.code).inc()
        self._seen_models.add(record.model)
        for phase, seconds in record.phases.items():
            self._phases.labels(record.model, phase).observe(seconds)
        if record.pixels and not record.code:
            self._pixels.labels(record.model).inc(record.pixels)

    def observe_window(self, model: str, seconds: float) -> None:
        """Counts a window that the engine has run."""
        self._seen_models.add(model)
        self._windows.labels(model).observe(seconds)

    def observe_job(self, state: State) -> None:
        """Counts a job that has ended."""
        self._jobs.labels(state).inc()

    def render(self, predictors: Iterable[Predictor], at_work: Collection[str]) -> bytes:
        """All metrics as text.

        Args:
            predictors: the models that are loaded.
            at_work: addresses of those that still have work, though they may be replaced: without
                its windows the engine would seem to stand.
        """
        self._models.clear()
        loaded = set()
        for predictor in predictors:
            spec, engine = predictor.spec, predictor.engine
            self._models.labels(
                spec.name, spec.version, spec.kind, engine.name, engine.precision
            ).set(1)
            loaded.add(spec.address)
        self._forget(self._seen_models - loaded - set(at_work))
        return generate_latest(self._registry)

    def _forget(self, models: set[str]) -> None:
        """A process that lives through many versions does not keep the numbers of each."""
        for model in models:
            for metric in self._by_model:
                metric.remove_by_labels({"model": model})
        self._seen_models -= models
