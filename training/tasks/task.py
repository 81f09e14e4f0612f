"""The contract of a task: everything that differs between super-resolution, segmentation, the next.

folder → sample → task.pair → augment → net → task.loss → checkpoint → export → model folder
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric

from i2i.metrics import round_to_8_bit
from i2i.spec import ClassInfo, Kind, MapInfo

Pixels = NDArray[np.uint8]
# A picture (H, W, C) in 8 or 16 bit, or float32 with 1 as white; or a map (H, W) float32.
Values = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of the data, and where it has them its mask and its target, all of one size.

    Attributes:
        image: (H, W, 1 or 3) uint8 or uint16.
        mask: class ids, (H, W) uint8.
        target: a second picture, like `image`, or a map (H, W) float32 in its unit.
    """

    name: str
    image: Pixels
    mask: Pixels | None = None
    target: Values | None = None

    def in_colour(self) -> Sample:
        """The sample with three channels in each picture, equal ones where it is gray."""
        target = self.target
        if target is not None and target.ndim == 3:
            target = in_colour(target)
        return replace(self, image=in_colour(self.image), target=target)


class Task(ABC):
    """What a net is trained to do.

    A subclass keeps each argument of its constructor as an attribute of the same name, so that a
    checkpoint can describe it.
    """

    name: ClassVar[str]
    kind: ClassVar[Kind]
    monitor: ClassVar[str]
    mode: ClassVar[Literal["min", "max"]]
    scale: int = 1
    # Scores whose mean over pictures is stated beside the score of the whole set.
    mean_scores: tuple[str, ...] = ()
    # Input pixels cut from each side of a training pair: there, `pair` guesses how it goes on.
    border: int = 0
    loss: nn.Module

    @abstractmethod
    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Pixels, Pixels]:
        """Input (H, W, 3) and target, (scale · H, scale · W, 3) or a mask (H, W), of one sample."""

    @abstractmethod
    def net_arguments(self) -> dict[str, Any]:
        """Arguments of the net that are the task's, nested as the net: `{"head": {"scale": 2}}`."""

    @abstractmethod
    def metrics(self) -> Metric:
        """A metric on (prediction, target) that gives values by name, `monitor` among them."""

    def baseline(self, image: Pixels) -> Pixels:
        """What one would answer without a net, for an input (H, W, C): by default the input itself.

        Not asked of labels: there it is the most frequent class, which their metric knows.
        """
        return image

    def picture_scores(self, prediction: Pixels, target: Pixels) -> dict[str, float]:
        """Further scores of one picture, too slow for a validation step."""
        return {}

    @abstractmethod
    def show(self, image: Pixels, output: Pixels, target: Pixels) -> Pixels:
        """Input, output and target side by side, as one picture (H, W, 3)."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """How the scores are measured; scores of different protocols are not compared."""

    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes of a segmentation."""
        return ()

    def check_net(self, net: nn.Module) -> None:  # noqa: B027 (most tasks take any net)
        """Raises ValueError where the net does not fit the task."""

    def rounded(self, prediction: Tensor) -> Tensor:
        """The prediction as a file would hold it: a picture in steps of 1/255; labels are exact."""
        return round_to_8_bit(prediction) if self.kind == "image" else prediction

    def map_info(self) -> MapInfo | None:
        """Unit and range of a dense map."""
        return None

    def input_tensor(self, image: Tensor) -> Tensor:
        """The input as the net takes it: white is 1, and float32 stays what it is."""
        white = {torch.uint8: 255, torch.uint16: 65535}.get(image.dtype, 1)
        return image.float() / white

    def target_tensor(self, target: Tensor) -> Tensor:
        """The target as the scores take it: a picture like an input, a mask's ids, a map's unit."""
        return target.long() if self.kind == "labels" else self.input_tensor(target)

    def loss_of(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of the net's output for a target as the batch holds it."""
        loss: Tensor = self.loss(output, self.target_tensor(target))
        return loss


def in_colour(image: Any) -> Any:
    """(H, W, 1 or 3) with three channels, of the same type."""
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def side_by_side(*pictures: Pixels) -> Pixels:
    """Pictures of one size in a row, with a white gap between them."""
    gap = np.full((pictures[0].shape[0], 4, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(row[:-1], axis=1)
