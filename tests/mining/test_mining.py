"""Mining against brute force: every photo's maps kept, and sorted by a stable sort."""

import numpy as np
import pytest
import torch
from torch import nn

from deconvnet.errors import DataError, ModelError, OptionError, UnknownNameError
from deconvnet.mining import Miner, TopActivations, merge, mine
from deconvnet.runs import Run

LAYERS = ("conv1", "pool", "conv2", "fc")


class Net(nn.Module):
    """Integer weights: its arithmetic is exact, and it ties often."""

    def __init__(self, seed: int = 0, inplace: bool = True) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 5, 3, padding=1)
        self.relu1 = nn.ReLU(inplace=inplace)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(5, 6, 3)
        self.relu2 = nn.ReLU(inplace=inplace)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6 * 2 * 3, 7)
        self.unused = nn.Conv2d(2, 2, 1)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randint(-1, 2, parameter.shape, generator=generator))
            self.conv2.weight[4], self.conv2.bias[4] = 0, -3  # a dead map, tied everywhere

    def forward(self, x):
        x = self.pool(self.relu1(self.conv1(x)))
        return self.fc(self.drop(self.relu2(self.conv2(x))).flatten(1))


def photos(count: int = 23, seed: int = 1) -> torch.Tensor:
    """Small integers, and every third photo a copy of an earlier one."""
    x = torch.randint(-1, 2, (count, 2, 8, 10), generator=torch.Generator().manual_seed(seed)).float()
    x[2::3] = x[: len(x[2::3])]
    return x


def batches(x: torch.Tensor, size: int, order=None):
    order = np.arange(len(x)) if order is None else np.asarray(order)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield chosen.tolist(), x[torch.from_numpy(chosen)]


def layer_outputs(net: nn.Module, x: torch.Tensor, layers) -> dict[str, np.ndarray]:
    """Each layer's own output, by running the net's steps one photo at a time without in-place ReLUs."""
    kept: dict[str, list] = {layer: [] for layer in layers}
    twin = Net(inplace=False)
    twin.load_state_dict(net.state_dict())
    twin.eval()
    for layer in layers:
        twin.get_submodule(layer).register_forward_hook(lambda m, i, o, layer=layer: kept[layer].append(o.clone()))
    with torch.no_grad():
        for photo in x:
            twin(photo[None])
    return {layer: torch.cat(outputs).numpy() for layer, outputs in kept.items()}


def brute_force(maps: np.ndarray, k: int, score: str):
    """The definition as loops: rank all photos of each map by a stable sort."""
    spatial = maps.ndim == 4
    if not spatial:
        maps = maps[:, :, None, None]
    count, channels = maps.shape[:2]
    values = np.full((channels, k), -np.inf, np.float32)
    who = np.full((channels, k), -1)
    positions = np.zeros((channels, k, 2), int)
    share, mean = np.zeros(channels), np.zeros(channels)
    for channel in range(channels):
        scores = []
        for photo in range(count):
            plane = maps[photo, channel]
            positive = np.maximum(plane, 0)
            top = positive.max() if spatial else plane.max()
            scores.append({"max": top, "sum": positive.sum(), "mean": positive.mean()}[score])
            share[channel] += plane.max() > 0
            mean[channel] += top
        ranked = sorted(range(count), key=lambda photo: -scores[photo])[:k]
        for place, photo in enumerate(ranked):
            plane = maps[photo, channel]
            values[channel, place] = scores[photo]
            who[channel, place] = photo
            if plane.max() > 0:
                positions[channel, place] = np.unravel_index(plane.argmax(), plane.shape)
    return values, who, positions, share / count, mean / count


