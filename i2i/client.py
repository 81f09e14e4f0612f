"""The service from Python: what `curl` does, with retries, jobs and errors that can be told apart.

Needs httpx: `pip install httpx`.
"""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self
from urllib.parse import quote

from i2i.image import Format, Picture, encode
from i2i.image.files import replacing
from i2i.prediction import View
from i2i.replies import (
    Answer,
    Job,
    ServiceError,
    answer_of,
    check_model,
    error_of,
    job_of,
    json_of,
)
from i2i.spec import ModelSpec

if TYPE_CHECKING:
    import httpx

__all__ = ["Answer", "Client", "Job", "ServiceError"]

# Busy, or restarting behind a proxy: the same request may well be answered later.
_AGAIN = (429, 502, 503)
# Doubled at each try, where the service does not say how long to wait.
_FIRST_PAUSE_S = 0.5
# More than the service's own limit for a request (I2I_DEADLINE_S), which answers in words.
_TIMEOUT_S = 330.0
_LATER_S, _CONNECT_S = 30.0, 10.0
Source = str | Path | bytes | bytearray | memoryview | Picture


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
        listed = json_of(self._send("GET", "/v1/models"), "models")["models"]
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
        return answer_of(self._send("POST", _path(model, "predict"), query, _file_of(picture)))

    def regions(
        self, model: str, picture: Source, regions: Literal["polygons", "rle"] = "polygons"
    ) -> dict[str, Any]:
        """The regions of each class that a model of labels sees; arguments as of `predict`."""
        query, accept = {"regions": regions}, {"Accept": "application/json"}
        reply = self._send("POST", _path(model, "predict"), query, _file_of(picture), accept)
        return json_of(reply, "regions")

    def submit(
        self, model: str, picture: Source, *, format: Format = "png", view: View | None = None
    ) -> Job:
        """Sends a picture that takes longer than a request may; arguments as of `predict`."""
        query = {"format": format, "view": view}
        # However often it is sent, it becomes one job.
        once = {"Idempotency-Key": uuid.uuid4().hex}
        return job_of(self._send("POST", _path(model, "jobs"), query, _file_of(picture), once))

    def job(self, id: str) -> Job:
        """How far a job is."""
        return job_of(self._send("GET", f"/v1/jobs/{quote(id)}"))

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
        return answer_of(self._send("GET", f"/v1/jobs/{quote(job.id)}/result"))

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
                error = error_of(reply)
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


def _save(reply: httpx.Response, path: Path) -> None:
    check_model(reply)
    with replacing(path) as file:
        for chunk in reply.iter_bytes():
            file.write(chunk)
