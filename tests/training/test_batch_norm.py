"""Batch normalisation while training, folded into the plain network; and the unfolded weight gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from deconvnet.networks import build
from deconvnet.training.batch_norm import folded_state, with_batch_norm
from deconvnet.training.weight_gradient import UnfoldedConv2d, unfold_weight_gradients

OPTIONS = {"input_size": 64, "fc_width": 16, "num_classes": 4, "widths": (8, 8, 8)}


def batches(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(8, 3, 64, 64, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("name", ["zfnet", "alexnet"])
def test_the_folded_network_answers_as_the_trained_one(name: str) -> None:
    torch.manual_seed(0)
    trained = with_batch_norm(build(name, **OPTIONS)).train()
    for part in trained.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(part.weight)  # also negative factors
            nn.init.normal_(part.bias)
    for batch in batches(5):
        trained(batch)
    plain = build(name, **OPTIONS)
    plain.load_state_dict(folded_state(trained))
    torch.testing.assert_close(plain.eval()(batches(1)[0]), trained.eval()(batches(1)[0]), rtol=1e-3, atol=1e-5)


def test_all_layers_but_the_last_are_normalised() -> None:
    names = [name for name, _ in with_batch_norm(build("zfnet", **OPTIONS)).named_children()]
    assert [name for name in names if name.endswith("_bn")] == [
        *(f"conv{n}_bn" for n in range(1, 6)),
        "fc6_bn",
        "fc7_bn",
    ]
    assert names.index("conv1_bn") == names.index("conv1") + 1


def test_a_network_without_batch_normalisation_folds_to_itself() -> None:
    plain = build("zfnet", **OPTIONS)
    state = folded_state(plain)
    assert all(torch.equal(state[name], value) for name, value in plain.state_dict().items())


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (5, 2, 0), (1, 1, 0), (3, (2, 1), (0, 2))])
def test_unfolded_gradients_are_the_librarys(kernel: int, stride, padding) -> None:  # type: ignore[no-untyped-def]
    plain = nn.Conv2d(200, 6, kernel, stride, padding).double()
    ours = copy.deepcopy(plain)
    unfold_weight_gradients(ours)
    assert type(ours) is UnfoldedConv2d
    x = torch.randn(3, 200, 7, 8, dtype=torch.float64)
    answers = []
    for layer in (plain, ours):
        given = x.clone().requires_grad_()
        layer(given).square().sum().backward()
        answers.append((given.grad, layer.weight.grad, layer.bias.grad))
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other)


def test_narrow_and_grouped_convolutions_stay() -> None:
    module = nn.Sequential(nn.Conv2d(96, 8, 5), nn.Conv2d(256, 8, 3, groups=2))
    unfold_weight_gradients(module)
    assert all(type(part) is nn.Conv2d for part in module)
