"""``networks``, ``layers`` and ``recipes``."""

from __future__ import annotations

import pytest

from deconvnet.networks import names
from deconvnet.training.recipes import RECIPES


def test_networks_with_their_parameters(command):
    answer = command("networks")
    assert answer.code == 0
    rows = {words[0]: words for line in answer.out.splitlines() if (words := line.split())}
    assert set(names()) <= set(rows)
    assert rows["zfnet"][1] == "62,357,608"
    assert rows["alexnet"][1] == "60,965,224"
    assert rows["lenet5-1998"][1] == "60,000"
    assert rows["zfnet"][2:5] == ["224", "x", "224"]


def test_layers_of_a_built_in_network(command):
    answer = command("layers", "zfnet")
    assert answer.code == 0
    conv1 = next(line.split() for line in answer.out.splitlines() if line.startswith("conv1"))
    # 96 filters of 7 x 7 x 3 weights and a bias: 14,208 parameters; its 110 x 110 places cost 147 products each.
    assert conv1 == ["conv1", "conv", "7x7", "2", "96x110x110", "14,208", "170.8", "M", "7", "px", "2", "px"]
    assert 96 * 110 * 110 * 7 * 7 * 3 == 170_755_200
    assert "62,357,608 parameters" in answer.out


def test_layers_for_another_input_size_and_classes(command):
    answer = command("layers", "zfnet", "--input-size", 128, "--classes", 101)
    assert "256x7x7" in answer.out  # conv5
    assert "413,797" in answer.out  # fc8: 4096 * 101 + 101
    assert "62,357,608" not in answer.out


def test_layers_of_a_weights_file(command, small_weights, small_network):
    answer = command("layers", small_weights)
    assert f"{small_network.parameters:,} parameters" in answer.out
    assert "256x3x3" in answer.out


def test_recipes(command):
    answer = command("recipes")
    assert answer.code == 0
    for name in RECIPES:
        assert f"\n{name} " in f"\n{answer.out}"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["zfnt"], "did you mean zfnet"),
        (["zfnet", "--input-size", 3], "3"),
        (["lenet5", "--input-size", 64], "input_size"),
        (["none.safetensors"], "there is no weights file none.safetensors"),
    ],
)
def test_layers_refuses(refused, arguments, part):
    assert part in refused("layers", *arguments)


def test_a_weights_file_fixes_the_layers(refused, small_weights):
    assert "fixes input size and classes" in refused("layers", small_weights, "--input-size", 128)
