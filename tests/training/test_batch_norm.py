"""Batch normalisation while training, folded into the plain network; and the unfolded weight gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deconvnet.networks import build
from deconvnet.training.batch_norm import folded_state, with_batch_norm

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
