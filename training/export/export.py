"""`python -m training export`: a checkpoint as a model folder, measured as it will be served."""

from __future__ import annotations

import argparse
import logging
import math
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rich.console import Console

from i2i.engines import open_engine
from i2i.engines.torch import TorchEngine
from i2i.image import Picture
from i2i.model_folder import CARD, SPEC, ModelError, ModelFolder
from i2i.nets import Autoencoder
from i2i.nets.description import describe
from i2i.nets.folding import fold
from i2i.nets.margin import margin
from i2i.predictor import Predictor, golden_difference
from i2i.spec import Measurement, ModelSpec
from training.checkpoint import read_checkpoint
from training.data.cache import Samples
from training.evaluation.evaluate import evaluate
from training.evaluation.sample_folders import add_samples_arguments, find_samples
from training.export.calibration import temperature
from training.export.card import card
from training.export.graph import write_graph
from training.export.margins import Margins, window_for, with_margin
from training.export.model_writing import (
    most_varied_part,
    write_golden,
    write_spec,
    write_weights,
)
from training.export.validation import validation_samples
from training.passing_bar import passing
from training.pixels import as_stored, to_8_bit
from training.tasks import Sample, Segmentation, Task

logger = logging.getLogger(__name__)

ENGINES = (("openvino", "f32"), ("openvino", "bf16"), ("torch", "f32"), ("torch", "bf16"))

# The largest difference of the monitored score between the checkpoint and an exported graph. A
# tenth of what one would call a difference: 0.01 dB, 0.001 IoU, a thousandth of a map's range.
SCORE_TOLERANCE = {
    "f32": {"image": 0.01, "labels": 0.001, "map": 0.001},
    "bf16": {"image": 0.05, "labels": 0.005, "map": 0.005},
}
# The golden sample may differ by this from one machine to the next: two roundings of a picture.
GOLDEN_TOLERANCE = {"image": 2 / 255, "labels": 0.01, "map": 0.01}
# More than this is no rounding. bfloat16 has 8 bits: steps of 1/256 near 1, summed over layers.
GOLDEN_LIMIT = {
    "f32": GOLDEN_TOLERANCE,
    "bf16": {"image": 8 / 255, "labels": 0.2, "map": 0.2},
}
GOLDEN_SIDE = 96
# Samples that a margin is measured on, how far from the exact one it may lead, and the largest
# picture that is taken as a whole.
MARGIN_SAMPLES, MARGIN_TOLERANCE, MAX_PIXELS = 4, 0.05, 4_000_000


def export(
    checkpoint: Path,
    output: Path,
    samples: Sequence[Sample],
    licence: str = "not stated",
    margins: Margins = "exact",
    margin_tolerance: float = MARGIN_TOLERANCE,
    max_pixels: int = MAX_PIXELS,
) -> ModelSpec:
    """Writes the model folder `output`, whole or not at all, replacing an earlier model there.

    Args:
        samples: validation pictures. The monitored score is measured on them through the net as it
            was trained, and through the graph on each engine and precision.
        margins, margin_tolerance, max_pixels: see `training.export.margins.with_margin`; a margin
            is measured on the first few samples.

    Raises:
        ValueError: not a checkpoint of this project, or `output` is there and is no model folder.
        ModelError: the exported graph does not score what the checkpoint scores.
    """
    _check_output(output)
    task, net, recipe = read_checkpoint(checkpoint)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary) / output.name
        folder.mkdir()
        folded = fold(net)
        write_weights(folded, folder)
        spec = _spec(output.name, task, folded, recipe, licence)
        if isinstance(task, Segmentation):
            calibrating = passing(samples, "Calibrating the confidence")
            spec = replace(spec, temperature=temperature(net, task, calibrating, len(samples)))
        graph = write_graph(folded, task.kind, spec.temperature, folder, spec.map)
        spec = replace(spec, graph=graph)
        reference = Predictor(ModelFolder(folder, spec), TorchEngine(net, spec))
        pictures = [_input(samples[i], task) for i in range(min(MARGIN_SAMPLES, len(samples)))]
        spec = with_margin(reference, pictures, margins, margin_tolerance, max_pixels, net)
        reference = Predictor(ModelFolder(folder, spec), TorchEngine(net, spec))
        write_golden(reference.predict(most_varied_part(pictures[0], GOLDEN_SIDE)), folder)
        spec = write_spec(_measured(spec, folder, reference, task, samples), folder)
        (folder / CARD).write_text(card(spec), encoding="utf-8")
        ModelFolder.open(folder)
        _replace(output, folder)
    return spec