def assert_same(a: TopActivations, b: TopActivations) -> None:
    left, right = a.to_arrays(), b.to_arrays()
    assert list(left) == list(right)
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("score", ["max", "sum", "mean"])
@pytest.mark.parametrize("size", [1, 3, 7, 64])
@pytest.mark.parametrize("k", [1, 4, 9, 40])
def test_agrees_with_brute_force(score, size, k):
    net, x = Net(), photos()
    mined = mine(net, batches(x, size), LAYERS, k=k, score=score)
    assert mined.count == len(x)
    assert tuple(mined.layers) == LAYERS
    for layer, maps in layer_outputs(net, x, LAYERS).items():
        values, who, positions, share, mean = brute_force(maps, k, score)
        top = mined[layer]
        np.testing.assert_allclose(top.values, values, rtol=1e-6)  # means may round; sums and maxima are integers
        np.testing.assert_array_equal(top.photos, who)
        np.testing.assert_array_equal(top.positions, positions)
        np.testing.assert_array_equal(top.active_share, share.astype(np.float32))
        np.testing.assert_allclose(top.mean_maximum, mean, rtol=1e-6)
        assert top.shape == (*maps.shape[1:], 1, 1)[:3]
        assert top.spatial == (maps.ndim == 4)
        assert top.values.dtype == np.float32
        assert top.photos.dtype == np.int64
        assert top.positions.dtype == np.int32
    ties = mined["conv1"].values[:, 1:] == mined["conv1"].values[:, :-1]
    assert ties.any() or k == 1  # the test is about ties


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_order_and_batching_change_nothing(size, seed):
    net, x = Net(), photos()
    order = np.random.default_rng(seed).permutation(len(x))
    assert_same(mine(net, batches(x, size, order), LAYERS, k=5), mine(net, batches(x, 64), LAYERS, k=5))


