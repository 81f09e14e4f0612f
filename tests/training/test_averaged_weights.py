"""The moving average of the weights."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import nn
from torch.optim.swa_utils import AveragedModel

from training.callbacks.averaged_weights import AveragedWeights, averaging


def averages(decay: float, values: list[float]) -> list[float]:
    """The average after each step of one weight that goes through these values."""
    weight = nn.ParameterList([torch.zeros(())])
    averaged = AveragedModel(weight, multi_avg_fn=averaging(decay))
    found = []
    for value in values:
        weight[0].data.fill_(value)
        averaged.update_parameters(weight)
        found.append(averaged.module.get_parameter("0").item())
    return found


def test_a_short_run_keeps_nothing_of_the_weights_it_began_with() -> None:
    assert averages(0.999, [-100.0, *[1.0] * 300])[-1] == pytest.approx(1, abs=1e-3)


def test_a_long_run_averages_as_its_decay_says() -> None:
    begun, decay = [0.0] * 200, 0.9
    # From step 80 on, (1 + t) / (10 + t) is above 0.9.
    for step, average in enumerate(averages(decay, [*begun, *[1.0] * 50])[200:], start=1):
        assert average == pytest.approx(1 - decay**step, abs=1e-5)


def test_an_average_without_decay_is_the_weights() -> None:
    assert averages(0.0, [1.0, 5.0, -2.0]) == [1.0, 5.0, -2.0]


def test_the_average_is_made_where_the_weights_will_be() -> None:
    # Lightning moves them there only later: an average beside them would be a copy at each step.
    strategy = SingleDeviceStrategy(torch.device("meta"), CPUAccelerator())
    trainer = pl.Trainer(strategy=strategy, logger=False, enable_checkpointing=False)
    average, module = AveragedWeights(0.9), pl.LightningModule()
    module.weight = nn.Parameter(torch.ones(2))
    average.setup(trainer, module, "fit")
    assert average._average_model is not None
    assert [each.device.type for each in average._average_model.parameters()] == ["meta"]


def test_what_is_counted_is_copied() -> None:
    norm = nn.BatchNorm2d(2)
    averaged = AveragedModel(norm, multi_avg_fn=averaging(0.9), use_buffers=True)
    for _ in range(3):
        norm(torch.rand(1, 2, 4, 4))
        averaged.update_parameters(norm)
    assert averaged.module.num_batches_tracked == norm.num_batches_tracked == 3


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_would_forget_or_never_move_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=f"expected 0 or more, below 1, got {decay}"):
        averaging(decay)
