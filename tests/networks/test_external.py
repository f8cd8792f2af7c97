"""Networks of torchvision, timm and of files, by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import deconvnet
from deconvnet.errors import DeconvnetError, ModelError, OptionError, UnknownNameError, WeightsError
from deconvnet.networks.external import SEED

NET = """
import torch
from torch import nn

def build(classes=4, channels=3):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(24, classes),
    )

class Net(nn.Module):
    input_size = 40
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 5)
    def forward(self, x):
        return {"maps": self.conv(x)}

class Configured(nn.Sequential):
    default_cfg = {"input_size": (3, 48, 48), "crop_pct": 0.75, "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    def __init__(self):
        super().__init__(nn.Conv2d(3, 2, 3), nn.AdaptiveMaxPool2d(1), nn.Flatten())

ready = build(classes=3)
number = 5
def broken():
    raise RuntimeError("no such\\nluck.")
def not_a_network():
    return 7
def picky():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def picture(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8))


def sentence(error: BaseException) -> str:
    """The message, one line that ends like a sentence."""
    text = str(error)
    assert "\n" not in text
    assert text[-1] in ".?"
    return text


def test_a_network_of_torchvision_is_the_very_same(torchvision):
    network = deconvnet.load("torchvision:resnet18", input_size=64)
    torch.manual_seed(SEED)
    own = torchvision.models.resnet18().eval()
    x = torch.randn(2, 3, 64, 64)
    assert not network.module.training
    assert torch.equal(network.module(x), own(x))
    assert network.parameters == 11_689_512
    assert network.input_shape == (3, 64, 64)
    assert network.classes[0] == "tench"
    assert len(network.classes) == 1000


def test_random_weights_are_said_and_always_the_same(torchvision):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one = deconvnet.load("torchvision:squeezenet1_1", input_size=64)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    two = deconvnet.load("torchvision:squeezenet1_1", input_size=64)
    assert one.fingerprint == two.fingerprint
    assert "random" in one.title
    assert "random" in one.card["weights"]
    fresh = deconvnet.load("torchvision:squeezenet1_1", weights=None, input_size=64)
    assert fresh.fingerprint != one.fingerprint


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "efficientnet_b3"])
def test_torchvisions_own_preprocessing(torchvision, name):
    shown = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    network = deconvnet.load(f"torchvision:{name}")
    side = shown.resize_size[0]
    photo = picture(2 * side, 2 * side)  # sides and margins are whole numbers
    expected = shown(photo)[None]
    got = network.preprocess([photo])
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["xception41", "mobilenetv3_small_050", "tf_efficientnet_lite0"])
def test_timms_own_preprocessing(timm, name):
    network = deconvnet.load(f"timm:{name}")
    config = timm.data.resolve_data_config({}, model=network.module)
    shown = timm.data.create_transform(**config)
    photo = picture(512, 512)
    expected = shown(photo)[None]
    got = network.preprocess([photo])
    assert got.shape == expected.shape
    assert torch.allclose(got, expected, atol=1e-4)


def test_a_network_of_timm_with_options(timm):
    network = deconvnet.load("timm:resnet10t", num_classes=7, in_chans=1, input_size=64)
    assert network.classes == tuple(f"class {i}" for i in range(7))
    assert network.input_shape == (1, 64, 64)
    assert network.probabilities([picture(70, 80)]).shape == (1, 7)
    torch.manual_seed(SEED)
    own = timm.create_model("resnet10t", num_classes=7, in_chans=1).eval()
    x = torch.randn(1, 1, 64, 64)
    assert torch.equal(network.module(x), own(x))


def test_a_function_of_a_file(net):
    network = deconvnet.load(f"{net}:build", classes=5, input_size=32)
    assert network.name == "net.py:build"
    assert network.address == f"{net}:build"
    assert network.classes == tuple(f"class {i}" for i in range(5))
    assert network.input_shape == (3, 32, 32)
    probabilities = network.probabilities([picture(50, 60)] * 2)
    assert probabilities.shape == (2, 5)
    assert np.allclose(probabilities.sum(1), 1)
    assert not network.module.training


