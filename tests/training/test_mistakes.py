"""A mistake in a config is told with its file, line and text."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from training import cli, lightning
from training.mistakes import located, one_line

CONFIG = """\
model:
  task: {class_path: training.tasks.SuperResolution, init_args: {scale: 2}}
  net:
    class_path: i2i.nets.Autoencoder
    init_args:
      encoder: {class_path: i2i.nets.Encoder, init_args: {widths: [4, 4], depths: [0]}}
      decoder: {class_path: i2i.nets.Decoder, init_args: {widths: [4, 4], depths: [1]}}
      head: {class_path: i2i.nets.PictureHead, init_args: {features: 4}}
data:
  class_path: training.data.Photos
  init_args: {root: photos, geometry: []}
"""


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "class_path: training.data.Photos",
            "class_path: training.data.Photo",
            ":10: data: .*'Photo'",
        ),
        (
            "root: photos",
            "roots: photos",
            r":11: data: Option 'roots' is not accepted; is root meant\? \| init_args",
        ),
        (
            "widths: [4, 4], depths: [1]",
            "widths: four",
            r":7: model\.net\.decoder\.widths: Expected",
        ),
        ("data:", "data: [", r":11: no YAML: "),
        ("model:", "model:\n  patience: long", r":2: model\.patience: .* \| patience: long"),
        ("model:", "modell: 3\nmodel:", r":1: .*'modell'.*; is model meant\? \| modell: 3"),
        ("model:", "model:\n  patiense: 3", r":2: .*; is model\.patience meant\? \| patiense: 3"),
    ],
)
def test_what_the_parser_refuses_is_found_in_the_file(right: str, wrong: str, told: str) -> None:
    Path("run.yaml").write_text(CONFIG.replace(right, wrong, 1))
    arguments = ["fit", "--config", "run.yaml"]

    with pytest.raises(Exception, match=r".") as error:
        lightning.main(arguments)

    message = located(one_line(error.value), arguments)
    assert message.startswith("run.yaml")
    assert "\n" not in message
    assert re.search(told, message)


def test_what_a_constructor_refuses_is_found_by_name_and_value() -> None:
    Path("run.yaml").write_text(CONFIG)
    message = "depths: expected one for each of the widths [4, 4], got [0]"

    assert located(message, ["fit", "--config=run.yaml"]) == (
        f"run.yaml:6: {message} | encoder: {{class_path: i2i.nets.Encoder, "
        "init_args: {widths: [4, 4], depths: [0]}}"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04\x00\x80\xff", "invalid start byte"),
        ("model: café".encode("latin-1"), "unexpected end of data"),
        (b"model: \x01", "special characters are not allowed"),
    ],
)
def test_a_file_that_is_no_text_is_no_config(content: bytes, reason: str) -> None:
    Path("last.ckpt").write_bytes(content)

    with pytest.raises(SystemExit) as error:
        cli.main(["validate", "--config", "last.ckpt"])

    told = located("any words", ["validate", "--config", "last.ckpt"])
    assert re.search(rf"last\.ckpt: expected a config, YAML in UTF-8, .*{reason}", told)
    assert told.endswith("give a checkpoint as --ckpt_path")
    assert "\n" not in told
    assert error.value.code in (2, f"validate: {told}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ValueError: one.png: expected a\nsecond line", "one.png: expected a second line"),
        ("ValueError: too: many\n  indented, as a stack", "too: many"),
        ("KeyError", "KeyError"),
    ],
)
def test_an_error_of_a_loaders_process_is_told_without_its_stack(text: str, said: str) -> None:
    stack = 'Traceback (most recent call last):\n  File "crops.py", line 1, in f\n    g(x)\n'
    between = "OSError: earlier\n\nDuring handling of the above exception, another occurred:\n\n"
    begin = "Caught ValueError in DataLoader worker process 0.\nOriginal "

    assert one_line(ValueError(begin + stack + text)) == said
    assert one_line(ValueError(begin + stack + between + stack + text)) == said


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["--model.learning_rte=1"], "is --model.learning_rate meant?"),
        (["--modle.patience", "3"], "is --model.patience meant?"),
        (["--budgt=60min"], "is --budget meant?"),
        # The class within, not the net that it is an argument of.
        (["--model.net.encoder.widhts=[3]"], "is widths meant?"),
        (["--config=denoize.yaml"], "is training/configs/denoise.yaml meant?"),
        (["--config", "depixlate.yml"], "is training/configs/depixelate.yaml meant?"),
    ],
)
def test_what_a_misspelt_option_or_config_may_mean_is_told(
    typed: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    arguments = ["fit", "--config", "training/configs/denoise.yaml", "--data.root=none", *typed]

    with pytest.raises(argparse.ArgumentError) as error:
        lightning.main(arguments)

    assert located(one_line(error.value), arguments).endswith(f"; {told}")


def test_what_was_typed_is_not_looked_for_in_the_file() -> None:
    Path("run.yaml").write_text(CONFIG)
    message = "scale: expected 2, 3 or 4, got 7"
    typed = ["fit", "--config", "run.yaml", "--model.task.init_args.scale=7"]

    assert located(message, typed) == message
    assert located(message, typed[:3]).startswith("run.yaml:2: ")


def test_a_config_of_one_section_is_meant_before_the_whole_one() -> None:
    Path("run.yaml").write_text(CONFIG)
    Path("data.yaml").write_text("class_path: training.data.Photos\ninit_args:\n  batch_size: 0\n")
    given = ["fit", "--config", "run.yaml", "--data", "data.yaml"]

    message = "batch_size: expected 1 to epoch_samples = 64, got 0"
    assert located(message, given) == f"data.yaml:3: {message} | batch_size: 0"
    # A class by its path is no file.
    assert located(message, [*given[:3], "--data=training.data.Photos"]) == message


def test_the_later_of_two_files_is_meant() -> None:
    Path("run.yaml").write_text(CONFIG)
    Path("more.yaml").write_text("model:\n\n  patience: 0\n")
    Path("other.yaml").write_text("model: {patience: 3}\n")
    files = [each for name in ("run", "other", "more") for each in ("--config", f"{name}.yaml")]

    assert located("patience: expected more, got 0", files).startswith("more.yaml:3: ")
