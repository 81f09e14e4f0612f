"""What is counted, how little is kept of it, and that alerts and dashboard read what there is."""

from __future__ import annotations

import json
import random
import re
import struct
import zlib
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus-rules.yaml"
DASHBOARD = DEPLOY / "grafana-dashboard.json"
PREDICT = "/v1/models/twice/predict"


def values(client, name: str) -> dict[str, float]:
    """The samples of this name by their labels, as text."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {
        ",".join(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for sample in samples
        if sample.name == name
    }


def test_a_prediction_is_counted_by_model_phase_and_window(client, twice, png, large_png):
    for picture in (png, large_png):
        client.post(PREDICT, content=picture)
    address = twice.spec.address
    assert values(client, "i2i_window_seconds_count") == {address: 101}
    assert values(client, "i2i_phase_seconds_count") == {
        f"{address},{phase}": 2 for phase in ("decode", "encode", "queue", "run")
    }
    assert values(client, "i2i_pixels_total") == {address: 35 + 640 * 640}


def test_what_a_refused_header_claims_is_not_counted(client):
    chunks = [(b"IHDR", struct.pack(">2I5B", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)), (b"IDAT", b"")]
    framed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    reply = client.post(PREDICT, content=b"\x89PNG\r\n\x1a\n" + b"".join(framed))
    assert reply.json()["code"] == "too_many_pixels"
    assert values(client, "i2i_pixels_total") == {}


def test_the_queue_is_told_in_windows_and_megapixels(client, twice, large_png):
    assert values(client, "i2i_queue_windows") == {"": 0}
    twice.engine.gate.clear()
    twice.engine.began.clear()
    request = client.begin("POST", PREDICT, content=large_png)
    twice.engine.began.wait()
    windows, pixels, oldest_s = (
        values(client, f"i2i_queue_{name}")[""]
        for name in ("windows", "megapixels", "oldest_seconds")
    )
    twice.engine.gate.set()
    assert request.result().status_code == 200
    assert 50 < windows <= 100
    assert 50 * 64 * 64 / 1e6 < pixels <= 100 * 64 * 64 / 1e6
    assert oldest_s > 0
    assert values(client, "i2i_queue_windows") == {"": 0}


def test_jobs_are_counted_by_how_they_end(serve_jobs, end_of, png):
    with serve_jobs() as client:
        assert values(client, "i2i_jobs_running") == {"": 0}
        for data in (png, png, png[:60]):
            job = client.post("/v1/models/twice/jobs", content=data).headers["Location"]
            end_of(client, job)
        assert values(client, "i2i_jobs_total") == {"cancelled": 0, "done": 2, "failed": 1}


def test_a_job_that_is_cancelled_while_it_waits_is_counted_once(
    serve_jobs, twice, large_png, wait_until
):
    twice.engine.gate.clear()
    with serve_jobs() as client:
        sent = [client.post("/v1/models/twice/jobs", content=large_png) for _ in range(3)]
        wait_until(lambda: values(client, "i2i_jobs_running") == {"": 2})
        for _ in range(2):
            client.request("DELETE", sent[2].headers["Location"])
        assert values(client, "i2i_jobs_total") == {"cancelled": 1, "done": 0, "failed": 0}


def test_jobs_that_wait_for_their_turn_are_counted(serve_jobs, twice, large_png, wait_until):
    twice.engine.gate.clear()
    with serve_jobs() as client:
        for _ in range(5):
            client.post("/v1/models/twice/jobs", content=large_png)
        wait_until(lambda: values(client, "i2i_jobs_waiting") == {"": 3})
        assert values(client, "i2i_jobs_running") == {"": 2}
        twice.engine.gate.set()
        wait_until(lambda: values(client, "i2i_jobs_waiting") == {"": 0})


def test_refusals_are_counted_by_their_code(client):
    client.post(PREDICT, content=b"GIF89a")
    client.post("/v1/models/thrice/predict", content=b"")
    assert values(client, "i2i_requests_total") == {
        "unsupported_format,POST,/v1/models/{name}/predict,415": 1,
        "unknown_model,POST,/v1/models/{name}/predict,404": 1,
    }


def test_memory_readiness_and_build_are_told(client):
    assert values(client, "process_resident_memory_bytes")[""] > 1e7
    assert values(client, "i2i_ready") == {"": 1}
    assert len(values(client, "i2i_build_info")) == 1
    assert len(values(client, "i2i_model_info")) == 2


def test_a_thousand_unknown_addresses_make_no_thousand_series(client):
    letters = random.Random(0)
    client.get("/nowhere")
    client.get("/v1/models/nothing")
    client.post("/v1/models/nothing/predict")
    client.request("ODD", "/nowhere")
    before = len(client.get("/metrics").text.splitlines())
    for _ in range(250):
        word = "".join(letters.choices("abcdefghijklmnop@-.", k=12))
        client.get(f"/{word[:6]}/{word[6:]}")
        client.get(f"/v1/models/{word}")
        client.post(f"/v1/models/{word}/predict", content=b"x")
        client.request(f"{word.strip('@.')}", "/nowhere")
    after = len(client.get("/metrics").text.splitlines())
    assert after <= before + 6


def names_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:i2i|process)_[a-z0-9_]+", query))


def test_the_alert_of_refusals_sees_requests_and_jobs(client):
    (expression,) = re.findall(r"alert: I2IRefusals\n(.+?)for:", RULES.read_text(), re.DOTALL)
    patterns = set(re.findall(r'route=~"(.+?)"', expression))
    assert len(patterns) == 1
    paths = client.get("/openapi.json").json()["paths"]
    seen = {path.split("/")[-1] for path in paths if re.fullmatch(*patterns, path)}
    assert seen == {"predict", "jobs"}


def test_alerts_and_dashboard_name_metrics_that_there_are(client, png):
    client.post(PREDICT, content=png)
    families = text_string_to_metric_families(client.get("/metrics").text)
    exported = {sample.name for family in families for sample in family.samples}
    rules = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    queries = [rule["expr"] for rule in rules]
    queries += [target["expr"] for panel in panels for target in panel["targets"]]
    assert len(queries) > 15
    for query in queries:
        assert names_in(query), query
        assert names_in(query) <= exported, query
        assert query.count("(") == query.count(")"), query
    for rule in rules:
        assert rule["alert"].startswith("I2I")
        assert set(rule["annotations"]) == {"summary", "description"}
    assert len({panel["id"] for panel in panels}) == len(panels)
