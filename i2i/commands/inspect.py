"""`i2i inspect MODEL`: what a model takes, gives, weighs and scored."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.table import Table

from i2i.model_folder import ModelFolder, find_model
from i2i.spec import ModelSpec


def run(options: argparse.Namespace) -> int:
    """Prints the facts a line each, or the spec as JSON; then the layers, if asked for."""
    folder = ModelFolder.open(find_model(options.model))
    spec = folder.spec
    if options.layers and options.json:
        raise ValueError("--json: expected it without --layers, got both; the spec has no layers")
    if options.layers and find_spec("torch") is None:
        raise ValueError("--layers: expected torch to build the net, got none; pip install torch")
    if options.json:
        print(spec.to_json(), end="")
        return 0
    weights = f"{folder.weights.stat().st_size / 1e6:.1f} MB"
    for name, value in (*facts(spec), ("weights", weights), ("folder", folder.path)):
        print(_hanging(f"{name:12} ", str(value)))
    if options.layers:
        _print_layers(folder)
    return 0


def _hanging(name: str, value: str) -> str:
    """A fact, wrapped below its value on a terminal; a line for whoever reads it from a pipe."""
    if not sys.stdout.isatty():
        return name + value
    return textwrap.fill(
        value,
        shutil.get_terminal_size().columns,
        initial_indent=name,
        subsequent_indent=" " * len(name),
        break_long_words=False,
        break_on_hyphens=False,
    )


def facts(spec: ModelSpec) -> list[tuple[str, str]]:
    """What is worth knowing before a model is used, in words: names, of which some may be alike."""
    if spec.tiling == "windows":
        price = (spec.window / (spec.window - 2 * spec.margin)) ** 2
        windows = f"up to {spec.window} pixels a side, multiples of {spec.size_multiple}"
        cost = f": {price:.2f} × the work without it"
    else:
        windows = f"none: a picture as a whole, up to {spec.max_pixels:,} pixels"
        cost = ""
    told = [
        ("model", spec.address),
        ("gives", describe_output(spec)),
        ("takes", f"{'RGB' if spec.input_channels == 3 else 'gray'}, any size from 1×1"),
        ("windows", windows),
        ("margin", f"{spec.margin} pixels ({spec.margin_kind}){cost}"),
        ("net", spec.net.get("class", "none")),
        ("licence", spec.provenance.get("licence", "not stated")),
    ]
    if auxiliary := _auxiliary(spec):
        heads = ", ".join(map(str, auxiliary))
        where = f"at stages {heads} of the decoder, not in the graph"
        told.append(("trained with", f"auxiliary heads {where}"))
    if spec.tolerance:
        engines = (f"{name} {' and '.join(by)}" for name, by in spec.tolerance.items())
        told.append(("engines", ", ".join(engines)))
    for name, measured in spec.scores.items():
        scores = ", ".join(f"{k} {v:.4g}" for k, v in measured.scores.items())
        told.append((name, f"{scores} ({measured.pictures} pictures)"))
    return told


def describe_output(spec: ModelSpec) -> str:
    """What a model gives, in a few words."""
    if spec.kind == "labels":
        return f"labels: {', '.join(c.name for c in spec.classes)}"
    if spec.map is not None:
        return f"map: {spec.map.low:g} to {spec.map.high:g} {spec.map.unit} ({spec.task})"
    return f"{spec.kind} at {spec.scale}× the size ({spec.task})"


def _auxiliary(spec: ModelSpec) -> list[Any]:
    """The stages whose heads the training had beside the last, as its config says."""
    found: Any = spec.provenance
    for key in ("config", "net", "init_args", "auxiliary"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, list) else []


def _print_layers(folder: ModelFolder) -> None:
    """The anatomy of the net on one window, and the sums."""
    from i2i.nets.anatomy import anatomy
    from i2i.nets.loading import load_net

    spec = folder.spec
    layers = anatomy(load_net(folder), spec.window, spec.window)
    table = Table(
        *("layer", "kind", "output", "values", "weights", "multiply-adds", "sees"),
        title=f"of a window of {spec.window} × {spec.window}, the largest it is given",
    )
    for layer in layers:
        output = "×".join(map(str, layer.output))
        counts = (f"{count:,}" for count in (layer.units, layer.weights, layer.connections))
        sees = "×".join(map(str, layer.receptive_field))
        table.add_row(layer.name, layer.kind, output, *counts, sees)
    connections = sum(layer.connections for layer in layers)
    Console(width=120).print(table)
    print(
        f"{sum(layer.weights for layer in layers):,} weights; "
        f"{connections / spec.window**2:,.0f} multiply-adds per input pixel"
    )
