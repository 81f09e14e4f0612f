"""The config that a run kept is the one that it goes on with, unless another is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.own_config import configs_first, with_own_config


def test_a_config_that_is_named_is_the_one_that_counts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    own = ["fit", "--config", str(run / "config.yaml")]
    named = ["fit", "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    last = ["fit", f"--run={run}", "--ckpt_path", "last"]
    for arguments in (named, last):
        with pytest.raises(ValueError, match=r"expected a checkpoint, got no file .*last"):
            with_own_config(arguments)
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.ckpt").touch()
    with pytest.raises(ValueError, match=r"config: expected the run's config at .*config\.yaml"):
        with_own_config(named)
    (run / "config.yaml").touch()
    assert with_own_config(named) == [*own, *named[1:]]
    assert with_own_config(["fit", "=".join(named[1:])]) == [*own, "=".join(named[1:])]
    assert with_own_config(last) == [*own, *last[1:]]
    for other in (["--config", "other.yaml"], ["--config=other.yaml"], ["-c", "other.yaml"]):
        assert with_own_config([*named, *other]) == [*named, *other]


def test_what_the_command_line_says_counts_before_a_config_wherever_it_stands(
    tmp_path: Path,
) -> None:
    (tmp_path / "data.yaml").touch()
    data = ["--data", str(tmp_path / "data.yaml")]
    said = ["--data.root", "photos", "--data", "training.data.Photos", "--trainer.logger=false"]
    assert configs_first(
        ["fit", *said[:2], "--config", "a.yaml", *said[2:], *data, "-c=b.yaml"]
    ) == [
        *("fit", "--config", "a.yaml", *data, "-c=b.yaml"),
        *said,
    ]
    assert configs_first(["fit", "--config"]) == ["fit", "--config"]
    assert configs_first(["fit"]) == ["fit"]
