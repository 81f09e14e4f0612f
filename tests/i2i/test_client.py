"""The client against a real server on a real socket."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

import i2i
from i2i.client import Answer, Client, Job, ServiceError
from i2i.image import ImageError, Picture, encode_map
from service.models import Models
from service.routes import create_app
from service.settings import Settings

SCALING, LABELLING = "tiny-x2", "tiny-labels"


@pytest.fixture(scope="module")
def url(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service of two small models, as a server in a thread."""
    settings = Settings(models=tiny_models, jobs_dir=tmp_path_factory.mktemp("jobs"))
    models = Models.of(settings)
    models.load()
    app = create_app(models, settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def service(url: str) -> Iterator[Client]:
    with Client(url) as service:
        yield service


@pytest.fixture
def picture() -> i2i.Picture:
    return i2i.Picture(np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8))


@pytest.fixture
def answering() -> Callable[..., Any]:
    """`with answering((503, {"Retry-After": "1"}), (200, {})) as (url, asked):` a server.

    It gives these replies in turn, with a body of their own or a list (0: hangs up), all of it or
    so many bytes, and notes when and with which key it was asked.
    """

    @contextmanager
    def answering(
        *replies: tuple[Any, ...],
    ) -> Iterator[tuple[str, list[tuple[float, str | None]]]]:
        left, asked = list(replies), []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((time.monotonic(), self.headers["Authorization"]))
                status, headers, *told = left.pop(0)
                if status == 0:
                    return self.connection.close()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                body = told[0] if told else b'{"models": []}'
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: told[1]] if told[1:] else body)
                self.close_connection = bool(told[1:])

            do_POST = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,)).start()
            yield f"http://127.0.0.1:{server.server_port}", asked
            server.shutdown()

    return answering


def test_the_models_are_the_librarys(service, tiny_models):
    expected = [i2i.load(tiny_models / name).spec for name in (LABELLING, SCALING)]
    assert service.models() == expected


def test_a_prediction_is_the_librarys_whatever_is_sent(service, tiny_x2, picture, tmp_path):
    file = tmp_path / "picture.png"
    file.write_bytes(i2i.encode(picture))
    predictor = i2i.load(tiny_x2)
    expected = predictor.predict(picture)
    for source in (picture, file, str(file), file.read_bytes()):
        answer = service.predict(SCALING, source)
        assert answer.data == expected.encode()
        assert len(repr(answer)) < 300
    assert np.array_equal(answer.picture().pixels, expected.picture.pixels)
    assert (answer.media_type, answer.model) == ("image/png", predictor.spec.address)
    assert list(answer.timings) == ["decode", "queue", "run", "encode"]


def test_format_view_and_regions_are_asked_for(service, tiny_labels, picture):
    expected = i2i.load(tiny_labels).predict(picture)
    answer = service.predict(LABELLING, picture, format="tiff", view="overlay")
    assert answer.data == expected.encode("tiff", "overlay")
    for format in ("png", "tiff"):
        labels = service.predict(LABELLING, picture, format=format).labels()
        assert np.array_equal(labels, expected.labels)
    with pytest.raises(ImageError, match=r"no mask of class ids.*got RGB colours"):
        answer.labels()
    told = service.regions(LABELLING, picture, "rle")
    assert [part["area"] for part in told["regions"]] == [
        np.count_nonzero(expected.labels == label) for label in range(3)
    ]


def test_an_answer_may_be_larger_than_any_picture_sent():
    large = np.zeros((8_001, 8_000, 1), np.uint8)
    assert Answer(i2i.encode(Picture(large)), "image/png", "x").picture().height == 8_001


