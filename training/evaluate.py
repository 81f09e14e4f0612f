"""`python -m training evaluate`: a model's scores on a set of pictures, as they will be in service.

Whole pictures, through the predictor and the engine that the service uses, in 8 bit.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from i2i.image import Picture, write_bytes
from i2i.model_folder import CARD, SPEC, ModelError, ModelFolder
from i2i.predictor import Prediction, Predictor, load
from i2i.spec import Measurement
from training import degradations
from training.card import card
from training.data.cache import Load
from training.data.crops import to_tensor
from training.data.files import find_photos, pair_with_masks, pair_with_targets, read_entry
from training.pixels import Values, as_stored
from training.tasks import Sample, Task

Scores = dict[str, float]


def task_of(folder: ModelFolder) -> Task:
    """The task that the model was trained for, with the arguments that its scores depend on.

    Raises:
        ModelError: the model folder names another class than a task of `training.tasks`, or in its
            arguments another than a degradation of `training.degradations`. A model folder may come
            from anyone: all other arguments are plain data, and stay so.
    """
    try:
        description = folder.spec.provenance["config"]["task"]
        module, _, name = description["class_path"].rpartition(".")
        # The loss is an object of its own, and no score depends on it.
        arguments = {k: _argument(v) for k, v in description["init_args"].items() if k != "loss"}
        if not module.startswith("training.tasks"):
            raise ValueError(f"a class of {module}")
        task = getattr(importlib.import_module(module), name)
        if not issubclass(task, Task):
            raise ValueError(f"the class {name}")
        return task(**arguments)
    except (AttributeError, ImportError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{folder.path}: expected a task of training.tasks in its provenance, got {error}"
        ) from error


def _argument(value: Any) -> Any:
    """Plain data as they are, a degradation as the object it describes; ValueError for others."""
    if isinstance(value, list):
        return [_argument(item) for item in value]
    if not isinstance(value, dict):
        return value
    module, _, name = value["class_path"].rpartition(".")
    kind = getattr(degradations, name, None) if module == degradations.__name__ else None
    if not (inspect.isclass(kind) and issubclass(kind, degradations.Degradation)):
        raise ValueError(f"an argument of the class {value['class_path']}")
    return kind(**{key: _argument(item) for key, item in value["init_args"].items()})


def evaluate(predictor: Predictor, task: Task, samples: Iterable[Sample]) -> dict[str, Any]:
    """Scores of each picture, of the set, of the trivial answer, and the gain over it.

    Returns:
        Plain data: `scores`, `baseline`, `gain` by name, `pictures`, `protocol`, what measured it.
    """
    total, baseline = task.metrics(), task.metrics()
    pictures = []
    for index, sample in enumerate(samples):
        image, target = task.pair(sample, np.random.default_rng([0, index]))
        image = as_stored(image)
        started = time.perf_counter()
        prediction = predictor.predict(Picture(image, None))
        seconds = time.perf_counter() - started
        answer = _values(prediction)
        scored, expected = _as_scored(task, answer), _as_scored(task, target)
        one = task.metrics()
        try:
            one.update(scored, expected)
        except ValueError as error:
            raise ValueError(f"{sample.name}: cannot be scored: {error}") from error
        total.update(scored, expected)
        scores = _floats(one.compute()) | _finite(task.picture_scores(answer, target))
        pictures.append({"name": sample.name, "seconds": round(seconds, 4), "scores": scores})
        trivial = task.baseline(image)
        if trivial is not None:
            baseline.update(_as_scored(task, trivial), expected)
    if not pictures:
        raise ValueError("pictures: expected at least one to measure on, got none")
    scores = _floats(total.compute()) | _means(pictures, task.mean_scores)
    trivial_scores = _floats(task.baseline_scores(total, baseline))
    return {
        "model": predictor.spec.address,
        "engine": predictor.engine.name,
        "precision": predictor.engine.precision,
        "protocol": task.protocol(),
        "scores": scores,
        "baseline": trivial_scores,
        "gain": {n: scores[n] - trivial for n, trivial in trivial_scores.items() if n in scores},
        "pictures": pictures,
    }


def _values(prediction: Prediction) -> Values:
    """What was predicted: a picture (H, W, C), or labels or a map (H, W)."""
    if prediction.picture is not None:
        return prediction.picture.pixels
    values = prediction.labels if prediction.map is None else prediction.map
    assert values is not None
    return values


def _as_scored(task: Task, values: Values) -> torch.Tensor:
    """As the metrics take it: (1, C, H, W) in [0, 1], ids (1, H, W), or a map (1, H, W)."""
    return task.target_tensor(to_tensor(values)[None])


def _floats(scores: dict[str, torch.Tensor]) -> Scores:
    return _finite({name: float(value) for name, value in scores.items()})


def _finite(scores: Scores) -> Scores:
    """Those that are numbers: a class that is nowhere has no score, and JSON no word for that."""
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _means(pictures: Sequence[dict[str, Any]], names: Sequence[str]) -> Scores:
    """Means over pictures of scores that the set has not as such; absent ones are left out."""
    means = {}
    for name in names:
        values = [picture["scores"][name] for picture in pictures if name in picture["scores"]]
        if values:
            means[f"picture_mean/{name}"] = float(np.mean(values))
    return means


def find_samples(images: Path, masks: Path | None, targets: Path | None, task: Task) -> list[Load]:
    """What reads the pictures of a folder, and the masks or targets of the same stem."""
    if task.needs == "none":
        entries = find_photos(images)
    elif task.needs == "masks":
        entries = pair_with_masks(images, _needed(masks, task))
    else:
        entries = pair_with_targets(images, _needed(targets, task))
    return [partial(read_entry, entry, **task.read_options()) for entry in entries]


def _needed(folder: Path | None, task: Task) -> Path:
    if folder is None:
        raise ValueError(
            f"--{task.needs}: expected a folder of {task.needs} for the task {task.name}, got none"
        )
    return folder


def add_samples_arguments(parser: argparse.ArgumentParser) -> None:
    """What `find_samples` takes beside the pictures, as options of a command."""
    parser.add_argument("--masks", type=Path, help="folder of masks, for a segmentation")
    parser.add_argument(
        "--targets", type=Path, help="folder of target pictures or maps, for pairs and dense maps"
    )


def show_table(results: dict[str, Any], console: Console) -> None:
    """The scores beside the trivial answer's, and the protocol below."""
    title = f"{results['model']} on {len(results['pictures'])} pictures ({results['engine']}, "
    table = Table("score", "model", "trivial", "gain", title=title + f"{results['precision']})")
    for name, value in results["scores"].items():
        trivial, gain = results["baseline"].get(name), results["gain"].get(name)
        row = (value, trivial, gain)
        table.add_row(name, *("" if v is None else f"{v:.4f}" for v in row))
    console.print(table)
    console.print("protocol: " + "; ".join(f"{k} {v}" for k, v in results["protocol"].items()))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training evaluate",
        description="Measures a model on whole pictures, through the engine that serves it.",
    )
    parser.add_argument("--model", required=True, help="a shipped model's name, or a model folder")
    parser.add_argument(
        "--images",
        required=True,
        type=Path,
        help="folder of pictures; for super-resolution and restorations: the originals",
    )
    add_samples_arguments(parser)
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument(
        "--record",
        metavar="SET",
        help="write the scores into the model's spec and card as this set's",
    )
    parser.add_argument("--engine", choices=["openvino", "torch"], help="default: by machine")
    parser.add_argument("--precision", choices=["f32", "bf16"], help="default: f32")
    options = parser.parse_args(arguments)
    predictor = load(options.model, engine=options.engine, precision=options.precision)
    task = task_of(predictor.folder)
    loads = find_samples(options.images, options.masks, options.targets, task)
    samples = (load() for load in track(loads, "Evaluating"))
    results = evaluate(predictor, task, samples)
    show_table(results, Console())
    if options.output is not None:
        write_bytes(options.output, (json.dumps(results, indent=2) + "\n").encode())
    if options.record is not None:
        record(predictor.folder, task, options.record, results)


def record(folder: ModelFolder, task: Task, name: str, results: dict[str, Any]) -> None:
    """Adds the scores on the set `name` to the spec and the card of a model folder."""
    also = "" if task.needs == "none" else f" --{task.needs} {task.needs.upper()}"
    measured = Measurement(
        len(results["pictures"]),
        results["scores"],
        results["baseline"],
        engine=f"{results['engine']} {results['precision']}",
        command=f"python -m training evaluate --model {folder.spec.name} --images IMAGES{also}",
    )
    spec = replace(folder.spec, scores=folder.spec.scores | {name: measured})
    write_bytes(folder.path / SPEC, spec.to_json().encode())
    write_bytes(folder.path / CARD, card(spec).encode())
