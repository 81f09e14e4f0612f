"""The studies name configs and keys that there are, and their page is made from their results."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from benchmarks.ablations.__main__ import STUDIES
from benchmarks.ablations.page import PAGE, page
from benchmarks.ablations.study import CONFIGS
from training import cli

CONTENT: dict[str, Any] = yaml.safe_load(STUDIES.read_text(encoding="utf-8"))
VARIANTS = [(study, name) for study, one in CONTENT["studies"].items() for name in one["variants"]]


def test_the_page_is_made_from_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(CONTENT["studies"])


@pytest.mark.parametrize("study", CONTENT["studies"])
def test_the_first_variant_is_the_recipe_itself(study: str) -> None:
    assert next(iter(CONTENT["studies"][study]["variants"].values())) == []


@pytest.mark.slow
@pytest.mark.parametrize(("study", "variant"), VARIANTS)
def test_a_variant_is_a_config(
    study: str, variant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["training"])
    one = CONTENT["studies"][study]
    config = CONFIGS / f"{CONTENT['setups'][one['setup']]['config']}.yaml"
    with pytest.raises(SystemExit) as end:
        cli.main(["fit", f"--config={config}", *one["variants"][variant], "--print_config"])
    assert end.value.code in (None, 0)
    assert "class_path" in capsys.readouterr().out
