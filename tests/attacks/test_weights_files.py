"""What a weights file from anywhere may not do: run a file, steer a builder, pass integers for weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import deconvnet
from deconvnet.errors import WeightsError
from deconvnet.networks.preprocessing import Preprocessing
from deconvnet.networks.weights import save_weights

PREPROCESSING = Preprocessing(32, 36, np.zeros((3, 1, 1), np.float32))


def weights_of(path: Path, module: nn.Module, network: str, **options: object) -> Path:
    return save_weights(
        path, module, network=network, options=options, classes=(), preprocessing=PREPROCESSING, card={}
    )


@pytest.mark.parametrize("form", ["payload.py:build", "{folder}/payload.py:build", "torchvision:../payload.py:build"])
def test_a_header_does_not_make_us_run_a_file(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "payload.py").write_text(
        "from pathlib import Path\nfrom torch import nn\nPath('was-run').touch()\n"
        "def build():\n    return nn.Conv2d(3, 2, 3)\n"
    )
    path = weights_of(tmp_path / "w.safetensors", nn.Conv2d(3, 2, 3), form.format(folder=tmp_path))
    with pytest.raises(deconvnet.DeconvnetError) as caught:
        deconvnet.load(str(path))
    assert not (tmp_path / "was-run").exists()
    if not form.startswith("torchvision"):
        assert "no file is run that you did not name" in str(caught.value)
        assert "payload.py:build" in str(caught.value)
    assert (
        deconvnet.load(f"{tmp_path}/payload.py:build", path if "torchvision" not in form else "shipped").parameters
        == 56
    )
    assert (tmp_path / "was-run").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("model_name", "hf-hub:somebody/something"),
        ("checkpoint_path", "evil.pth"),
        ("pretrained", True),
        ("features_only", True),
    ],
)
def test_a_header_does_not_steer_the_builder(timm, tmp_path, option, value):
    module = timm.create_model("resnet10t", num_classes=2)
    path = weights_of(tmp_path / "w.safetensors", module, "timm:resnet10t", num_classes=2, **{option: value})
    with pytest.raises(WeightsError, match=f"names the option {option}="):
        deconvnet.load(str(path))
    good = weights_of(tmp_path / "good.safetensors", module, "timm:resnet10t", num_classes=2, input_size=64)
    assert torch.equal(deconvnet.load(str(good)).module.fc.weight, module.fc.weight)


def test_a_header_cannot_write_to_the_terminal(tmp_path):
    path = weights_of(tmp_path / "w.safetensors", nn.Conv2d(3, 2, 3), "\x1b[2Jpayload.py:build")
    with pytest.raises(WeightsError) as caught:
        deconvnet.load(str(path))
    assert "\x1b" not in str(caught.value)
    assert "\\x1b[2Jpayload.py" in str(caught.value)


@pytest.mark.parametrize("kind", [torch.int8, torch.int64, torch.bool, torch.complex64])
def test_numbers_that_are_no_weights(tmp_path, kind):
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Sequential(nn.Conv2d(3, 2, 3))\n"
    )
    state = {"0.weight": torch.ones(2, 3, 3, 3).to(kind), "0.bias": torch.ones(2)}
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        with pytest.raises(WeightsError, match=r"0\.weight .* where the network has floating-point weights"):
            deconvnet.load(f"{tmp_path}/net.py:build", tmp_path / name)


def test_a_checkpoint_that_contains_itself(tmp_path):
    (tmp_path / "net.py").write_text("from torch import nn\ndef build():\n    return nn.Conv2d(3, 2, 3)\n")
    state: dict[str, object] = {"epoch": 1}
    state["state"] = state
    torch.save(state, tmp_path / "loop.pth")
    with pytest.raises(WeightsError, match="holds no tensors by name"):
        deconvnet.load(f"{tmp_path}/net.py:build", tmp_path / "loop.pth")
    state["model"] = nn.Conv2d(3, 2, 3).state_dict()
    torch.save(state, tmp_path / "loop.pth")
    assert "from loop.pth" in deconvnet.load(f"{tmp_path}/net.py:build", tmp_path / "loop.pth").card["weights"]
