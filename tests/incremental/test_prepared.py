"""What a user meets: the model left alone, memory, refusals, progress."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import deconvnet
from deconvnet.errors import ModelError, OptionError, UnknownNameError
from deconvnet.incremental import plain, prepare

PHOTO = torch.randn((3, 40, 40), generator=torch.Generator().manual_seed(0))
BOXES = [(0, 0, 8, 8), (20, 12, 28, 20), (32, 32, 40, 40)]


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(), nn.Conv2d(8, 8, 3), nn.Flatten(),
        nn.Linear(8 * 36 * 36, 4),
    )  # fmt: skip


def test_the_model_is_left_as_it_was_also_after_an_error() -> None:
    model = small().train()
    model[3].eval()
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[1].register_forward_hook(lambda *_: None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    prepare(model, PHOTO, maps=["0"]).run(BOXES, 0.0)
    with pytest.raises(ModelError):
        prepare(model, PHOTO[:, :20])
    assert [module.training for module in model.modules()] == modes
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(model[0].weight.grad, torch.ones_like(model[0].weight))
    assert all(p.requires_grad for p in model.parameters())


def test_what_was_prepared_does_not_change_with_the_photo() -> None:
    torch.manual_seed(0)
    model, photo = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.LazyLinear(3)), PHOTO[:1].clone()
    model(photo[None])
    prepared = prepare(model, photo)
    first = prepared.run(BOXES, 0.0)
    photo.zero_()  # a grey photo is one piece of memory in every layout
    assert np.array_equal(prepared.run(BOXES, 0.0).outputs, first.outputs)


def test_the_order_of_windows_and_their_company_do_not_matter() -> None:
    model = small()
    prepared = prepare(model, PHOTO, maps=["4"])
    boxes = [(y, x, y + 9, x + 7) for y in range(0, 31, 3) for x in range(0, 33, 4)]
    whole = prepared.run(boxes, 1.0)
    order = np.random.default_rng(0).permutation(len(boxes))
    mixed = prepared.run([boxes[i] for i in order], 1.0)
    np.testing.assert_allclose(mixed.outputs, whole.outputs[order], rtol=0, atol=1e-5 * np.abs(whole.outputs).max())
    np.testing.assert_allclose(mixed.sums["4"], whole.sums["4"][order], rtol=1e-5)


def test_clean_is_the_answer_to_the_photo() -> None:
    model = small().eval()
    prepared = prepare(model, PHOTO, maps=["0"])
    with torch.no_grad():
        assert np.allclose(prepared.clean.outputs, model(PHOTO[None]).numpy())
        assert np.allclose(prepared.clean.sums["0"], model[0](PHOTO[None]).clamp(min=0).sum((2, 3)).numpy(), rtol=1e-5)
    assert len(prepared.run([(-5, -5, -1, -1)], 0.0)) == 1
    assert np.array_equal(prepared.run([(-5, -5, -1, -1)], 0.0).outputs, prepared.clean.outputs)


def test_no_window_gives_no_row() -> None:
    assert len(prepare(small(), PHOTO).run(np.zeros((0, 4), int), 0.0)) == 0


def test_progress_ends_at_the_number_of_windows() -> None:
    told: list[tuple[int, int]] = []
    prepare(small(), PHOTO).run(BOXES, 0.0, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


MEMORY = """
import resource
import torch
from torch import nn
from deconvnet.incremental import prepare
torch.set_num_threads(1)
model = nn.Sequential(
    nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3, 2), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.Flatten(),
    nn.Linear(64 * 26 * 26, 9),
)
prepared = prepare(model, torch.randn(3, 60, 60), maps=["2"], memory=64 << 20)
few = [(y, x, y + 9, x + 9) for y in range(0, 51, 3) for x in range(0, 51, 3)]
for times in (1, 12):
    prepared.run(few * times, 0.0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_is_flat_in_the_number_of_windows() -> None:
    """Their first maps alone would take 600 MiB; what an allocator holds back varies by some ten MiB."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    some, many = map(int, done.stdout.split())
    assert many - some < 100 << 10, f"{(many - some) / 1024:.0f} MiB more for 3,468 windows than for 289"


def test_too_little_memory_is_said() -> None:
    with pytest.raises(OptionError, match="MiB for its activations"):
        prepare(small(), PHOTO, memory=1000).run(BOXES, 0.0)


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) + torch.rand(x.shape[0], 3)


class Several(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Undecided(), "depends on values of the photo"),
        (Noisy(), "random"),
        (Several(), "returns tuple"),
        (nn.Sequential(nn.Flatten(0)), "no row for each photo"),
    ],
)
def test_models_that_cannot_be_followed(model: nn.Module, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        prepare(model, PHOTO)


def test_bad_input() -> None:
    model = small()
    with pytest.raises(UnknownNameError, match="there is no layer '9'"):
        prepare(model, PHOTO, maps=["9"])
    with pytest.raises(OptionError, match="NaN"):
        prepare(model, PHOTO * torch.nan)
    with pytest.raises(OptionError, match="prepare one for each photo"):
        prepare(model, PHOTO.expand(2, 3, 40, 40))
    prepared = prepare(model, PHOTO)
    with pytest.raises(OptionError, match="window 1 is empty"):
        prepared.run([(0, 0, 3, 3), (4, 4, 4, 9)], 0.0)
    with pytest.raises(OptionError, match="top, left, bottom, right"):
        prepared.run([(0, 0, 3)], 0.0)
    with pytest.raises(OptionError, match="a fill is one number"):
        prepared.run(BOXES, torch.zeros(2))
    with pytest.raises(OptionError, match="does not fit"):
        prepared.run(BOXES, torch.zeros(3, 9, 9))
    with pytest.raises(OptionError, match="NaN"):
        prepared.run(BOXES, float("nan"))


@pytest.mark.parametrize("way", [prepare, lambda *given, maps: plain(*given, BOXES, 0.0, maps=maps)])
def test_a_layer_that_runs_twice_is_refused(way: Callable[..., object]) -> None:
    block = nn.Conv2d(3, 3, 3, padding=1)
    model = nn.Sequential(block, nn.ReLU(), block, nn.Flatten(), nn.Linear(4800, 2))
    with pytest.raises(ModelError, match="layer '0' runs more than once in a pass"):
        way(model, PHOTO, maps=["0"])
    way(model, PHOTO, maps=["1"])


def test_the_plain_way_needs_no_capture() -> None:
    assert plain(Undecided(), PHOTO, BOXES, 0.0).outputs.shape == (3, 3)


def test_trained_networks_keep_their_probabilities() -> None:
    """Probabilities within 1e-5 of full passes', the most probable class the same, at every position of a photo."""
    from deconvnet.data import sample_photos

    for name in ("zfnet", "alexnet-dense"):
        network = deconvnet.load(name)
        for photo in sample_photos()[1:3]:
            x = network.preprocess([photo.pixels])[0]
            boxes = [(y, z, y + 29, z + 29) for y in range(0, 100, 33) for z in range(0, 100, 33)]
            found = torch.from_numpy(prepare(network.module, x).run(boxes, 0.0).outputs).softmax(1)
            expected = torch.from_numpy(plain(network.module, x, boxes, 0.0).outputs).softmax(1)
            assert float((found - expected).abs().max()) < 1e-5
            assert torch.equal(found.argmax(1), expected.argmax(1))
