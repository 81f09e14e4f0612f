"""Scores of an evaluation kept in a model folder: in its spec and its card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from i2i.image import write_bytes
from i2i.model_folder import CARD, SPEC, ModelFolder
from i2i.spec import Measurement
from training.evaluation.protocol import UNCLIPPED
from training.export.card import as_option, card
from training.tasks import Task


def check_record(folder: ModelFolder, name: str, pictures: int, protocol: str) -> None:
    """Raises ValueError where `name` stands there by another protocol, or of other pictures.

    Args:
        pictures: how many are to be measured.
        protocol: digest of how.
    """
    kept = folder.spec.scores.get(name)
    if kept is None or (kept.pictures, kept.protocol) == (pictures, protocol):
        return
    raise ValueError(
        f"--record: expected {name} to be measured as it stands in {folder.path / SPEC}, on "
        f"{kept.pictures} pictures by protocol {kept.protocol or 'unknown'}, got {pictures} by "
        f"{protocol}; give another name, or --replace"
    )


def record(folder: ModelFolder, task: Task, name: str, results: dict[str, Any]) -> None:
    """Adds the scores on the set `name` to the spec and the card of a model folder."""
    also = "" if task.needs == "none" else f" --{task.needs} {task.needs.upper()}"
    also += {"8 flips and turns": " --self-ensemble", "mirrored": " --tta flip"}.get(
        results["protocol"]["ensemble"], ""
    )
    also += " --unclipped" if results["protocol"].get("input") == UNCLIPPED else ""
    measured = Measurement(
        results["set"]["pictures"],
        results["scores"],
        results["baseline"],
        engine=f"{results['engine']} {results['precision']}",
        command=f"python -m training evaluate --model {as_option(folder.spec)} "
        f"--images IMAGES{also}",
        intervals={name: (low, high) for name, (low, high) in results["intervals"].items()},
        protocol=results["protocol_digest"],
    )
    spec = replace(folder.spec, scores=folder.spec.scores | {name: measured})
    write_bytes(folder.path / SPEC, spec.to_json().encode())
    write_bytes(folder.path / CARD, card(spec).encode())
