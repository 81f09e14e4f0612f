"""`python -m training robustness`: what is left of a model's score when its pictures get worse.

As common corruptions are measured (Hendrycks and Dietterich, arXiv 1903.12261), with our own
degradations, in steps that have a unit.
"""

from __future__ import annotations

import argparse
import html
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from i2i.image import write_bytes
from i2i.predictor import Predictor, load
from training.data.cache import Load
from training.data.known import Known
from training.degradations import (
    Blur,
    Contrast,
    Degradation,
    GaussianNoise,
    Jpeg,
    Light,
    MotionBlur,
)
from training.evaluation.checks import find_checked
from training.evaluation.comparison import known_in_words
from training.evaluation.evaluate import evaluate, task_of
from training.evaluation.protocol import digest, in_words
from training.evaluation.sample_folders import add_samples_arguments
from training.pages.html import page
from training.pages.line_chart import line_chart, span_of
from training.tasks import Sample, Task

RESULTS = "robustness.json"


@dataclass(frozen=True)
class Fault:
    """What can be wrong with a picture: a degradation, from weak to strong."""

    unit: str
    make: Callable[[float], Degradation]
    strengths: tuple[float, ...]


FAULTS = {
    "noise": Fault("deviation, of 255", lambda s: GaussianNoise(s, clip=True), (5, 10, 20, 40)),
    "blur": Fault("deviation, in pixels", Blur, (0.5, 1, 2, 4)),
    "motion": Fault("pixels", MotionBlur, (3, 5, 9, 17)),
    "JPEG": Fault("quality", Jpeg, (80, 50, 25, 10)),
    "darkness": Fault("of the light", Light, (0.5, 0.25, 0.1, 0.05)),
    "glare": Fault("times the light", Light, (1.5, 2, 4, 8)),
    "low contrast": Fault("of the contrast", Contrast, (0.8, 0.6, 0.4, 0.2)),
}
# What a model of pictures hands on, and should: its target keeps the light it had.
OF_LIGHT = ("darkness", "glare", "low contrast")

_CHART = Template("""<figure>
<figcaption>$name ($unit)</figcaption>
$chart
</figure>""")
_STYLE = """\
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
.charts figure { margin: 0; }
svg { width: 100%; height: auto; }
.model { color: #0f8a7e; font-weight: 600; }
.trivial { color: #b4552d; font-weight: 600; }
"""


def robustness(
    predictor: Predictor, task: Task, loads: Sequence[Load], progress: Progress
) -> dict[str, Any]:
    """The monitored score as the pictures are, and under each fault.

    Returns:
        Plain data: `clean`, and for each fault a list of its strengths; each with `score`, and
        `baseline`, the trivial answer's, or None where there is none. `known`: the pictures that
        the model was trained on.
    """
    known = Known(predictor.spec)
    faults = {
        name: fault
        for name, fault in FAULTS.items()
        if task.kind != "image" or name not in OF_LIGHT
    }
    rounds = 1 + sum(len(fault.strengths) for fault in faults.values())
    bar = progress.add_task("Measuring", total=rounds * len(loads))

    def measured(spoiled_by: Degradation | None = None) -> dict[str, Any]:
        samples = _counted(loads, progress, bar)
        if spoiled_by is None:
            samples = known.watched(samples)
        results = evaluate(predictor, task, samples, spoiled_by=spoiled_by)
        return {
            "score": results["scores"].get(task.monitor),
            "baseline": results["baseline"].get(task.monitor),
            "protocol": results["protocol"],
            "protocol_digest": digest(results["protocol"]),
        }

    return {
        "model": predictor.spec.address,
        "monitor": task.monitor,
        "mode": task.mode,
        "set": {"pictures": len(loads)},
        "clean": measured(),
        "faults": {
            name: [
                {"strength": strength, **measured(fault.make(strength))}
                for strength in fault.strengths
            ]
            for name, fault in faults.items()
        },
        "known": known.found,
    }


