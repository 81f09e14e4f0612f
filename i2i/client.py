"""The service from Python: what `curl` does, with retries, jobs and errors that can be told apart.

Needs httpx: `pip install httpx`.
"""

from __future__ import annotations

import contextlib
import email.utils
import random
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self
from urllib.parse import quote

from i2i.image import Format, Picture, decode, decode_map, decode_mask, encode
from i2i.image.files import replacing
from i2i.prediction import View
from i2i.spec import ModelSpec

if TYPE_CHECKING:
    import httpx
    import numpy as np
    from numpy.typing import NDArray

# Busy, or restarting behind a proxy: the same request may well be answered later.
_AGAIN = (429, 502, 503)
# Doubled at each try, where the service does not say how long to wait.
_FIRST_PAUSE_S = 0.5
# More than the service's own limit for a request (I2I_DEADLINE_S), which answers in words.
_TIMEOUT_S = 330.0
_LATER_S, _CONNECT_S = 30.0, 10.0
# Beyond any answer of a service: these are larger than what was sent, and are trusted.
_MAX_PIXELS = 2_000_000_000
# A phase and its milliseconds; what else a proxy may add there is left alone.
_TIMING = re.compile(r"([\w-]+);dur=(\d+(?:\.\d+)?)")

Source = str | Path | bytes | bytearray | memoryview | Picture
State = Literal["queued", "running", "done", "failed", "cancelled"]


class ServiceError(Exception):
    """An answer that says no.

    Attributes:
        code: of the service's contract, such as `unknown_model`; empty where something else than
            the service answered, such as a proxy.
        status: of HTTP; 0 for a job that failed or was cancelled.
        detail: one sentence for people.
        expected, got: what would have worked, and what came; may be empty.
        retry_after_s: seconds until another try makes sense, or None.
    """

    def __init__(
        self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None
    ) -> None:
        self.status, self.retry_after_s = status, retry_after_s
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", ""))
        self.expected = str(problem.get("expected", ""))
        self.got = str(problem.get("got", ""))
        told = f"expected {self.expected}, got {self.got}" if self.expected else ""
        super().__init__(": ".join(text for text in (self.code, self.detail, told) if text))

    def __reduce__(self) -> tuple[object, ...]:
        """To be raised again in another process."""
        problem = {name: getattr(self, name) for name in ("code", "detail", "expected", "got")}
        return type(self), (self.status, problem, self.retry_after_s)


@dataclass(frozen=True)
class Answer:
    """A prediction as the service gave it.

    Attributes:
        data: the file.
        media_type: such as `image/png`.
        model: name@version of what predicted.
        timings: seconds in the service by phase (decode, queue, run, encode); of a job none.
    """

    data: bytes
    media_type: str
    model: str
    timings: dict[str, float] = field(default_factory=dict)

    def picture(self) -> Picture:
        """The file's pixels, of 8 or 16 bits.

        Raises:
            ImageError: the file holds the floats of a map.
        """
        return decode(self.data, max_pixels=_MAX_PIXELS, depth=16)

    def labels(self) -> NDArray[np.uint8]:
        """The class ids of a mask, (H, W): the view `mask` as PNG or TIFF.

        Raises:
            ImageError: the file holds colours, as the other views do.
        """
        return decode_mask(self.data, max_pixels=_MAX_PIXELS)

    def map(self) -> NDArray[np.float32]:
        """The values of a map, (H, W): of a TIFF as they are, of a PNG 0..65535 of their range.

        Raises:
            ImageError: the file holds a picture in colour.
        """
        return decode_map(self.data, max_pixels=_MAX_PIXELS)


@dataclass(frozen=True)
class Job:
    """A prediction on its way.

    Attributes:
        progress: share that is done, 0 to 1.
        eta_s: seconds until it is done, where that is known.
        error: why it failed, as the service's problem, or None.
    """

    id: str
    state: State
    progress: float
    eta_s: float | None = None
    error: dict[str, Any] | None = None

    @property
    def finished(self) -> bool:
        return self.state not in ("queued", "running")


