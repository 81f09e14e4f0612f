"""What the environment sets: read once at start, checked, then passed to whoever needs it."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from i2i.engines.engine import EngineName, Precision
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
        precision: of the engine's arithmetic; None chooses by machine.
        threads: of the engine; None uses the cores this process may use.
        max_body: bytes of a request's body.
        max_pixels: of a picture that comes in.
        max_output_pixels: of a picture that goes out.
        deadline_s: seconds from a request's arrival to the end of its work.
        queue_s: seconds a decoded picture waits for the engine.
        inflight_bytes: bodies, decoded pictures and replies held at once.
        drain_s: seconds by which SIGTERM is put off: not ready any more, but answering.
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
    drain_s: float = 0.0

    def most_pixels(self, spec: ModelSpec) -> int:
        """Of a picture that this model answers within a request."""
        return min(self.max_pixels, self.max_output_pixels // spec.scale**2)

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
                raise ValueError(f"{variable}: expected {error}, got {text!r}") from None
        return cls(**values)


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ValueError("an existing folder of model folders")
    return path


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return read


def _count(unit: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) == 0:
            raise ValueError(f"a whole number of {unit} above 0")
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


# Each turns a variable's text into its field's value, or raises ValueError saying what it expects.
_READERS: dict[str, Callable[[str], Any]] = {
    "models": _folder,
    "engine": _one_of(*get_args(EngineName)),
    "precision": _one_of(*get_args(Precision), "auto"),
    "threads": _count("threads"),
    "max_body": _count("bytes"),
    "max_pixels": _count("pixels"),
    "max_output_pixels": _count("pixels"),
    "deadline_s": _seconds,
    "queue_s": _seconds,
    "inflight_bytes": _count("bytes"),
    "drain_s": _seconds,
}
