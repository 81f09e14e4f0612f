"""Muon's steps, beside those of torch's, which takes matrices only."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from i2i.nets import ClassHead
from training.muon import MuonWithAdamW, is_hidden, orthogonal


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_the_singular_values_come_near_1(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(1, rows, columns, generator=generator)
    # Square random matrices have a singular value near 0, which takes more steps.
    if rows == columns:
        matrix += torch.eye(rows) * 2 * rows**0.5

    values = torch.linalg.svdvals(orthogonal(matrix, steps=10)[0])

    assert values.min() > 0.6
    assert values.max() < 1.25


def test_a_kernel_goes_as_the_matrix_of_it_goes_by_torch() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(8, 6, 3, 3).to(memory_format=torch.channels_last))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    start = matrix.detach().clone()
    ours = MuonWithAdamW(
        [{"params": [kernel], "lr": 1e-2, "weight_decay": 0.1}], (0.9, 0.999), momentum=0.95
    )
    theirs = torch.optim.Muon(
        [matrix], lr=1e-2, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )

    for _ in range(5):
        kernel.grad = torch.randn_like(kernel)
        matrix.grad = kernel.grad.flatten(1).clone()
        ours.step()
        theirs.step()

    # Theirs is computed in bfloat16.
    moved = (matrix - start).abs().mean().item()
    assert (kernel.flatten(1) - matrix).abs().mean().item() < 0.02 * moved


def test_what_is_no_hidden_convolution_goes_as_by_adamw() -> None:
    torch.manual_seed(0)
    shapes = [(8, 3, 3, 3), (8, 3, 4, 4), (8, 1, 7, 7), (8,)]
    ours, theirs = ([nn.Parameter(torch.ones(shape)) for shape in shapes] for _ in range(2))
    group = {"lr": 1e-2, "weight_decay": 0.1}
    muon = MuonWithAdamW([{"params": ours, **group}], (0.9, 0.999), momentum=0.95)
    adamw = torch.optim.AdamW([{"params": theirs, **group}], betas=(0.9, 0.999))

    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        muon.step()
        adamw.step()

    assert all(one.equal(other) for one, other in zip(ours, theirs, strict=True))
    assert not any(is_hidden(parameter) for parameter in ours)


@pytest.mark.parametrize("kernel", [(8, 6, 3, 3), (6, 8, 4, 4)])
def test_its_state_can_be_saved_and_goes_on_alike(kernel: tuple[int, ...]) -> None:
    def run(*, broken: bool) -> torch.Tensor:
        torch.manual_seed(0)
        weight = nn.Parameter(torch.ones(kernel))
        group = [{"params": [weight], "lr": 1e-2, "weight_decay": 0.0}]
        optimiser = MuonWithAdamW(group, (0.9, 0.999), momentum=0.95)
        for step in range(4):
            if broken and step == 2:
                state = optimiser.state_dict()
                optimiser = MuonWithAdamW(group, (0.9, 0.999), momentum=0.95)
                optimiser.load_state_dict(state)
            weight.grad = torch.randn(kernel)
            optimiser.step()
        return weight.detach()

    assert run(broken=False).equal(run(broken=True))


@pytest.mark.parametrize("classes", [3, 4])
def test_a_last_layer_of_more_than_3_classes_is_hidden(classes: int) -> None:
    head = ClassHead(8, classes=classes, stride=2)

    kernels = [parameter for parameter in head.parameters() if parameter.ndim == 4]
    assert [is_hidden(kernel) for kernel in kernels] == [classes > 3]
