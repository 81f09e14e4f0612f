"""Folders that go with their process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.own_folder import own_folder

ROOT = Path(__file__).parents[2]
KEEPS_ONE = """
import sys
from service.own_folder import own_folder

with own_folder("i2i-test-") as folder:
    (folder / "large").write_bytes(bytes(1000))
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_what_a_killed_process_has_left_is_erased_and_what_a_living_one_uses_is_not(tmp_path):
    command = [sys.executable, "-c", KEEPS_ONE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as living, subprocess.Popen(command, **pipes) as killed:
        left, used = (Path(process.stdout.readline().strip()) for process in (killed, living))
        killed.kill()
        killed.wait()
        assert left.parent == used.parent == tmp_path
        with own_folder("i2i-test-") as mine:
            assert set(tmp_path.iterdir()) == {used, mine}
            assert (used / "large").exists()
        assert list(tmp_path.iterdir()) == [used]
        living.communicate("")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_such_folder_is_left_alone(tmp_path):
    others = tmp_path / "i2i-test-others"
    others.mkdir()
    (tmp_path / "i2i-test-file").touch()
    with own_folder("i2i-test-"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"i2i-test-others", "i2i-test-file"}
