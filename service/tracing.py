"""Traces through OpenTelemetry's API: a span for each request, and its phases below it.

A `traceparent` of the caller is honoured (https://www.w3.org/TR/trace-context/) and told in the
request's log line. Where spans are sent is what BentoML's `tracing` settings say: by default
nowhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.record import Record

_PROPAGATOR = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("i2i")


@contextmanager
def traced(record: Record, headers: Mapping[str, str]) -> Iterator[None]:
    """The span of a request, below the caller's; told at its end what `record` has by then."""
    caller = _PROPAGATOR.extract(headers)
    with _tracer.start_as_current_span(record.method, caller, SpanKind.SERVER) as span:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        record.traceparent = carrier.get("traceparent", "")
        try:
            yield
        finally:
            if span.is_recording():
                _tell(span, record)


def _tell(span: Span, record: Record) -> None:
    span.update_name(f"{record.method} {record.route}".strip())
    span.set_attributes(
        {
            "http.request.method": record.method,
            "http.route": record.route,
            "http.response.status_code": record.status,
            "i2i.request_id": record.id,
            "i2i.code": record.code,
            "i2i.model": record.model,
            "i2i.pixels": record.pixels,
        }
    )
    # The windows of a picture are waited for, run and encoded in turns. Each phase's sum is shown
    # as one span, one after the other, so that their lengths are true.
    begin = time.time_ns() - sum(map(_ns, record.phases.values()))
    for phase, seconds in record.phases.items():
        end = begin + _ns(seconds)
        _tracer.start_span(phase, start_time=begin).end(end)
        begin = end


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
