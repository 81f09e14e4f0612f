"""The protocol stamp: how scores were measured. Scores of different stamps are not compared."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from training.degradations import Degradation
from training.evaluation.ensemble import Ensemble
from training.tasks import Task

# Of degradations: the random state of a picture follows from it and the picture's index.
SEED = 0
# An input that no file can hold.
UNCLIPPED = "float32, not clipped"

# What a task's own protocol leaves out.
_PLAIN = {
    "degradation": "none",
    "crop": "none",
    "colour": "none",
    "border": 0,
    "rounding": "none",
    "resolution": "of the target",
    "ignore": "none",
    "aggregate": "mean over pictures",
}


def stamp(
    task: Task,
    ensemble: Ensemble = "none",
    unclipped: bool = False,
    spoiled_by: Degradation | None = None,
) -> dict[str, Any]:
    """All that scores depend on beside model and pictures, as plain data.

    Colour space, crop to a multiple, border, degradation (which names the resizing), rounding,
    resolution, ignored id, classes, aggregation, averaging of flips and turns, and seed.
    """
    own = {"task": task.name, "scale": task.scale, "classes": [c.name for c in task.classes()]}
    protocol = {**own, **_PLAIN, **task.protocol(), "ensemble": ensemble, "seed": SEED}
    if unclipped:
        protocol |= {"input": UNCLIPPED}
    return protocol if spoiled_by is None else protocol | {"spoiled by": repr(spoiled_by)}


def digest(protocol: dict[str, Any]) -> str:
    """The stamp in 8 hex digits: equal for equal protocols."""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True).encode()).hexdigest()[:8]


def in_words(protocol: dict[str, Any]) -> str:
    """The fields of a stamp that say something, and its digest."""
    said = {k: ", ".join(v) if isinstance(v, list) else v for k, v in protocol.items()}
    fields = "; ".join(f"{k}: {v}" for k, v in said.items() if v not in ("", "none"))
    return f"{digest(protocol)} ({fields})"


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Each field in which two stamps differ: "border: 2 and 0"."""
    fields = dict.fromkeys([*one, *other])
    return [
        f"{field}: {one.get(field, 'unknown')} and {other.get(field, 'unknown')}"
        for field in fields
        if one.get(field) != other.get(field)
    ]
