"""Refusals: the codes of the contract, and every error as `application/problem+json` (RFC 9457)."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match

from i2i.image import ImageError
from service.record import Record

MEDIA_TYPE = "application/problem+json"

CODES: dict[str, tuple[int, str]] = {
    "empty": (400, "No picture came"),
    "bad_parameter": (400, "A parameter cannot be used"),
    "unauthorized": (401, "Who asks is not known"),
    "forbidden": (403, "This key may not do that"),
    "unknown_model": (404, "No such model"),
    "unknown_job": (404, "No such job"),
    "not_found": (404, "No such address"),
    "method_not_allowed": (405, "This address has other methods"),
    "not_acceptable": (406, "The reply would be of a type that Accept excludes"),
    "idempotency_conflict": (409, "This key stands for another request"),
    "body_too_large": (413, "The request is too large"),
    "too_many_pixels": (413, "The picture has too many pixels"),
    "unsupported_format": (415, "The file is of no format that is read here"),
    "truncated": (422, "The file ends too early"),
    "damaged": (422, "The file is damaged"),
    "animated": (422, "The file holds several pictures"),
    "format_cannot_hold": (422, "The format asked for cannot hold the result"),
    "rate_limited": (429, "Too many requests"),
    "queue_full": (503, "The service is busy"),
    "model_failed": (503, "The model could not answer"),
    "deadline": (504, "The time for this request is over"),
}

# Seconds until another try makes sense: a queue moves on, a failed model needs someone's hand.
RETRY_AFTER_S = {"queue_full": 5, "model_failed": 30}

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

# Longest text of a request that is given back in a reply.
_GOT_LENGTH = 100


class Problem(Exception):
    """A request that is refused: a code of `CODES`, and what its caller can do about it.

    Args:
        retry_after_s: seconds until another try makes sense; default: what the code says.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        expected: str = "",
        got: str = "",
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.expected = expected
        self.got = got[:_GOT_LENGTH]
        self.retry_after_s = retry_after_s or RETRY_AFTER_S.get(code, 0)

    @classmethod
    def of(cls, error: ImageError) -> Problem:
        """What is wrong with a picture, as a refusal."""
        return cls(error.code, error.detail, expected=error.expected, got=error.got)

    @property
    def status(self) -> int:
        return CODES[self.code][0]

    def body(self) -> dict[str, Any]:
        return {
            "type": f"urn:i2i:problem:{self.code}",
            "title": CODES[self.code][1],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "expected": self.expected,
            "got": self.got,
        }

    def response(self, record: Record) -> JSONResponse:
        """The reply; notes the code in the request's record."""
        record.code = self.code
        headers = {}
        if self.retry_after_s:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers, MEDIA_TYPE)


def model_failed() -> Problem:
    """What is told of a failure of ours; the reason is in the log under the request's id."""
    return Problem("model_failed", "the request could not be served; the log holds the reason")


def late() -> Problem:
    return Problem(
        "deadline",
        "the work was not done in time and has been stopped",
        expected="a smaller picture, or more time (deadline_s)",
    )


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response(Record.of(request.scope))


async def _on_image_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ImageError)
    return Problem.of(error).response(Record.of(request.scope))


async def _on_bad_parameter(request: Request, error: Exception) -> JSONResponse:
    """The first of what FastAPI found wrong with the parameters."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name, missing = first["loc"][-1], first["type"] == "missing"
    problem = Problem(
        "bad_parameter",
        f"the parameter {name} {'is missing' if missing else 'cannot be used'}",
        expected=f"a value for {name}"
        if missing
        else first["msg"].removeprefix("Input should be "),
        got="nothing" if missing else str(first["input"]),
    )
    return problem.response(Record.of(request.scope))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    """What the router itself refuses: an unknown path or a method that a path does not have."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(_methods(request))
        problem = Problem(
            "method_not_allowed",
            "this address is there, but not with this method",
            expected=allowed,
            got=request.method,
        )
        response = problem.response(Record.of(request.scope))
        response.headers["Allow"] = allowed
        return response
    problem = Problem("not_found", "there is nothing at this address", got=request.url.path)
    return problem.response(Record.of(request.scope))


def _methods(request: Request) -> list[str]:
    """Of this address; the router tells those of the first of its routes alone."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    return [
        method
        for method, scope in scopes.items()
        if any(route.matches(scope)[0] == Match.FULL for route in request.app.routes)
    ]


HANDLERS: dict[int | type[Exception], Any] = {
    Problem: _on_problem,
    ImageError: _on_image_error,
    RequestValidationError: _on_bad_parameter,
    HTTPException: _on_http_exception,
}