@pytest.mark.parametrize("score", ["max", "sum"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shards_merge_to_one_pass(score, seed):
    net, x = Net(), photos()
    shards = np.array_split(np.random.default_rng(seed).permutation(len(x)), 4)
    shards[0], shards[1] = shards[0][:2], np.concatenate([shards[1], shards[0][2:]])  # one shorter than k
    parts = [mine(net, batches(x, 3, shard), LAYERS, k=5, score=score) for shard in shards]
    whole = mine(net, batches(x, 7), LAYERS, k=5, score=score)
    assert_same(merge(merge(parts[0], parts[1]), merge(parts[2], parts[3])), whole)
    assert_same(merge(parts[3], merge(merge(parts[2], parts[0]), parts[1])), whole)


def test_real_weights_agree_too_and_survive_a_run(tmp_path):
    net = Net()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    x = torch.randn(20, 2, 8, 10, generator=generator)
    mined = mine(net, batches(x, 1), LAYERS, k=3)  # as brute force: rounding may depend on the batch's size
    for layer, maps in layer_outputs(net, x, LAYERS).items():
        values, who, positions, _, mean = brute_force(maps, 3, "max")
        np.testing.assert_array_equal(mined[layer].values, values)
        np.testing.assert_array_equal(mined[layer].photos, who)
        np.testing.assert_array_equal(mined[layer].positions, positions)
        np.testing.assert_allclose(mined[layer].mean_maximum, mean, rtol=1e-5, atol=1e-7)
    run = Run.create(tmp_path, "mine", {}, {})
    run.save_arrays("top", mined.to_arrays())
    assert_same(TopActivations.from_arrays(run.arrays("top")), mined)


def test_dead_maps_are_named_and_their_entries_inactive():
    mined = mine(Net(), batches(photos(), 7), ["conv2"], k=3)
    top = mined["conv2"]
    assert 4 in mined.dead("conv2").tolist()
    assert top.inactive[4].all()
    np.testing.assert_array_equal(top.values[4], [0, 0, 0])
    np.testing.assert_array_equal(top.photos[4], [0, 1, 2])
    np.testing.assert_array_equal(top.positions[4], 0)
    assert [winner.active for winner in top.winners(4)] == [False] * 3


def test_channels_last_and_other_float_types_agree():
    net, x = Net(), photos()
    whole = mine(net, batches(x, 7), LAYERS, k=4)
    last = net.to(memory_format=torch.channels_last)
    assert_same(
        mine(last, ((i, b.to(memory_format=torch.channels_last)) for i, b in batches(x, 7)), LAYERS, k=4), whole
    )
    assert_same(mine(net.double(), batches(x.double(), 7), LAYERS, k=4), whole)
    assert_same(mine(net.double(), batches(x, 7), LAYERS, k=4), whole)  # brought to the precision of the weights
    assert_same(
        mine(net.bfloat16(), batches(x.bfloat16(), 7), ["conv1"], k=4), mine(Net(), batches(x, 7), ["conv1"], k=4)
    )


def test_the_pass_stops_after_the_last_layer_wanted():
    """On photos of another size the fully connected layer would fail: it is never reached."""
    net, ran = Net(), []
    net.relu2.register_forward_hook(lambda *_: ran.append("relu2"))
    x = torch.zeros(2, 2, 16, 16)
    mine(net, [([0, 1], x)], ["conv2", "conv1"])
    assert ran == []
    with pytest.raises(RuntimeError):
        net(x)


class Fallback(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)
        self.after = 0

    def forward(self, x):
        try:
            x = self.conv(x)
        except Exception:
            x = x * 2
        self.after += 1
        return x


def test_a_networks_own_fallbacks_do_not_catch_the_stop():
    net = Fallback()
    mine(net, [([0], torch.ones(1, 1, 2, 2))], ["conv"])
    assert net.after == 0


def state(net: nn.Module):
    hooks = {name: len(module._forward_hooks) for name, module in net.named_modules()}
    modes = {name: module.training for name, module in net.named_modules()}
    values = {name: (value.clone(), value.grad, value.requires_grad) for name, value in net.named_parameters()}
    return hooks, modes, values, torch.is_grad_enabled(), torch.get_rng_state()


def assert_as_before(net: nn.Module, before) -> None:
    now = state(net)
    assert now[0] == before[0]
    assert now[1] == before[1]
    for name, (value, grad, requires) in before[2].items():
        assert torch.equal(now[2][name][0], value)
        assert now[2][name][1] is grad
        assert now[2][name][2] == requires
    assert now[3] == before[3]
    assert torch.equal(now[4], before[4])


def mixed_modes() -> Net:
    net = Net().train()
    net.conv1.eval()
    net.drop.train()
    return net


def test_the_model_comes_back_as_it_was():
    net = mixed_modes()
    net.conv1.register_forward_hook(lambda *_: None)
    before = state(net)
    mined = mine(net, batches(photos(), 7), LAYERS, k=2)
    assert_as_before(net, before)
    assert_same(mined, mine(Net().eval(), batches(photos(), 7), LAYERS, k=2))  # no dropout while mining


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_the_model_comes_back_as_it_was_after_a_failure(failure):
    net = mixed_modes()

    def fail(*_):
        raise failure

    handle = net.relu2.register_forward_hook(fail)
    before = state(net)
    with pytest.raises(failure):
        mine(net, batches(photos(), 7), LAYERS)
    assert_as_before(net, before)
    handle.remove()


def test_a_failed_batch_leaves_no_trace_in_the_state():
    net, x = Net(), photos()
    miner = Miner(net, LAYERS, k=4)
    miner.add(range(10), x[:10])
    bad = x[10:].clone()
    bad[2, 0, 0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"layer 'conv1' gives NaN or infinity for photo 12"):
        miner.add(range(10, 23), bad)
    handle = net.fc.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("late")))
    with pytest.raises(RuntimeError, match="late"):
        miner.add(range(10, 23), x[10:])
    handle.remove()
    assert_same(miner.result(), mine(net, batches(x[:10], 64), LAYERS, k=4))
    miner.add(range(10, 23), x[10:])
    assert_same(miner.result(), mine(net, batches(x, 64), LAYERS, k=4))


def test_no_gradients_are_recorded():
    net, kept = Net(), []
    net.relu1.register_forward_hook(lambda module, inputs, output: kept.append(output.requires_grad))
    mine(net, batches(photos(), 23), ["conv2"])
    assert kept == [False]


def test_progress_counts_photos():
    told = []
    mine(Net(), batches(photos(), 10), ["conv1"], progress=told.append)
    assert told == [10, 20, 23]


