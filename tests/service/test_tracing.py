"""A request is a part of its caller's trace."""

from __future__ import annotations

import logging

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

PREDICT = "/v1/models/twice/predict"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture(scope="module")
def all_spans():
    """A process has one provider, and for good: set where none is."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(all_spans):
    all_spans.clear()
    return all_spans


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "service")
    return lambda: [record.fields for record in caplog.records if record.message == "request"]


def test_without_a_provider_the_callers_trace_is_logged_all_the_same(client, lines):
    """Before the others: they set a provider."""
    client.get("/v1/models", headers=TRACEPARENT)
    client.get("/v1/models", headers={"traceparent": "00-nonsense"})
    client.get("/v1/models")
    assert [line["traceparent"] for line in lines()] == [TRACEPARENT["traceparent"], "", ""]


def test_a_prediction_is_a_span_with_its_phases_below_it(client, spans, twice, png, lines):
    client.post(PREDICT, content=png, headers=TRACEPARENT | {"X-Request-Id": "r-1"})
    *phases, request = spans.get_finished_spans()
    assert request.name == "POST /v1/models/{name}/predict"
    assert f"{request.context.trace_id:032x}" == TRACE
    assert f"{request.parent.span_id:016x}" == PARENT
    assert request.attributes["i2i.model"] == twice.spec.address
    assert request.attributes["i2i.request_id"] == "r-1"
    assert request.attributes["http.response.status_code"] == 200
    assert [span.name for span in phases] == ["decode", "queue", "run", "encode"]
    assert {span.parent.span_id for span in phases} == {request.context.span_id}
    (line,) = lines()
    assert line["traceparent"] == f"00-{TRACE}-{request.context.span_id:016x}-01"
    ms = [(span.end_time - span.start_time) / 1e6 for span in phases]
    assert ms == pytest.approx(list(line["phases_ms"].values()), abs=0.06)


def test_a_request_of_no_trace_begins_one_and_nothing_of_it_names_what_was_asked(client, spans):
    client.get("/etc/passwd")
    (span,) = spans.get_finished_spans()
    assert span.parent is None
    assert span.name == "GET"
    assert "passwd" not in span.to_json()
