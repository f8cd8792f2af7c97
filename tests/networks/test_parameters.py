"""The networks against the papers' numbers: parameters, sizes, receptive fields, order of layers, options.

Nearly everything is built on torch's meta device: shapes without memory, in no time.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deconvnet.errors import OptionError, UnknownNameError
from deconvnet.networks import LayerRow, Network, build, entry, layer_table, load, names

EIGHT_LAYERS = ["alexnet", "alexnet-dense", "zfnet", "zfnet-wide", "zfnet-lrn30", "zfnet-386m"]
REMOVALS = [(), (3, 4), (6,), (7,), (6, 7), (3, 4, 6, 7)]  # Table 3


def ghost(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return build(name, **options)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def table(name: str, size: int = 224, **options: object) -> dict[str, LayerRow]:
    rows = layer_table(ghost(name, input_size=size, **options), (3, size, size))
    return {row.name: row for row in rows}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("lenet5-1998", 60_000),
        ("lenet5", 61_706),
        ("alexnet", 60_965_224),
        ("alexnet-dense", 62_378_344),
        ("zfnet", 62_357_608),
        ("zfnet-wide", 107_627_624),
        ("zfnet-lrn30", 62_357_608),
        ("zfnet-386m", 386_548_840),
    ],
)
def test_parameters_of_every_network(name: str, parameters: int) -> None:
    assert count(ghost(name)) == parameters


def test_the_list_of_networks_is_whole() -> None:
    assert sorted(names()) == sorted(["lenet5-1998", "lenet5", *EIGHT_LAYERS])


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("zfnet", [14_208, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000]),
        ("alexnet", [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]),
        ("alexnet-dense", [34_944, 614_656, 885_120, 1_327_488, 884_992, 37_752_832, 16_781_312, 4_097_000]),
    ],
)
def test_parameters_of_every_layer(name: str, layers: list[int]) -> None:
    assert [row.parameters for row in table(name).values() if row.parameters] == layers


@pytest.mark.parametrize(("classes", "parameters"), [(10, 58_301_578), (101, 58_674_405), (257, 59_313_537)])
def test_parameters_for_other_numbers_of_classes(classes: int, parameters: int) -> None:
    assert count(ghost("zfnet", num_classes=classes)) == parameters


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("zfnet", {"fc_width": 2048}, 28_848_232),
        ("zfnet", {"fc_width": 8192}, 154_542_184),
        ("zfnet", {"widths": (512, 1024, 512)}, 107_627_624),
        ("zfnet", {"widths": (512, 1024, 512), "fc_width": 8192}, 237_560_936),
        ("zfnet-wide", {"fc_width": 8192}, 237_560_936),
        ("zfnet", {"lrn": False}, 62_357_608),
    ],
)
def test_parameters_of_table_3(name: str, options: dict, parameters: int) -> None:
    assert count(ghost(name, **options)) == parameters


SPATIAL = ["conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "conv5", "pool5"]


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("zfnet", [110, 55, 26, 13, 13, 13, 13, 6]),  # Fig. 3
        ("zfnet-wide", [110, 55, 26, 13, 13, 13, 13, 6]),
        ("zfnet-lrn30", [110, 55, 26, 13, 13, 13, 13, 6]),
        ("zfnet-386m", [111, 55, 55, 27, 27, 27, 27, 13]),
        ("alexnet", [55, 27, 27, 13, 13, 13, 13, 6]),
        ("alexnet-dense", [55, 27, 27, 13, 13, 13, 13, 6]),
    ],
)
def test_sizes_of_maps(name: str, sides: list[int]) -> None:
    rows = table(name)
    assert [rows[layer].output[1:] for layer in SPATIAL] == [(side, side) for side in sides]


def test_maps_of_zfnet_from_pixels_to_classes() -> None:
    rows = table("zfnet", num_classes=17)
    assert [rows[layer].output[0] for layer in SPATIAL] == [96, 96, 256, 256, 384, 384, 256, 256]
    assert rows["flatten"].output == (9216,)  # "6·6·256 = 9216 dimensions"
    assert [rows[layer].output for layer in ("fc6", "fc7", "fc8")] == [(4096,), (4096,), (17,)]


ZFNET_FIELDS = [(7, 2), (11, 4), (27, 8), (43, 16), (75, 16), (107, 16), (139, 16), (171, 32)]
ALEXNET_FIELDS = [(11, 4), (19, 8), (51, 8), (67, 16), (99, 16), (131, 16), (163, 16), (195, 32)]


@pytest.mark.parametrize(
    ("name", "fields"), [("zfnet", ZFNET_FIELDS), ("alexnet", ALEXNET_FIELDS), ("alexnet-dense", ALEXNET_FIELDS)]
)
def test_receptive_fields(name: str, fields: list[tuple[int, int]]) -> None:
    rows = table(name)
    assert [(rows[layer].receptive_field, rows[layer].receptive_stride) for layer in SPATIAL] == fields
    assert all(rows[layer].receptive_field is None for layer in ("flatten", "fc6", "fc7", "fc8"))


def test_receptive_fields_are_what_a_unit_depends_on() -> None:
    """The gradient of a unit in the middle has this extent (positive weights, averages where it would pool)."""
    network = build("zfnet", input_size=224, fc_width=1, num_classes=1, widths=(4, 4, 4), lrn=False)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.Conv2d):
                part.weight.abs_()
                part.bias.zero_()
    rows = {row.name: row for row in layer_table(network, (3, 224, 224))}
    x = torch.rand(1, 3, 224, 224, requires_grad=True)
    y = x
    for name, part in network.named_children():
        y = nn.functional.avg_pool2d(y, 3, 2, ceil_mode=True) if name.startswith("pool") else part(y)
        if name == "conv3":
            break
    row = rows["conv3"]
    (gradient,) = torch.autograd.grad(y[0, :, 6, 5].sum(), x)
    seen = gradient[0].abs().sum(0)
    for axis, position in ((1, 6), (0, 5)):
        cells = seen.sum(axis).nonzero().flatten()
        first = row.receptive_start + position * row.receptive_stride
        assert (cells.min(), cells.max() + 1) == (first, first + row.receptive_field)


def test_multiply_adds_of_zfnet() -> None:
    assert round(sum(row.multiply_adds for row in table("zfnet").values()) / 1e6, 1) == 1168.0
    assert round(sum(row.multiply_adds for row in table("zfnet-wide").values()) / 1e6, 1) == 2476.7


def test_order_of_layers() -> None:
    """ZFNet pools, then normalises (Fig. 3); AlexNet normalises, then pools (Sec. 3.5)."""
    ends = ["flatten", "fc6", "relu6", "drop6", "fc7", "relu7", "drop7", "fc8"]
    upper = ["conv3", "relu3", "conv4", "relu4", "conv5", "relu5", "pool5", *ends]
    zfnet = [name for name, _ in ghost("zfnet").named_children() if not name.startswith("pad")]
    assert zfnet == ["conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2", *upper]
    alexnet = [name for name, _ in ghost("alexnet").named_children() if not name.startswith("pad")]
    assert alexnet == ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2", *upper]


def test_towers_of_alexnet() -> None:
    towers, dense = ghost("alexnet"), ghost("alexnet-dense")
    groups = [[net.get_submodule(f"conv{i}").groups for i in range(1, 6)] for net in (towers, dense)]
    assert groups == [[1, 2, 1, 2, 2], [1, 1, 1, 1, 1]]
    assert [net.get_submodule("norm1").groups for net in (towers, dense)] == [2, 1]


@pytest.mark.parametrize("name", ["zfnet", "alexnet"])
def test_constants_of_the_normalisation(name: str) -> None:
    norm = ghost(name).get_submodule("norm2")
    assert (norm.size, norm.alpha, norm.beta, norm.k) == (5, 1e-4, 0.75, 2.0)


def test_variant_lrn30() -> None:
    network = ghost("zfnet-lrn30")
    children = [name for name, _ in network.named_children()]
    assert children[:8] == ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"]
    norms = [network.get_submodule(f"norm{i}") for i in (1, 2)]
    assert [(n.size, n.k, n.alpha, n.beta) for n in norms] == [(30, 1.0, 1e-4, 0.75), (50, 1.0, 1e-4, 0.75)]
    assert network.get_submodule("conv1").padding == (1, 1)
    assert network.get_submodule("pool1").padding == 1
    assert not any(isinstance(part, nn.Dropout) for part in network.modules())
    assert table("zfnet-lrn30")["pool1"].receptive_start == -3  # one pixel by the convolution, two by the pool


def test_variant_386m() -> None:
    network = ghost("zfnet-386m")
    assert network.get_submodule("conv2").stride == (1, 1)
    assert not any(isinstance(part, nn.LocalResponseNorm) for part in network.modules())
    assert network.get_submodule("fc6").in_features == 86_528
    rows = table("zfnet-386m")
    assert sum(rows[f"conv{i}"].parameters for i in range(1, 6)) == 11_247_744
    assert sum(rows[f"fc{i}"].parameters for i in (6, 7, 8)) == 375_301_096


@pytest.mark.parametrize("name", EIGHT_LAYERS)
@pytest.mark.parametrize("size", [224, 128])
@pytest.mark.parametrize("remove", REMOVALS, ids=lambda r: "-".join(map(str, r)) or "none")
def test_every_removal_runs(name: str, size: int, remove: tuple[int, ...]) -> None:
    network = ghost(name, input_size=size, remove=remove, num_classes=7)
    left = {child for child, _ in network.named_children()}
    for layer in range(1, 9):
        weights = {f"conv{layer}", f"fc{layer}"} & left
        assert len(weights) == (layer not in remove)
    assert network(torch.empty(2, 3, size, size, device="meta")).shape == (2, 7)


@pytest.mark.parametrize("name", ["alexnet", "alexnet-dense", "zfnet", "zfnet-wide", "zfnet-lrn30"])
def test_normalisation_can_be_left_out(name: str) -> None:
    def norms(network: nn.Module) -> int:
        return sum(isinstance(part, nn.LocalResponseNorm) for part in network.modules())

    assert norms(ghost(name)) == 2
    assert norms(ghost(name, lrn=False)) == 0


def test_dropout_is_an_option() -> None:
    drops = [p.p for p in ghost("zfnet", dropout=0.3).modules() if isinstance(p, nn.Dropout)]
    assert drops == [0.3, 0.3]
    assert not [p for p in ghost("zfnet", dropout=0.0).modules() if isinstance(p, nn.Dropout)]


@pytest.mark.parametrize("name", EIGHT_LAYERS)
def test_smallest_input(name: str) -> None:
    """The smallest input that is accepted runs; one pixel less is refused, naming the layer."""
    for size in range(1, 130):
        try:
            network = ghost(name, input_size=size)
        except OptionError as error:
            assert "leaves nothing of the map at " in str(error)  # noqa: PT017
            refused = size
        else:
            assert network(torch.empty(1, 3, size, size, device="meta")).shape == (1, 1000)
            assert refused == size - 1
            break
    else:
        pytest.fail("no size was accepted")


def test_too_small_an_input_is_refused_by_layer() -> None:
    with pytest.raises(OptionError, match=r"5 x 5 px leaves nothing of the map at conv1"):
        build("zfnet", input_size=5)
    with pytest.raises(OptionError, match=r"16 x 16 px leaves nothing of the map at conv2"):
        build("zfnet", input_size=16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes must be at least 1, not 0"),
        ({"fc_width": -1}, "fc_width must be at least 1"),
        ({"input_size": 0}, "input_size must be at least 1"),
        ({"dropout": 1.5}, "dropout is a probability"),
        ({"dropout": -0.1}, "dropout is a probability"),
        ({"remove": (3,)}, "layers 3 cannot be removed: choose one of 3,4 / 6 / 7"),
        ({"remove": "3,4"}, "remove takes numbers of layers"),
        ({"remove": 6}, "zfnet cannot be built"),
        ({"widths": (1, 2)}, "widths takes the maps of layers 3, 4 and 5"),
        ({"widths": (384, 0, 256)}, "the number of maps of conv4 must be at least 1, not 0"),
        ({"num_classes": 2.5}, "zfnet cannot be built"),
        ({"num_classes": "many"}, "zfnet cannot be built"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        ghost("zfnet", **options)
    assert message in str(caught.value)


def test_towers_need_even_widths() -> None:
    with pytest.raises(OptionError, match=r"maps of conv4 must be a multiple of 2 \(its towers\), not 383"):
        ghost("alexnet", widths=(384, 383, 256))


def test_unknown_names_offer_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no network 'zfnett': did you mean zfnet"):
        build("zfnett")
    with pytest.raises(UnknownNameError, match=r"no option of zfnet 'fc_widht': did you mean fc_width"):
        build("zfnet", fc_widht=3)
    with pytest.raises(UnknownNameError, match="no network 'vgg'"):
        load("vgg")


def test_removals_as_json_gives_them() -> None:
    assert count(ghost("zfnet", remove=[6, 7], widths=[8, 8, 8])) == count(
        ghost("zfnet", remove=(6, 7), widths=(8, 8, 8))
    )


def test_entries_describe_themselves() -> None:
    for name in names():
        found = entry(name)
        assert found.about
        assert found.name == name
        assert "=====" in found.module_doc  # the table of layers
    assert entry("zfnet").options["widths"] == (384, 384, 256)


@pytest.mark.parametrize("name", ["lenet5", "lenet5-1998"])
def test_fresh_lenets_have_ten_classes(name: str) -> None:
    network = load(name, weights=None)
    assert len(network.classes) == 10
    assert network.input_shape == (1, 32, 32)
    assert network.layers()[-1].output == (10,)


def test_a_fresh_network_is_whole() -> None:
    network = load("zfnet", weights=None, input_size=64, fc_width=8, num_classes=3)
    assert isinstance(network, Network)
    assert not network.module.training
    assert network.classes == ("class 0", "class 1", "class 2")
    assert (network.preprocessing.input_size, network.preprocessing.resize) == (64, 73)
    assert network.parameters == count(network.module)
    assert network.layers()[-1].output == (3,)


def test_the_table_leaves_the_network_alone() -> None:
    network = build("zfnet", input_size=64, fc_width=8, num_classes=3).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    layer_table(network, (3, 64, 64))
    assert network.training
    assert all(p.device.type == "cpu" for p in network.parameters())
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
