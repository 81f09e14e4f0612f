"""The schema for editors: every config fits it, and a mistake does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from training import cli
from training.schema import schema

CONFIGS = sorted((Path(cli.__file__).parent / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_fits_the_schema(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(yaml.safe_load(path.read_text()))


def _encoder(config: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = config["model"]["net"]["init_args"]["encoder"]["init_args"]
    return arguments


MISTAKES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown section": lambda config: config.update(optimizer="AdamW"),
    "unknown key": lambda config: config["model"].update(lerning_rate=1e-3),
    "wrong type": lambda config: config["data"]["init_args"].update(batch_size="many"),
    "unknown key of a part": lambda config: _encoder(config).update(width=[1]),
    "no choice": lambda config: _encoder(config).update(stem_stride=3),
    "unknown class": lambda config: config["model"].update(optimizer="Adamm"),
    "wrong kind of class": lambda config: config["model"].update(schedule="AdamW"),
    "unknown key of the trainer": lambda config: config["trainer"].update(max_epoch=3),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_does_not_fit(
    mistake: str, validator: jsonschema.Draft202012Validator, configs: Path
) -> None:
    config = yaml.safe_load((configs / "super_resolution_x2.yaml").read_text())
    MISTAKES[mistake](config)

    assert not validator.is_valid(config)


def test_what_may_be_chosen_is_known(validator: jsonschema.Draft202012Validator) -> None:
    optimizer = {"class_path": "training.optimisers.Lion", "init_args": {"encoder_rate": 0.1}}
    validator.validate({"model": {"optimizer": optimizer, "schedule": "Plateau"}})
    validator.validate({"trainer": {"logger": False, "gradient_clip_val": 1.0}, "run": "runs/mine"})


def test_the_command_prints_it_with_what_the_docstrings_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cli.main(["schema"])

    printed = json.loads(capsys.readouterr().out)
    assert printed["properties"]["model"]["properties"]["learning_rate"] == {
        "type": "number",
        "description": "at its highest, after the warm-up.",
    }
