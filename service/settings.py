"""What the environment sets: read once at start, checked, then passed to whoever needs it."""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from i2i.engines.engine import MOST_THREADS, EngineName, Precision
from i2i.image import Format
from i2i.model_folder import SPEC
from i2i.spec import ModelSpec

PREFIX = "I2I_"
# Kubernetes sets these by itself for a Service that is called `i2i`.
_NOT_OURS = re.compile(r"I2I_(SERVICE|PORT)(_|$)")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """The limits and choices of one process; a field is the variable `I2I_` + its name in capitals.

    Attributes:
        models: folder of model folders; None serves those shipped with the library.
        engine: what runs the graph; None chooses by machine.
        precision: of the engine's arithmetic; None and auto are f32.
        threads: of the engine; None uses the cores this process may use.
        max_body: bytes of a request's body.
        max_pixels: of a picture that comes in.
        max_output_pixels: of a picture that goes out.
        deadline_s: seconds from a request's arrival to the end of its work.
        queue_s: seconds a decoded picture waits for the engine.
        inflight_bytes: bodies, decoded pictures and replies held at once.
        jobs_dir: folder of jobs, which processes may share; None makes one that goes with the
            process.
        job_max_pixels: of a picture that comes as a job.
        job_ttl_s: seconds that a finished job is kept.
        jobs_bytes: of all jobs on disk.
        cache_bytes: of finished answers kept in memory; 0 keeps none.
        keys_file: the keys that may ask; None lets everybody.
        metrics_key: sent as a bearer for /metrics; None leaves them open.
        cors_origins: of pages on other hosts that may ask; `*` for all.
        load: models loaded at start, by folder; the others at their first request. None loads all.
        watch: load what changes in `models`, without a request to reload.
        drain_s: seconds that requests are still taken after the signal to stop, while /readyz
            already sends them elsewhere.
    """

    models: Path | None = None
    engine: EngineName | None = None
    precision: Precision | Literal["auto"] | None = None
    threads: int | None = None
    max_body: int = 256 * 2**20
    max_pixels: int = 60_000_000
    max_output_pixels: int = 240_000_000
    deadline_s: float = 300.0
    queue_s: float = 30.0
    inflight_bytes: int = 2**30
    jobs_dir: Path | None = None
    job_max_pixels: int = 120_000_000
    job_ttl_s: float = 3600.0
    jobs_bytes: int = 10 * 2**30
    cache_bytes: int = 0
    keys_file: Path | None = None
    metrics_key: str | None = field(default=None, repr=False)
    cors_origins: tuple[str, ...] = ()
    load: tuple[str, ...] | None = None
    watch: bool = True
    drain_s: float = 3.0

    def most_pixels(self, spec: ModelSpec, format: Format = "png") -> int:
        """Of a picture that this model answers within a request."""
        return self._most(self.max_pixels, spec, format, in_memory=True)

    def most_job_pixels(self, spec: ModelSpec, format: Format) -> int:
        """Of a picture that this model answers as a job.

        PNG and TIFF are written band by band, whatever their size; others are made in memory.
        """
        in_memory = format not in ("png", "tiff")
        return self._most(self.job_max_pixels, spec, format, in_memory=in_memory)

    def _most(self, most: int, spec: ModelSpec, format: Format, *, in_memory: bool) -> int:
        if in_memory:
            # While it writes, libwebp holds twice of what others do.
            output_pixels = self.max_output_pixels // (2 if format == "webp" else 1)
            most = min(most, output_pixels // spec.scale**2)
        return min(most, spec.max_pixels or most)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """The settings of `environment`; a variable that is empty counts as not set.

        Raises:
            ValueError: a value cannot be read; names the variable, what was expected, what came.
        """
        values: dict[str, Any] = {}
        for variable, text in environment.items():
            name = variable.removeprefix(PREFIX).lower()
            if not variable.startswith(PREFIX) or _NOT_OURS.match(variable) or not text:
                continue
            if name not in _READERS:
                logger.warning("%s is no setting of this service and is ignored", variable)
                continue
            try:
                values[name] = _READERS[name](text)
            except ValueError as error:
                expected, got = (*error.args, repr(text))[:2]
                raise ValueError(f"{variable}: expected {expected}, got {got}") from None
        return cls(**values)


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError("an existing folder of model folders")
    if (path / SPEC).is_file():
        raise ValueError("the folder above it, for this is a model folder itself")
    return path


def _writable_folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise ValueError("an existing folder that can be written")
    return path


def _file(text: str) -> Path:
    path = Path(text)
    if not path.is_file():
        raise ValueError("an existing file")
    return path


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(","))
    if not all(re.fullmatch(r"\*|https?://[^/\s]+", origin) for origin in origins):
        raise ValueError("* or origins as https://host:port, with commas between them")
    return origins


def _names(text: str) -> tuple[str, ...] | None:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ValueError("all, or names with commas between them")
    return None if names == ("all",) else names


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return read


def _engine(text: str) -> str:
    if importlib.util.find_spec(_one_of(*get_args(EngineName))(text)) is None:
        raise ValueError("an engine that is installed here")
    return text


def _count(unit: str, least: int = 1, most: int | None = None) -> Callable[[str], int]:
    bounds = f"at least {least}" if most is None else f"{least} to {most}"

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or not least <= int(text) <= (most or int(text)):
            raise ValueError(f"a whole number of {unit} in digits, {bounds}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError("a number of seconds above 0")
    return seconds


def _key(text: str) -> str:
    """Without the end of line that a file of a secret may have; what is wrong shows no key."""
    key = text.strip()
    expected = "a key of ASCII, as a header holds it: openssl rand -hex 32 makes one"
    if not key:
        raise ValueError(expected, "white space alone")
    if not (key.isascii() and key.isprintable()):
        raise ValueError(expected, "a key with other characters")
    return key


# Each turns a variable's text into its field's value, or raises ValueError saying what it expects
# and, in place of the text, what it got.
_READERS: dict[str, Callable[[str], Any]] = {
    "models": _folder,
    "engine": _engine,
    "precision": _one_of(*get_args(Precision), "auto"),
    "threads": _count("threads", most=MOST_THREADS),
    "max_body": _count("bytes"),
    "max_pixels": _count("pixels"),
    "max_output_pixels": _count("pixels"),
    "deadline_s": _seconds,
    "queue_s": _seconds,
    "inflight_bytes": _count("bytes"),
    "jobs_dir": _writable_folder,
    "job_max_pixels": _count("pixels"),
    "job_ttl_s": _seconds,
    "jobs_bytes": _count("bytes"),
    "cache_bytes": _count("bytes", least=0),
    "keys_file": _file,
    "metrics_key": _key,
    "cors_origins": _origins,
    "load": _names,
    "watch": lambda text: _one_of("on", "off")(text) == "on",
    "drain_s": _seconds,
}
