"""The completion script, as a shell runs it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from training import cli
from training.completion import keys
from training.schema import schema


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash."""
    path: Path = tmp_path_factory.mktemp("completion") / "script.bash"
    with path.open("w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", file)
        cli.main(["completion", "bash"])
    return path


def completions(script: Path, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    line = " ".join(f'"{word}"' for word in words)
    run = subprocess.run(
        [
            "bash",
            "-c",
            f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
            'COMPREPLY=(); _i2i_training 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"',
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.split()


def test_the_commands_are_offered(script: Path) -> None:
    assert completions(script, "python", "-m", "training", "") == list(cli.COMMANDS)


def test_the_keys_of_a_config_are_offered(script: Path) -> None:
    assert completions(script, "python", "-m", "training", "fit", "--model.learn") == [
        "--model.learning_rate"
    ]
    assert "--model.net.encoder.widths" in completions(
        script, "python3", "-m", "training", "fit", "--model.net.encoder."
    )


def test_the_values_of_a_choice_are_offered(script: Path) -> None:
    offered = completions(script, "python", "-m", "training", "fit", "--model.optimizer", "")

    assert offered == ["AdamW", "Muon", "SGD", "Lion"]
    assert completions(script, "python", "-m", "training", "evaluate", "--engine", "o") == [
        "openvino"
    ]


def test_files_are_offered_where_a_file_is_meant(script: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").touch()
    words = ("python", "-m", "training", "fit", "--config", f"{tmp_path}/mi")

    assert completions(script, *words) == [f"{tmp_path}/mine.yaml"]


def test_another_program_of_python_is_left_alone(script: Path) -> None:
    assert completions(script, "python", "script.py", "--he") == []
    assert completions(script, "python", "-m", "venv", "--he") == []


def test_every_key_is_one_of_the_schema() -> None:
    found = keys(schema())

    assert {"data.root", "trainer.max_epochs", "model.task.scale", "run", "budget"} <= set(found)
    assert "stride" in found["model.net.encoder.down"]


def test_zsh_has_its_own_script(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["completion", "zsh"])

    assert capsys.readouterr().out.endswith("compdef _i2i_training python python3\n\n")
