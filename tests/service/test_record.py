import json
import logging
import re

import pytest

from service.metrics import Metrics
from service.middleware import RequestLog
from service.record import JsonLines

PREDICT = "/v1/models/twice/predict"


@pytest.fixture
def lines(caplog):
    """The request lines of the log, as the service writes them."""
    caplog.set_level(logging.INFO, "service")
    written = JsonLines()

    def lines():
        records = [r for r in caplog.records if r.message == "request"]
        return [json.loads(written.format(record)) for record in records]

    return lines


def test_each_request_leaves_one_line_that_says_what_happened(client, twice, png, lines):
    client.post(PREDICT + "?format=webp", content=png, headers={"X-Request-Id": "r-1"})
    (line,) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert line["id"] == "r-1"
    assert (line["method"], line["route"]) == ("POST", "/v1/models/{name}/predict")
    assert (line["status"], line["code"]) == (200, "")
    assert line["model"] == twice.spec.address
    assert (line["request_bytes"], line["pixels"]) == (len(png), 35)
    assert line["response_bytes"] > 0
    assert list(line["phases_ms"]) == ["decode", "queue", "run", "encode"]
    assert line["ms"] >= line["phases_ms"]["run"]


def test_a_head_sends_no_body(client, lines):
    client.request("HEAD", "/v1/models")
    (line,) = lines()
    assert (line["method"], line["status"], line["response_bytes"]) == ("HEAD", 200, 0)


def test_a_refusal_is_logged_with_its_code(client, lines):
    client.post(PREDICT, content=b"GIF89a")
    client.get("/etc/passwd")
    refused, unknown = lines()
    assert (refused["status"], refused["code"]) == (415, "unsupported_format")
    assert (unknown["status"], unknown["code"], unknown["route"]) == (404, "not_found", "")


def test_probes_are_not_logged_while_all_is_well(client, lines):
    for path in ("/livez", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200
    assert lines() == []


@pytest.mark.parametrize("sane", ["a", "0af7651916cd43dd8448eb211c80319c", "A-b_c.9" * 9])
def test_a_sane_request_id_is_echoed(client, sane):
    assert client.get("/livez", headers={"X-Request-Id": sane}).headers["X-Request-Id"] == sane


@pytest.mark.parametrize("odd", ["", " ", "a b", "a\tb", "x" * 65, '"}', "é".encode()])
def test_an_odd_request_id_is_replaced(client, odd):
    given = client.get("/livez", headers={"X-Request-Id": odd}).headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", given)


def test_metrics_count_by_template(client, twice, png):
    client.post(PREDICT, content=png)
    text = client.get("/metrics").text
    labels = 'code="",method="POST",route="/v1/models/{name}/predict",status="200"'
    assert f"i2i_requests_total{{{labels}}} 1.0" in text
    model = f'model="{twice.spec.address}"'
    assert f"i2i_pixels_total{{{model}}} 35.0" in text
    for phase in ("decode", "queue", "run", "encode"):
        assert f'i2i_phase_seconds_count{{{model},phase="{phase}"}} 1.0' in text
    assert 'i2i_model_info{engine="openvino",kind="labels",name="bright"' in text
    assert 'i2i_build_info{version="' in text


def test_a_failure_of_our_own_is_answered_503_and_logged(client_of, caplog, lines):
    async def broken(scope, receive, send):
        raise KeyError("/secret/place")

    with client_of(RequestLog(broken, Metrics())) as client:
        reply = client.get("/", headers={"X-Request-Id": "r-2"})
    assert (reply.status_code, reply.json()["code"]) == (503, "model_failed")
    assert reply.headers["Retry-After"]
    assert reply.headers["X-Request-Id"] == "r-2"
    assert "secret" not in reply.text
    assert "/secret/place" in caplog.text
    assert [line["code"] for line in lines()] == ["model_failed"]


def test_a_failure_amid_a_reply_cuts_it(client_of, lines):
    async def breaking(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise OSError

    metrics = Metrics()
    with client_of(RequestLog(breaking, metrics)) as client, pytest.raises(OSError):  # noqa: PT011
        client.get("/")
    assert [(line["status"], line["code"]) for line in lines()] == [(503, "model_failed")]
    assert (
        'code="model_failed",method="GET",route="",status="503"' in metrics.render([], []).decode()
    )
