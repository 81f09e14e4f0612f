"""index.html of a run: its curves, how each part learns, and its pictures; made of its folder."""

from __future__ import annotations

import csv
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from i2i.image import write_bytes
from i2i.spec import ClassInfo
from training.pages.html import class_legend, page
from training.pages.line_chart import legend, line_chart, span_of
from training.run_folder import CURVES

# Of each column of a metrics.csv the steps that have a value, and the values.
Columns: TypeAlias = dict[str, tuple[list[int], list[float]]]

# Points of a line at most: where there are more values, each is a mean of those that fall together.
POINTS = 100
_DIVERGED = (
    "The training has diverged: its last score is no number. Lower --model.learning_rate, or set "
    "--trainer.gradient_clip_val 1.0. "
)
_STYLE = """\
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
.charts figure { margin: 0; }
figure svg { width: 100%; height: auto; }
.legend svg { width: 1.5rem; height: .5rem; }
.legend { font-size: .85rem; }
.line { white-space: nowrap; margin-right: .7rem; }
"""


@dataclass(frozen=True)
class Chart:
    """A chart of the page: a column of metrics.csv, or those below it, and what they say.

    Attributes:
        begin: `loss`; `gradient` is all of `gradient/PART`.
        log: each factor is as high.
    """

    begin: str
    heading: str
    text: str
    log: bool = False


TRAINING = (
    Chart("loss", "Loss", "Of the crops that train.", log=True),
    Chart("learning_rate", "Learning rate", "The highest of all groups of weights."),
)
PARTS = (
    Chart(
        "gradient",
        "Gradients",
        "Norm of the loss's gradient by a part's weights. One that grows without end is about to "
        "diverge. How fast a part learns is what its updates show: only under SGD do small "
        "gradients mean little learning.",
        log=True,
    ),
    Chart(
        "update",
        "Updates",
        "A step's norm over that of the weights. A thousandth to a hundredth is usual while the "
        "rate is high; a part that stays at a tenth loses what it learned. A head that begins at "
        "zero begins high.",
        log=True,
    ),
    Chart(
        "silent",
        "Silent channels",
        "Share of a stage's channels that have one value at all pixels of two crops. Many are a "
        "net that is wider than its task, or a rate that has broken it.",
    ),
)


def write_run_page(run: Path, monitor: str, mode: str, classes: Sequence[ClassInfo] = ()) -> None:
    """Writes index.html into the run's folder, from its metrics.csv and pictures.

    Args:
        monitor: the score that chooses the checkpoint; `mode` of it, "max" or "min", is best.
        classes: what the pictures show, of a segmentation.

    Raises:
        OSError: the page cannot be written.
    """
    curves = run / CURVES
    if not curves.is_file():
        return
    columns = read_columns(curves)
    # Those of classes, `val/iou/CLASS`, are lines of one chart.
    names = {"/".join(name.split("/")[:2]) for name in columns if name.startswith("val/")}
    in_order = sorted(names, key=lambda name: (name != f"val/{monitor}", name))
    scores = [Chart(name, name.removeprefix("val/"), "") for name in in_order]
    parts = [
        f"<p>{_best(columns, monitor, mode)} This page is written anew after each validation.</p>",
        _charts(columns, [*scores, *TRAINING]),
    ]
    if any(_is_of(name, part.begin) for name in columns for part in PARTS):
        parts += ["<h2>How the parts learn</h2>", _charts(columns, PARTS)]
    if pictures := _pictures(run):
        told = (
            "Side by side what goes in (where the output is larger, enlarged by bicubic, the "
            "answer to beat), what comes out, and what should."
        )
        parts += [f"<h2>What it gives</h2>\n<p>{told}</p>", class_legend(classes), *pictures]
    write_bytes(run / "index.html", page(f"Run {run.resolve().name}", "\n".join(parts), _STYLE))


def read_columns(path: Path) -> Columns:
    """The curves in a metrics.csv."""
    columns: Columns = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if name not in ("step", "epoch") and text:
                    steps, values = columns.setdefault(name, ([], []))
                    steps.append(int(row["step"]))
                    values.append(float(text))
    return columns


