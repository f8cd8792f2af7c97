"""Checkpoints as people save them: the part whose names and shapes fit the module is taken, whatever lies around it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deconvnet.errors import WeightsError
from deconvnet.networks.checkpoints import fit_checkpoint, read_checkpoint


class Small(nn.Module):
    def __init__(self, inner: str = "body") -> None:
        super().__init__()
        self.add_module(inner, nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)))
        self.fc = nn.Linear(4, 5)


@pytest.fixture
def donor() -> Small:
    torch.manual_seed(7)
    return Small()


def load(content: Any, tmp_path: Path, into: nn.Module | None = None) -> tuple[dict[str, Tensor], str]:
    path = tmp_path / "c.pth"
    torch.save(content, path)
    module = Small() if into is None else into
    said = fit_checkpoint(module, read_checkpoint(path), network="small", source="c.pth")
    return module.state_dict(), said


def put_before(words: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {words + name: value for name, value in state.items()}


FORMS = {
    "plain": lambda s: s,
    "lightning": lambda s: {"state_dict": {**put_before("model.", s), "criterion.weight": torch.ones(5)}, "epoch": 3},
    "compiled, then parallel": lambda s: put_before("_orig_mod.module.", s),
    "parallel, then compiled": lambda s: put_before("module._orig_mod.", s),
    "parts compiled": lambda s: {name.replace("body.", "body._orig_mod."): value for name, value in s.items()},
    "deep nest": lambda s: {"a": {"b": {"c": {"net": s}}}, "metrics": {"best": torch.tensor(0.5)}},
    "accuracy beside": lambda s: {"state_dict": s, "best_acc1": torch.tensor(71.3), "optimizer": {"state": {0: {}}}},
    "random state beside": lambda s: {"model": s, "rng_state": torch.get_rng_state()},
    "namespace": lambda s: {"model": s, "args": argparse.Namespace(lr=0.1, out=Path("runs"))},
    "numpy beside": lambda s: {"model": s, "loss": np.float64(0.3), "losses": np.arange(3.0)},
    "scalars among": lambda s: {**s, "n_averaged": torch.tensor(3), "temperature": torch.tensor(1.5)},
    "half": lambda s: {name: value.half() if value.is_floating_point() else value for name, value in s.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_it_is_found(donor, tmp_path, form):
    state = {name: value.clone() for name, value in donor.state_dict().items()}
    found, _ = load(FORMS[form](state), tmp_path)
    for name, value in state.items():
        expected = value.half().float() if form == "half" and value.is_floating_point() else value
        assert torch.equal(found[name], expected), name


def test_a_module_whose_own_names_begin_like_a_wrapper(tmp_path):
    donor = Small("module")
    state = dict(donor.state_dict())
    for words in ("", "module.", "model.module."):
        found, _ = load(put_before(words, state), tmp_path, Small("module"))
        assert all(torch.equal(found[name], value) for name, value in state.items())


def test_the_choice_between_raw_and_averaged_is_told(donor, tmp_path):
    raw = dict(donor.state_dict())
    averaged = {name: value + 1 for name, value in raw.items()}
    for content in (
        {"ema": averaged, "model": raw},
        {"state_dict": {**put_before("model_ema.", averaged), **put_before("model.", raw)}},
    ):
        found, said = load(content, tmp_path)
        assert torch.equal(found["fc.weight"], raw["fc.weight"])
        assert "(not averaged) were taken" in said
        assert "ema" in said
    found, said = load({"model_ema": averaged, "epoch": 3}, tmp_path)
    assert torch.equal(found["fc.weight"], averaged["fc.weight"])
    assert said.startswith("averaged weights were taken")
    assert load({"model": raw, "best": dict(raw)}, tmp_path)[1] == ""  # the same numbers twice: nothing to tell


def test_the_nearest_is_named(donor, tmp_path):
    state = dict(donor.state_dict())
    short = {name: value for name, value in state.items() if name != "fc.bias"}
    with pytest.raises(WeightsError, match=r"\(nearest: state_dict, names after 'module.'\): it lacks fc\.bias\."):
        load({"state_dict": put_before("module.", short), "other": {"x": torch.ones(2)}}, tmp_path)
    with pytest.raises(WeightsError, match=r"it has aux\.weight besides\."):
        load({**state, "aux.weight": torch.ones(2, 2)}, tmp_path)
    wide = {**state, "fc.weight": torch.ones(9, 4), "fc.bias": torch.ones(9)}
    with pytest.raises(WeightsError, match=r"fc\.weight is \(9, 4\) there and \(5, 4\) here"):
        load({"model": wide}, tmp_path)


def test_objects_are_named_and_not_read(tmp_path):
    torch.save(Small(), tmp_path / "whole.pth")
    with pytest.raises(WeightsError, match=r"more than tensors \(.*Small"):
        read_checkpoint(tmp_path / "whole.pth")
    torch.jit.script(nn.Conv2d(3, 2, 3)).save(str(tmp_path / "script.pt"))
    with pytest.raises(WeightsError, match="TorchScript archive"):
        read_checkpoint(tmp_path / "script.pt")
