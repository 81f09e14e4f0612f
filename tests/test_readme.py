"""The commands and code of the README, the tutorial and the page of configs work as they stand."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i.__main__ import main
from i2i.image import Picture, encode, read
from i2i.model_folder import ModelFolder, shipped_models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for language, block in BLOCKS
    if not language
    for line in block.splitlines()
]
PAGES = ("README.md", "docs/tutorial.md", "docs/configs.md")
CONFIG = "training/configs/super_resolution_x2.yaml"


def training_commands() -> Iterator[tuple[str, ...]]:
    """The words behind `python -m training` in the pages: of commands, and of options in a text."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        for command in re.findall(r"python -m training (\w.*?)(?:[`>#)|]|$)", text, re.MULTILINE):
            words = shlex.split(command.replace("[", "").replace("]", ""))
            yield tuple(CONFIG if word == "CONFIG" else word for word in words)
        for options in re.findall(r"`(--\S+ .+?)`", text):
            begin = ["export", "--checkpoint=x", "--output=y"] if "--margin" in options else ["fit"]
            if "--model.task" in options:
                begin += ["--config", "training/configs/paired.yaml"]
            yield (*begin, *shlex.split(options))


TRAINING = sorted(set(training_commands()))


def test_the_python_example_doubles_a_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noise_photo: Picture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photo.jpg").write_bytes(encode(noise_photo, "jpeg"))
    (code,) = (block for language, block in BLOCKS if language == "python")

    exec(compile(code.replace("open(", "_open("), "README.md", "exec"), {"_open": _open_and_close})

    assert read(Path("large.png")).width == 2 * noise_photo.width


def test_every_config_named_is_there() -> None:
    named = re.findall(r"training/configs/\w+\.yaml", README)
    assert {"super_resolution_x2", "depixelate", "segmentation"} <= {Path(n).stem for n in named}
    for name in named:
        assert (ROOT / name).is_file() or "my_task" in name


@pytest.mark.parametrize("arguments", TRAINING, ids=" ".join)
def test_every_training_command_is_understood(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "training").symlink_to(ROOT / "training")

    assert understood(*arguments)


@pytest.mark.parametrize("command", [("fit",), ("export", "--checkpoint=x", "--output=y")])
def test_another_option_would_not_be_understood(command: tuple[str, ...]) -> None:
    assert understood(*command)
    assert not understood(*command, "--data.rot=x")


def understood(*arguments: str) -> bool:
    """Whether the command takes these options; what they name need not be there."""
    from training.cli import main as train

    # A training would begin.
    also = ["--print_config"] if arguments[0] == "fit" else []
    try:
        train([*arguments, *also])
    except SystemExit as error:
        return error.code != 2
    return True


def test_the_commands_of_every_page_are_found() -> None:
    found = {words[0] for words in TRAINING}
    assert {"fit", "export", "evaluate", "schema", "completion"} <= found
    assert len(TRAINING) > 12


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("i2i ")])
def test_every_prediction_command_works(command: str, tmp_path: Path, noise_photo: Picture) -> None:
    (tmp_path / "photo.png").write_bytes(encode(noise_photo))
    words = [str(tmp_path / "photo.png") if w == "FILES…" else w for w in shlex.split(command)]
    words = [str(tmp_path / "out") if word == "DIR" else word for word in words]

    assert main(words[1:]) == 0
    assert (tmp_path / "out" / "photo.png").is_file()


@pytest.mark.parametrize("page", ["README.md", "docs/service.md"])
def test_no_curl_command_saves_a_refusal_as_a_picture(page: str) -> None:
    commands = re.findall(r"^curl .+", (ROOT / page).read_text(), re.MULTILINE)
    assert commands
    assert all(command.startswith("curl -f ") for command in commands)


def test_every_make_target_is_there() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for named in re.findall(r"\bmake (\w+)", README):
        assert named in targets or named == "python3"


# What a figure in the table of models is, by the words of its cell.
MEASURES = {
    "PSNR-Y": ("psnr_y",),
    "PSNR of RGB": ("psnr",),
    "IoU": ("iou/nucleus", "picture_mean/iou/nucleus", "picture_mean/object_f1"),
}
# What a set is called in the model folder, where it is called otherwise.
SETS = {"DSB 2018 val": "nuclei val"}


@pytest.mark.parametrize("name", shipped_models())
def test_the_table_of_models_states_what_the_model_folders_state(name: str) -> None:
    (row,) = (line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    _, _, sets, score, baseline = (cell.strip() for cell in row.strip("|").split("|"))
    (measures,) = (names for words, names in MEASURES.items() if words in score)
    spec = ModelFolder.open(shipped_models()[name]).spec
    measured = [spec.scores[SETS.get(each, each)] for each in sets.split(" / ")]

    assert_rounded(score, [each.scores[measure] for each in measured for measure in measures])
    assert_rounded(baseline, [each.baseline[measures[0]] for each in measured])


def assert_rounded(text: str, values: list[float]) -> None:
    """The numbers in a text are these values, in this order, to the digits they are given in."""
    figures = re.findall(r"\d+\.\d+|\b0\b", text)
    assert len(figures) == len(values), text
    for figure, value in zip(figures, values, strict=True):
        rounding = 0.5 * 10.0 ** -len(figure.partition(".")[2])
        assert abs(float(figure) - value) <= 1.01 * rounding, (figure, value)


def _open_and_close(path: str, mode: str) -> object:
    """The example's `open`, without the warning about a file that Python closes by itself."""

    class Whole:
        def read(self) -> bytes:
            return Path(path).read_bytes()

        def write(self, data: bytes) -> int:
            return Path(path).write_bytes(data)

    return Whole()


@pytest.fixture
def noise_photo() -> Picture:
    import numpy as np

    return Picture(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