def _best(columns: Columns, monitor: str, mode: str) -> str:
    steps, values = columns.get(f"val/{monitor}", ([], []))
    if not values:
        return f"No {html.escape(monitor)} yet."
    known = [each for each in zip(values, steps, strict=True) if math.isfinite(each[0])]
    diverged = "" if math.isfinite(values[-1]) else _DIVERGED
    if not known:
        return diverged
    value, step = max(known) if mode == "max" else min(known)
    better = "more" if mode == "max" else "less"
    _, baseline = columns.get(f"baseline/{monitor}", ([], []))
    compared = f" Without a net: {baseline[-1]:.4f}." if baseline else ""
    return (
        f"{diverged}Best {html.escape(monitor)} {value:.4f} after step {step + 1} ({better} is "
        f"better), on the pictures that validate, by the averaged weights.{compared}"
    )


def _charts(columns: Columns, charts: Sequence[Chart]) -> str:
    return f'<div class="charts">{"".join(_chart(columns, each) for each in charts)}</div>'


def _chart(columns: Columns, chart: Chart) -> str:
    """The figure, empty where there is nothing to show yet."""
    shown = {name: both for name, both in columns.items() if _is_of(name, chart.begin)}
    # Evenly, whatever the steps between: a budget's validations begin late, a resumed run's move.
    order = sorted({step for steps, _ in shown.values() for step in steps})
    lines = {
        name.removeprefix(chart.begin).removeprefix("/") or chart.heading: _thinned(
            np.searchsorted(order, steps), values, len(order), chart.log
        )
        for name, (steps, values) in shown.items()
    }
    if not any(math.isfinite(value) for line in lines.values() for value in line):
        return ""
    labels = [""] * len(next(iter(lines.values())))
    labels[0] = f"step {order[0] + 1}"
    labels[-1] = f"{order[-1] + 1}"
    drawn = line_chart(lines, labels, span_of(lines, log=chart.log), log=chart.log)
    named = legend(list(lines)) if len(lines) > 1 else ""
    scaled = " On a logarithmic scale." if chart.log else ""
    heading, text = html.escape(chart.heading), html.escape(chart.text + scaled)
    told = f"<p>{text}</p>" if text else ""
    return f"<figure><figcaption>{heading}</figcaption>{drawn}{named}{told}</figure>"


def _is_of(name: str, begin: str) -> bool:
    """Whether a column is that of a chart, or of a part or class that it shows."""
    return name == begin or name.startswith(f"{begin}/")


def _thinned(
    ranks: NDArray[np.intp], values: Sequence[float], count: int, log: bool
) -> list[float]:
    """The values in their order, at most `POINTS`: means of those that fall together.

    NaN where there is none; what is drawn by its logarithm and is not above 0 has no place there.

    Args:
        ranks: of the values, among `count`.
    """
    points = min(POINTS, count)
    kept = np.array([value if value > 0 or not log else math.nan for value in values])
    there = np.isfinite(kept)
    places = ranks[there] * points // count
    sums = np.bincount(places, kept[there], points)
    counts = np.bincount(places, minlength=points)
    thinned: list[float] = np.where(counts > 0, sums / np.maximum(counts, 1), math.nan).tolist()
    return thinned


def _pictures(run: Path) -> list[str]:
    """The first and the last look at each picture that validates."""
    found: dict[str, list[Path]] = {}
    for path in sorted((run / "pictures").glob("*-step-*.png")):
        found.setdefault(path.name.split("-step-")[0], []).append(path)
    shown = []
    for looks in found.values():
        for path in dict.fromkeys((looks[0], looks[-1])):
            step = int(path.stem.split("-step-")[1])
            file = f"pictures/{path.name}"
            shown.append(
                f"<figure><figcaption>{html.escape(looks[0].name.split('-step-')[0])}, step {step}"
                f'</figcaption><div class="row" tabindex="0"><a href="{file}"><img src="{file}" '
                f'alt="input, output and target after step {step}"></a></div></figure>'
            )
    return shown
