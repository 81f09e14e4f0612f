"""Segmentation data sets that torchvision knows: it finds them, and fetches those that are free."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets

from training.data.cache import Load
from training.data.checks import check_needs
from training.data.files import Entry
from training.data.module import ImageData
from training.data.splits import Fraction
from training.pixels import Pixels
from training.tasks.segmentation import Segmentation
from training.tasks.task import Sample, Task

# What torchvision's data sets of a picture and its mask are to us.
PicturesWithMasks = Any
IGNORE = 255
VOC_CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor"
)


class TorchvisionMasks(ImageData):
    """What these sets share.

    Args:
        root: folder in which torchvision looks for the set.
    """

    # Whether torchvision fetches the set if it is not there.
    download = False

    def __init__(self, root: str, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(root)

    def where(self) -> dict[str, Any]:
        return {"root": str(self.root.absolute())}

    @abstractmethod
    def ids(self) -> Sequence[int]:
        """The class id for each value of a mask in the set; IGNORE for values beyond."""

    @abstractmethod
    def open(self, part: str, download: bool = False) -> tuple[PicturesWithMasks, Sequence[int]]:
        """torchvision's data set, and the places in it of the pictures of `train` or `val`."""

    def prepare_data(self) -> None:
        # Lightning calls this in one process alone: several would write the same files.
        if self.download:
            self._opened("train", download=True)

    def training_loads(self, task: Task) -> list[Load]:
        return self._loads("train", task)

    def validation_loads(self, task: Task) -> list[Load]:
        return self._loads("val", task)

    def _loads(self, part: str, task: Task) -> list[Load]:
        check_needs(task, "masks")
        if isinstance(task, Segmentation) and task.ignore != IGNORE:
            raise ValueError(f"ignore: expected {IGNORE} for these masks, got {task.ignore}")
        pictures, places = self._opened(part)
        table = np.full(256, IGNORE, np.uint8)
        table[: len(self.ids())] = self.ids()
        return [partial(_read, pictures, place, table, f"{part}-{place:05d}") for place in places]

    def _opened(self, part: str, download: bool = False) -> tuple[PicturesWithMasks, Sequence[int]]:
        try:
            return self.open(part, download)
        except (RuntimeError, FileNotFoundError) as error:
            # torchvision names its own argument.
            said = str(error).replace("download=True", "--data.download true")
            raise ValueError(
                f"{self.root}: expected {type(self).__name__} as torchvision keeps it, got: {said}"
            ) from error


def _read(pictures: PicturesWithMasks, place: int, table: Pixels, name: str) -> Sample:
    image, mask = pictures[place]
    return Sample(name, np.array(image.convert("RGB")), table[np.asarray(mask, np.uint8)])


class OxfordPets(TorchvisionMasks):
    """Oxford-IIIT Pet (Parkhi et al., CVPR 2012): cats and dogs, as background, pet and border.

    A tenth of `trainval` validates; `test` is not touched.

    Args:
        root: folder that holds `oxford-iiit-pet`.
        download: whether torchvision fetches the set (800 MB) if it is not there.
    """

    def __init__(self, root: str, download: bool = False, **options: Any) -> None:
        super().__init__(root, **options)
        self.download = download

    def class_names(self) -> list[str]:
        return ["background", "pet", "border"]

    def ids(self) -> list[int]:
        # The trimaps hold 1 for the pet, 2 for the background and 3 for the border between them.
        return [IGNORE, 1, 0, 2]

    def open(self, part: str, download: bool = False) -> tuple[PicturesWithMasks, Sequence[int]]:
        pictures = datasets.OxfordIIITPet(
            self.root, "trainval", target_types="segmentation", download=download
        )
        entries = [Entry(Path(), name=f"{place}") for place in range(len(pictures))]
        validating = Fraction().validating(entries)
        return pictures, [i for i, chosen in enumerate(validating) if chosen == (part == "val")]


class PascalVOC(TorchvisionMasks):
    """PASCAL VOC 2012 segmentation (Everingham et al., IJCV 2010): 20 classes and background.

    Its parts `train` and `val`; the outlines, 255 in the masks, are ignored.

    Args:
        root: folder that holds `VOCdevkit`.
        download: whether torchvision fetches the set (2 GB) if it is not there.
    """

    def __init__(self, root: str, download: bool = False, **options: Any) -> None:
        super().__init__(root, **options)
        self.download = download

    def class_names(self) -> list[str]:
        return VOC_CLASSES.split()

    def ids(self) -> range:
        return range(len(self.class_names()))

    def open(self, part: str, download: bool = False) -> tuple[PicturesWithMasks, Sequence[int]]:
        pictures = datasets.VOCSegmentation(self.root, image_set=part, download=download)
        return pictures, range(len(pictures))


class Cityscapes(TorchvisionMasks):
    """Cityscapes (arXiv 1604.01685), finely annotated: its 19 training classes, all else ignored.

    Args:
        root: folder that holds `leftImg8bit` and `gtFine`, unpacked or as their zip files. Only
            who has an account may fetch them.
    """

    def class_names(self) -> list[str]:
        known = [c for c in datasets.Cityscapes.classes if c.train_id not in (-1, IGNORE)]
        return [c.name for c in sorted(known, key=lambda c: c.train_id)]

    def ids(self) -> list[int]:
        # A licence plate has the id -1, which no file holds.
        known = [c for c in datasets.Cityscapes.classes if c.id >= 0]
        return [c.train_id for c in sorted(known, key=lambda c: c.id)]

    def open(self, part: str, download: bool = False) -> tuple[PicturesWithMasks, Sequence[int]]:
        pictures = datasets.Cityscapes(self.root, part, "fine", target_type="semantic")
        return pictures, range(len(pictures))
