"""The data of a run: where the pictures are, how they are split, cropped and batched."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader

from i2i.nets import Autoencoder
from training.augment import Augmentation, Transform
from training.data.cache import Load, Samples
from training.data.crops import (
    EpochSampler,
    Pair,
    TrainingCrops,
    ValidationPictures,
    check_inputs,
)
from training.data.files import Entry, find_masked, find_pictures, read_entry
from training.tasks.segmentation import Segmentation
from training.tasks.task import Task


class ImageData(pl.LightningDataModule):
    """Training crops and validation pictures of a set of samples.

    Args:
        geometry: albumentations transforms of the original picture and its mask, the crop first.
        appearance: albumentations transforms of the input only.
        batch_size: crops in a batch.
        epoch_samples: crops in an epoch, between two validations.
        validation_longest: largest side of a validation input, in pixels.
        num_workers: processes that make batches; 0 makes them in the training process.
        cache_bytes: decoded pictures to keep in memory, in bytes.
        seed: of the crops and their augmentation.
    """

    def __init__(
        self,
        geometry: list[Transform],
        appearance: list[Transform] | None = None,
        batch_size: int = 16,
        epoch_samples: int = 4000,
        validation_longest: int = 512,
        num_workers: int = 1,
        cache_bytes: int = 4 * 2**30,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not 1 <= batch_size <= epoch_samples:
            raise ValueError(
                f"batch_size: expected 1 to epoch_samples = {epoch_samples}, got {batch_size}"
            )
        self.augmentation = Augmentation(geometry, appearance or [])
        self.batch_size, self.epoch_samples = batch_size, epoch_samples
        self.validation_longest = validation_longest
        self.num_workers, self.cache_bytes, self.seed = num_workers, cache_bytes, seed
        self.training: Samples | None = None
        self.validation: Samples | None = None
        self.provenance: dict[str, Any] = {}
        self._next = {"epoch": 0, "batch": 0}

    def where(self) -> dict[str, Any]:
        """The arguments of the constructor that say where the pictures are."""
        return {}

    def source(self) -> dict[str, Any]:
        """These data as a config writes it: enough for a checkpoint to find its validation."""
        kind = type(self)
        return {
            "class_path": f"{kind.__module__}.{kind.__qualname__}",
            "init_args": {"geometry": [], **self.where()},
        }

    def task_arguments(self) -> dict[str, Any]:
        """Arguments of the task that the data owns, such as the names of the classes."""
        return {}

    @abstractmethod
    def training_loads(self, task: Task) -> Sequence[Load]:
        """What reads each training sample; ValueError where the data does not fit the task."""

    @abstractmethod
    def validation_loads(self, task: Task) -> Sequence[Load]:
        """What reads each validation sample."""

    @property
    def task(self) -> Task:
        """The task of the module that is being trained: its `pair` makes the batches."""
        assert self.trainer is not None
        return cast(Task, self.trainer.lightning_module.task)

    def setup(self, stage: str) -> None:
        if self.validation is None:
            self.validation = Samples(self.validation_loads(self.task), self.cache_bytes)
        if stage == "fit" and self.training is None:
            self.training = Samples(self.training_loads(self.task), self.cache_bytes)
            check_masks(self.training, self.task)
            self.provenance = self._provenance(self.training)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and the batch in it, whose crops a resumed run begins with."""
        assert self.trainer is not None
        if self.trainer.is_last_batch:
            return {"epoch": self.trainer.current_epoch + 1, "batch": 0}
        done = self.trainer.fit_loop.epoch_loop.batch_idx + 1
        return {"epoch": self.trainer.current_epoch, "batch": done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._next = state_dict

    def train_dataloader(self) -> DataLoader[Pair]:
        assert self.training is not None
        assert self.trainer is not None
        crops = TrainingCrops(self.training, self.task, self.augmentation, self.seed)
        check_inputs([crops[0, index][0] for index in range(self.batch_size)], self._multiple)
        return DataLoader(
            crops,
            sampler=EpochSampler(
                self.epoch_samples,
                self._next["epoch"],
                first=self._next["batch"] * self.batch_size,
                rank=self.trainer.global_rank,
                processes=self.trainer.world_size,
            ),
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader[Pair]:
        assert self.validation is not None
        return DataLoader(
            ValidationPictures(
                self.validation, self.task, self.seed, self._multiple, self.validation_longest
            ),
            batch_size=1,
        )

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader

    @property
    def _multiple(self) -> int:
        assert self.trainer is not None
        return cast(Autoencoder, self.trainer.lightning_module.net).size_multiple

    def _provenance(self, samples: Samples) -> dict[str, Any]:
        """What the model card says of the data; the digest is of names, pixels and masks."""
        digest = hashlib.sha256()
        for index in range(len(samples)):
            sample = samples[index]
            digest.update(sample.name.encode())
            digest.update(sample.image.tobytes())
            digest.update(b"" if sample.mask is None else sample.mask.tobytes())
        return {
            "kind": type(self).__name__,
            "pictures": len(samples),
            "digest": digest.hexdigest(),
            "seed": self.seed,
        }


class Photos(ImageData):
    """Photographs: any tree of pictures.

    Args:
        root: folder of pictures. Where it holds `train` and `val`, these are the split; else every
            tenth picture, at least one, validates.
        also: further folders of pictures to train on.
    """

    def __init__(self, root: str, also: list[str] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.root, self.also = Path(root), [Path(folder) for folder in also or []]

    def where(self) -> dict[str, Any]:
        return {"root": str(self.root.absolute())}

    def training_loads(self, task: Task) -> list[Load]:
        paths = self._split()[0]
        for folder in self.also:
            paths = paths + find_pictures(folder)
        return [partial(read_entry, Entry(path)) for path in paths]

    def validation_loads(self, task: Task) -> list[Load]:
        return [partial(read_entry, Entry(path)) for path in self._split()[1]]

    def _split(self) -> tuple[list[Path], list[Path]]:
        if (self.root / "train").is_dir() and (self.root / "val").is_dir():
            return find_pictures(self.root / "train"), find_pictures(self.root / "val")
        found = find_pictures(self.root)
        if len(found) == 1:
            raise ValueError(f"{self.root}: expected at least 2 pictures, one to validate, got 1")
        return [p for i, p in enumerate(found) if i % 10], found[::10]


class Masks(ImageData):
    """Pictures with masks: `root`/{train,val}/{images,masks} by stem, and `root`/classes.txt.

    A mask is an 8-bit file of class ids. The classes of the task are those of classes.txt.
    """

    def __init__(self, root: str, **options: Any) -> None:
        super().__init__(**options)
        self.root = Path(root)

    def where(self) -> dict[str, Any]:
        return {"root": str(self.root.absolute())}

    def task_arguments(self) -> dict[str, Any]:
        path = self.root / "classes.txt"
        if not path.is_file():
            raise ValueError(f"{path}: expected the names of the classes, a line each, got no file")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected UTF-8, got {error}; save it as UTF-8") from error
        return {"class_names": [line.strip() for line in text.rstrip().splitlines()]}

    def training_loads(self, task: Task) -> list[Load]:
        return self._loads("train", task)

    def validation_loads(self, task: Task) -> list[Load]:
        return self._loads("val", task)

    def _loads(self, part: str, task: Task) -> list[Load]:
        if not isinstance(task, Segmentation):
            raise ValueError(f"task: expected Segmentation for masks, got {type(task).__name__}")
        entries = find_masked(self.root / part)
        return [partial(read_entry, entry, len(task.class_names), task.ignore) for entry in entries]


def check_masks(samples: Samples, task: Task) -> None:
    """Raises ValueError where the masks hold no class but the first: mostly 0/255, not 0/1."""
    if not isinstance(task, Segmentation):
        return
    seen: set[int] = set()
    for index in range(len(samples)):
        mask = samples[index].mask
        seen |= set() if mask is None else set(np.unique(mask).tolist())
        if seen - {0, task.ignore}:
            return
    raise ValueError(
        f"masks of {samples[0].name} and {len(samples) - 1} more: expected ids of at least two "
        f"classes, got {sorted(seen)} only, of which {task.ignore} means ignored; masks of 0 and "
        "255 must be saved as 0 and 1"
    )
