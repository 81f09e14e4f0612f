"""The README's commands and code work as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from i2i.__main__ import main
from i2i.image import Picture, encode, read
from i2i.model_folder import shipped_models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for language, block in BLOCKS
    if not language
    for line in block.splitlines()
]
TRAINING = [c for c in COMMANDS if "python -m training " in c]


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


@pytest.mark.parametrize("command", TRAINING)
def test_every_training_command_knows_its_options(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.cli import main as train

    arguments = shlex.split(command.split("python -m training ")[1])
    with pytest.raises(SystemExit):
        train([arguments[0], "--help"])
    told = capsys.readouterr().out
    for option in re.findall(r"--[a-z]+", command.split("python -m training ")[1]):
        assert option in told


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("i2i ")])
def test_every_prediction_command_works(command: str, tmp_path: Path, noise_photo: Picture) -> None:
    (tmp_path / "photo.png").write_bytes(encode(noise_photo))
    words = [str(tmp_path / "photo.png") if w == "FILES…" else w for w in shlex.split(command)]
    words = [str(tmp_path / "out") if word == "DIR" else word for word in words]

    assert main(words[1:]) == 0
    assert (tmp_path / "out" / "photo.png").is_file()


def test_every_make_target_is_there() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for named in re.findall(r"\bmake (\w+)", README):
        assert named in targets or named == "python3"


def test_the_table_of_models_states_what_the_cards_state() -> None:
    for name, folder in shipped_models().items():
        (row,) = (line for line in README.splitlines() if line.startswith(f"| `{name}`"))
        card = (folder / "README.md").read_text()
        stated = [float(figure) for figure in re.findall(r"\d+\.\d{4}", card)]
        for figure in re.findall(r"\d+\.\d\d+", row):
            rounding = 0.5 * 10.0 ** -len(figure.partition(".")[2])
            assert min(abs(float(figure) - value) for value in stated) <= 1.01 * rounding, figure


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
