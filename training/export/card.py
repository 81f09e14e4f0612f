"""The model card: README.md of a model folder, written from its spec."""

from __future__ import annotations

from i2i.model_folder import shipped_models
from i2i.spec import Measurement, ModelSpec
from training.budget import run_cost_in_words
from training.tasks.scores import gain


def card(spec: ModelSpec) -> str:
    """The card in Markdown: what the model does, its data, licence, budget, protocol and scores."""
    data, budget = spec.provenance["data"], spec.provenance["budget"]
    pictures = f"{data.get('pictures', '?')} pictures, digest {data.get('digest', '')[:12]}"
    windows = f"up to {spec.window} pixels a side, margin {spec.margin} ({spec.margin_kind})"
    if spec.tiling == "whole":
        windows = f"none: pictures are taken as a whole, up to {spec.max_pixels} pixels"
    lines = [
        f"# {spec.name}",
        "",
        f"{_purpose(spec)} Version {spec.version}.",
        "",
        "```",
        f"i2i predict --model {as_option(spec)} --output DIR FILES…",
        "```",
        "",
        "| | |",
        "|---|---|",
        f"| net | {spec.net['class']}, size multiple {spec.size_multiple} |",
        f"| windows | {windows} |",
        f"| trained on | {pictures} |",
        f"| data and licence | {spec.provenance['licence']} |",
        f"| budget | {budget['steps']} steps, {run_cost_in_words(budget)} |",
        f"| protocol | {'; '.join(f'{k}: {v}' for k, v in spec.protocol.items())} |",
        "",
        "## Scores",
    ]
    if spec.temperature != 1:
        told = f"softmax at temperature {spec.temperature:g}, fitted to the validation pictures"
        lines.insert(-2, f"| confidence | {told} |")
    for name, measured in spec.scores.items():
        lines += ["", *_table(name, measured)]
    return "\n".join(lines) + "\n"


def as_option(spec: ModelSpec) -> str:
    """How a command names the model: what ships by its name, another by its path."""
    return spec.name if spec.name in shipped_models() else f"FOLDER/{spec.name}"


def _purpose(spec: ModelSpec) -> str:
    if spec.kind == "labels":
        return f"Gives each pixel a class: {', '.join(c.name for c in spec.classes)}."
    if spec.map is not None:
        span = f"{spec.map.low:g} to {spec.map.high:g} {spec.map.unit}"
        return f"Gives each pixel a number in {spec.map.unit}, trained for {span} ({spec.task})."
    size = f"of {spec.scale}× the size" if spec.scale > 1 else "of the same size"
    return f"Gives a picture {size} ({spec.task})."


def _table(name: str, measured: Measurement) -> list[str]:
    """The scores on one set, beside the trivial answer's, and how they were measured."""
    rows = [f"{name}, {measured.pictures} pictures:", ""]
    rows += ["| score | model | 95 % interval | trivial | gain |", "|---|---|---|---|---|"]
    for score, value in measured.scores.items():
        trivial = measured.baseline.get(score)
        more = "" if trivial is None else f"{gain(score, value, trivial):+.4f}"
        beside = " | |" if trivial is None else f"{trivial:.4f} | {more} |"
        ends = measured.intervals.get(score)
        between = "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}"
        rows.append(f"| {score} | {value:.4f} | {between} | {beside}")
    if measured.exported:
        engines = ", ".join(f"{engine} {v:.4f}" for engine, v in measured.exported.items())
        rows += ["", f"{measured.monitor} through each engine: {engines}."]
        rows += [f"These pictures may have chosen the checkpoint, by their {measured.monitor}."]
    if measured.command:
        rows += ["", f"Measured by `{measured.command}` on {measured.engine}"]
        rows[-1] += f", protocol {measured.protocol}." if measured.protocol else "."
    return rows
