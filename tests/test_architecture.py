"""training → i2i ← service: two arrows, no third."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import i2i

ROOT = Path(__file__).parents[1]
PACKAGES = ("i2i", "training", "service", "benchmarks", "scripts")
MOST_LINES = 400
LIGHTNING = {"pytorch_lightning", "lightning"}

# What no file of a package may import, also inside a function.
BANNED = {
    "i2i": {"training", "service", "bentoml", "fastapi", "starlette", "albumentations", *LIGHTNING},
    "training": {"service", "bentoml", "fastapi", "starlette"},
    "service": {"training", "torch", "torchvision", "torchmetrics", "albumentations", *LIGHTNING},
}
# Of i2i, what imports torch: the engine that needs it, and what trains.
WITH_TORCH = ("engines/torch.py", "explain", "nets", "losses", "metrics")


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path, *, at_import: bool = False) -> set[str]:
    """First words of what a file imports; `at_import`: only of what runs when it is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return set(_imports(tree, at_import))


def _imports(node: ast.AST, at_import: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            assert child.level == 0, "imports name their whole path"
            yield child.module.partition(".")[0]
        elif not (at_import and _runs_later(child)):
            yield from _imports(child, at_import)


def _runs_later(node: ast.AST) -> bool:
    checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    return checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


@pytest.mark.parametrize("package", BANNED)
def test_a_package_imports_nothing_that_it_must_not_know(package: str) -> None:
    assert files(package)
    found = {
        str(path.relative_to(ROOT)): sorted(banned)
        for path in files(package)
        if (banned := imports(path) & BANNED[package])
    }
    assert found == {}


def test_the_core_of_the_library_imports_no_torch() -> None:
    core = [
        path
        for path in files("i2i")
        if not any((ROOT / "i2i" / place) in (path, *path.parents) for place in WITH_TORCH)
    ]
    assert ROOT / "i2i" / "predictor.py" in core
    with_torch = [path for path in core if "torch" in imports(path, at_import=True)]
    assert with_torch == []


def test_the_public_names_are_few_and_resolve() -> None:
    assert len(i2i.__all__) <= 15
    assert i2i.__all__ == sorted(i2i.__all__)
    for name in i2i.__all__:
        assert getattr(i2i, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'i2i' has no attribute 'nothing'"):
        _ = i2i.nothing


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_is_long(package: str) -> None:
    lengths = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for path in files(package)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_tests_hold_no_packages() -> None:
    # A tests/service/__init__.py would shadow the project's `service`.
    assert list((ROOT / "tests").rglob("__init__.py")) == []