class Client:
    """A service at an address.

    A request that finds the service busy, or nobody there, is repeated: after the seconds that the
    service asks for, else after a pause that doubles; always a little later, so that many clients
    do not come back at once.

        with Client("http://localhost:3000") as service:
            answer = service.predict("super-resolution-x2", "small.png")
            Path("large.png").write_bytes(answer.data)

    Args:
        url: of the service, such as `http://localhost:3000`.
        key: where the service asks for one.
        patience_s: seconds in all that a request may wait for another try; 0 tries once.
    """

    def __init__(self, url: str, key: str | None = None, *, patience_s: float = 30.0) -> None:
        if patience_s < 0:
            raise ValueError(f"patience_s: expected 0 or more, got {patience_s}")
        try:
            import httpx
        except ImportError:
            raise ImportError("the client needs httpx: pip install httpx") from None

        self.url, self.key, self.patience_s = url, key, patience_s
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def models(self) -> list[ModelSpec]:
        """What is served.

        Raises:
            ServiceError: the service refuses, or stays busy.
            ValueError: the service is of another schema than this library.
            httpx.TransportError: nobody answers.
        """
        listed = _json(self._send("GET", "/v1/models"), "models")["models"]
        return [ModelSpec.from_dict(spec) for spec in listed]

    def predict(
        self,
        model: str,
        picture: Source,
        *,
        format: Format = "png",
        view: View | None = None,
        deadline_s: float | None = None,
    ) -> Answer:
        """The model's prediction for a picture.

        Args:
            model: name, or name@version.
            picture: a path, whose file is sent as it is; a file's bytes; or a picture.
            view: of labels mask, overlay or confidence; of a map values or colour.
            deadline_s: seconds after which the service gives up.

        Raises:
            ServiceError, httpx.TransportError: as `models`.
            OSError: the file cannot be read.
            TypeError: the picture is none of these.
        """
        query = {"format": format, "view": view, "deadline_s": deadline_s}
        return _answer(self._send("POST", _path(model, "predict"), query, _file_of(picture)))

    def regions(
        self, model: str, picture: Source, regions: Literal["polygons", "rle"] = "polygons"
    ) -> dict[str, Any]:
        """The regions of each class that a model of labels sees; arguments as of `predict`."""
        query, accept = {"regions": regions}, {"Accept": "application/json"}
        reply = self._send("POST", _path(model, "predict"), query, _file_of(picture), accept)
        return _json(reply, "regions")

    def submit(
        self, model: str, picture: Source, *, format: Format = "png", view: View | None = None
    ) -> Job:
        """Sends a picture that takes longer than a request may; arguments as of `predict`."""
        query = {"format": format, "view": view}
        # However often it is sent, it becomes one job.
        once = {"Idempotency-Key": uuid.uuid4().hex}
        return _job(self._send("POST", _path(model, "jobs"), query, _file_of(picture), once))

    def job(self, id: str) -> Job:
        """How far a job is."""
        return _job(self._send("GET", f"/v1/jobs/{quote(id)}"))

    def follow(self, job: Job, *, every_s: float = 0.5) -> Iterator[Job]:
        """The job as it goes on, the last time when it is finished; nothing if it is already."""
        while not job.finished:
            time.sleep(every_s)
            job = self.job(job.id)
            yield job

    def wait(self, job: Job, *, every_s: float = 0.5) -> Job:
        """The job when it is done.

        Raises:
            ServiceError: it failed or was cancelled; or as `models`.
        """
        for latest in self.follow(job, every_s=every_s):
            job = latest
        if job.state != "done":
            raise ServiceError(0, job.error or {"detail": f"the job is {job.state}"})
        return job

    def result(self, job: Job) -> Answer:
        """The prediction of a job that is done."""
        return _answer(self._send("GET", f"/v1/jobs/{quote(job.id)}/result"))

    def save_result(self, job: Job, path: str | Path) -> None:
        """Writes the prediction of a job that is done to a file, which appears when complete."""
        save = partial(_save, path=Path(path))
        self._send("GET", f"/v1/jobs/{quote(job.id)}/result", receive=save)

    def cancel(self, job: Job) -> None:
        """Stops a job, or erases one that is finished; one that is gone already is no error."""
        try:
            self._send("DELETE", f"/v1/jobs/{quote(job.id)}")
        except ServiceError as error:
            # The answer to the first try may be lost: then the second finds nothing any more.
            if error.code != "unknown_job":
                raise

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        data: str | Path | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        receive: Callable[[httpx.Response], object] | None = None,
    ) -> httpx.Response:
        """The reply that says yes, tried for while there is patience.

        Args:
            receive: takes the body of that reply; by default it is read into the reply.
        """
        import httpx

        given = {name: value for name, value in (query or {}).items() if value is not None}
        # The service answers in words at its deadline, which comes first.
        longest_s = max(_TIMEOUT_S, given.get("deadline_s", 0) + _LATER_S)
        pause_s, left_s = _FIRST_PAUSE_S, self.patience_s
        while True:
            error: ServiceError | httpx.TransportError
            try:
                with _opened(data) as content:
                    request = self._http.build_request(
                        method,
                        path,
                        params=given,
                        headers=headers,
                        content=content,
                        timeout=httpx.Timeout(longest_s, connect=_CONNECT_S),
                    )
                    reply = self._http.send(request, stream=True)
                    with contextlib.closing(reply):
                        if receive is not None and reply.is_success:
                            receive(reply)
                        else:
                            reply.read()
                if reply.is_success:
                    return reply
                error = _error(reply)
                again, wait_s = error.status in _AGAIN, error.retry_after_s or pause_s
            except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout) as lost:
                error, again, wait_s = lost, True, pause_s
            wait_s *= random.uniform(1.0, 1.2)
            if not again or wait_s > left_s:
                raise error
            time.sleep(wait_s)
            pause_s, left_s = 2 * pause_s, left_s - wait_s


