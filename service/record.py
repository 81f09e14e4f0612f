"""What is known of one request: filled in on its way, then logged and counted."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass
class Record:
    """One request; sizes in bytes, times in seconds, `started` as of `time.monotonic()`.

    `code` is the contract's code of a refusal, empty where the request was answered. Nothing of the
    picture but its number of pixels is kept, and nothing of a key but its id.
    """

    id: str
    method: str
    started: float = field(default_factory=time.monotonic)
    traceparent: str = ""
    key: str = ""
    route: str = ""
    status: int = 0
    code: str = ""
    model: str = ""
    request_bytes: int = 0
    response_bytes: int = 0
    pixels: int = 0
    phases: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> Record:
        """The record that the outermost middleware put into the request's scope."""
        record = scope["state"]["record"]
        assert isinstance(record, Record)
        return record

    def cut_off(self, code: str, status: int) -> None:
        """Notes that the reply ended half-way, though it had begun as if all were well."""
        self.code, self.status = code, status

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Times what runs inside as the phase `name`, also where it fails."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - begin

    @property
    def server_timing(self) -> str:
        """The header's value; durations in milliseconds, as its standard says."""
        return ", ".join(f"{name};dur={self.phases[name] * 1e3:.1f}" for name in self.phases)

    def line(self) -> dict[str, Any]:
        """The fields of the request's log line."""
        return {
            "id": self.id,
            "traceparent": self.traceparent,
            "key": self.key,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "code": self.code,
            "model": self.model,
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "pixels": self.pixels,
            "ms": round((time.monotonic() - self.started) * 1e3, 1),
            "phases_ms": {name: round(s * 1e3, 1) for name, s in self.phases.items()},
        }


def request_id(incoming: str | None) -> str:
    """The caller's id where it is plain and short enough for a log, else a new one."""
    if incoming and _SANE_ID.fullmatch(incoming):
        return incoming
    return uuid.uuid4().hex


class JsonLines(logging.Formatter):
    """Log records as one JSON object a line, with the fields given as `extra={"fields": …}`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_json_lines() -> None:
    """Sends what service and library log to standard output, apart from BentoML's own log."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    for name in ("service", "i2i"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.INFO)
        logger.propagate = False