class Odd(nn.Module):
    """Layers that cannot be mined, each in its way."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 4, batch_first=True)
        self.conv = nn.Conv1d(3, 3, 1)
        self.same = nn.Conv2d(1, 1, 1)
        self.late = nn.Conv2d(1, 1, 1)
        self.never = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        x = self.conv(x)
        self.lstm(x)
        x = x[:, None]
        return self.late(self.same(self.same(x)))


@pytest.mark.parametrize(
    ("layers", "told"),
    [
        (["lstm"], "'lstm' gives a tuple, not a tensor"),
        (["conv"], "'conv' gives float32 2 x 3 x 4 for 2 photos"),
        (["never"], "does not run 'never'"),
        (["same", "late"], "'same' runs more than once"),
    ],
)
def test_layers_without_an_answer_are_refused(layers, told):
    net = Odd()
    with pytest.raises(ModelError, match=told):
        mine(net, [([0, 1], torch.ones(2, 3, 4))], layers)
    assert not any(module._forward_hooks for module in net.modules())


def test_nan_is_refused_in_every_layout_and_where_a_pool_is_read():
    net, x = Net(), photos()
    for layout in (torch.contiguous_format, torch.channels_last):
        good, bad = (x.clone().contiguous(memory_format=layout) for _ in range(2))
        bad[5, 1, 3, 3] = torch.nan
        for first in ([], [(range(23), good)]):
            with pytest.raises(ModelError, match="NaN or infinity for photo 35"):
                mine(net, [*first, (range(30, 53), bad)], ["conv1", "conv2"])


def test_infinity_is_refused():
    x = photos(3)
    x[1, 0, 3, 3] = torch.inf
    with pytest.raises(ModelError, match="infinity for photo 8"):
        mine(Net(), [([7, 8, 9], x)], ["conv1"])


def test_bad_options_are_refused_before_a_photo_is_taken():
    def never():
        raise AssertionError("a photo was taken")
        yield

    with pytest.raises(UnknownNameError, match="no layer 'conv3': did you mean conv"):
        mine(Net(), never(), ["conv1", "conv3"])
    with pytest.raises(OptionError, match="at least 1, not 0"):
        mine(Net(), never(), ["conv1"], k=0)
    with pytest.raises(OptionError, match="max, sum, mean"):
        mine(Net(), never(), ["conv1"], score="median")
    with pytest.raises(OptionError, match="name at least one"):
        mine(Net(), never(), [])


def test_bad_photos_are_refused():
    x = photos(4)
    for none in ([], [([], x[:0])]):
        with pytest.raises(DataError, match="no photo"):
            mine(Net(), none, ["conv1"])
    with pytest.raises(DataError, match="3 photo indices for 4 photos"):
        mine(Net(), [([0, 1, 2], x)], ["conv1"])
    with pytest.raises(DataError, match="from 0"):
        mine(Net(), [([0, 1, 2, -1], x)], ["conv1"])
    with pytest.raises(DataError, match="same photo index twice"):
        mine(Net(), [([0, 1, 2, 1], x)], ["conv1"])
    with pytest.raises(DataError, match="photo 0 was given twice"):
        mine(Net(), [([0], x[:1]), ([0], x[:1])], ["conv1"])
    with pytest.raises(DataError, match="photos of one size"):
        mine(Net(), [([0], x[:1]), ([1], x[1:2, :, :6])], ["conv1"])


def test_results_that_do_not_belong_together_are_not_merged():
    net, x = Net(), photos()

    def part(first=0, layers=("conv1",), **options):
        return mine(net, [(range(first, first + 5), x[:5])], layers, **options)

    with pytest.raises(OptionError, match="k = 9 and k = 4"):
        merge(part(), part(5, k=4))
    with pytest.raises(OptionError, match="'max' and by 'sum'"):
        merge(part(), part(5, score="sum"))
    with pytest.raises(OptionError, match="only one of them has conv2"):
        merge(part(), part(5, layers=("conv1", "conv2")))
    with pytest.raises(OptionError, match="maps of"):
        merge(part(), mine(net, [([9], x[:1, :, :6])], ["conv1"]))
    with pytest.raises(DataError, match="photo 4 was given twice"):
        merge(part(), part(4))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same():
    net, x = Net(), photos()
    whole = mine(net, batches(x, 7), LAYERS, k=4)
    net.cuda()
    assert_same(mine(net, ((i, b.cuda()) for i, b in batches(x, 7)), LAYERS, k=4), whole)
