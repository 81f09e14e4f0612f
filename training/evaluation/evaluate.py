"""`python -m training evaluate`: a model's scores on a set of pictures, as they will be in service.

Whole pictures, through the predictor and the engine that the service uses, in 8 bit.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from i2i.image import Picture, write_bytes
from i2i.metrics import reliability
from i2i.model_folder import ModelError, ModelFolder, shipped_models
from i2i.predictor import Prediction, Predictor, load
from training import degradations
from training.data.crops import to_tensor
from training.data.known import Known
from training.evaluation.bootstrap import RELIABILITY, Scores, Tally, finite, intervals
from training.evaluation.checks import find_checked, not_scored
from training.evaluation.comparison import (
    check_pictures,
    check_protocols,
    check_scores,
    read_results,
    show,
    show_comparison,
    to_json,
)
from training.evaluation.cost import cost
from training.evaluation.ensemble import Ensemble, averaged
from training.evaluation.gallery import Gallery
from training.evaluation.protocol import digest, stamp
from training.evaluation.questions import Questions
from training.evaluation.record import check_record, record
from training.evaluation.sample_folders import add_samples_arguments
from training.evaluation.unclipped import predict_unclipped
from training.passing_bar import passing
from training.pixels import Values, to_8_bit, to_float
from training.recipe import without_loss
from training.tasks import Restoration, Sample, Task
from training.tasks.scores import gain


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
        # No score depends on the loss.
        kept = without_loss(description)["init_args"]
        arguments = {name: _argument(value) for name, value in kept.items()}
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


@dataclass(frozen=True, eq=False)
class Judged:
    """A picture with what was answered and what was expected, for who wants to look at it.

    Attributes:
        image: as the model took it, (H, W, C).
        answer, target: pictures (H, W, C), labels or maps (H, W).
        scores: of this picture, by name.
    """

    name: str
    image: Values
    answer: Values
    target: Values
    scores: Scores


def evaluate(
    predictor: Predictor,
    task: Task,
    samples: Iterable[Sample],
    ensemble: Ensemble = "none",
    witness: Callable[[Judged], None] | None = None,
    unclipped: bool = False,
    spoiled_by: degradations.Degradation | None = None,
) -> dict[str, Any]:
    """Scores of each picture, of the set, of the trivial answer, and the gain over it.

    Args:
        witness: called with each picture.
        unclipped: whether the model sees a restoration's input as the degradation made it; by
            default as an 8-bit file would hold it.
        spoiled_by: what happens to each input on its way to the model; its target stays.

    Returns:
        Plain data: `scores`, `baseline`, `gain` by name; `protocol` and its digest; `set`, the
        number of pictures and the digest of what was asked and expected; `pictures`, each with its
        digest, its scores, where it has one the trivial answer's, and the sums that scores are
        computed from.
    """
    predict = _predict(predictor, ensemble, unclipped)
    questions = Questions(task, samples, unclipped, spoiled_by)
    pictures, trivials = [], []
    for question in questions:
        name, image, target = question.name, question.image, question.target
        started = time.perf_counter()
        prediction = predict(image)
        seconds = time.perf_counter() - started
        answer = _values(prediction)
        try:
            picture = _judge(task, answer, target)
        except ValueError as error:
            raise not_scored(name, task, str(error)) from error
        picture["scores"] |= finite(task.picture_scores(answer, target))
        if prediction.confidence is not None:
            picture["sums"][RELIABILITY] = _reliability(prediction, target, task)
        trivial = task.baseline(image)
        if trivial is not None:
            trivials.append(_judge(task, trivial, target))
            picture["baseline"] = _comparable(trivials[-1]["scores"], unclipped)
        told = {"name": name, "digest": question.digest, "seconds": round(seconds, 4)}
        pictures.append(told | picture)
        if witness is not None:
            witness(Judged(name, image, answer, target, picture["scores"]))
    if not pictures:
        raise ValueError("pictures: expected at least one to measure on, got none")
    tally = Tally(task, pictures)
    scores = tally.scores()
    trivial_scores = _comparable(_baseline_scores(task, tally, trivials), unclipped)
    protocol = stamp(task, ensemble, unclipped, spoiled_by)
    return {
        "model": predictor.spec.address,
        "engine": predictor.engine.name,
        "precision": predictor.engine.precision,
        "protocol": protocol,
        "protocol_digest": digest(protocol),
        "set": questions.asked()["set"],
        "scores": scores,
        "baseline": trivial_scores,
        "gain": {n: gain(n, scores[n], t) for n, t in trivial_scores.items() if n in scores},
        "pictures": pictures,
    }


def _predict(
    predictor: Predictor, ensemble: Ensemble, unclipped: bool
) -> Callable[[Values], Prediction]:
    """What answers to the pixels of a picture."""
    if not unclipped:
        predict = averaged(predictor, ensemble)
        return lambda image: predict(Picture(image))
    if ensemble != "none":
        raise ValueError(f"unclipped: expected no averaging beside it, got {ensemble}")

    def predict_values(image: Values) -> Prediction:
        answer = predict_unclipped(predictor, to_float(image))
        return Prediction.of(predictor.spec, Picture(to_8_bit(image)), {"image": answer})

    return predict_values


def _judge(task: Task, answer: Values, target: Values) -> dict[str, Any]:
    """A picture's scores, and the sums they are computed from, which add up over a set."""
    metric = task.metrics()
    metric.update(_as_scored(task, answer), _as_scored(task, target))
    scores = finite({name: float(value) for name, value in metric.compute().items()})
    sums = {name: torch.as_tensor(v).tolist() for name, v in metric.metric_state.items()}
    return {"scores": scores, "sums": sums}


