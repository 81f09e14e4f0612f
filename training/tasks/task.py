"""The contract of a task: everything that differs between super-resolution, segmentation, the next.

folder → sample → task.pair → augment → net → task.loss → checkpoint → export → model folder
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor, nn
from torchmetrics import Metric

from i2i.losses.pictures import brightness
from i2i.metrics import round_to_8_bit
from i2i.spec import ClassInfo, Kind, MapInfo
from training.pixels import Pixels, Values, float_tensor, in_colour, to_8_bit


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture of the data, and where it has them its mask and its target, all of one size.

    Attributes:
        image: (H, W, 1 or 3) uint8 or uint16.
        mask: class ids, (H, W) uint8.
        target: a second picture, like `image`, or a map (H, W) float32 in its unit.
    """

    name: str
    image: Values
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
    # What a sample has beside its picture.
    needs: ClassVar[Literal["none", "masks", "targets"]] = "none"
    monitor: ClassVar[str]
    mode: ClassVar[Literal["min", "max"]]
    scale: int = 1
    # Scores whose mean over pictures is stated beside the score of the whole set.
    mean_scores: tuple[str, ...] = ()
    # Id in a mask of pixels that do not count.
    ignore: int = 255
    # Input pixels cut from each side of a training pair: there, `pair` guesses how it goes on.
    border: int = 0
    loss: nn.Module

    @abstractmethod
    def pair(self, sample: Sample, random: np.random.Generator) -> tuple[Values, Values]:
        """Input and target of one sample.

        The input is (H, W, C), the target (scale · H, scale · W, C), a mask or a map (H, W). Of a
        gray picture both may stay one channel. In evaluation a float32 input is rounded to 8 bit.
        """

    def widened(self, image: Values, target: Values) -> tuple[Values, Values]:
        """A pair as batches need it: what the net takes and gives in colour is no longer gray."""
        channels = self.net_arguments().get("encoder", {}).get("input_channels", 3)
        return (
            in_colour(image) if channels == 3 else image,
            in_colour(target) if target.ndim == 3 else target,
        )

    @abstractmethod
    def net_arguments(self) -> dict[str, Any]:
        """Arguments of the net that are the task's, nested as the net: `{"head": {"scale": 2}}`."""

    @abstractmethod
    def metrics(self) -> Metric:
        """A metric on (prediction, target) that gives values by name, `monitor` among them."""

    def baseline(self, image: Pixels) -> Pixels | None:
        """What one would answer without a net, for an input (H, W, C): by default the input itself.

        None where it takes the targets of the whole set: `baseline_scores` knows.
        """
        return image

    def baseline_scores(self, scores: Metric, baseline: Metric) -> dict[str, Tensor]:
        """Scores of the answer without a net.

        Args:
            scores: `metrics` updated by each prediction and target.
            baseline: the same, updated by each `baseline`.
        """
        computed: dict[str, Tensor] = baseline.compute()
        return computed

    def picture_scores(self, prediction: Values, target: Values) -> dict[str, float]:
        """Further scores of one picture, too slow for a validation step."""
        return {}

    @abstractmethod
    def show(self, image: Values, output: Values, target: Values) -> Pixels:
        """Input, output and target side by side, as one picture (H, W, 3)."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """How the scores are measured; scores of different protocols are not compared."""

    def classes(self) -> tuple[ClassInfo, ...]:
        """The classes of a segmentation."""
        return ()

    def check_sample(self, sample: Sample) -> None:  # noqa: B027 (most tasks take any)
        """Raises ValueError where a sample, whole and as it was read, does not fit the task."""

    def check_net(self, net: nn.Module) -> None:  # noqa: B027 (most tasks take any net)
        """Raises ValueError where the net does not fit the task."""

    def rounded(self, prediction: Tensor) -> Tensor:
        """The prediction as a file would hold it: a picture in steps of 1/255; labels are exact."""
        return round_to_8_bit(prediction) if self.kind == "image" else prediction

    def read_options(self) -> dict[str, Any]:
        """How the files of a sample are read: arguments of `training.data.files.read_entry`."""
        return {"kind": self.kind}

    def map_info(self) -> MapInfo | None:
        """Unit and range of a dense map."""
        return None

    def input_tensor(self, image: Tensor) -> Tensor:
        """The input as the net takes it: white is 1, and float32 stays what it is."""
        return float_tensor(image)

    def target_tensor(self, target: Tensor) -> Tensor:
        """The target as the scores take it: a picture like an input, a mask's ids, a map's unit."""
        return target.long() if self.kind == "labels" else self.input_tensor(target)

    def as_scored(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """A batch's prediction and target as the scores take them: rounded, and in gray for gray.

        Args:
            prediction: of the net, (N, C, H, W) in [0, 1], ids (N, H, W), or a map (N, H, W).
            target: as a batch holds it.
        """
        answer, expected = self.rounded(prediction), self.target_tensor(target)
        if self.kind == "image" and answer.shape[1] > expected.shape[1]:
            answer = self.rounded(brightness(answer))
        return answer, expected

    def loss_of(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of the net's output for a target as the batch holds it."""
        loss: Tensor = self.loss(output, self.target_tensor(target))
        return loss


def side_by_side(*pictures: Values) -> Pixels:
    """Pictures of one size, of any depth, in a row with a white gap between them."""
    gap = np.full((pictures[0].shape[0], 4, 3), 255, np.uint8)
    row = [part for picture in pictures for part in (in_colour(to_8_bit(picture)), gap)]
    return np.concatenate(row[:-1], axis=1)