def _replace(output: Path, folder: Path) -> None:
    """Renames `folder` to `output`, an earlier `output` out of the way, or back if that fails."""
    earlier = folder.with_name(f"{output.name}-earlier")
    if output.exists():
        output.rename(earlier)
    try:
        folder.rename(output)
    except OSError:
        if earlier.exists():
            earlier.rename(output)
        raise


def _spec(
    name: str, task: Task, net: Autoencoder, recipe: dict[str, Any], licence: str
) -> ModelSpec:
    reach = margin(net)
    return ModelSpec(
        name=name,
        kind=task.kind,
        task=task.name,
        net=describe(net),
        scale=task.scale,
        input_channels=net.encoder.input_channels,
        size_multiple=net.size_multiple,
        margin=reach,
        window=window_for(reach, net.size_multiple),
        classes=task.classes(),
        map=task.map_info(),
        protocol=task.protocol(),
        provenance={
            "config": {"task": recipe["task"], "net": recipe["net"]},
            "data": recipe["data"],
            "budget": {
                "steps": recipe["steps"],
                "core_minutes": recipe["core_minutes"],
                "minutes": recipe.get("minutes"),
                "device": recipe.get("device", "cpu"),
                "precision": recipe.get("precision"),
                "limit": recipe.get("budget"),
                "begun_with": recipe.get("begun_with"),
                "seed": recipe.get("seed"),
            },
            "licence": licence,
            "versions": {p: version(p) for p in ("torch", "pytorch-lightning", "onnx", "openvino")},
            "commit": _commit(),
        },
    )


def _input(sample: Sample, task: Task) -> Picture:
    image, _ = task.pair(sample, np.random.default_rng(0))
    return Picture(as_stored(image), None)


def _measured(
    spec: ModelSpec, folder: Path, reference: Predictor, task: Task, samples: Sequence[Sample]
) -> ModelSpec:
    """The spec with the scores of the checkpoint and every engine, and the engines' tolerances."""
    opened = ModelFolder(folder, spec)
    checkpoint = evaluate(reference, task, _told(samples, "the checkpoint"))
    if task.monitor not in checkpoint["scores"]:
        raise ValueError(f"pictures: expected some that give a {task.monitor}, got none")
    expected = checkpoint["scores"][task.monitor]
    exported: dict[str, float] = {}
    tolerance: dict[str, dict[str, float]] = {}
    for name, precision in ENGINES:
        try:
            predictor = Predictor(opened, open_engine(opened, name, precision))
            difference = _golden_difference(predictor)
            score = _score(predictor, task, _told(samples, f"{name} {precision}"), expected)
        except ModelError as error:
            if precision == "f32":
                raise
            # A processor without bf16, or a net that it does not suit: f32 remains.
            logger.warning("not offered in %s on %s: %s", precision, name, error)
            continue
        exported[f"{name} {precision}"] = score
        allowed = max(GOLDEN_TOLERANCE[task.kind], 2 * difference)
        tolerance.setdefault(name, {})[precision] = round(allowed, 6)
    validation = Measurement(
        len(samples), checkpoint["scores"], checkpoint["baseline"], task.monitor, exported
    )
    return replace(spec, scores={"validation": validation}, tolerance=tolerance)


def _told(samples: Sequence[Sample], measured: str) -> Iterable[Sample]:
    """The samples, beside a bar that says how far the measurement is."""
    return passing(samples, f"Measuring {measured}")


def _golden_difference(predictor: Predictor) -> float:
    """Difference of the golden sample to the checkpoint's; ModelError where it is no rounding."""
    picture, golden = predictor.folder.golden()
    difference = golden_difference(predictor.predict(picture), golden)
    engine, limit = predictor.engine, GOLDEN_LIMIT[predictor.engine.precision][predictor.spec.kind]
    if not difference <= limit:
        raise ModelError(
            f"export: expected the golden sample of the checkpoint on {engine.name} "
            f"{engine.precision} within {limit:.3g}, got a difference of {difference:.3g}; "
            "the graph is not what was trained"
        )
    return difference


