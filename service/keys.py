"""Who may ask, and how often: the keys of a file, sent as `Authorization: Bearer KEY`.

A line of the file: the SHA-256 of a key in hex, then, each where wanted, a name, the requests it
may make a minute, and `admin`. A new key and its digest:

    key=$(openssl rand -hex 32); echo "$key"; printf %s "$key" | sha256sum | cut -d' ' -f1
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import re
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Problem
from service.middleware import refuse
from service.record import Record

_LINE = re.compile(
    r"(?P<digest>[0-9a-fA-F]{64})"
    r"(\s+-(?=\s|$))?"  # what sha256sum calls its standard input: no name
    r"(\s+(?!(-|admin|[0-9]+)(\s|$))(?P<name>[A-Za-z0-9._-]{1,64}))?"
    r"(\s+(?P<per_minute>[1-9][0-9]{0,8}))?"
    r"(\s+(?P<admin>admin))?"
)
# What shows no picture and no model: the probes, the contract, the page (it asks for the key).
_OPEN = {"/livez", "/readyz", "/openapi.json", "/"}
_OPEN_FOLDER = "/page/"
_METRICS = "/metrics"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    Attributes:
        id: the key's name, or the first 8 hex digits of its digest; empty where keys are off. Two
            keys of one name are one caller, so that a key can be replaced.
        admin: may reload models, and goes before others at the engine.
    """

    id: str = ""
    admin: bool = False

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> Caller:
        """The one whose key `RequireKey` has found; nobody where keys are off."""
        caller = scope["state"].get("caller", NOBODY)
        assert isinstance(caller, Caller)
        return caller


NOBODY = Caller()


class Bucket:
    """A token bucket: full with a minute's requests at first, and refilled evenly."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._tokens = float(per_minute)
        self._filled = -math.inf

    def take(self, now: float) -> float:
        """0 where a request may be made at `now` (seconds), else the seconds until it may."""
        filled = self._tokens + (now - self._filled) * self.per_minute / 60
        self._tokens, self._filled = min(filled, self.per_minute), now
        if self._tokens < 1:
            return (1 - self._tokens) * 60 / self.per_minute
        self._tokens -= 1
        return 0.0


@dataclass(frozen=True)
class Key:
    """One line of the file."""

    digest: bytes
    caller: Caller
    bucket: Bucket | None


class Keys:
    """The keys of a file, read again when it changes; a broken change is logged and not taken.

    Raises:
        ValueError: a line is none; names its number, not its text, which might be a key.
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._keys = read_keys(path)
        if path.stat().st_mode & 0o077:
            logger.warning("%s can be read by other users: chmod 600 keeps it from them", path)

    def find(self, sent: bytes) -> Key | None:
        """The key that was sent, where the file has it."""
        self._follow()
        digest = hashlib.sha256(sent).digest()
        # All are compared, so that the time says nothing of which one it is.
        found = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        return found[0] if found else None

    def _follow(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            keys = read_keys(self._path)
        except (ValueError, OSError) as error:
            logger.error("the keys stay as they were: %s", error)
            return
        # Who has used up a minute does not get another by a change of the file.
        kept = {key.digest: key.bucket for key in self._keys}
        self._keys = [_with_bucket(key, kept.get(key.digest)) for key in keys]
        logger.info("the keys were read again: %d", len(keys))


def _with_bucket(key: Key, bucket: Bucket | None) -> Key:
    if bucket is None or key.bucket is None or bucket.per_minute != key.bucket.per_minute:
        return key
    return Key(key.digest, key.caller, bucket)


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    # The time of change shows that a file may be read now, which its content does not.
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def read_keys(path: Path) -> list[Key]:
    """The keys of a file; `#` begins a comment.

    Raises:
        ValueError: a line is no key, a key comes twice, or there is none.
        OSError: the file cannot be read.
    """
    keys: dict[bytes, Key] = {}
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = _LINE.fullmatch(content)
        if match is None:
            raise ValueError(
                f"{path}: line {number}: expected the SHA-256 of a key (64 hex digits), then "
                "optionally a name, requests per minute, admin; got a line of another form"
            )
        digest = bytes.fromhex(match["digest"])
        if digest in keys:
            raise ValueError(f"{path}: line {number}: expected each key once, got it again")
        caller = Caller(match["name"] or digest.hex()[:8], match["admin"] is not None)
        per_minute = match["per_minute"]
        keys[digest] = Key(digest, caller, Bucket(int(per_minute)) if per_minute else None)
    if not keys:
        raise ValueError(f"{path}: expected a key on at least one line, got none")
    return list(keys.values())


class RequireKey:
    """Refuses who sends no key of `keys`, or sends more than the key may.

    Args:
        keys: None lets everybody ask.
        metrics_key: of /metrics; None leaves them open.
    """

    def __init__(self, app: ASGIApp, keys: Keys | None, metrics_key: str | None) -> None:
        self.app = app
        self.keys = keys
        self.metrics_key = metrics_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(scope)
            except Problem as problem:
                await refuse(problem, scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        path = scope["path"]
        if path == _METRICS:
            self._check_metrics_key(scope)
        elif self.keys is not None and path not in _OPEN and not path.startswith(_OPEN_FOLDER):
            self._check_key(self.keys, scope)

    def _check_metrics_key(self, scope: Scope) -> None:
        if self.metrics_key is not None and not hmac.compare_digest(
            _sent(scope), self.metrics_key.encode()
        ):
            raise _unauthorized()

    def _check_key(self, keys: Keys, scope: Scope) -> None:
        key = keys.find(_sent(scope))
        if key is None:
            raise _unauthorized()
        scope["state"]["caller"] = key.caller
        Record.of(scope).key = key.caller.id
        if key.bucket and (wait_s := key.bucket.take(time.monotonic())):
            raise Problem(
                "rate_limited",
                "this key has made its requests of the minute",
                expected=f"at most {key.bucket.per_minute} requests a minute",
                retry_after_s=math.ceil(wait_s),
            )


def _sent(scope: Scope) -> bytes:
    """The key of the request; empty where it has none."""
    scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
    return key.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _unauthorized() -> Problem:
    return Problem("unauthorized", "a key is needed", expected="Authorization: Bearer KEY")
