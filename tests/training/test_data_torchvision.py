"""Data sets of torchvision, as tiny stand-ins in the layout that it expects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import Cityscapes, OxfordPets, PascalVOC
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


def test_sets_with_masks_are_for_segmentation(sets: dict[str, TorchvisionMasks]) -> None:
    data = sets["PascalVOC"]

    with pytest.raises(ValueError, match=r"needs masks .*, got SuperResolution"):
        data.training_loads(SuperResolution(2))
    with pytest.raises(ValueError, match=r"ignore: expected 255 .* got 0"):
        data.training_loads(Segmentation(data.class_names(), ignore=0))


def test_a_checkpoint_finds_a_set_again(sets: dict[str, TorchvisionMasks]) -> None:
    assert sets["PascalVOC"].source()["init_args"]["root"] == str(Path("sets").absolute())
    assert "download" not in sets["PascalVOC"].source()["init_args"]