def _comparable(baseline: Scores, unclipped: bool) -> Scores:
    """Without what is taken of luma: that rounds to 8 bits, which would clip the input."""
    return {"psnr": baseline["psnr"]} if unclipped and "psnr" in baseline else baseline


def _baseline_scores(task: Task, tally: Tally, trivials: list[dict[str, Any]]) -> Scores:
    baseline = Tally(task, trivials).metric() if trivials else task.metrics()
    with warnings.catch_warnings():
        # It is computed from sums, without an update.
        warnings.filterwarnings("ignore", ".*was called before the ``update`` method.*")
        scores = task.baseline_scores(tally.metric(), baseline)
    return finite({name: float(value) for name, value in scores.items()})


def _reliability(prediction: Prediction, target: Values, task: Task) -> list[list[float]]:
    parts = (prediction.confidence, prediction.labels, target)
    confidence, labels, expected = (torch.from_numpy(np.ascontiguousarray(part)) for part in parts)
    table = reliability(confidence, labels, expected, ignore=task.ignore)
    return cast(list[list[float]], table.tolist())


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


def main(arguments: Sequence[str] | None = None) -> None:
    options = build_parser().parse_args(arguments)
    predictor = load(options.model, engine=options.engine, precision=options.precision)
    task = task_of(predictor.folder)
    ensemble: Ensemble = "none"
    if options.self_ensemble:
        ensemble = "8 flips and turns"
    elif options.tta:
        ensemble = "mirrored"
    if options.unclipped and not isinstance(task, Restoration):
        raise ValueError(f"--unclipped: expected a model of restoration, got one of {task.name}")
    if options.replace and options.record is None:
        raise ValueError("--replace: expected --record beside it, got none")
    # What cannot be written or compared is told before the work.
    if options.output is not None:
        if options.output.is_dir():
            raise ValueError(f"--output: expected a file, got the folder {options.output}")
        options.output.parent.mkdir(parents=True, exist_ok=True)
    if options.gallery is not None:
        options.gallery.mkdir(parents=True, exist_ok=True)
    if options.compare is not None and not options.compare.is_file():
        raise ValueError(f"--compare: expected a file of results, got {options.compare}")
    if options.record is not None and options.model in shipped_models():
        raise ValueError(
            f"--record: expected the path of a model folder, got the shipped {options.model}; "
            "copy its folder, or name it by its path"
        )
    protocol = stamp(task, ensemble, options.unclipped)
    other = None if options.compare is None else read_results(options.compare)
    if other is not None:
        check_protocols(protocol, other)
        check_scores(options.compare, other, task)
    loads = find_checked(options.images, options.masks, options.targets, task)
    if options.record is not None and not options.replace:
        check_record(predictor.folder, options.record, len(loads), digest(protocol))
    if other is not None:
        samples = (load() for load in passing(loads, "Comparing pictures"))
        check_pictures(Questions(task, samples, options.unclipped).read(), other)
    known = Known(predictor.spec)
    watched = known.watched(load() for load in track(loads, "Evaluating"))
    gallery = Gallery(task, options.worst) if options.gallery is not None else None
    # First, for it may fail, and the evaluation may take hours.
    measured = {"cost": cost(predictor)} if options.cost else {}
    results = evaluate(predictor, task, watched, ensemble, gallery, options.unclipped)
    results |= {"intervals": intervals(Tally(task, results["pictures"]))} | measured
    results |= {"known": known.found}
    # Before anything is printed, which fails where its reader has gone.
    if options.output is not None:
        write_bytes(options.output, to_json(results))
    console = Console()
    show(results, task, console)
    if gallery is not None:
        console.print(f"gallery: {gallery.write(options.gallery, results)}")
    if options.record is not None:
        record(predictor.folder, task, options.record, results)
        console.print(f"recorded in {predictor.folder.path}")
    if other is not None:
        show_comparison(results, other, task, console)


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
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
    averaging = parser.add_mutually_exclusive_group()
    averaging.add_argument(
        "--self-ensemble",
        action="store_true",
        help="mean of the answers to 8 flips and turns of the picture; 8 times the time",
    )
    averaging.add_argument(
        "--tta",
        choices=["flip"],
        help="labels of two classes: mean probability of the picture and its mirror image",
    )
    averaging.add_argument(
        "--unclipped",
        action="store_true",
        help="a restoration's input as float32 with values outside [0, 1], as the literature's "
        "noise; by default as an 8-bit file holds it",
    )
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument(
        "--compare", type=Path, metavar="JSON", help="results of another model on these pictures"
    )
    parser.add_argument(
        "--gallery", type=Path, metavar="DIR", help="folder for a page of the worst pictures"
    )
    parser.add_argument("--worst", type=int, default=8, help="pictures in it (default: 8)")
    parser.add_argument(
        "--cost",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether latency and memory are measured, in a process of their own",
    )
    parser.add_argument(
        "--record",
        metavar="SET",
        help="write the scores into the spec and the card of the model folder, as this set's",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="let --record replace scores of more or fewer pictures, or of another protocol",
    )
    parser.add_argument(
        "--engine", choices=["openvino", "torch"], help="default: I2I_ENGINE, else by machine"
    )
    parser.add_argument(
        "--precision", choices=["f32", "bf16"], help="default: I2I_PRECISION, else f32"
    )
    return parser
