"""Data sets of torchvision, as tiny stand-ins in the layout that it expects; configs of data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from PIL import Image
from torchvision import datasets

from training import cli
from training.data import Cityscapes, ImageData, OxfordPets, PascalVOC
from training.data.crops import TrainingCrops
from training.data.torchvision_sets import TorchvisionMasks
from training.tasks import Segmentation, SuperResolution


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def sets(picture: Callable[..., np.ndarray]) -> dict[str, TorchvisionMasks]:
    """A stand-in of each set, whose first mask holds every value that occurs in files."""
    root = Path("sets")
    photo = picture(16, 20)
    pets = root / "oxford-iiit-pet"
    for index in range(30):
        save(pets / f"images/cat_{index}.jpg", photo)
        save(pets / f"annotations/trimaps/cat_{index}.png", values(range(1, 4)))
    lines = [f"cat_{index} 1 1 1\n" for index in range(30)]
    (pets / "annotations/trainval.txt").write_text("".join(lines))
    voc = root / "VOCdevkit/VOC2012"
    for part in ("train", "val"):
        save(voc / f"JPEGImages/{part}.jpg", photo)
        save(voc / f"SegmentationClass/{part}.png", values([*range(21), 255]))
        (voc / "ImageSets/Segmentation").mkdir(parents=True, exist_ok=True)
        (voc / f"ImageSets/Segmentation/{part}.txt").write_text(f"{part}\n")
        save(root / f"leftImg8bit/{part}/ulm/ulm_000_leftImg8bit.png", photo)
        save(root / f"gtFine/{part}/ulm/ulm_000_gtFine_labelIds.png", values(range(34)))
    kinds = (OxfordPets, PascalVOC, Cityscapes)
    return {kind.__name__: kind(str(root), geometry=[]) for kind in kinds}


def values(numbers: range | list[int]) -> np.ndarray:
    """A mask (16, 20) that begins with these numbers, in a row."""
    return np.resize(np.array(numbers, np.uint8), (16, 20))


EXPECTED = {
    "OxfordPets": [1, 0, 2],
    "PascalVOC": [*range(21), 255],
    "Cityscapes": [
        *[255] * 7, 0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, 6, 7, 8, 9, 10, 11, 12, 13, 14,
        *[15, 255, 255, 16, 17, 18],
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_the_values_of_a_set_become_class_ids(
    name: str, sets: dict[str, TorchvisionMasks], picture: Callable[..., np.ndarray]
) -> None:
    data = sets[name]
    task = Segmentation(**data.task_arguments())

    sample = data.training_loads(task)[0]()

    assert sample.mask is not None
    assert sample.mask.ravel()[: len(EXPECTED[name])].tolist() == EXPECTED[name]
    assert set(np.unique(sample.mask)) - {255} == set(range(len(task.class_names)))
    assert sample.image.shape == (16, 20, 3)
    assert np.abs(sample.image.astype(int) - picture(16, 20)).mean() < 20


@pytest.mark.parametrize("name", EXPECTED)
def test_no_picture_of_a_set_trains_and_validates(
    name: str, sets: dict[str, TorchvisionMasks]
) -> None:
    data = sets[name]
    task = Segmentation(data.class_names())

    training, validation = data.training_loads(task), data.validation_loads(task)

    names = {load().name for load in training} & {load().name for load in validation}
    assert training
    assert validation
    assert not names
    if name == "OxfordPets":
        assert len(training) + len(validation) == 30


@pytest.mark.parametrize("kind", [OxfordPets, PascalVOC, Cityscapes])
def test_a_set_that_is_not_there_is_named(kind: type[TorchvisionMasks]) -> None:
    data = kind("nowhere", geometry=[])

    with pytest.raises(ValueError, match=f"nowhere: expected {kind.__name__} as torchvision keeps"):
        data.training_loads(Segmentation(data.class_names()))


def test_a_set_is_fetched_by_one_process_before_all_open_it(
    sets: dict[str, TorchvisionMasks], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[bool] = []

    class Fetched(datasets.VOCSegmentation):
        def __init__(self, root: Path, image_set: str, download: bool) -> None:
            fetched.append(download)
            super().__init__(root, image_set=image_set)

    monkeypatch.setattr(datasets, "VOCSegmentation", Fetched)
    data = PascalVOC("sets", download=True, geometry=[], class_weights="inverse")
    data.prepare_data()
    data.training_loads(Segmentation(data.class_names()))
    assert fetched == [True, False]

    # Weights are counted before a trainer is there.
    data.task_arguments()
    assert fetched == [True, False, True, False]
    sets["PascalVOC"].prepare_data()
    assert len(fetched) == 4


@pytest.mark.parametrize("kind", [OxfordPets, PascalVOC])
def test_a_set_that_is_missing_is_told_how_to_fetch_it(
    kind: type[OxfordPets] | type[PascalVOC],
) -> None:
    data = kind("nowhere", geometry=[])

    with pytest.raises(ValueError, match=r"You can use --data.download true to download it"):
        data.training_loads(Segmentation(data.class_names()))


def test_sets_with_masks_are_for_segmentation(sets: dict[str, TorchvisionMasks]) -> None:
    data = sets["PascalVOC"]

    with pytest.raises(ValueError, match=r"needs masks .*, got SuperResolution"):
        data.training_loads(SuperResolution(2))
    with pytest.raises(ValueError, match=r"ignore: expected 255 .* got 0"):
        data.training_loads(Segmentation(data.class_names(), ignore=0))


def test_a_checkpoint_finds_a_set_again(sets: dict[str, TorchvisionMasks]) -> None:
    assert sets["PascalVOC"].source()["init_args"]["root"] == str(Path("sets").absolute())
    assert "download" not in sets["PascalVOC"].source()["init_args"]


CONFIGS = sorted((Path(cli.__file__).parent / "configs" / "data").glob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_of_data_gives_crops_for_a_segmentation(
    config: Path, sets: dict[str, TorchvisionMasks], masked: Callable[[Path], Path]
) -> None:
    root = masked(Path("set"))
    rows = [
        f"{part}/images/photo-{i}.png,{part}/masks/photo-{i}.png,{part}{i}"
        for i in (0, 1)
        for part in ("train", "val")
    ]
    (root / "list.csv").write_text("\n".join(["image,mask,group", *rows]))
    where = "path=set/list.csv" if config.stem == "listed" else "root=sets"
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(ImageData, "data")
    given = parser.parse_args([f"--data={config}", f"--data.{where}"])
    data: ImageData = parser.instantiate_classes(given).data

    task = Segmentation(**data.task_arguments())
    samples = [load() for load in data.training_loads(task)]
    image, mask = TrainingCrops(samples, task, data.augmentation, seed=0)[0, 0]

    assert config.read_text().startswith("# ")
    assert image.shape[1:] == mask.shape
    assert min(mask.shape) >= 256
    assert len(data.validation_loads(task)) >= 1


def test_the_weights_of_the_classes_are_kept_in_the_checkpoint_and_not_in_the_config(
    masked: Callable[[Path], Path], fast: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = masked(Path("set"))
    monkeypatch.setattr("sys.argv", ["training"])
    config = CONFIGS[0].parents[1] / "demo_segmentation.yaml"
    data = ["--data=Masks", f"--data.root={root}", "--data.class_weights=inverse"]
    crop = "{class_path: training.augment.Crop, init_args: {height: 32, width: 32}}"

    cli.main(["fit", f"--config={config}", *data, f"--data.geometry=[{crop}]", *fast])

    (run,) = Path("runs").iterdir()
    kept = yaml.safe_load((run / "config.yaml").read_text())
    # The next run that begins with this config counts its own pixels.
    assert "class_weights" not in kept["model"]["task"]["init_args"]
    assert kept["data"]["init_args"]["class_weights"] == "inverse"
    recipe = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["recipe"]
    assert recipe["task"]["init_args"]["class_weights"] == pytest.approx(
        [2 * 2160 / 10240, 2 * (1 - 2160 / 10240)], abs=1e-4
    )
