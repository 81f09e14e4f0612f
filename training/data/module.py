"""The data of a run: where the pictures are, how they are split, cropped and batched."""

from __future__ import annotations

import signal
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import cv2
import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.data import DataLoader

from i2i.engines.engine import available_cpus
from i2i.nets import Autoencoder
from i2i.nets.style import check_choice
from training.augment import Augmentation, Transform
from training.data.cache import CACHE_BYTES, Load, Samples
from training.data.checks import (
    check_geometry,
    check_masks,
    check_sizes,
    warn_of_darkness,
    warn_of_filled_masks,
    warn_of_leaks,
)
from training.data.class_weights import ClassWeights, class_weights
from training.data.crops import (
    EpochSampler,
    Pair,
    TrainingCrops,
    ValidationPictures,
    check_inputs,
    collate,
)
from training.data.known import marks
from training.passing_bar import passing
from training.pixels import Pixels
from training.seed import run_seed
from training.tasks.segmentation import Segmentation
from training.tasks.task import Task

LoadMask = Callable[[], Pixels | None]

# A crop takes 1 to 7 ms: so many feed batches of 16 in the time of a step.
_MOST_WORKERS = 8


class ImageData(pl.LightningDataModule):
    """Training crops and validation pictures of a set of samples.

    Args:
        geometry: albumentations transforms of the original picture and its mask, the crop first.
        appearance: albumentations transforms of the input only.
        batch_size: crops in a batch.
        epoch_samples: crops in an epoch, after which a run without a budget validates.
        validation_longest: largest side of a validation input, in pixels.
        num_workers: processes that make batches; 0 makes them in the training process. None: one
            beside a net that runs on processors, several beside a GPU, which is not to wait.
        prefetch: batches that each process makes ahead.
        cache_bytes: decoded pictures to keep in memory, in bytes; 0 decodes them at each use.
        seed: of the crops and their augmentation; by default the run's.
        class_weights: of the task's cross-entropy, from the pixels of the training masks.
    """

    def __init__(
        self,
        geometry: list[Transform],
        appearance: list[Transform] | None = None,
        batch_size: int = 16,
        epoch_samples: int = 4000,
        validation_longest: int = 512,
        num_workers: int | None = None,
        prefetch: int = 2,
        cache_bytes: int = CACHE_BYTES,
        seed: int | None = None,
        class_weights: ClassWeights = "none",
    ) -> None:
        super().__init__()
        if not 1 <= batch_size <= epoch_samples:
            raise ValueError(
                f"batch_size: expected 1 to epoch_samples = {epoch_samples}, got {batch_size}"
            )
        counts = {"num_workers": num_workers, "cache_bytes": cache_bytes, "seed": seed}
        for name, number in counts.items():
            if number is not None and number < 0:
                raise ValueError(f"{name}: expected at least 0, got {number}")
        if prefetch < 1:
            raise ValueError(f"prefetch: expected at least 1 batch, got {prefetch}")
        if validation_longest < 1:
            raise ValueError(f"validation_longest: expected at least 1, got {validation_longest}")
        check_choice("class_weights", class_weights, ClassWeights)
        self.augmentation = Augmentation(geometry, appearance or [])
        self.batch_size, self.epoch_samples = batch_size, epoch_samples
        self.validation_longest = validation_longest
        self.num_workers, self.prefetch = num_workers, prefetch
        self.cache_bytes, self.seed = cache_bytes, seed
        self.class_weights = class_weights
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

    def class_names(self) -> list[str] | None:
        """Names of the classes that the masks hold, in the order of their ids; None: no masks."""
        return None

    def task_arguments(self, ignore: int = 255, training: bool = True) -> dict[str, Any]:
        """Arguments of the task that the data owns, such as the names of the classes.

        Args:
            ignore: the task's: id in the masks of pixels that do not count.
            training: whether the classes' weights, which are counted, are needed.
        """
        names = self.class_names()
        if self.class_weights == "none" or not training:
            return {} if names is None else {"class_names": names}
        if names is None:
            raise ValueError(
                f"class_weights: expected none for {type(self).__name__}, which has no masks, "
                f"got {self.class_weights}"
            )
        # No trainer is there yet to ask for it.
        rank_zero_only(self.prepare_data)()
        loads = self.training_masks(Segmentation(names, ignore))
        masks = (load() for load in passing(loads, "Counting classes"))
        return {
            "class_names": names,
            "class_weights": class_weights(masks, names, self.class_weights, ignore),
        }

    @abstractmethod
    def training_loads(self, task: Task) -> Sequence[Load]:
        """What reads each training sample; ValueError where the data does not fit the task."""

    def training_masks(self, task: Task) -> Sequence[LoadMask]:
        """What reads each training mask, where that may be less than its sample."""
        return [partial(_mask_of, load) for load in self.training_loads(task)]

    @abstractmethod
    def validation_loads(self, task: Task) -> Sequence[Load]:
        """What reads each validation sample."""

    def place_of(self, index: int) -> str:
        """Where the training sample of this index is found: its name, or of a file its path."""
        assert self.training is not None
        return self.training[index].name

    @property
    def task(self) -> Task:
        """The task of the module that is being trained: its `pair` makes the batches."""
        assert self.trainer is not None
        return cast(Task, self.trainer.lightning_module.task)

    def setup(self, stage: str) -> None:
        if stage == "fit" and self.training is None:
            # First: these are used at every step, those that validate once in a while.
            self.training = self._read(self.training_loads(self.task))
            check_masks(self.training, self.task)
        if self.validation is None:
            self.validation = self._read(self.validation_loads(self.task))
            check_masks(self.validation, self.task, validating=True)
        if stage == "fit":
            assert self.training is not None
            warn_of_darkness(self.training)
            warn_of_leaks(self.training, self.validation)
            self.provenance = {
                "kind": type(self).__name__,
                "pictures": len(self.training),
                "digest": self.training.digest,
                "validation_digest": self.validation.digest,
                "seed": self._seed,
                "marks": {
                    "trained": marks(self.training.name_of),
                    "validated": marks(self.validation.name_of),
                },
            }

    def _read(self, loads: Sequence[Load]) -> Samples:
        taken = sum(each.kept_bytes for each in (self.training, self.validation) if each)
        return Samples(loads, self.cache_bytes, self.task.check_sample, taken)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and the batch in it, whose crops a resumed run begins with."""
        assert self.trainer is not None
        epoch, batch = self.trainer.current_epoch, self.trainer.fit_loop.epoch_loop.batch_idx + 1
        if self.trainer.is_last_batch:
            epoch, batch = epoch + 1, 0
        return {"epoch": epoch, "batch": batch, "batch_size": self.batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A checkpoint from earlier times does not tell.
        known = state_dict.get("batch_size", self.batch_size)
        if state_dict["batch"] > 0 and known != self.batch_size:
            raise ValueError(
                f"batch_size: expected {known} up to the end of the epoch that the checkpoint is "
                f"in, got {self.batch_size}; resume with {known}, or begin a new run with "
                "--model.initial_weights instead of --ckpt_path"
            )
        self._next = state_dict

    def train_dataloader(self) -> DataLoader[Pair]:
        assert self.training is not None
        assert self.trainer is not None
        crops = TrainingCrops(self.training, self.task, self.augmentation, self._seed)
        check_geometry(self.augmentation, self.training, self._seed, self.place_of)
        warn_of_filled_masks(self.augmentation, self.training[0], self.task, self._seed)
        check_inputs([crops[0, index][0] for index in range(self.batch_size)], self._multiple)
        device, workers = self.trainer.strategy.root_device.type, self.num_workers
        if workers is None:
            gpus = self.trainer.num_devices
            workers = 1 if device == "cpu" else workers_beside_gpu(gpus, available_cpus())
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
            collate_fn=collate,
            num_workers=workers,
            # Other ways to begin a process would copy all pictures to each.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            persistent_workers=workers > 0,
            prefetch_factor=self.prefetch if workers > 0 else None,
            pin_memory=device == "cuda",
            worker_init_fn=begin_worker,
            drop_last=True,
        )

    def val_dataloader(self) -> DataLoader[Pair]:
        assert self.validation is not None
        pictures = ValidationPictures(
            self.validation, self.task, self._multiple, self.validation_longest
        )
        # The first validation comes after an epoch, which a picture that fails it would cost.
        check_sizes(pictures, self.validation)
        return DataLoader(pictures, batch_size=1)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader

    @property
    def _seed(self) -> int:
        return run_seed() if self.seed is None else self.seed

    @property
    def _multiple(self) -> int:
        assert self.trainer is not None
        return cast(Autoencoder, self.trainer.lightning_module.net).size_multiple


def _mask_of(load: Load) -> Pixels | None:
    return load().mask


def workers_beside_gpu(gpus: int, cores: int) -> int:
    """Each GPU's part of the cores, one of which feeds it."""
    return max(1, min(_MOST_WORKERS, cores // gpus - 1))


def begin_worker(worker: int) -> None:
    """Leaves to the training process what is its own: the cores, and the answer to signals."""
    # OpenCV would begin a thread for each core. Not 1: that ends the pool of threads which a forked
    # worker has only inherited, and hangs.
    cv2.setNumThreads(0)
    # A terminal or a container tells all processes; without its batches the step that is to end
    # would not. What ends a worker that does not come to its end is a second SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.signal(number, signal.SIG_DFL))
