"""docs/ablations.md, from the results of the studies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.ablations.study import BORDER, FOLDER, ROOT
from i2i.image import write_bytes

PAGE = ROOT / "docs" / "ablations.md"
HEAD = """# Ablations

What was asked before the recipes became what they are. The runs of a table differ in one thing and
cost the same processor time; they are short, so a choice that only pays in long runs does not show.
Scores are of exported models, on pictures that no run was trained on and that chose no checkpoint
(those of segmentation validate its runs, whose last checkpoint counts). The difference from the
first row is paired by seed; below it is its 95 % interval by paired bootstrap over the pictures,
for each seed. That interval leaves out how much another seed would change: a table of one seed
ranks only what is far apart. Machines differ in their steps a minute, so tables are not compared
with each other.

`python -m benchmarks.ablations run STUDY --data FOLDER --seeds 0` runs a study again, as it stands
in `benchmarks/ablations/studies.yaml`. FOLDER holds `sr-train/bsds500-train` and `sr-train/t91` to
train on and `sr-train/bsds500-test` to measure on, all folders of pictures; studies of segmentation
need `seg/dsb2018-nuclei`, laid out as a [segmentation's folder](contracts.md#folders). The page is
made from the files in `benchmarks/results/ablations`, and a test compares the two.
"""


def write_page(studies: dict[str, Any]) -> None:
    write_bytes(PAGE, page(studies).encode())
    print(PAGE.relative_to(ROOT))


def page(studies: dict[str, Any]) -> str:
    """The page; studies without results are left out."""
    parts = [HEAD]
    for name, study in studies.items():
        path = Path(FOLDER / f"{name}.json")
        if path.exists():
            results = json.loads(path.read_text(encoding="utf-8"))
            parts.append("\n".join(_section(name, study, results)))
    return "\n".join(parts)


def _section(name: str, study: dict[str, Any], results: dict[str, Any]) -> Iterator[str]:
    yield f"## {study['asks']}\n"
    machine = f", {results.get('precision', 'bf16-mixed')} on {results['machine']['processor']}"
    yield (
        f"Study `{name}`: `{results['config']}.yaml`, {results['budget']}, "
        f"{'seeds' if len(results['seeds']) > 1 else 'seed'} "
        f"{', '.join(map(str, results['seeds']))}{machine}; "
        f"{results['measured_on']['pictures']} pictures of {results['measured_on']['images']}.\n"
    )
    # Results outlive the recipe they were got by: a file may say so.
    if "remark" in results:
        yield f"{results['remark']}\n"
    if changes := list(_changes(study, results)):
        yield f"The study has changed since: it now has {' and '.join(changes)}.\n"
    score, unit = results["score"], results["unit"]
    digits = 2 if unit == "dB" else 3
    measure = f"{score}, {unit}" if unit else score
    yield f"| | {measure} | difference | parameters | multiply-adds a pixel | steps |"
    yield "|" + "---|" * 6
    first = True
    for variant, told in results["variants"].items():
        scores = " ".join(f"{value:.{digits}f}" for value in told["scores"])
        ends = "; ".join(
            f"{low:+.{digits}f} to {high:+.{digits}f}" for low, high in told["intervals"]
        )
        mean = sum(told["differences"]) / len(told["differences"])
        difference = "" if first else f"{mean:+.{digits}f}<br>{ends}"
        steps = " ".join(map(str, told["steps"]))
        yield (
            f"| {variant} | {scores} | {difference} | {told['parameters'] / 1e3:.0f} k | "
            f"{told['multiply_adds'] / 1e3:.0f} k | {steps} |"
        )
        first = False
    yield ""
    borders = {n: t[BORDER] for n, t in results["variants"].items() if BORDER in t}
    if borders:
        yield from _borders(borders)


def _changes(study: dict[str, Any], results: dict[str, Any]) -> Iterator[str]:
    """What a study has otherwise now than when its results were measured."""
    if study["variants"] != {name: told["options"] for name, told in results["variants"].items()}:
        yield f"the variants {', '.join(study['variants'])}"
    if study["budget"] != results["budget"]:
        yield f"a budget of {study['budget']}"


def _borders(borders: dict[str, list[float]]) -> Iterator[str]:
    yield (
        "Without windows, by torch on whole pictures: PSNR-Y where the padding reaches, and "
        "inside. A served model shows the inside alone.\n"
    )
    yield "| | at the border | inside |"
    yield "|---|---|---|"
    for name, (border, inside) in borders.items():
        yield f"| {name} | {border:.2f} | {inside:.2f} |"
    yield ""