def test_a_module_and_a_class_of_a_file(net):
    assert len(deconvnet.load(f"{net}:ready").classes) == 3
    network = deconvnet.load(f"{net}:Net")  # grey, of 40 px, and it gives a dict
    assert network.input_shape == (1, 40, 40)
    assert network.classes == ()
    assert network.probabilities([picture(50, 60)]).shape == (1, 0)


def test_a_modules_configuration(net):
    p = deconvnet.load(f"{net}:Configured").preprocessing
    assert (p.input_size, p.resize) == (48, 64)
    assert p.scale == pytest.approx((102, 127.5, 153))
    assert p.mean.ravel() == pytest.approx([25.5, 51, 76.5])


def test_without_configuration_photos_are_shown_as_usual_for_imagenet(net):
    p = deconvnet.load(f"{net}:build").preprocessing
    assert (p.input_size, p.resize) == (224, 256)
    photo = np.full((256, 256, 3), 255, np.uint8)
    assert p([photo])[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, 2.64], abs=1e-3)


def test_a_file_imports_its_neighbour_and_the_path_stays_as_it_was(tmp_path):
    import sys

    (tmp_path / "neighbour_of_net.py").write_text("from torch import nn\nlayer = nn.Conv2d(3, 2, 3)\n")
    (tmp_path / "uses.py").write_text("from neighbour_of_net import layer\n")
    before = list(sys.path)
    assert deconvnet.load(f"{tmp_path / 'uses.py'}:layer").parameters == 56
    assert sys.path == before


def wrap(state: dict, form: str) -> dict:
    if form == "module.":
        return {f"module.{key}": value for key, value in state.items()}
    if form == "both":
        return {"epoch": 3, "state_dict": wrap(state, "module.")}
    if form == "old":
        return {key: value for key, value in state.items() if "num_batches" not in key}
    return {form: state} if form else state


@pytest.mark.parametrize("form", ["", "state_dict", "model", "module.", "both", "old"])
def test_weights_of_torch_save(net, tmp_path, form):
    donor = deconvnet.load(f"{net}:build", weights=None)
    path = tmp_path / "weights.pth"
    torch.save(wrap(dict(donor.module.state_dict()), form), path)
    network = deconvnet.load(f"{net}:build", path)
    assert network.fingerprint == donor.fingerprint
    assert network.fingerprint != deconvnet.load(f"{net}:build").fingerprint
    assert "weights.pth" in network.card["weights"]


def test_weights_of_safetensors(net, tmp_path):
    donor = deconvnet.load(f"{net}:build", weights=None)
    save_file(dict(donor.module.state_dict()), tmp_path / "plain.safetensors")
    assert deconvnet.load(f"{net}:build", tmp_path / "plain.safetensors").fingerprint == donor.fingerprint


def test_saved_and_loaded_again_with_all_that_belongs_to_it(net, tmp_path, monkeypatch):
    donor = deconvnet.load(f"{net}:build", weights=None, classes=6, input_size=32)
    path = donor.save(tmp_path / "own.safetensors")
    monkeypatch.chdir("/")
    network = deconvnet.load(f"{net}:build", path)
    assert network.fingerprint == donor.fingerprint
    assert network.classes == donor.classes
    assert network.preprocessing.record() == donor.preprocessing.record()
    assert torch.equal(network.preprocess([picture(40, 50)]), donor.preprocess([picture(40, 50)]))