def _counted(loads: Sequence[Load], progress: Progress, bar: TaskID) -> Iterator[Sample]:
    for read in loads:
        yield read()
        progress.advance(bar)


def show(results: dict[str, Any], console: Console) -> None:
    """The scores, a fault a row, from as they are to the worst."""
    clean = _number(results["clean"]["score"])
    table = Table(
        *("", "weak", "", "", "strong"),
        title=f"{results['monitor']} ({_better(results)}) of {results['model']} on "
        f"{results['set']['pictures']} pictures; clean: {clean}",
        show_lines=True,
    )
    for name, steps in results["faults"].items():
        shown = [f"{_number(step['score'])}\n{step['strength']:g}" for step in steps]
        table.add_row(f"{name}\n{FAULTS[name].unit}", *shown)
    console.print(table)
    for words in known_in_words(results):
        console.print(words, style="bold", highlight=False)


def write_page(folder: Path, results: dict[str, Any]) -> Path:
    """Writes index.html and the results into the folder; gives the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = {"model": "score"}
    trivial = ""
    if results["clean"]["baseline"] is not None:
        shown["trivial answer"] = "baseline"
        trivial = ', and dashed <span class="trivial">the trivial answer</span> to the same input'
    lines = {
        name: {
            line: [_value(step[part]) for step in (results["clean"], *steps)]
            for line, part in shown.items()
        }
        for name, steps in results["faults"].items()
    }
    span = span_of(*lines.values())
    charts = []
    for name, steps in results["faults"].items():
        labels = ["as it is", *(f"{step['strength']:g}" for step in steps)]
        told = {"name": html.escape(name), "unit": html.escape(FAULTS[name].unit)}
        charts.append(_CHART.substitute(told, chart=line_chart(lines[name], labels, span)))
    body = (
        f"<p>{results['monitor']} ({_better(results)}) over {results['set']['pictures']} pictures, "
        "as they are and as they get worse on their way to the model: "
        f'<span class="model">the model</span>{trivial}.</p>\n'
        f"{''.join(f'<p>{html.escape(words)}.</p>' for words in known_in_words(results))}"
        f'<div class="charts">\n{chr(10).join(charts)}\n</div>\n'
        f"<p>Protocol {html.escape(in_words(results['clean']['protocol']))}.</p>"
    )
    write_bytes(folder / RESULTS, (json.dumps(results, indent=2) + "\n").encode())
    path = folder / "index.html"
    write_bytes(path, page(f"{results['model']}: robustness", body, _STYLE))
    return path


def _value(score: float | None) -> float:
    return math.nan if score is None else score


def _better(results: dict[str, Any]) -> str:
    return "more is better" if results["mode"] == "max" else "less is better"


def _number(score: float | None) -> str:
    return "none" if score is None else f"{score:.4g}"


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training robustness",
        description="Measures a model again and again, with ever more noise, blur and compression "
        "on what it is given (and, where it gives no picture, less light or contrast), and draws "
        "what is left of its score.",
    )
    parser.add_argument("--model", required=True, help="a shipped model's name, or a model folder")
    parser.add_argument(
        "--images", required=True, type=Path, help="folder of pictures, as evaluate takes it"
    )
    add_samples_arguments(parser)
    parser.add_argument(
        "--most", type=int, help="pictures to measure on, the first of --images; default: all"
    )
    parser.add_argument("--output", required=True, type=Path, help="folder for the page")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = build_parser().parse_args(arguments)
    if options.most is not None and options.most < 1:
        raise ValueError(f"--most: expected at least 1 picture, got {options.most}")
    predictor = load(options.model)
    task = task_of(predictor.folder)
    loads = find_checked(options.images, options.masks, options.targets, task)[: options.most]
    options.output.mkdir(parents=True, exist_ok=True)
    console = Console()
    with Progress(console=console, transient=True) as progress:
        results = robustness(predictor, task, loads, progress)
    show(results, console)
    console.print(write_page(options.output, results), soft_wrap=True)
