"""The command line as a whole: how it ends and what it loads; each command has tests of its own."""

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import i2i
from i2i.__main__ import main
from i2i.commands.parser import build_parser


def test_help_loads_neither_numpy_nor_an_engine() -> None:
    code = (
        "import sys, contextlib, i2i.__main__\n"
        "with contextlib.suppress(SystemExit): i2i.__main__.main(['predict', '--help'])\n"
        "print(sorted({'numpy', 'PIL', 'rich', 'torch', 'openvino'} & {*sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
    assert "exit status:" in run.stdout


def test_the_version_is_that_of_the_installed_library(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"i2i {version('i2i')}\n"
    assert i2i.__version__ == version("i2i")


def test_a_reader_that_leaves_early_is_no_error(tiny_labels: Path) -> None:
    command = f"{sys.executable} -m i2i inspect --json {tiny_labels} | head -c 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert run.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_under_stdout_is_told() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "i2i", "models"]
        environment = {**os.environ, "PYTHONUNBUFFERED": ""}  # found out at the end
        piped = subprocess.PIPE
        run = subprocess.run(command, stdout=full, stderr=piped, text=True, env=environment)
    assert run.stderr == "i2i: standard output: No space left on device\n"
    assert run.returncode == 1


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--background", "red", "a colour as '#ffffff'"),
        ("--max-memory", "2 potatoes", "a size as 500M or 2G"),
        ("--max-memory", "0", "a size as 500M or 2G"),
    ],
)
def test_a_value_that_makes_no_sense_is_answered_by_an_example(
    option: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--model", "m", "--output", "o", option, value, "x.png"])
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err


def test_sizes_and_colours_are_read() -> None:
    call = ["predict", "--model", "m", "--output", "o", "x.png"]
    assert build_parser().parse_args(call).max_memory == 2 << 30
    options = build_parser().parse_args([*call, "--max-memory=500MiB", "--background", "#ff8000"])
    assert options.max_memory == 500 << 20
    assert options.background == (255, 128, 0)


@pytest.mark.skipif(importlib.util.find_spec("shtab") is None, reason="shtab is not installed")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands_and_options(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "predict" in script
    assert "max-memory" in script
