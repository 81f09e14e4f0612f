"""Two results are compared where that means something, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training import cli
from training.comparison import compared
from training.evaluate import task_of
from training.protocol import differences, digest, in_words, stamp
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
