import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack

import pytest
from starlette.types import Message

from service.errors import Problem
from service.inflight import HeldResponse, InFlight, PatientResponse, TooSlow
from service.metrics import Metrics
from service.middleware import CLIENT_GONE, DISCARD_BYTES, RequestLog
from service.routes import create_app
from service.settings import Settings

PREDICT = "/v1/models/twice/predict"


def refusal(reply) -> tuple[int, str]:
    if reply.status_code == 503:
        assert int(reply.headers["Retry-After"]) > 0
    return reply.status_code, reply.json()["code"]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def silent() -> Message:
    await asyncio.Event().wait()
    return {}


def test_a_body_above_the_limit_is_refused_by_its_length_and_by_its_chunks(serve, png):
    with serve(max_body=len(png)) as client:
        assert client.post(PREDICT, content=png).status_code == 200
        assert client.post(PREDICT, content=chunks(png[:9], png[9:])).status_code == 200
        assert refusal(client.post(PREDICT, content=png + b"x")) == (413, "body_too_large")
        chunked = client.post(PREDICT, content=chunks(png, b"x"))
        assert refusal(chunked) == (413, "body_too_large")
        assert refusal(client.post(PREDICT, files={"image": png})) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("path", "status"),
    [(PREDICT, 413), ("/v1/models/thrice/predict", 404), ("/nowhere", 404), ("/v1/models", 405)],
)
def test_a_refusal_waits_for_what_the_client_still_sends_but_not_for_ever(serve, path, status):
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 2**16
            yield bytes(2**16)

    with serve(max_body=2**20) as client:
        short = client.post(path, content=chunks(*[bytes(2**16)] * 20))
        assert (short.status_code, "Connection" in short.headers) == (status, False)
        long = client.post(path, content=endless())
        assert (long.status_code, long.headers["Connection"]) == (status, "close")
        assert DISCARD_BYTES <= taken <= DISCARD_BYTES + 2**21


def test_a_client_that_asks_before_it_sends_is_answered_at_once(serve):
    async def unasked() -> AsyncIterator[bytes]:
        yield pytest.fail("the body was read")

    headers = {"Expect": "100-continue", "Content-Length": "99"}
    with serve(max_body=9) as client:
        reply = client.post(PREDICT, content=unasked(), headers=headers)
        assert refusal(reply) == (413, "body_too_large")


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(serve, png):
    for settings in ({"max_pixels": 34}, {"max_output_pixels": 139}):
        with serve(**settings) as client:
            reply = client.post(PREDICT, content=png)
            assert refusal(reply) == (413, "too_many_pixels")
            assert (reply.json()["expected"], reply.json()["got"]) == ("at most 34 pixels", "7 x 5")
    with serve(max_pixels=35, max_output_pixels=140) as client:
        assert client.post(PREDICT, content=png).status_code == 200


def test_a_model_of_whole_pictures_has_its_own_limit(models_of, make_predictor, client_of, png):
    models = models_of(make_predictor("whole", tiling="whole", max_pixels=34))
    models.load()
    with client_of(create_app(models, Settings())) as client:
        reply = client.post("/v1/models/whole/predict", content=png)
        assert refusal(reply) == (413, "too_many_pixels")


def test_memory_for_requests_in_flight_is_shared_and_given_back(serve, twice, png, large_png):
    with serve(inflight_bytes=1) as client:
        twice.engine.gate.clear()
        twice.engine.began.clear()
        first = client.begin("POST", PREDICT, content=large_png)
        twice.engine.began.wait()
        assert refusal(client.post(PREDICT, content=png)) == (503, "queue_full")
        assert client.get("/v1/models").status_code == 200
        twice.engine.gate.set()
        assert first.result().status_code == 200
        assert client.post(PREDICT, content=png).status_code == 200
        assert re.search(r"^i2i_held_bytes 0.0$", client.get("/metrics").text, re.MULTILINE)


def test_what_a_request_holds_grows_up_to_the_limit():
    in_flight = InFlight(10, Metrics().held_bytes)
    with in_flight.hold() as one, in_flight.hold() as other:
        one.add(6)
        other.add(4)
        with pytest.raises(Problem):
            one.add(1)
    with in_flight.hold() as alone:
        alone.add(6)
        alone.add(100)


def test_a_reply_is_held_until_it_is_read_or_its_reader_is_too_slow():
    in_flight = InFlight(10, Metrics().held_bytes)
    sent: list[int] = []

    async def read(pieces: int) -> None:
        sent.clear()
        may_send = asyncio.Semaphore(pieces)

        async def send(message: Message) -> None:
            await may_send.acquire()
            sent.append(len(message.get("body", b"")))

        with ExitStack() as held:
            hold = held.enter_context(in_flight.hold())
            hold.add(10**7)
            hold.become(10**6)
            reply = HeldResponse(bytes(10**6), {}, "image/png", held.pop_all(), 0.1)
        task = asyncio.create_task(reply({"type": "http"}, silent, send))
        await asyncio.sleep(0.01)
        if not task.done():
            with pytest.raises(Problem), in_flight.hold() as other:
                other.add(1)
        await task

    asyncio.run(read(100))
    assert sum(sent) == 10**6
    with pytest.raises(TooSlow):
        asyncio.run(read(3))
    with in_flight.hold() as one, in_flight.hold() as other:
        one.add(5)
        other.add(5)


def held_reply(patience_s: float) -> HeldResponse:
    return HeldResponse(bytes(10**6), {}, "image/png", ExitStack(), patience_s)


def file_reply(patience_s: float) -> PatientResponse:
    pieces = chunks(*[bytes(10)] * 10)
    return PatientResponse(pieces, {}, "image/png", AsyncExitStack(), patience_s)


