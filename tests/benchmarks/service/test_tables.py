"""The page of the service shows what was measured."""

from __future__ import annotations

from benchmarks.service import tables


def test_the_tables_of_the_page_are_made_from_the_results() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert page == tables.with_tables(page), "run: python -m benchmarks.service tables"


def test_the_page_has_a_place_for_every_measurement() -> None:
    page = tables.PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- {name} -->" in page for name in tables.ROWS)
