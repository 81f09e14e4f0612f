"""Results as a table and as a file, and two results beside each other where that means anything."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from training.evaluation.bootstrap import Tally, paired_differences
from training.evaluation.cost import device_in_words
from training.evaluation.ensemble import PASSES
from training.evaluation.protocol import differences, in_words
from training.tasks import Task
from training.tasks.scores import gain

Results = dict[str, Any]

# Rows of pictures in a terminal; the file has all.
_SHOWN = 12
# Of fewer an interval by percentiles is too narrow: of 5 pictures it says in one of six cases that
# equal models differ.
_FEWEST = 20

_FIELDS = {
    "model": str,
    "engine": str,
    "precision": str,
    "protocol": dict,
    "set": dict,
    "scores": dict,
    "pictures": list,
}
_OF_SET = {"pictures": int, "digest": str}
_OF_PICTURE = {"name": str, "scores": dict, "sums": dict}


def to_json(results: Results) -> bytes:
    """The results as a file, a picture a line."""
    head = {name: value for name, value in results.items() if name != "pictures"}
    pictures = ",\n    ".join(json.dumps(picture) for picture in results["pictures"])
    text = json.dumps(head, indent=2).removesuffix("\n}")
    return f'{text},\n  "pictures": [\n    {pictures}\n  ]\n}}\n'.encode()


def read_results(path: Path) -> Results:
    """What `evaluate --output` wrote.

    Raises:
        ValueError: the file is none of these, or a part of one.
        OSError: it cannot be read.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _no_results(path, "another file") from error
    if (fault := next(_faults(results), None)) is not None:
        raise _no_results(path, fault)
    found: Results = results
    return found


def _no_results(path: Path, got: str) -> ValueError:
    return ValueError(
        f"{path}: expected results of `python -m training evaluate --output`, got {got}; "
        "measure that model again"
    )


def _faults(results: Any) -> Iterator[str]:
    """What is amiss with the content of a file, the first first."""
    yield from _lacking("a file", results, _FIELDS)
    yield from _lacking("a set", results["set"], _OF_SET)
    pictures, count = results["pictures"], results["set"]["pictures"]
    for number, picture in enumerate(pictures, start=1):
        yield from _lacking(f"picture {number}", picture, _OF_PICTURE)
    if not 0 < len(pictures) == count:
        yield f"{len(pictures)} of {count} pictures"


def _lacking(what: str, part: Any, fields: Mapping[str, type]) -> Iterator[str]:
    for name, kind in fields.items():
        if not isinstance(part, dict) or not isinstance(part.get(name), kind):
            yield f"{what} without {name}"