def test_damaged_and_dangerous_weights(net, tmp_path):
    class Code:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "was-run",))

    torch.save({"state_dict": {"0.weight": torch.zeros(1)}, "code": Code()}, tmp_path / "code.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    (tmp_path / "noise.pth").write_bytes(b"noise")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    (tmp_path / "zip.pth").write_bytes((tmp_path / "empty.pth").read_bytes()[:100])
    torch.save(nn.Conv2d(3, 6, 3).state_dict(), tmp_path / "other.pth")
    for name, part in {
        "code.pth": "more than tensors",
        "empty.pth": "no tensors",
        "noise.pth": "torch.save",
        "noise.safetensors": "not a whole safetensors file",
        "zip.pth": "torch.save",
        "none.pth": "there is no weights file",
        "other.pth": "another network",
    }.items():
        with pytest.raises(WeightsError) as caught:
            deconvnet.load(f"{net}:build", tmp_path / name)
        assert part in sentence(caught.value)
    assert not (tmp_path / "was-run").exists()


def test_weights_of_another_shape(net, tmp_path):
    torch.save(deconvnet.load(f"{net}:build", classes=9).module.state_dict(), tmp_path / "nine.pth")
    with pytest.raises(WeightsError, match=r"5.weight is \(9, 24\) there and \(4, 24\) here"):
        deconvnet.load(f"{net}:build", tmp_path / "nine.pth")


@pytest.mark.parametrize(
    ("title", "kind", "part"),
    [
        ("bild", UnknownNameError, "did you mean build"),
        ("number", ModelError, "is a int"),
        ("broken", ModelError, "RuntimeError: no such luck"),
        ("not_a_network", ModelError, "returns a int"),
        ("picky", ModelError, "input_size"),
        ("", ModelError, "say what"),
    ],
)
def test_what_a_file_does_not_give(net, title, kind, part):
    with pytest.raises(kind) as caught:
        deconvnet.load(f"{net}:{title}")
    assert part in sentence(caught.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("nowhere.py:build", "there is no file nowhere.py"),
        ("nowhere.py", "nowhere.py:build"),
        ("keras:resnet50", "torchvision"),
        (":", "torchvision"),
    ],
)
def test_what_is_nowhere(name, part):
    with pytest.raises(DeconvnetError) as caught:
        deconvnet.load(name)
    assert part in sentence(caught.value)


def test_a_file_that_cannot_be_run(tmp_path):
    for code in ("def build(:\n", "import nothing_of_this_name\n", "raise SystemExit\n", "1 / 0\n"):
        (tmp_path / "bad.py").write_text(code)
        with pytest.raises(ModelError, match="cannot be run") as caught:
            deconvnet.load(f"{tmp_path / 'bad.py'}:build")
        sentence(caught.value)


def test_options_that_do_not_exist(net, torchvision):
    for name in (f"{net}:build", "torchvision:resnet18"):
        with pytest.raises(OptionError, match="cannot be built with colour=3") as caught:
            deconvnet.load(name, colour=3)
        sentence(caught.value)
    with pytest.raises(OptionError, match="takes no options"):
        deconvnet.load(f"{net}:ready", classes=3)
    with pytest.raises(OptionError, match="input_size must be 1 or more"):
        deconvnet.load(f"{net}:build", input_size=0)


@pytest.mark.parametrize("option", ["pretrained", "weights_enum"])
def test_nothing_is_downloaded(torchvision, option):
    with pytest.raises(OptionError):
        deconvnet.load("torchvision:resnet18", **{option: True})


def test_names_that_packages_do_not_have(timm):
    with pytest.raises(UnknownNameError, match="did you mean resnet18"):
        deconvnet.load("torchvision:resnet81")
    with pytest.raises(UnknownNameError, match="resnet18"):
        deconvnet.load("timm:resnet-18")
    with pytest.raises(UnknownNameError):
        deconvnet.load("torchvision:fasterrcnn_resnet50_fpn")  # no classifier


def test_a_package_that_is_not_installed(monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "timm" else find(name))
    with pytest.raises(ModelError, match="pip install timm") as caught:
        deconvnet.load("timm:resnet18")
    sentence(caught.value)


def test_a_package_that_does_not_fit_torch(tmp_path, monkeypatch):
    import sys

    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(ModelError, match="torchvision::nms does not exist") as caught:
        deconvnet.load("timm:resnet18")
    assert "install the timm that belongs to torch" in sentence(caught.value)


def test_a_external_network_is_no_sequence_of_layers(net):
    with pytest.raises(ModelError, match=r"networks\.layers"):
        deconvnet.load(f"{net}:build").layers()
