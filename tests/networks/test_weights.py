"""Weights files: written whole, read back exactly, refused in one clear sentence."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from deconvnet.errors import OptionError, RunError, UnknownNameError, WeightsError
from deconvnet.networks import Network, Preprocessing, build, load, names, read_weights
from deconvnet.networks.weights import SHIPPED, shipped

OPTIONS = {"num_classes": 3, "input_size": 64, "fc_width": 5, "widths": (4, 6, 8), "remove": (7,)}
CARD = {"data": "three drawn classes", "licence": "CC0", "held_out_top1": 0.5, "résumé": ["é", 1]}


@pytest.fixture(scope="module")
def network() -> Network:
    torch.manual_seed(0)
    mean = np.random.default_rng(0).uniform(90, 130, (3, 64, 64)).astype(np.float32)
    module = build("zfnet", **OPTIONS).eval().to(memory_format=torch.channels_last)
    return Network("zfnet", module, Preprocessing(64, 72, mean, 58.0), ("ant", "bée", "cat"), OPTIONS, CARD)


def state(network: Network) -> dict[str, torch.Tensor]:
    return network.module.state_dict()


@pytest.mark.parametrize("by", ["file as name", "weights"])
def test_float32_comes_back_bit_for_bit(network: Network, tmp_path: Path, by: str) -> None:
    path = network.save(tmp_path / "deep" / "w.safetensors")
    back = load(str(path)) if by == "file as name" else load("zfnet", weights=path)
    assert state(back).keys() == state(network).keys()
    assert all(torch.equal(value, state(network)[key]) for key, value in state(back).items())
    assert (back.name, back.classes, back.card) == ("zfnet", ("ant", "bée", "cat"), CARD)
    assert back.preprocessing.record() == network.preprocessing.record()
    np.testing.assert_array_equal(back.preprocessing.mean, network.preprocessing.mean)
    assert not back.module.training
    photo = np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    np.testing.assert_allclose(back.probabilities([photo]), network.probabilities([photo]), rtol=1e-5)
    assert os.listdir(path.parent) == ["w.safetensors"]


def test_half_precision_is_half_the_size_and_near(network: Network, tmp_path: Path) -> None:
    whole, half = network.save(tmp_path / "w.safetensors"), network.save(tmp_path / "h.safetensors", half=True)
    mean = 3 * 64 * 64 * 4
    assert half.stat().st_size - mean == pytest.approx((whole.stat().st_size - mean) / 2, rel=0.02)
    back = load(str(half))
    for key, value in state(back).items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, state(network)[key], rtol=2**-10, atol=1e-7)
    np.testing.assert_array_equal(back.preprocessing.mean, network.preprocessing.mean)  # not halved


@pytest.mark.parametrize("name", names())
def test_every_network_comes_back(tmp_path: Path, name: str) -> None:
    options = {} if name.startswith("lenet") else {"num_classes": 10, "input_size": 64, "fc_width": 4}
    if name == "zfnet-386m":
        options["widths"] = (4, 4, 4)
    network = load(name, weights=None, **options)
    back = load(str(network.save(tmp_path / "w.safetensors")))
    assert back.name == name
    assert all(torch.equal(value, state(network)[key]) for key, value in state(back).items())


@pytest.mark.parametrize("keep", [0, 5, 300, 0.5, -1])
def test_truncated_files_are_told(network: Network, tmp_path: Path, keep: float) -> None:
    path = network.save(tmp_path / "w.safetensors")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) / 2) if keep == 0.5 else int(keep)])
    with pytest.raises(WeightsError, match=r"w\.safetensors is not a whole safetensors file"):
        load("zfnet", weights=path)


def test_another_safetensors_file_is_told(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="does not say which network it belongs to"):
        load(str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("options", "{"),
        ("classes", None),
        ("preprocessing", "{}"),
        ("preprocessing", '{"input_size": 64, "resize": 3}'),
        ("card", "7"),
        ("network", None),
    ],
)
def test_a_damaged_header_is_told(network: Network, tmp_path: Path, key: str, value: str | None) -> None:
    path = network.save(tmp_path / "w.safetensors")
    metadata = header(path)
    if value is None:
        del metadata[key]
    else:
        metadata[key] = value
    save_file(load_file(path), path, metadata)
    with pytest.raises(WeightsError, match=r"the header of .*w\.safetensors is damaged"):
        read_weights(path)


def header(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length])["__metadata__"]


def test_no_pickle(tmp_path: Path) -> None:
    """A file that would run code when unpickled is refused without running it."""

    class Trap:
        def __reduce__(self) -> tuple:
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "w.safetensors").write_bytes(pickle.dumps({"weight": Trap()}))
    with pytest.raises(WeightsError, match="is not a whole safetensors file"):
        load(str(tmp_path / "w.safetensors"))
    torch.save({"weight": Trap()}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="is not a whole safetensors file"):
        load("zfnet", weights=tmp_path / "w.pt")
    assert not (tmp_path / "sprung").exists()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    for name, weights in ((str(tmp_path / "no.safetensors"), "shipped"), ("zfnet", tmp_path / "no.safetensors")):
        with pytest.raises(WeightsError, match=r"there is no weights file .*no\.safetensors"):
            load(name, weights=weights)


def test_weights_of_another_network_are_told(network: Network, tmp_path: Path) -> None:
    path = network.save(tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"w\.safetensors holds weights of zfnet, not of alexnet"):
        load("alexnet", weights=path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"remove": ()}, "holds weights of another network than zfnet: it lacks fc7.bias, fc7.weight."),
        ({"remove": (6, 7)}, "it has fc6.bias, fc6.weight besides."),
        ({"fc_width": 6}, r"fc6.weight is \(5, 8\) there and \(6, 8\) here"),
        ({"fc_widht": 6}, "names options with which zfnet cannot be built: .*did you mean fc_width"),
        ({"input_size": 3}, "names options with which zfnet cannot be built: .*leaves nothing"),
    ],
)
def test_weights_that_do_not_fit_are_told(network: Network, tmp_path: Path, changed: dict, message: str) -> None:
    path = network.save(tmp_path / "w.safetensors")
    metadata = header(path)
    metadata["options"] = json.dumps({**OPTIONS, **changed})
    save_file(load_file(path), path, metadata)
    with pytest.raises(WeightsError, match=message):
        load("zfnet", weights=path)


def test_classes_that_do_not_fit_are_told(network: Network, tmp_path: Path) -> None:
    path = network.save(tmp_path / "w.safetensors")
    metadata = {**header(path), "classes": '["ant", "bee"]'}
    save_file(load_file(path), path, metadata)
    with pytest.raises(WeightsError, match="names 2 classes, but its zfnet has 3 class scores"):
        load("zfnet", weights=path)


def test_an_unknown_network_offers_the_nearest(network: Network, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no network 'zfent': did you mean zfnet"):
        load("zfent")
    path = network.save(tmp_path / "w.safetensors")
    save_file(load_file(path), path, {**header(path), "network": "zfnets"})
    with pytest.raises(UnknownNameError, match="no network 'zfnets': did you mean zfnet"):
        load(str(path))


def test_networks_without_shipped_weights_are_told() -> None:
    with pytest.raises(WeightsError, match="no trained weights come with zfnet-386m"):
        load("zfnet-386m")


def test_options_go_with_fresh_weights_only(network: Network, tmp_path: Path) -> None:
    path = network.save(tmp_path / "w.safetensors")
    with pytest.raises(OptionError, match="options come from the weights file"):
        load("zfnet", weights=path, fc_width=3)
    with pytest.raises(OptionError, match="is a weights file itself"):
        load(str(path), weights=None)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_disk_that_takes_no_more_leaves_nothing(network: Network, tmp_path: Path) -> None:
    """A real refusal by the system in the middle of the file: no file may grow beyond 8 kB in that process."""
    network.save(tmp_path / "w.safetensors")
    before = (tmp_path / "w.safetensors").read_bytes()
    script = (
        "import resource, sys\n"
        "from deconvnet.errors import RunError\n"
        "from deconvnet.networks import load\n"
        "network = load(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        network.save(name)\n"
        "    except RunError as error:\n"
        "        print(error)\n"
    )
    paths = [str(tmp_path / "w.safetensors"), str(tmp_path / "new.safetensors")]
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, check=True)
    assert [line.split(" could not be written")[0] for line in done.stdout.splitlines()] == paths
    assert os.listdir(tmp_path) == ["w.safetensors"]
    assert (tmp_path / "w.safetensors").read_bytes() == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_saving_into_a_file_as_a_folder_is_told(network: Network) -> None:
    with pytest.raises(RunError, match="could not be written"):
        network.save("/dev/full/w.safetensors")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_load_and_have_a_card(name: str) -> None:
    path = shipped(name)
    if path is None:
        pytest.skip(f"this copy comes without the weights of {name}")
    network = load(name)
    assert path.stat().st_size < 30e6
    assert {"data", "recipe", "held_out_top1"} <= set(network.card)
    assert all(torch.isfinite(value).all() for value in state(network).values())
