"""The documentation says what the code says, and its code does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts import what_exists
from training.data.files import read_class_ids

DOCS = what_exists.PAGE.parent


def test_the_page_of_what_exists_is_made_from_the_code() -> None:
    page = what_exists.PAGE.read_text(encoding="utf-8")
    assert page == what_exists.page(), "run: python -m scripts.what_exists"


def test_the_tutorials_way_from_colours_to_class_ids_gives_masks_that_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.findall(r"```python\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.DOTALL)
    colours = np.array([[(0, 0, 0), (128, 64, 128)], [(255, 255, 255), (9, 9, 9)]], np.uint8)
    monkeypatch.chdir(tmp_path)
    Path("coloured").mkdir()
    Image.fromarray(colours).save("coloured/street.png")

    exec(compile(code[0], "tutorial.md", "exec"), {})

    assert read_class_ids(Path("masks/street.png"), 3, 255).tolist() == [[0, 1], [2, 255]]
