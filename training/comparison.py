"""Results as a table and as a file, and two results beside each other where that means anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from training.bootstrap import Tally, paired_differences
from training.ensemble import PASSES
from training.protocol import differences, in_words
from training.tasks import Task

Results = dict[str, Any]

# Rows of pictures in a terminal; the file has all.
_SHOWN = 12


def to_json(results: Results) -> bytes:
    """The results as a file, a picture a line."""
    head = {name: value for name, value in results.items() if name != "pictures"}
    pictures = ",\n    ".join(json.dumps(picture) for picture in results["pictures"])
    text = json.dumps(head, indent=2).removesuffix("\n}")
    return f'{text},\n  "pictures": [\n    {pictures}\n  ]\n}}\n'.encode()


def read_results(path: Path) -> Results:
    """What `evaluate --output` wrote.

    Raises:
        ValueError: the file is none of these.
        OSError: it cannot be read.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(results[name], dict) for name in ("protocol", "scores", "set")):
            raise TypeError
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: expected results of `python -m training evaluate --output`, got another file"
        ) from error
    found: Results = results
    return found


def check_protocols(protocol: dict[str, Any], other: Results) -> None:
    """Raises ValueError with the fields in which the stamps differ."""
    if differing := differences(protocol, other["protocol"]):
        raise ValueError(
            f"--compare: expected scores measured alike, got other protocols: "
            f"{'; '.join(differing)} (this and {other['model']}); measure both by one"
        )


def compared(results: Results, other: Results, task: Task) -> dict[str, Any]:
    """Difference of each score to `other`'s, and its interval by paired bootstrap.

    Raises:
        ValueError: they were measured by different protocols, or on different pictures.
    """
    check_protocols(results["protocol"], other)
    if results["set"] != other["set"]:
        raise ValueError(
            "--compare: expected scores on the same pictures, got "
            f"{_named(results)} and {_named(other)}"
        )
    return paired_differences(Tally(task, results["pictures"]), Tally(task, other["pictures"]))


def _named(results: Results) -> str:
    return f"{results['set']['pictures']} pictures of digest {results['set']['digest'][:8]}"


def show(results: Results, task: Task, console: Console) -> None:
    """Scores with intervals beside the trivial answer's; pictures; cost; protocol."""
    title = f"{results['model']} on {results['set']['pictures']} pictures"
    title += f" ({results['engine']}, {results['precision']})"
    table = Table("score", "model", "95 % interval", "trivial", "gain", title=title)
    for name, value in results["scores"].items():
        trivial, gain = results["baseline"].get(name), results["gain"].get(name)
        ends = results["intervals"].get(name)
        between = "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"
        table.add_row(name, f"{value:.4f}", between, _number(trivial), _number(gain, "+"))
    table.add_section()
    name = task.monitor
    for picture in results["pictures"][:_SHOWN]:
        score, trivial = (picture.get(part, {}).get(name) for part in ("scores", "baseline"))
        gain = None if score is None or trivial is None else score - trivial
        label = f"{name} of {picture['name']}"
        table.add_row(label, _number(score), "", _number(trivial), _number(gain, "+"))
    console.print(table)
    if len(results["pictures"]) > _SHOWN:
        console.print(f"{len(results['pictures']) - _SHOWN} more pictures: see --output")
    if "cost" in results:
        console.print(model_cost_in_words(results["cost"]))
        passes = PASSES[results["protocol"]["ensemble"]]
        if passes > 1:
            console.print(f"an answer of this protocol takes {passes} such passes")
    console.print(f"protocol {in_words(results['protocol'])}", soft_wrap=True)


def model_cost_in_words(cost: dict[str, Any]) -> str:
    """Parameters, multiply-adds, latency and memory in a few lines."""
    memory = "unknown" if cost["peak_mib"] is None else f"{cost['peak_mib']:.0f} MiB"
    window, picture = cost["window_side"], cost["picture_side"]
    return (
        f"{cost['parameters']:,} parameters; {cost['multiply_adds_per_input_pixel']:,} "
        f"multiply-adds a pixel of the input, {cost['multiply_adds_640x360'] / 1e9:.2f} G of a "
        f"640×360 picture\n{cost['window_ms']} ms a window of {window}×{window}, "
        f"{cost['picture_ms']} ms a picture of {picture}×{picture}, median of {cost['runs']} on "
        f"{cost['threads']} threads; peak of memory {memory}"
    )


def show_comparison(results: Results, other: Results, task: Task, console: Console) -> None:
    """Differences to `other` with their paired intervals; one without 0 in it is marked."""
    title = f"{results['model']} minus {other['model']}, paired by picture"
    table = Table("score", "difference", "95 % interval", "", title=title)
    for name, (value, (low, high)) in compared(results, other, task).items():
        told = "" if low <= 0 <= high or low != low else "differs"
        between = "" if low != low else f"{low:+.4f} to {high:+.4f}"
        table.add_row(name, f"{value:+.4f}", between, told)
    console.print(table)


def _number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.4f}"
