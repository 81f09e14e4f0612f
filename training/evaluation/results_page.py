"""docs/results.md: what was measured, from its files alone, beside what the literature reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.budget import run_cost_in_words
from training.evaluation.comparison import Results, read_results
from training.evaluation.cost import device_in_words
from training.evaluation.protocol import in_words

_HEAD = """# Results

Models measured as they are served: whole pictures, through the engine, in 8 bit.
Made from the files in `benchmarks/results` by `python -m training results --page`; a test compares
the two. `make results FOLDER=…` measures the shipped models again, on those sets of
`benchmarks/references.yaml` that are in FOLDER, laid out as for the
[tests on real pictures](contracts.md#folders). Models named after the pictures they were trained on
(`-t91-bsds200`, `-camvid`), or after another seed (`-seed1`), do not ship; `python -m training
results --data FOLDER --models MODEL_FOLDER --page` measures any model folder.

Scores are compared within a table only: what was measured here was measured by the protocol below
the table, and on all pictures of the set unless a row says otherwise. Below each score is its 95 %
interval by bootstrap over the pictures (percentiles of draws with replacement; of a few pictures
such an interval is too narrow). Multiply-adds count a transposed convolution at its input's
resolution. Latencies were measured on machines of two cores, on one thread unless stated otherwise,
and not on the same machine for every model.
"""

# Scores of a table's columns, those of them that were measured.
_COLUMNS = {
    "psnr": "PSNR-RGB, dB",
    "psnr_y": "PSNR-Y, dB",
    "ssim_y": "SSIM-Y",
    "mean_iou": "mean IoU",
    "mean_dice": "mean Dice",
    "accuracy": "accuracy",
    "picture_mean/boundary_f1": "boundary F1, mean of pictures",
    "picture_mean/object_f1": "object F1, mean of pictures",
    "calibration_error": "calibration error",
    "mae": "MAE",
    "rmse": "RMSE",
}
# Papers state these in Y alone, all else in RGB.
_OF_LUMA = ("super-resolution", "depixelate")
_DECIMALS = {"psnr": 2, "psnr_y": 2, "mae": 3, "rmse": 3}


def page(folder: Path, references: dict[str, Any]) -> str:
    """The page of all result files in a folder, in Markdown."""
    by_set = {name: _of_set(folder, name) for name in references["sets"]}
    titles = {name: entry["title"] for name, entry in references["sets"].items()}
    parts = [_HEAD, "\n".join(_overview(by_set, titles))]
    for name, entry in references["sets"].items():
        found = by_set[name]
        if not found and "awaits" not in entry:
            continue
        count = f"{found[0]['set']['pictures']} pictures" if found else entry["awaits"]
        note = f" {entry['note']}" if "note" in entry else ""
        parts.append(f"## {entry['title']}\n\n{count}. Source: {entry['source']}.{note}\n")
        if not found:
            parts.append("\n".join(_literature_alone(references, name)))
        for protocol in dict.fromkeys(results["protocol_digest"] for results in found):
            measured = [results for results in found if results["protocol_digest"] == protocol]
            parts.append("\n".join(_table(measured, _literature(references, name, measured[0]))))
    return "\n".join(parts)


def _of_set(folder: Path, name: str) -> list[Results]:
    files = [*folder.glob(f"*/{name}.json"), *folder.glob(f"*/{name}.unclipped.json")]
    return [read_results(path) for path in sorted(files)]


def _overview(by_set: dict[str, list[Results]], titles: dict[str, str]) -> Iterator[str]:
    """A row for each model: its main score on each set, and what a prediction costs."""
    scores: dict[str, list[str]] = {}
    costs: dict[str, list[str]] = {}
    for name, found in by_set.items():
        for results in found:
            model, score = results["model"], _columns(results)[0]
            unit = "dB" if score.startswith("psnr") else _COLUMNS[score]
            told = f"{titles[name]}{_manner(results['protocol'])}: "
            told += f"{_value(score, results['scores'][score])} {unit}"
            if score in results["gain"]:
                told += f" ({results['gain'][score]:+.{_DECIMALS.get(score, 4)}f})"
            scores.setdefault(model, []).append(told)
            cost = results["cost"]
            size = [_short(cost["parameters"]), _short(cost["multiply_adds_640x360"])]
            costs[model] = [*size, f"{cost['picture_ms']:.0f}"]
    yield "## At a glance\n"
    yield "The difference from the baseline is in brackets.\n"
    yield _row(["model", "score", "parameters", "multiply-adds, 640×360", "ms, 512×512"])
    yield "|" + "---|" * 5
    for model in sorted(scores):
        yield _row([model, "<br>".join(scores[model]), *costs[model]])
    yield ""


def _columns(results: Results) -> list[str]:
    """The scores that a table shows, the main one first."""
    names = [name for name in _COLUMNS if name in results["scores"]]
    if results["protocol"]["task"] in _OF_LUMA:
        names.remove("psnr")
    return names


def _literature(references: dict[str, Any], name: str, results: Results) -> list[dict[str, Any]]:
    for entry in references["literature"]:
        if entry["set"] == name and entry["protocol"].items() <= results["protocol"].items():
            methods: list[dict[str, Any]] = entry["methods"]
            return methods
    return []


def _literature_alone(references: dict[str, Any], name: str) -> Iterator[str]:
    """What is reported of a set that awaits to be measured."""
    methods = next(each["methods"] for each in references["literature"] if each["set"] == name)
    names = [column for column in _COLUMNS if any(column in method for method in methods)]
    yield from _head(names)
    yield from (_reported(method, names) for method in methods)
    yield ""


def _table(measured: list[Results], literature: list[dict[str, Any]]) -> Iterator[str]:
    """The results of one protocol on one set, baseline and literature included."""
    first = measured[0]
    protocol = first["protocol"]
    names = _columns(first)
    yield f"### {_title(protocol)}\n"
    yield from _head(names)
    baseline = [_value(name, first["baseline"].get(name)) for name in names]
    yield _row(["baseline", *baseline, "", "", "", "measured here"])
    yield from (_reported(method, names) for method in literature)
    for results in measured:
        scores = [_with_interval(results, name) for name in names]
        cost, trained = results["cost"], run_cost_in_words(results["trained"])
        size = [_short(cost["parameters"]), _short(cost["multiply_adds_640x360"])]
        yield _row([f"**{results['model']}**", *scores, *size, trained, "measured here"])
    yield ""
    for results in measured:
        yield from _notes(results)
    yield f"Protocol {in_words(protocol)}.\n"


def _head(names: list[str]) -> Iterator[str]:
    heads = ["model", *(_COLUMNS[name] for name in names)]
    heads += ["parameters", "multiply-adds, 640×360", "trained", "source"]
    yield _row(heads)
    yield "|" + "---|" * len(heads)


def _reported(method: dict[str, Any], names: list[str]) -> str:
    scores = [_value(name, method.get(name)) for name in names]
    size = [_short(method.get("parameters")), _short(method.get("multiply_adds"))]
    return _row([method["name"], *scores, *size, method.get("trained", ""), method["source"]])


def _title(protocol: dict[str, Any]) -> str:
    """The task, and what tells it from others of its name."""
    title = protocol["task"].capitalize()
    if protocol["scale"] > 1:
        title += f" ×{protocol['scale']}"
    return title + _manner(protocol)


def _manner(protocol: dict[str, Any]) -> str:
    """What tells a protocol from the task's plain one, to be put behind a name."""
    # What a degradation of the task's own does beyond the plain one.
    degraded = ", degraded pictures" if ", then " in protocol["degradation"] else ""
    return degraded + (f", input {protocol['input']}" if "input" in protocol else "")


def _notes(results: Results) -> Iterator[str]:
    """What it was trained on, scores of each class, and what a prediction costs."""
    cost, scores, data = results["cost"], results["scores"], results["trained"].get("data")
    if data:
        yield f"{results['model']} was trained on: {data}.\n"
    by_class = [
        f"{name.removeprefix('iou/')} {value:.4f}"
        for name, value in scores.items()
        if name.startswith("iou/")
    ]
    if by_class:
        yield f"IoU of each class by {results['model']}: {', '.join(by_class)}.\n"
    memory = "" if cost["peak_mib"] is None else f"; peak of memory {cost['peak_mib']:.0f} MiB"
    device = device_in_words(cost)
    yield (
        f"{results['model']}, {results['engine']} {results['precision']} on {device}, "
        f"median of {cost['runs']}: {cost['window_ms']:.0f} ms a window of "
        f"{cost['window_side']}×{cost['window_side']}, {cost['picture_ms']:.0f} ms a picture of "
        f"{cost['picture_side']}×{cost['picture_side']}{memory}.\n"
    )


def _with_interval(results: Results, name: str) -> str:
    value = f"**{_value(name, results['scores'].get(name))}**"
    if name not in results["intervals"]:
        return value
    low, high = (_value(name, end) for end in results["intervals"][name])
    return f"{value}<br>{low} to {high}"


def _value(name: str, value: float | None) -> str:
    return "" if value is None else f"{value:.{_DECIMALS.get(name, 4)}f}"


def _short(number: float | None) -> str:
    """In thousands (k), millions (M), and thousands and millions of these (G, T)."""
    if number is None:
        return ""
    number = float(number)
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
