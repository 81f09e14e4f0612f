"""The documentation says what the code says."""

from __future__ import annotations

from scripts import what_exists


def test_the_page_of_what_exists_is_made_from_the_code() -> None:
    page = what_exists.PAGE.read_text(encoding="utf-8")
    assert page == what_exists.page(), "run: python -m scripts.what_exists"
