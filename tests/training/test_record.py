"""Scores recorded in a model folder, replaced by those of the same pictures, or on demand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from i2i.model_folder import ModelFolder
from training import cli


def test_recorded_scores_stand_in_spec_and_card_of_the_same_model(
    run_of: Callable[[str], Any], tmp_path: Path
) -> None:
    run = run_of("super_resolution_x2")
    model = shutil.copytree(run.model, tmp_path / "models" / "a-model")
    before = ModelFolder.open(model).spec
    command = ["evaluate", "--model", str(model), "--images", str(run.images)]

    cli.main([*command, "--record", "Set5", "--no-cost"])

    after = ModelFolder.open(model).spec
    assert after.address == before.address.replace(before.name, after.name)
    assert set(after.scores) == {"validation", "Set5"}
    assert after.scores["validation"] == before.scores["validation"]
    assert after.scores["Set5"].pictures == 2
    card = (model / "README.md").read_text()
    assert "Set5, 2 pictures" in card
    assert f"{after.scores['Set5'].scores['psnr_y']:.4f}" in card


def test_scores_of_other_pictures_or_protocols_are_replaced_on_demand_only(
    run_of: Callable[[str], Any], photos: Callable[..., Path], tmp_path: Path
) -> None:
    run = run_of("super_resolution_x2")
    model = shutil.copytree(run.model, tmp_path / "x2")
    command = ["evaluate", "--model", str(model), "--no-cost"]
    one, two = (["--images", str(photos(tmp_path / name, n))] for n, name in ((1, "a"), (2, "b")))
    cli.main([*command, *two, "--record", "Set5"])
    cli.main([*command, *two, "--record", "Set5"])

    for changed in (one, [*two, "--self-ensemble"]):
        with pytest.raises(
            SystemExit, match=r"--record: expected Set5 .* on 2 pictures by .*, got"
        ):
            cli.main([*command, *changed, "--record", "Set5"])
    assert ModelFolder.open(model).spec.scores["Set5"].pictures == 2

    cli.main([*command, *one, "--record", "Set5", "--replace"])

    assert ModelFolder.open(model).spec.scores["Set5"].pictures == 1
    with pytest.raises(SystemExit, match="--replace: expected --record beside it, got none"):
        cli.main([*command, *one, "--replace"])