@pytest.mark.parametrize("reply", [held_reply, file_reply])
def test_a_reader_that_is_too_slow_is_told_from_a_failure(reply, caplog):
    metrics, pieces = Metrics(), 0

    async def send(message: Message) -> None:
        nonlocal pieces
        pieces += 1
        if pieces > 3:
            await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with caplog.at_level(logging.INFO):
        asyncio.run(RequestLog(reply(patience_s=0.05), metrics)(scope, silent, send))
    (line,) = caplog.records
    assert (line.fields["status"], line.fields["code"]) == (CLIENT_GONE, "too_slow")
    assert (line.levelno, line.exc_info) == (logging.INFO, None)
    assert 'code="too_slow",method="GET",route="",status="499"' in metrics.render([], []).decode()


def test_a_reader_that_leaves_half_way_is_not_counted_as_answered(caplog):
    sent = 0

    async def send(message: Message) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        await asyncio.sleep(0)

    async def gone() -> Message:
        while not sent:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with caplog.at_level(logging.INFO):
        asyncio.run(RequestLog(held_reply(patience_s=9), Metrics())(scope, gone, send))
    (line,) = caplog.records
    assert (line.fields["status"], line.fields["code"]) == (CLIENT_GONE, "client_gone")
    assert 0 < sent < 10**6


def test_an_answer_that_is_there_is_not_refused_for_its_size():
    in_flight = InFlight(10, Metrics().held_bytes)
    with in_flight.hold() as one, in_flight.hold() as other:
        other.add(9)
        one.settle(5)
        with pytest.raises(Problem):
            one.become(6)
    with in_flight.hold() as one, in_flight.hold() as other:
        one.add(5)
        other.add(5)


def test_a_picture_that_leaves_as_webp_may_have_half_of_the_pixels(twice):
    settings = Settings()
    png, webp = (settings.most_pixels(twice.spec, name) for name in ("png", "webp"))
    assert png == 2 * webp == settings.max_output_pixels // 4
    assert settings.most_job_pixels(twice.spec, "webp") == webp


def test_a_request_that_is_cut_off_at_the_end_is_told_when_to_come_again():
    answers: list[Message] = []

    async def endless(scope, receive, send):
        await asyncio.Event().wait()

    async def send(message: Message) -> None:
        answers.append(message)

    async def scene() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        task = asyncio.create_task(RequestLog(endless, Metrics())(scope, silent, send))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scene())
    assert answers[0]["status"] == 503
    assert b"retry-after" in dict(answers[0]["headers"])


def test_a_request_waits_for_the_engine_no_longer_than_it_may(serve, twice, png, large_png):
    with serve(queue_s=0.05) as client:
        twice.engine.gate.clear()
        twice.engine.began.clear()
        first = client.begin("POST", PREDICT, content=large_png)
        twice.engine.began.wait()
        assert refusal(client.post(PREDICT, content=png)) == (503, "queue_full")
        twice.engine.gate.set()
        assert first.result().status_code == 200


@pytest.mark.parametrize(
    ("settings", "params"), [({"deadline_s": 0.3}, {}), ({}, {"deadline_s": 0.3})]
)
def test_the_deadline_stops_the_work_between_windows(serve, twice, large_png, settings, params):
    with serve(**settings) as client:
        twice.engine.gate.clear()
        reply = client.post(PREDICT, params=params, content=large_png)
        assert refusal(reply) == (504, "deadline")
        assert twice.engine.windows < 20


def test_the_deadline_also_ends_a_body_that_does_not_arrive(client):
    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(0.3)

    reply = client.post(PREDICT, params={"deadline_s": 0.1}, content=slow())
    assert refusal(reply) == (504, "deadline")


def test_work_stops_once_the_client_has_gone(client, twice, large_png):
    twice.engine.gate.clear()
    twice.engine.began.clear()
    coming = [{"type": "http.request", "body": large_png, "more_body": False}]
    sent = []

    async def receive() -> dict[str, object]:
        if coming:
            return coming.pop()
        await asyncio.to_thread(twice.engine.began.wait)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": PREDICT,
        "query_string": b"",
        "headers": [(b"content-length", str(len(large_png)).encode())],
    }
    asyncio.run(client.app(scope, receive, send))
    assert sent[0]["status"] == CLIENT_GONE
    assert twice.engine.windows < 20


def test_a_model_that_fails_is_told_without_its_words_and_lives_on(client, twice, png, caplog):
    twice.engine.failure = RuntimeError("out of memory at /opt/secret.cpp")
    reply = client.post(PREDICT, content=png)
    assert refusal(reply) == (503, "model_failed")
    assert "secret" not in reply.text
    assert "/opt/secret.cpp" in caplog.text
    twice.engine.failure = None
    assert client.post(PREDICT, content=png).status_code == 200


def test_the_engine_takes_one_picture_at_a_time(client, twice, png):
    alone = client.post(PREDICT, content=png).content
    together = [client.begin("POST", PREDICT, content=png) for _ in range(20)]
    assert {reply.result().content for reply in together} == {alone}
    assert twice.engine.most_at_once == 1


def test_the_process_answers_while_the_engine_works(client, twice, large_png):
    twice.engine.gate.clear()
    twice.engine.began.clear()
    request = client.begin("POST", PREDICT, content=large_png)
    twice.engine.began.wait()
    assert client.get("/livez").status_code == 200
    assert re.search(r"^i2i_requests_in_flight 2.0$", client.get("/metrics").text, re.MULTILINE)
    twice.engine.gate.set()
    assert request.result().status_code == 200
