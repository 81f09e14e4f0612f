"""Tiny folders of pictures, and a run of each config that the tests share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from training import cli

CONFIGS = Path(cli.__file__).parent / "configs"

# A run of seconds: two steps an epoch, in this process, without a progress bar.
FAST = (
    "--data.batch_size=2",
    "--data.epoch_samples=4",
    "--data.num_workers=0",
    "--trainer.max_epochs=1",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
)
# For a run of every config: as many steps, of one sample each.
FASTER = ("--data.batch_size=1", "--data.epoch_samples=2")


@pytest.hookimpl(tryfirst=True)  # before the markers choose
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has all tests of exported runs: each is trained and exported once.

    It begins with them, for the others are many and small, and fill the time that is left.
    """
    items.sort(key=lambda item: not _uses_exported_run(item))
    for item in filter(_uses_exported_run, items):
        item.add_marker(pytest.mark.whole)
        item.add_marker(pytest.mark.xdist_group("exported runs"))


def _uses_exported_run(item: pytest.Item) -> bool:
    return "run_of" in getattr(item, "fixturenames", ())


@dataclass(frozen=True)
class Run:
    """What training a config left, and where exporting it puts the model."""

    checkpoint: Path
    model: Path
    images: Path
    masks: Path | None
    targets: Path | None

    @property
    def where(self) -> list[str]:
        """The pictures it validated on, as options of evaluate and export."""
        beside = [("--masks", self.masks), ("--targets", self.targets)]
        also = [word for name, path in beside if path for word in (name, str(path))]
        return ["--images", str(self.images), *also]

    @property
    def folder(self) -> Path:
        return self.checkpoint.parents[1]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in a folder of its own: `runs/` appears there."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Sums in one order: bit-equal runs are compared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("I2I_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """Maker of a picture (H, W, 3) with waves and grain, another for each seed."""

    def make(height: int = 64, width: int = 80, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width]
        waves = [np.sin(x / (5 + seed + i) + y / (9 - i)) for i in range(3)]
        grain = random.normal(0, 6, (height, width, 3))
        return (128 + 90 * np.stack(waves, -1) + grain).clip(0, 255).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def photos(picture: Callable[..., np.ndarray]) -> Callable[..., Path]:
    """Maker of a folder with `count` pictures."""

    def make(folder: Path, count: int = 2, size: tuple[int, int] = (64, 80)) -> Path:
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(picture(*size, seed=index)).save(folder / f"photo-{index}.png")
        return folder

    return make


@pytest.fixture(scope="session")
def masked(photos: Callable[..., Path]) -> Callable[[Path], Path]:
    """Maker of a folder with train and val pictures, their masks, and classes.txt."""

    def make(root: Path) -> Path:
        for part in ("train", "val"):
            photos(root / part / "images", count=2)
            (root / part / "masks").mkdir()
            for index in range(2):
                mask = np.zeros((64, 80), np.uint8)
                mask[10:40, 20 + 8 * index : 60] = 1
                Image.fromarray(mask).save(root / part / "masks" / f"photo-{index}.png")
        (root / "classes.txt").write_text("ground\nthing\n")
        return root

    return make


@pytest.fixture(scope="session")
def paired(
    photos: Callable[..., Path], picture: Callable[..., np.ndarray]
) -> Callable[[Path, str], Path]:
    """Maker of a folder with train and val pictures, and targets: pictures, or maps in float."""

    def make(root: Path, kind: str) -> Path:
        for part in ("train", "val"):
            photos(root / part / "input", count=2)
            (root / part / "target").mkdir()
            for index in range(2):
                inverted = 255 - picture(seed=index)
                target, suffix = Image.fromarray(inverted), "png"
                if kind == "map":
                    distances = inverted.mean(axis=-1, dtype=np.float32) / 25.5
                    target, suffix = Image.fromarray(distances), "tiff"
                target.save(root / part / "target" / f"photo-{index}.{suffix}")
        return root

    return make


@pytest.fixture(scope="session")
def fast() -> tuple[str, ...]:
    return FAST


@pytest.fixture(scope="session")
def configs() -> Path:
    return CONFIGS


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    photos: Callable[..., Path],
    masked: Callable[[Path], Path],
    paired: Callable[[Path, str], Path],
) -> Callable[[str], Run]:
    """Trains a config of training/configs, by its name, once for all tests."""

    @cache
    def run(name: str) -> Run:
        place = tmp_path_factory.mktemp(name.replace("_", "-"))
        config = CONFIGS / f"{name}.yaml"
        content = yaml.safe_load(config.read_text())
        kind = content["data"]["class_path"]
        images, masks, targets, data = place / "photos", None, None, []
        if kind == "training.data.Masks":
            root = masked(place / "masked")
            images, masks = root / "val" / "images", root / "val" / "masks"
            data = ["--data.root", str(root)]
        elif kind == "training.data.Pairs":
            is_map = content["model"]["task"]["class_path"] == "training.tasks.DenseMap"
            root = paired(place / "paired", "map" if is_map else "image")
            images, targets = root / "val" / "input", root / "val" / "target"
            data = ["--data.root", str(root)]
        elif kind == "training.data.EmbeddedShapes":
            shapes = masked(place / "masked")
            images, masks = shapes / "val" / "images", shapes / "val" / "masks"
            (shapes / "classes.txt").unlink()  # the shapes are of other classes
            data = ["--data.count=8"]
        else:
            photos(images)
            data = ["--data.root", str(images)] if kind == "training.data.Photos" else []
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            patch.setattr("sys.argv", ["training"])
            with warnings.catch_warnings():
                cli.main(["fit", "--config", str(config), *data, *FAST, *FASTER])
        checkpoint = next(place.glob("runs/*/checkpoints/best.ckpt"))
        return Run(checkpoint, place / "models" / name.replace("_", "-"), images, masks, targets)

    return run


@pytest.fixture(scope="session")
def run_of(trained: Callable[[str], Run]) -> Callable[[str], Run]:
    """Trains and exports a config of training/configs, by its name, once for all tests."""

    @cache
    def run(name: str) -> Run:
        run = trained(name)
        with warnings.catch_warnings():
            where = ["--checkpoint", str(run.checkpoint), "--output", str(run.model), *run.where]
            cli.main(["export", *where])
        return run

    return run
