"""The studies name configs and keys that there are, and their page is made from their results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from benchmarks.ablations.__main__ import STUDIES
from benchmarks.ablations.page import PAGE, page
from benchmarks.ablations.study import CONFIGS
from training import cli

CONTENT: dict[str, Any] = yaml.safe_load(STUDIES.read_text(encoding="utf-8"))
VARIANTS = [(study, name) for study, one in CONTENT["studies"].items() for name in one["variants"]]


def test_the_page_is_made_from_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(CONTENT["studies"])


@pytest.mark.parametrize("study", CONTENT["studies"])
def test_the_first_variant_is_the_recipe_itself(study: str) -> None:
    assert next(iter(CONTENT["studies"][study]["variants"].values())) == []


@pytest.mark.slow
@pytest.mark.parametrize(("study", "variant"), VARIANTS)
def test_a_variant_can_be_run(
    study: str, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = CONTENT["studies"][study]
    setup = CONTENT["setups"][one["setup"]]
    config = CONFIGS / f"{setup['config']}.yaml"
    masks = "masks" in setup["measured_on"]
    write_set(tmp_path / "set", masks)
    fit = [f"--config={config}", f"--data.root={tmp_path / 'set'}", *one["variants"][variant]]
    cli.main(["fit", *fit, "--trainer.fast_dev_run=1", "--data.batch_size=1"])


def write_set(root: Path, masks: bool) -> None:
    for side in ("train", "val") if masks else (".",):
        for folder in ("images", "masks") if masks else ("images",):
            place = root / side / folder
            place.mkdir(parents=True)
            for name in "ab":
                picture = Image.effect_noise((360, 360), 50).convert(
                    "L" if folder == "masks" else "RGB"
                )
                picture = (
                    picture.point(lambda value: value // 128) if folder == "masks" else picture
                )
                picture.save(place / f"{name}.png")
    if masks:
        (root / "classes.txt").write_text("background\nnucleus\n")
