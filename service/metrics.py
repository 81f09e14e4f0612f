"""What Prometheus reads at /metrics: by route template and model, never by raw path."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from i2i.predictor import Predictor
from service.record import Record

# From a small picture on a GPU to a large one on a CPU; the top is the default deadline.
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
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
        self._pixels = Counter(
            "i2i_pixels", "Pixels of the pictures that came in", ("model",), registry=registry
        )
        self._models = Gauge(
            "i2i_model_info",
            "1 for each model that is loaded",
            ("name", "version", "kind", "engine", "precision"),
            registry=registry,
        )
        Info("i2i_build", "What runs here", registry=registry).info({"version": _version()})

    def observe(self, record: Record) -> None:
        """Counts a request that has ended."""
        method = record.method if record.method in _METHODS else "other"
        self._requests.labels(record.route, method, record.status, record.code).inc()
        for phase, seconds in record.phases.items():
            self._phases.labels(record.model, phase).observe(seconds)
        if record.pixels:
            self._pixels.labels(record.model).inc(record.pixels)

    def render(self, predictors: Iterable[Predictor]) -> bytes:
        """All metrics as text, with `predictors` as the models that are loaded."""
        for predictor in predictors:
            spec, engine = predictor.spec, predictor.engine
            self._models.labels(
                spec.name, spec.version, spec.kind, engine.name, engine.precision
            ).set(1)
        return generate_latest(self._registry)


def _version() -> str:
    try:
        return importlib.metadata.version("i2i")
    except importlib.metadata.PackageNotFoundError:  # in a bento the library comes as files
        return "unknown"
