"""Two results are compared where that means something, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from training import cli
from training.evaluation.comparison import (
    check_pictures,
    check_scores,
    compared,
    read_results,
    show,
    show_comparison,
    to_json,
)
from training.evaluation.evaluate import task_of
from training.evaluation.protocol import differences, digest, in_words, stamp
from training.tasks import Segmentation, SuperResolution


def test_a_stamp_names_all_that_scores_depend_on() -> None:
    protocol = stamp(SuperResolution(2), "8 flips and turns")

    assert {k: protocol[k] for k in ("crop", "border", "rounding", "ensemble", "seed")} == {
        "crop": "to a multiple of 2",
        "border": 2,
        "rounding": "8 bit",
        "ensemble": "8 flips and turns",
        "seed": 0,
    }
    assert "imresize" in protocol["degradation"]
    assert stamp(Segmentation(["a", "b"], ignore=7))["ignore"] == 7
    assert digest(protocol) == digest(json.loads(json.dumps(protocol)))
    assert digest(protocol) != digest(stamp(SuperResolution(2)))
    assert differences(stamp(SuperResolution(2)), stamp(SuperResolution(3)))[0] == "scale: 2 and 3"
    assert "crop: to a multiple of 2" in in_words(protocol)


def test_results_are_compared_with_those_of_the_same_protocol_and_pictures(
    run_of: Callable[[str], Any], capsys: pytest.CaptureFixture[str], photos: Callable[..., Path]
) -> None:
    run = run_of("super_resolution_x2")
    command = ["evaluate", "--model", str(run.model), "--no-cost"]
    cli.main([*command, *run.where, "--output", "one.json"])

    cli.main([*command, *run.where, "--output", "two.json", "--compare", "one.json"])

    said = " ".join(capsys.readouterr().out.split())
    assert "paired by picture" in said
    one, two = (json.loads(Path(name).read_text()) for name in ("one.json", "two.json"))
    assert one["protocol_digest"] == digest(one["protocol"])
    between = compared(one, two, SuperResolution(2))
    assert between["psnr_y"] == (0.0, [0.0, 0.0])
    for name, (low, high) in one["intervals"].items():
        assert low <= one["scores"][name] <= high
    picture = one["pictures"][0]
    assert picture["baseline"].keys() == picture["scores"].keys()

    with pytest.raises(SystemExit) as error:
        cli.main([*command, *run.where, "--self-ensemble", "--compare", "one.json"])
    assert "ensemble: 8 flips and turns and none (this and super-resolution-x2@" in str(error.value)
    with pytest.raises(SystemExit) as error:
        cli.main([*command, "--images", str(photos(Path("others"), 1)), "--compare", "one.json"])
    assert "expected scores on the same pictures, got 1 pictures of digest" in str(error.value)
    Path("other.json").write_text("[]")
    with pytest.raises(SystemExit) as error:
        cli.main([*command, *run.where, "--compare", "other.json"])
    assert "other.json: expected results of" in str(error.value)


def test_a_self_ensemble_is_recorded_as_one(
    run_of: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of("super_resolution_x2")
    where = ["--model", str(run.model), *run.where, "--gallery", "gallery", "--worst", "1"]

    cli.main(["evaluate", *where, "--self-ensemble", "--output", "averaged.json", "--no-cost"])

    results = json.loads(Path("averaged.json").read_text())
    assert results["protocol"] == stamp(task_of_model(run.model), "8 flips and turns")
    assert sorted(path.name for path in Path("gallery").iterdir()) == ["01.png", "index.html"]
    assert "ensemble: 8 flips and turns" in " ".join(capsys.readouterr().out.split())


def task_of_model(folder: Path) -> Any:
    from i2i.model_folder import ModelFolder

    return task_of(ModelFolder.open(folder))


def results_of(count: int, gain: float = 0.0, **fields: Any) -> dict[str, Any]:
    """What an evaluation of ×2 leaves, as far as it is compared."""
    values = np.random.default_rng(0).normal(30, 2, count) + gain
    pictures: list[dict[str, Any]] = [
        {
            "name": f"photo-{index}",
            "digest": f"{index:016x}",
            "scores": {},
            "sums": {"psnr_y": value, "ssim_y": 0.5, "psnr": value, "count": 1.0},
        }
        for index, value in enumerate(values.tolist())
    ]
    mean = sum(picture["sums"]["psnr"] for picture in pictures) / count
    return {
        "model": "x2@1",
        "engine": "openvino",
        "precision": "f32",
        "protocol": stamp(SuperResolution(2)),
        "set": {"pictures": count, "digest": "of these"},
        "scores": {"psnr_y": mean, "ssim_y": 0.5, "psnr": mean},
        "pictures": pictures,
    } | fields


def said_of(one: dict[str, Any], other: dict[str, Any]) -> str:
    said = StringIO()
    show_comparison(one, other, SuperResolution(2), Console(file=said, width=120))
    return " ".join(said.getvalue().split())


@pytest.mark.parametrize(("count", "told"), [(19, True), (20, False)])
def test_an_interval_of_few_pictures_is_told_to_be_too_narrow(count: int, told: bool) -> None:
    said = StringIO()
    results = results_of(count) | {"baseline": {}, "gain": {}, "intervals": {}}
    show(results, SuperResolution(2), Console(file=said, width=120))
    assert ("too narrow" in said.getvalue()) is told


def test_few_pictures_do_not_tell_whether_models_differ() -> None:
    few, many = (said_of(results_of(n, gain=1.0), results_of(n)) for n in (19, 20))

    assert "differs" not in few
    assert "19 pictures are too few to tell whether models differ: it takes 20" in few
    assert "│ psnr_y │ +1.0000 │ +1.0000 to +1.0000 │ differs │" in many
    assert "too few" not in many


def test_a_model_beside_itself_is_told_by_engine_and_precision() -> None:
    said = said_of(results_of(3), results_of(3, engine="torch", precision="bf16"))

    assert "x2@1 (openvino, f32) minus x2@1 (torch, bf16), paired by picture" in said
    assert "x2@1 minus x2@2, paired by picture" in said_of(
        results_of(3), results_of(3, model="x2@2")
    )


def without(results: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in results.items() if name not in names}


WHOLE = results_of(3)
SHORTER = WHOLE["pictures"][:2]
DAMAGED: dict[str, tuple[Any, str]] = {
    "no results": ([], "a file without model"),
    "no model": (without(WHOLE, "model"), "a file without model"),
    "no pictures": (without(WHOLE, "pictures"), "a file without pictures"),
    "no digest": (WHOLE | {"set": {"pictures": 3}}, "a set without digest"),
    "no sums": (
        WHOLE | {"pictures": [*SHORTER, without(WHOLE["pictures"][2], "sums")]},
        "picture 3 without sums",
    ),
    "a picture less": (WHOLE | {"pictures": SHORTER}, "2 of 3 pictures"),
    "none at all": (
        WHOLE | {"pictures": [], "set": {"pictures": 0, "digest": ""}},
        "0 of 0 pictures",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_of_results_is_named_with_what_is_amiss(case: str) -> None:
    content, words = DAMAGED[case]
    Path("damaged.json").write_text(json.dumps(content))

    with pytest.raises(
        ValueError, match=rf"damaged\.json: expected results of .*, got {words}; measure"
    ):
        read_results(Path("damaged.json"))


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        ({"psnr_y": 99.0, "ssim_y": 0.5, "psnr": 30.0, "count": 1.0}, "another psnr_y than"),
        ({"psnr_y": [1.0, 2.0], "ssim_y": 0.5, "psnr": 30.0, "count": 1.0}, "no such task's"),
        ({"psnr_y": 30.0}, "no such task's"),
        ({"psnr_y": "high", "ssim_y": 0.5, "psnr": 30.0, "count": 1.0}, "no such task's"),
    ],
)
def test_scores_that_do_not_follow_from_the_pictures_are_refused(sums: Any, words: str) -> None:
    results, path, task = results_of(3), Path("damaged.json"), SuperResolution(2)
    path.write_bytes(to_json(results))
    check_scores(path, read_results(path), task)
    results["pictures"][1]["sums"] = sums
    path.write_bytes(to_json(results))

    with pytest.raises(ValueError, match=rf"damaged\.json: expected results .*{words}.*; measure"):
        check_scores(path, read_results(path), task)


def test_the_first_picture_that_differs_is_named() -> None:
    other, earlier = (results_of(3, set={"pictures": 3, "digest": "of others"}) for _ in range(2))
    other["pictures"][1]["digest"] = "another"
    earlier["pictures"] = [without(p, "digest") for p in earlier["pictures"]]
    earlier["pictures"][2]["name"] = "horse"
    fewer = results_of(2, set={"pictures": 2, "digest": "of fewer"})

    for results, words in (
        (other, r"picture 2 is the first that differs \(photo-1\)"),
        (earlier, r"picture 3 is the first that differs \(photo-2 and horse\)"),
        (fewer, r"picture 3 is the first that differs \(photo-2 and none\)"),
    ):
        with pytest.raises(ValueError, match=rf"same pictures, got 3 pictures of .*{words}"):
            check_pictures(results_of(3), results)


def test_other_pictures_are_told_before_the_first_prediction(
    run_of: Callable[[str], Any], photos: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", "--model", str(run_of("super_resolution_x2").model), "--no-cost"]
    cli.main([*command, "--images", str(photos(Path("here"))), "--output", "here.json"])
    assert "Evaluating" in capsys.readouterr().out
    Path("here/photo-1.png").write_bytes(Path("here/photo-0.png").read_bytes())

    with pytest.raises(SystemExit, match=r"picture 2 is the first that differs \(photo-1\)"):
        cli.main([*command, "--images", "here", "--compare", "here.json"])

    assert "Evaluating" not in capsys.readouterr().out