def _path(model: str, what: str) -> str:
    return f"/v1/models/{quote(model, safe='@')}/{what}"


def _file_of(picture: Source) -> str | Path | bytes:
    """The path of a file, or its bytes."""
    if isinstance(picture, Picture):
        return encode(picture)
    if isinstance(picture, bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | Path | bytes):
        return picture
    raise TypeError(
        f"picture: expected a path, the bytes of a file or an i2i.image.Picture, got "
        f"{type(picture).__name__}; Picture(array) is one"
    )


@contextlib.contextmanager
def _opened(data: str | Path | bytes | None) -> Iterator[bytes | BinaryIO | None]:
    """What is sent: bytes, or a file that is read while it is being sent."""
    if isinstance(data, str | Path):
        with open(data, "rb") as file:
            yield file
    else:
        yield data


def _answer(reply: httpx.Response) -> Answer:
    _check_model(reply)
    timings = {}
    for name, milliseconds in _TIMING.findall(reply.headers.get("Server-Timing", "")):
        timings[name] = float(milliseconds) / 1e3
    headers = reply.headers
    return Answer(
        reply.content, headers.get("Content-Type", ""), headers.get("X-Model", ""), timings
    )


def _save(reply: httpx.Response, path: Path) -> None:
    _check_model(reply)
    with replacing(path) as file:
        for chunk in reply.iter_bytes():
            file.write(chunk)


def _check_model(reply: httpx.Response) -> None:
    """Raises ServiceError where a reply is no prediction, but a page of something before."""
    if "X-Model" not in reply.headers:
        raise _foreign(reply)


def _json(reply: httpx.Response, *keys: str) -> dict[str, Any]:
    """What the service says in JSON, which has these keys.

    Raises:
        ServiceError: something else says something else.
    """
    with contextlib.suppress(ValueError):
        told = reply.json()
        if isinstance(told, dict) and told.keys() >= set(keys):
            return told
    raise _foreign(reply)


def _foreign(reply: httpx.Response) -> ServiceError:
    kind = reply.headers.get("Content-Type", "") or "nothing"
    detail = f"expected an answer of an i2i service, got {kind}; is this its address?"
    return ServiceError(reply.status_code, {"detail": detail})


def _job(reply: httpx.Response) -> Job:
    keys = "id", "state", "progress", "eta_s", "error"
    told = _json(reply, *keys)
    return Job(*(told[key] for key in keys))


def _error(reply: httpx.Response) -> ServiceError:
    """The service's problem; or what can be told of an answer by something before it."""
    problem = {"detail": f"{reply.status_code} {reply.reason_phrase}"}
    if reply.headers.get("Content-Type", "").partition(";")[0] == "application/problem+json":
        with contextlib.suppress(ValueError):
            told = reply.json()
            problem = told if isinstance(told, dict) else problem
    return ServiceError(reply.status_code, problem, _seconds(reply.headers.get("Retry-After")))


def _seconds(retry_after: str | None) -> float | None:
    """The header as seconds from now; it may also be a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    if retry_after.isdecimal():
        return float(retry_after)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    return None
