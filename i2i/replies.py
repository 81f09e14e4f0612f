"""What a service says to its client: answers, jobs, and errors that can be told apart."""

from __future__ import annotations

import contextlib
import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from i2i.image import Picture, decode, decode_map, decode_mask

if TYPE_CHECKING:
    import httpx
    import numpy as np
    from numpy.typing import NDArray

# Beyond any answer of a service: these are larger than what was sent, and are trusted.
_MAX_PIXELS = 2_000_000_000
# A phase and its milliseconds; what else a proxy may add there is left alone.
_TIMING = re.compile(r"([\w-]+);dur=(\d+(?:\.\d+)?)")

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

    data: bytes = field(repr=False)
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


def answer_of(reply: httpx.Response) -> Answer:
    check_model(reply)
    timings = {}
    for name, milliseconds in _TIMING.findall(reply.headers.get("Server-Timing", "")):
        timings[name] = float(milliseconds) / 1e3
    headers = reply.headers
    return Answer(
        reply.content, headers.get("Content-Type", ""), headers.get("X-Model", ""), timings
    )


def check_model(reply: httpx.Response) -> None:
    """Raises ServiceError where a reply is no prediction, but a page of something before."""
    if "X-Model" not in reply.headers:
        raise _foreign(reply)


def json_of(reply: httpx.Response, *keys: str) -> dict[str, Any]:
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


def job_of(reply: httpx.Response) -> Job:
    keys = "id", "state", "progress", "eta_s", "error"
    told = json_of(reply, *keys)
    return Job(*(told[key] for key in keys))


def error_of(reply: httpx.Response) -> ServiceError:
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