def _score(predictor: Predictor, task: Task, samples: Iterable[Sample], expected: float) -> float:
    """The monitored score; ModelError where it is not the checkpoint's."""
    score: float = evaluate(predictor, task, samples)["scores"].get(task.monitor, math.nan)
    engine = predictor.engine
    scale = predictor.spec.map
    units = 1.0 if scale is None else scale.high - scale.low
    if not abs(score - expected) <= units * SCORE_TOLERANCE[engine.precision][task.kind]:
        raise ModelError(
            f"export: expected {task.monitor} {expected:.4f} of the checkpoint on {engine.name} "
            f"{engine.precision}, got {score:.4f}; the graph is not what was validated"
        )
    return score


class In8Bit(Sequence[Sample]):
    """Samples as `evaluate` reads them, whatever the run was trained on; each when it is used."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        sample = self._samples[index]
        target = sample.target
        if target is not None and target.ndim == 3:
            target = to_8_bit(target)
        return replace(sample, image=to_8_bit(sample.image), target=target)


def _check_output(output: Path) -> None:
    if output.exists() and not (output / SPEC).is_file():
        raise ValueError(f"{output}: expected a new folder or an earlier model, got something else")


def _commit() -> str:
    """The commit the model was exported at, where this is a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        # No git on this machine.
        return ""
    return run.stdout.strip()


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training export",
        description="Writes a checkpoint as a model folder, and measures it as it will be served.",
    )
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument(
        "--output", required=True, type=Path, help="model folder; its name is the model's"
    )
    parser.add_argument(
        "--images", type=Path, help="pictures to measure on; default: those that validated the run"
    )
    add_samples_arguments(parser)
    parser.add_argument(
        "--licence", default="not stated", help="of the training data, for the card"
    )
    parser.add_argument(
        "--margin",
        choices=get_args(Margins),
        default="exact",
        help="what a window's border is not trusted for: all that it can change (default), what it "
        "is measured to change, or no windows at all",
    )
    parser.add_argument(
        "--margin-tolerance",
        type=float,
        default=MARGIN_TOLERANCE,
        help="largest difference of output values with --margin measured (default: %(default)s)",
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        help="of a picture, with --margin whole (default: %(default)s)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    options = build_parser().parse_args(arguments)
    _check_unused(options)
    task, _, recipe = read_checkpoint(options.checkpoint)
    if options.images is None:
        samples = validation_samples(task, recipe)
    else:
        loads = find_samples(options.images, options.masks, options.targets, task)
        samples = Samples(loads)
    earlier = None
    if (options.output / SPEC).is_file():
        with suppress(ModelError):
            earlier = ModelFolder.open(options.output).spec.address
    spec = export(
        options.checkpoint,
        options.output,
        In8Bit(samples),
        options.licence,
        options.margin,
        options.margin_tolerance,
        options.max_pixels,
    )
    console = Console()
    if earlier is not None:
        console.print(f"in the place of {earlier}", highlight=False)
    cut = f"margin {spec.margin} ({spec.margin_kind}), window {spec.window}"
    whole = f"whole, up to {spec.max_pixels} pixels"
    console.print(f"{options.output}: {spec.address}, {cut if spec.tiling == 'windows' else whole}")
    validation = spec.scores["validation"]
    for engine, score in validation.exported.items():
        console.print(f"  {validation.monitor} {score:.4f} on {engine}")


def _check_unused(options: argparse.Namespace) -> None:
    """Raises ValueError where an option would not count, which its user means it to."""
    for name in ("masks", "targets"):
        if getattr(options, name) is not None and options.images is None:
            raise ValueError(f"--{name}: expected --images beside it, got none")
    for name, unchanged, needed in (
        ("max_pixels", MAX_PIXELS, "whole"),
        ("margin_tolerance", MARGIN_TOLERANCE, "measured"),
    ):
        if getattr(options, name) != unchanged and options.margin != needed:
            option = name.replace("_", "-")
            raise ValueError(f"--{option}: expected --margin {needed}, got {options.margin}")
