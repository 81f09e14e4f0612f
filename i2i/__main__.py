"""`i2i`: predict pictures, list the models, look into one."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from i2i.predictor import Predictor
    from i2i.spec import ModelSpec

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0, 1 where a picture failed, 2 for a wrong call."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
    except BrokenPipeError:
        # The reader of our output has gone (`i2i models | head`); so has the place for a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_SOME_FAILED
    except (ValueError, OSError) as error:
        print(f"i2i: {error}", file=sys.stderr)
        return EXIT_USAGE
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="i2i", description="Image-to-image models: predict pictures, list models, inspect one."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    predict = commands.add_parser("predict", help="predict pictures and write them to a folder")
    predict.add_argument("--model", required=True, help="a shipped name, or a model folder")
    predict.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folder for <stem>.<suffix>"
    )
    predict.add_argument("--format", choices=["png", "jpeg", "webp", "tiff"], default="png")
    predict.add_argument(
        "--view",
        choices=["mask", "overlay", "confidence"],
        help="of a segmentation: class ids, over the picture, or how sure (default: mask)",
    )
    predict.add_argument(
        "--max-pixels",
        type=int,
        default=400_000_000,
        help="refuse larger pictures (default: %(default)s)",
    )
    predict.add_argument("--engine", choices=["openvino", "torch"], help="default: by machine")
    predict.add_argument("--precision", choices=["f32", "bf16"], help="default: f32")
    predict.add_argument("files", nargs="+", type=Path, metavar="FILES")
    predict.set_defaults(run=_predict)
    models = commands.add_parser("models", help="list the models that ship with i2i")
    models.set_defaults(run=_models)
    inspect = commands.add_parser("inspect", help="what a model takes, gives, costs and scored")
    inspect.add_argument("model", help="a shipped name, or a model folder")
    inspect.add_argument("--json", action="store_true", help="the whole spec as JSON")
    inspect.add_argument(
        "--layers", action="store_true", help="the layers of its net as a table (needs torch)"
    )
    inspect.set_defaults(run=_inspect)
    return parser


def _predict(options: argparse.Namespace) -> int:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from i2i.image import SUFFIXES, ImageError
    from i2i.predictor import load

    predictor = load(options.model, engine=options.engine, precision=options.precision)
    if options.view is not None and predictor.spec.kind != "labels":
        raise ValueError(f"--view: {predictor.spec.name} gives no labels, leave it out")
    options.output.mkdir(parents=True, exist_ok=True)
    suffix = SUFFIXES[options.format]
    targets = output_paths(options.files, options.output, suffix)
    failed = 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as bar:
        pictures = bar.add_task("pictures", total=len(targets))
        windows = bar.add_task("windows", total=1)
        for source, target in targets:
            bar.update(windows, description=source.name)
            try:
                _predict_file(predictor, source, target, options, bar, windows)
                bar.console.print(f"{source} → {target}", soft_wrap=True, highlight=False)
            except (ImageError, OSError) as error:
                failed += 1
                reason = (
                    f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else error
                )
                print(f"i2i: {reason}", file=sys.stderr)
            bar.advance(pictures)
    return EXIT_SOME_FAILED if failed else 0


def _predict_file(
    predictor: Predictor,
    source: Path,
    target: Path,
    options: argparse.Namespace,
    bar: Progress,
    task: TaskID,
) -> None:
    from i2i.image import read, write_bytes

    def progress(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    picture = read(source, max_pixels=options.max_pixels)
    prediction = predictor.predict(picture, progress=progress)
    write_bytes(target, prediction.encode(options.format, options.view))


def output_paths(files: Sequence[Path], folder: Path, suffix: str) -> list[tuple[Path, Path]]:
    """(input, output) of each file: `folder`/<stem><suffix>, or <stem>_1 where that is taken.

    An output never has the path of an input, nor that of another input's output.
    """
    taken = {file.resolve() for file in files}
    paths = []
    for file in files:
        candidates = (
            folder / f"{file.stem}{number}{suffix}"
            for number in itertools.chain([""], (f"_{i}" for i in itertools.count(1)))
        )
        target = next(path for path in candidates if path.resolve() not in taken)
        taken.add(target.resolve())
        paths.append((file, target))
    return paths


def _models(options: argparse.Namespace) -> int:
    from i2i.model_folder import ModelFolder, shipped_models

    for path in shipped_models().values():
        spec = ModelFolder.open(path).spec
        print(f"{spec.name:24} {spec.version}  {describe_output(spec)}")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from i2i.model_folder import ModelFolder, find_model

    spec = ModelFolder.open(find_model(options.model)).spec
    if options.json:
        print(json.dumps(spec.to_dict(), indent=2))
        return 0
    margin = f"{spec.margin} pixels ({spec.margin_kind})"
    if spec.tiling == "windows":
        price = (spec.window / (spec.window - 2 * spec.margin)) ** 2
        margin += f": {price:.2f} × the work without it"
    rows = {
        "model": spec.address,
        "gives": describe_output(spec),
        "takes": f"{'RGB' if spec.input_channels == 3 else 'gray'}, any size from 1×1",
        "windows": f"up to {spec.window} pixels a side, multiples of {spec.size_multiple}",
        "margin": margin,
        "net": spec.net.get("class", "none"),
        "licence": spec.provenance.get("licence", "not stated"),
    }
    for name, measured in spec.scores.items():
        scores = ", ".join(f"{k} {v:.4g}" for k, v in measured.scores.items())
        rows[name] = f"{scores} ({measured.pictures} pictures)"
    for name, value in rows.items():
        print(f"{name:12} {value}")
    if options.layers:
        _print_layers(spec)
    return 0


def _print_layers(spec: ModelSpec) -> None:
    """The anatomy of the net on one window, and the sums."""
    from rich.console import Console
    from rich.table import Table

    from i2i.nets import Autoencoder
    from i2i.nets.anatomy import anatomy
    from i2i.nets.description import build

    net = build(spec.net)
    if not isinstance(net, Autoencoder):
        raise ValueError(f"{spec.name}: expected a net of class Autoencoder, got {net}")
    layers = anatomy(net, spec.window, spec.window)
    table = Table("layer", "kind", "output", "units", "weights", "multiply-adds", "field")
    for layer in layers:
        output = "×".join(map(str, layer.output))
        counts = (f"{count:,}" for count in (layer.units, layer.weights, layer.connections))
        table.add_row(layer.name, layer.kind, output, *counts, f"{layer.receptive_field[0]}")
    connections = sum(layer.connections for layer in layers)
    Console(width=120).print(table)
    print(
        f"{sum(layer.weights for layer in layers):,} weights; "
        f"{connections / spec.window**2:,.0f} multiply-adds per input pixel"
    )


def describe_output(spec: ModelSpec) -> str:
    """What a model gives, in a few words."""
    if spec.kind == "labels":
        return f"labels: {', '.join(c.name for c in spec.classes)}"
    return f"{spec.kind} at {spec.scale}× the size ({spec.task})"


if __name__ == "__main__":
    sys.exit(main())
