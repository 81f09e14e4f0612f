"""The install step leaves a working environment, and a working environment alone."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.whole
def test_mending_an_environment_that_works_changes_nothing() -> None:
    site = Path(sysconfig.get_path("purelib"))
    before = {path.name: path.stat().st_mtime_ns for path in site.glob("*mend_torchvision*")}

    command = [sys.executable, str(ROOT / "scripts" / "mend_torchvision.py")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stderr) == (0, "")
    after = {path.name: path.stat().st_mtime_ns for path in site.glob("*mend_torchvision*")}
    assert after == before