def test_the_values_of_a_map_are_read():
    values = np.linspace(-2, 6, 12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(Answer(encode_map(values), "image/tiff", "x").map(), values)


def test_a_refusal_is_an_error_with_its_code(service):
    with pytest.raises(ServiceError, match="unknown_model: there is no such model: expected") as no:
        service.predict("nothing", b"")
    assert (no.value.code, no.value.status, no.value.got) == ("unknown_model", 404, "nothing")
    with pytest.raises(ServiceError) as no:
        service.predict(SCALING, b"text")
    assert (no.value.code, no.value.status) == ("unsupported_format", 415)


def test_a_job_is_followed_to_its_result(service, tiny_x2, picture, tmp_path):
    job = service.submit(SCALING, picture)
    states = [step.state for step in service.follow(job, every_s=0.01)]
    assert states[-1] == "done"
    assert set(states) <= {"queued", "running", "done"}
    job = service.wait(job)
    assert job.progress == 1
    expected = i2i.load(tiny_x2).predict(picture).encode()
    assert service.result(job).data == expected
    service.save_result(job, tmp_path / "large.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [expected]
    service.cancel(job)
    with pytest.raises(ServiceError) as no:
        service.job(job.id)
    assert no.value.code == "unknown_job"


def test_a_job_that_failed_says_why(service, picture):
    cut = i2i.encode(picture)[:-100]
    with pytest.raises(ServiceError) as no:
        service.wait(service.submit(SCALING, cut), every_s=0.01)
    assert no.value.code == "truncated"


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_busy_service_is_asked_again(answering, status):
    with answering((status, {}), (200, {})) as (url, asked), Client(url) as service:
        assert service.models() == []
    assert len(asked) == 2


@pytest.mark.parametrize("as_date", [False, True])
def test_another_try_waits_as_long_as_retry_after_says(answering, as_date):
    wait = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    busy = 503, {"Retry-After": wait}
    with answering(busy, (200, {})) as (url, asked), Client(url) as service:
        assert service.models() == []
    assert asked[1][0] - asked[0][0] >= (0.5 if as_date else 1.0)


def test_a_lost_connection_is_tried_again(answering):
    with answering((0, {}), (200, {})) as (url, asked), Client(url) as service:
        assert service.models() == []
    assert len(asked) == 2


def test_a_result_that_breaks_off_is_fetched_again(answering, tmp_path):
    named = {"X-Model": "any@0123456789ab"}
    halved = 200, named, b"whole", 2
    done = Job("1", "done", 1.0, None, None)
    with answering(halved, (200, named, b"whole")) as (url, asked), Client(url) as service:
        service.save_result(done, tmp_path / "result.png")
    assert len(asked) == 2
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [
        ("result.png", b"whole")
    ]


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_of_any_kind_are_sent(service, picture, kind):
    data = i2i.encode(picture)
    assert service.predict(SCALING, kind(data)).data == service.predict(SCALING, data).data


def test_what_is_no_picture_is_refused_before_anything_is_sent(answering):
    with answering() as (url, asked), Client(url) as service:
        for ask in (service.predict, service.submit, service.regions):
            with pytest.raises(
                TypeError, match=r"expected a path, the bytes of a file or .*ndarray"
            ):
                ask("any", np.zeros((2, 2, 3), np.uint8))
    assert not asked


def test_its_error_passes_between_processes():
    error = ServiceError(429, {"code": "busy", "detail": "later", "expected": "a", "got": "b"}, 2.0)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_patience_ends(answering):
    busy = 503, {"Retry-After": "3600"}
    with answering(busy, busy) as (url, asked), Client(url) as service:
        with pytest.raises(ServiceError) as no:
            service.models()
        assert (no.value.status, no.value.retry_after_s) == (503, 3600)
    assert len(asked) == 1


def test_what_another_try_does_not_mend_is_told_at_once(answering):
    with answering((504, {"Content-Type": "text/html"})) as (url, asked), Client(url) as service:
        with pytest.raises(ServiceError, match="504 Gateway Timeout") as no:
            service.models()
        assert no.value.code == ""
    assert len(asked) == 1


@pytest.mark.parametrize("status", [200, 502])
def test_what_a_proxy_adds_is_no_error_of_its_own(answering, status):
    headers = {
        "Server-Timing": 'decode;dur=1.5, cdn;dur=3;desc="edge", hit',
        "Content-Type": "application/problem+json; charset=utf-8",
        "X-Model": "any@0123456789ab",
    }
    with answering((status, headers)) as (url, _), Client(url, patience_s=0) as service:
        if status == 200:
            answer = service.predict("any", b"bytes")
            assert answer.timings == {"decode": 0.0015, "cdn": 0.003}
        else:
            with pytest.raises(ServiceError):
                service.models()


def test_a_page_of_something_else_is_no_answer(answering, tmp_path):
    login = (200, {"Content-Type": "text/html"}, b"<html>")
    done = Job("1", "done", 1.0, None, None)
    with answering(*[login] * 4) as (url, _), Client(url) as service:
        for ask in (
            service.models,
            lambda: service.predict("any", b"bytes"),
            lambda: service.job("1"),
            lambda: service.save_result(done, tmp_path / "result.png"),
        ):
            with pytest.raises(ServiceError, match="expected an answer of an i2i service, got"):
                ask()
    assert not list(tmp_path.iterdir())
    other = (200, {"Content-Type": "application/json"}, b'{"state": "done"}')
    expected = pytest.raises(ServiceError, match="expected an answer of an i2i service, got")
    with answering(other) as (url, _), Client(url) as service, expected:
        service.job("1")


def test_a_deadline_is_waited_for_however_long_it_is(answering, monkeypatch):
    monkeypatch.setattr("i2i.client._TIMEOUT_S", 0.001)
    with answering((200, {"X-Model": "any@0123456789ab"})) as (url, _), Client(url) as service:
        assert service.predict("any", b"bytes", deadline_s=5).model == "any@0123456789ab"


def test_a_job_that_is_gone_is_cancelled(answering):
    gone = (404, {"Content-Type": "application/problem+json"}, b'{"code": "unknown_job"}')
    with answering((502, {}), gone) as (url, asked), Client(url) as service:
        service.cancel(Job("1", "running", 0.5, None, None))
    assert len(asked) == 2


def test_nobody_there_is_told_by_httpx():
    import httpx

    with Client("http://127.0.0.1:1", patience_s=0) as service, pytest.raises(httpx.ConnectError):
        service.models()


def test_negative_patience_is_refused():
    with pytest.raises(ValueError, match="patience_s: expected 0 or more, got -1"):
        Client("http://localhost", patience_s=-1)


def test_the_key_is_sent(answering):
    with answering((200, {})) as (url, asked), Client(url, "secret") as service:
        service.models()
    assert [key for _, key in asked] == ["Bearer secret"]
