"""What `i2i predict` outlasts, and what it leaves where a signal ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from i2i.__main__ import main
from i2i.image import Picture, encode
from i2i.predictor import Predictor
from tests.i2i.makers import noise


def photos(folder: Path, *stems: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    files = [folder / f"{stem}.png" for stem in stems]
    for file in files:
        file.write_bytes(encode(Picture(noise(3, 4, 3))))
    return [str(file) for file in files]


def call(model: Path, output: Path, *arguments: str) -> list[str]:
    return ["predict", "--model", str(model), "--output", str(output), *arguments]


def test_an_output_that_cannot_be_looked_at_does_not_stop_the_others(
    tiny_x2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = 251 * "n"  # the output's suffix has a letter more than a name may have
    files = photos(tmp_path / "in", long, "photo")
    assert main(call(tiny_x2, tmp_path / "out", *files, "--format", "tiff", "--resume")) == 1
    assert f"{long}.tiff: File name too long" in capsys.readouterr().err
    assert os.listdir(tmp_path / "out") == ["photo.tiff"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_full_disk_under_stdout_does_not_stop_the_work(
    tiny_x2: Path,
    tmp_path: Path,
    option: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = photos(tmp_path / "in", "a", "b")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(call(tiny_x2, tmp_path / "out", *files, *option)) == 1
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png"]
    assert "standard output: No space left on device" in capsys.readouterr().err


# Runs i2i, to whom a signal comes when a file is begun.
_SIGNALLED = """
import os, sys
from i2i.__main__ import main
from i2i.predictor import Predictor

true_bands = Predictor.bands
def bands(self, *arguments, **options):
    yield next(true_bands(self, *arguments, **options))
    assert [name for name in os.listdir(sys.argv[2]) if name.endswith(".part")]
    os.kill(os.getpid(), int(sys.argv[1]))

Predictor.bands = bands
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_part_of_a_file(
    tiny_x2: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (file,) = photos(tmp_path / "in", "photo")
    out = tmp_path / "out"
    command = [sys.executable, "-c", _SIGNALLED, str(int(number)), str(out)]
    run = subprocess.run([*command, *call(tiny_x2, out, file, "--json")], capture_output=True)
    assert run.returncode == 128 + number, run.stderr
    assert json.loads(run.stdout)["interrupted"] is True
    assert not os.listdir(out)


def test_a_hangup_that_nohup_ignores_ends_nothing(
    tiny_x2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = photos(tmp_path / "in", "photo")
    true_bands = Predictor.bands

    def bands(self: Predictor, picture: Picture, **options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGHUP)
        yield from true_bands(self, picture, **options)

    monkeypatch.setattr(Predictor, "bands", bands)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(call(tiny_x2, tmp_path / "out", *files)) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
