"""The one recorder: what it tells, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import deconvnet
from deconvnet.errors import ModelError, UnknownNameError
from deconvnet.tracing.recorder import ModuleCall, record_calls, record_outputs


class Twice(nn.Module):
    """A ReLU module that runs twice, and one that gives a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.pool = (
            nn.Conv2d(1, 2, 3),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, return_indices=True),
        )

    def forward(self, x):
        return self.pool(self.relu(self.relu(self.conv(x)) - 0.1))[0]


def hooks(model: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in model.modules())


def test_each_call_is_told_before_it_is_written_over():
    model, x, calls, entered = Twice(), torch.randn(1, 1, 8, 8), [], []
    kept = []

    def see(call: ModuleCall) -> None:
        calls.append((call.name, call.number, call.module))
        kept.append(call.output[0].clone() if isinstance(call.output, tuple) else call.output.clone())

    parts = dict(model.named_children())
    with record_calls(parts, see, lambda name, inputs: entered.append((name, inputs[0].shape[-1]))), torch.no_grad():
        answer = model(x)
        before = model.conv(x)
    assert calls == [
        ("conv", 0, model.conv),
        ("relu", 0, model.relu),
        ("relu", 1, model.relu),
        ("pool", 0, model.pool),
        ("conv", 1, model.conv),
    ]
    assert entered == [("conv", 8), ("relu", 6), ("relu", 6), ("pool", 6), ("conv", 8)]
    assert torch.equal(kept[0], before)
    assert torch.equal(kept[1], before.clamp(min=0))
    assert torch.equal(kept[3], answer)
    assert not hooks(model)


def test_a_hook_of_the_model_comes_first_and_the_output_is_not_replaced():
    model, seen = nn.Sequential(nn.Identity()), []
    model[0].register_forward_hook(lambda _m, _i, output: output + 1)
    with record_calls({"it": model[0]}, lambda call: seen.append(call.output.item())):
        assert model(torch.zeros(1)).item() == 1
    assert seen == [1]
    assert hooks(model) == 1


def test_outputs_of_each_pass_in_evaluation_mode():
    model = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Flatten()).train()
    first, second, conv = torch.randn(2, 1, 5, 5), torch.randn(1, 1, 5, 5), copy.deepcopy(model[1])
    with record_outputs(model, ["1", "3"]) as recorded:
        for batch in (first, second):
            model(batch)
            assert torch.equal(recorded["1"], conv(batch))
            assert torch.equal(recorded["3"], conv(batch).clamp(min=0).flatten(1))
    assert all(part.training for part in model.modules())
    assert not hooks(model)


@pytest.mark.parametrize(
    ("layer", "error", "words"),
    [
        ("relu", ModelError, "layer 'relu' runs more than once in a pass"),
        ("pool", ModelError, "pool gives no feature maps"),
        ("cnov", UnknownNameError, "did you mean conv"),
    ],
)
def test_refusals_leave_no_hook(layer, error, words):
    model = Twice()
    with pytest.raises(error, match=words), record_outputs(model, [layer]):
        model(torch.zeros(1, 1, 8, 8))
    assert not hooks(model)


def test_no_other_part_hooks_into_modules():
    sources = Path(deconvnet.__file__).parent.rglob("*.py")
    pattern = re.compile(r"register_(module_)?forward")
    assert {path.name for path in sources if pattern.search(path.read_text(encoding="utf-8"))} == {"recorder.py"}
