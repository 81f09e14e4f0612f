"""Requests end in time, whatever holds them up: a codec, the engine, or an encoder."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from i2i.image import decode
from i2i.prediction import BandWriter
from i2i.predictor import Predictor
from service import pipeline, scheduler

PREDICT = "/v1/models/twice/predict"


@pytest.fixture
def free() -> Iterator[threading.Event]:
    """Until it is set, what a test holds up stands still."""
    event = threading.Event()
    yield event
    event.set()


def refusal(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.json()["code"]


@pytest.mark.parametrize(
    ("params", "refused"),
    [({}, (503, "queue_full")), ({"deadline_s": 0.1}, (504, "deadline"))],
)
def test_a_picture_is_not_decoded_once_it_has_waited_too_long_for_that(
    serve: Any,
    png: bytes,
    free: threading.Event,
    wait_until: Any,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, float],
    refused: tuple[int, str],
) -> None:
    begun: list[int] = []

    def slow(*arguments: Any, **options: Any) -> Any:
        begun.append(1)
        free.wait()
        return decode(*arguments, **options)

    monkeypatch.setattr(pipeline, "decode", slow)
    with serve(queue_s=0.3) as client:
        busy = [client.begin("POST", PREDICT, content=png) for _ in range(2)]
        wait_until(lambda: len(begun) == 2)
        assert refusal(client.post(PREDICT, params=params, content=png)) == refused
        free.set()
        assert {reply.result().status_code for reply in busy} == {200}
    assert len(begun) == 2


def test_an_encoder_that_goes_on_after_the_deadline_holds_its_memory_and_no_reply(
    serve: Any,
    png: bytes,
    free: threading.Event,
    wait_until: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    close = BandWriter.close

    def slow(writer: BandWriter) -> None:
        free.wait()
        close(writer)

    monkeypatch.setattr(BandWriter, "close", slow)
    with serve() as client:

        def held() -> str:
            text = client.get("/metrics").text
            return next(line for line in text.splitlines() if line.startswith("i2i_held_bytes "))

        reply = client.post(PREDICT, params={"deadline_s": 0.3, "format": "jpeg"}, content=png)
        assert refusal(reply) == (504, "deadline")
        assert held() != "i2i_held_bytes 0.0"
        free.set()
        wait_until(lambda: held() == "i2i_held_bytes 0.0")


def test_an_engine_that_hangs_ends_no_request_late_and_is_not_ready(
    serve: Any,
    twice: Predictor,
    png: bytes,
    free: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "HANGS_S", 0.1)
    monkeypatch.setattr(scheduler, "WINDOW_S", 0.1)
    run: Callable[..., Any] = twice.engine.run

    def hanging(*arguments: Any) -> Any:
        free.wait()
        return run(*arguments)

    monkeypatch.setattr(twice.engine, "run", hanging)
    with serve() as client:
        assert client.get("/readyz").status_code == 200
        reply = client.post(PREDICT, params={"deadline_s": 0.3}, content=png)
        assert refusal(reply) == (504, "deadline")
        assert client.get("/readyz").status_code == 503
        free.set()
        assert client.post(PREDICT, content=png).status_code == 200
        assert client.get("/readyz").status_code == 200


def test_the_seconds_of_a_request_that_waited_in_vain_are_told(
    serve: Any, twice: Predictor, png: bytes, large_png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("service").propagate = True
    with serve(queue_s=0.05) as client, caplog.at_level(logging.INFO):
        twice.engine.gate.clear()  # type: ignore[attr-defined]
        twice.engine.began.clear()  # type: ignore[attr-defined]
        first = client.begin("POST", PREDICT, content=large_png)
        twice.engine.began.wait()  # type: ignore[attr-defined]
        assert refusal(client.post(PREDICT, content=png)) == (503, "queue_full")
        twice.engine.gate.set()  # type: ignore[attr-defined]
        assert first.result().status_code == 200
        text = client.get("/metrics").text
    lines = [getattr(record, "fields", {}) for record in caplog.records]
    refused = next(line for line in lines if line.get("code"))
    assert refused["phases_ms"]["queue"] >= 50
    assert "run" not in refused["phases_ms"]
    assert f'i2i_pixels_total{{model="{twice.spec.address}"}} {640 * 640:.1f}' in text
