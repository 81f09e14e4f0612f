"""What a search may change of a config: for each key its choices, or a range to draw from."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml


@dataclass(frozen=True)
class Choices:
    """One of several values, each as likely."""

    values: tuple[Any, ...]

    def draw(self, random: np.random.Generator) -> Any:
        return self.values[random.integers(len(self.values))]


@dataclass(frozen=True)
class Range:
    """A number between two; a whole one where both are. `log`: each factor is as likely."""

    low: float
    high: float
    log: bool = False

    def draw(self, random: np.random.Generator) -> float | int:
        whole = isinstance(self.low, int) and isinstance(self.high, int)
        # A whole number stands for all that are rounded to it.
        low, high = (self.low - 0.5, self.high + 0.5) if whole else (self.low, self.high)
        if self.log:
            low, high = math.log(low), math.log(high)
        value = float(random.uniform(low, high))
        value = math.exp(value) if self.log else value
        if whole:
            return round(min(max(value, self.low), self.high))
        # Three digits of the value, or of the range where that is narrow.
        digits = 2 - math.floor(math.log10(min(abs(value) or 1, self.high - self.low)))
        return min(max(round(value, digits), self.low), self.high)


Space = dict[str, Choices | Range]


def read_space(path: Path) -> Space:
    """The space of a YAML file: `key: [values]`, or `key: {low: …, high: …, log: true}`.

    Raises:
        ValueError: it is not of this form.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: expected YAML, got what breaks off: {error}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path}: expected keys of a config, each with its values, got {content}")
    if eased := [key for key in content if str(key).endswith("validation_longest")]:
        raise ValueError(f"{path}: expected nothing that changes what validates, got {eased[0]}")
    return {str(key): _dimension(f"{path}: {key}", value) for key, value in content.items()}


def _dimension(place: str, value: Any) -> Choices | Range:
    if isinstance(value, list) and value:
        return Choices(tuple(value))
    if isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        numbers = all(isinstance(end, int | float) and math.isfinite(end) for end in (low, high))
        if numbers and isinstance(log, bool) and low < high and (low > 0 or not log):
            return Range(low, high, log)
    hint = ""
    if isinstance(value, dict) and not {"low", "high"} & set(value):
        hint = "; write a key and those below it in one, as model.learning_rate"
    elif isinstance(value, dict) and any(isinstance(end, str) for end in value.values()):
        hint = "; YAML reads 1e-3 as a word, write 1.0e-3"
    raise ValueError(
        f"{place}: expected [values] or {{low: …, high: …}} with low < high, both above 0 with "
        f"log: true, got {value}{hint}"
    )


def as_options(drawn: dict[str, Any]) -> list[str]:
    """Values of a config as options of `fit`."""
    return [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in drawn.items()
    ]