def check_scores(path: Path, other: Results, task: Task) -> None:
    """Raises ValueError where the scores in a file do not follow from the sums of its pictures."""
    try:
        follow = Tally(task, other["pictures"]).scores()
        wrong = [
            name
            for name, value in other["scores"].items()
            if not math.isclose(value, follow.get(name, math.nan), rel_tol=1e-6, abs_tol=1e-9)
        ]
    except (IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _no_results(path, "pictures whose sums are no such task's") from error
    if wrong:
        raise _no_results(path, f"another {wrong[0]} than follows from its pictures")


def check_protocols(protocol: dict[str, Any], other: Results) -> None:
    """Raises ValueError with the fields in which the stamps differ."""
    if differing := differences(protocol, other["protocol"]):
        raise ValueError(
            f"--compare: expected scores measured alike, got other protocols: "
            f"{'; '.join(differing)} (this and {other['model']}); measure both by one"
        )


def check_pictures(asked: dict[str, Any], other: Results) -> None:
    """Raises ValueError with the first picture that differs, as `other_pictures`."""
    if differing := other_pictures(asked, other):
        raise ValueError(
            f"--compare: expected scores on the same pictures, got {differing}; measure both "
            "models on one folder"
        )


def other_pictures(asked: dict[str, Any], other: Results) -> str:
    """How two sets differ, in words; empty where they do not.

    Args:
        asked: results, or what `Questions.asked` gives.
    """
    if asked["set"] == other["set"]:
        return ""
    return f"{_named(asked)} and {_named(other)}{_first_other(asked, other)}"


def _named(results: Results) -> str:
    return f"{results['set']['pictures']} pictures of digest {results['set']['digest'][:8]}"


def _first_other(asked: dict[str, Any], other: Results) -> str:
    pairs = zip_longest(asked["pictures"], other["pictures"], fillvalue={"name": "none"})
    for number, (one, two) in enumerate(pairs, start=1):
        # Files of earlier versions have no digest of each picture.
        told_by = "digest" if "digest" in one and "digest" in two else "name"
        if one[told_by] != two[told_by]:
            names = " and ".join(dict.fromkeys([one["name"], two["name"]]))
            return f", of which picture {number} is the first that differs ({names})"
    return ""


def compared(results: Results, other: Results, task: Task) -> dict[str, Any]:
    """Difference of each score to `other`'s, and its interval by paired bootstrap.

    Raises:
        ValueError: they were measured by different protocols, or on different pictures.
    """
    check_protocols(results["protocol"], other)
    check_pictures(results, other)
    return paired_differences(Tally(task, results["pictures"]), Tally(task, other["pictures"]))


def show(results: Results, task: Task, console: Console) -> None:
    """Scores with intervals beside the trivial answer's; pictures; cost; protocol."""
    title = f"{results['model']} on {results['set']['pictures']} pictures"
    title += f" ({results['engine']}, {results['precision']})"
    few = "an interval of so few pictures is too narrow" if _few(results) else None
    table = Table("score", "model", "95 % interval", "trivial", "gain", title=title, caption=few)
    for name, value in results["scores"].items():
        trivial, more = results["baseline"].get(name), results["gain"].get(name)
        ends = results["intervals"].get(name)
        between = "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"
        table.add_row(name, f"{value:.4f}", between, _number(trivial), _number(more, "+"))
    table.add_section()
    name = task.monitor
    for picture in results["pictures"][:_SHOWN]:
        score, trivial = (picture.get(part, {}).get(name) for part in ("scores", "baseline"))
        more = None if score is None or trivial is None else gain(name, score, trivial)
        label = f"{name} of {picture['name']}"
        table.add_row(label, _number(score), "", _number(trivial), _number(more, "+"))
    console.print(table)
    if len(results["pictures"]) > _SHOWN:
        console.print(f"and {len(results['pictures']) - _SHOWN} more, which --output writes down")
    for words in known_in_words(results):
        console.print(words, style="bold", highlight=False)
    if "cost" in results:
        console.print(model_cost_in_words(results["cost"]))
        passes = PASSES[results["protocol"]["ensemble"]]
        if passes > 1:
            console.print(f"an answer of this protocol takes {passes} such passes")
    console.print(f"protocol {in_words(results['protocol'])}", soft_wrap=True)


def known_in_words(results: Results) -> list[str]:
    """A sentence for each part of the training that has met some of the pictures."""
    counted, sentences = results["set"]["pictures"], []
    for part, words in (("trained", "trained the model"), ("validated", "chose its checkpoint")):
        if names := results.get("known", {}).get(part, []):
            some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            told = f"{len(names)} of {counted} pictures {words} ({some}): the scores flatter it"
            sentences.append(told)
    return sentences


def model_cost_in_words(cost: dict[str, Any]) -> str:
    """Parameters, multiply-adds, latency and memory in a few lines."""
    memory = "unknown" if cost["peak_mib"] is None else f"{cost['peak_mib']:.0f} MiB"
    window, picture = cost["window_side"], cost["picture_side"]
    return (
        f"{cost['parameters']:,} parameters; {cost['multiply_adds_per_input_pixel']:,} "
        f"multiply-adds a pixel of the input, {cost['multiply_adds_640x360'] / 1e9:.2f} G of a "
        f"640×360 picture\n{cost['window_ms']} ms a window of {window}×{window}, "
        f"{cost['picture_ms']} ms a picture of {picture}×{picture}, median of {cost['runs']} on "
        f"{device_in_words(cost)}; peak of memory {memory}"
    )


def show_comparison(results: Results, other: Results, task: Task, console: Console) -> None:
    """Differences to `other` with their paired intervals; one without 0 in it is marked."""
    one, two = results["model"], other["model"]
    if one == two:
        one, two = (f"{r['model']} ({r['engine']}, {r['precision']})" for r in (results, other))
    count = results["set"]["pictures"]
    few = f"{count} pictures are too few to tell whether models differ: it takes {_FEWEST}"
    table = Table(
        *("score", "difference", "95 % interval", ""),
        title=f"{one} minus {two}, paired by picture",
        caption=few if _few(results) else None,
    )
    for name, (value, (low, high)) in compared(results, other, task).items():
        sure = not _few(results) and not low <= 0 <= high
        between = "" if low != low else f"{low:+.4f} to {high:+.4f}"
        table.add_row(name, f"{value:+.4f}", between, "differs" if sure else "")
    console.print(table)


def _few(results: Results) -> bool:
    """Whether an interval means little."""
    return bool(results["set"]["pictures"] < _FEWEST)


def _number(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{value:{sign}.4f}"
