"""Histogram, random photos and sums by class, against loops; and that neither order nor shards change them."""

from fractions import Fraction

import numpy as np
import pytest

from deconvnet.errors import OptionError
from deconvnet.mining.counter import SpreadCounter
from deconvnet.mining.histogram import BINS, LayerSpread, bins, edges, merge_spreads, order


def maxima(count: int = 200, maps: int = 3, seed: int = 0) -> np.ndarray:
    """Values over many powers of two; a third not active."""
    rng = np.random.default_rng(seed)
    values = np.float32(2.0) ** rng.uniform(-20, 20, (count, maps)).astype(np.float32)
    values[rng.random((count, maps)) < 0.3] = 0
    values[:, 2] = 0  # a dead map
    values[3, 0], values[4, 0] = -1.5, 2.0**-16
    return values


def counted(values, photos=None, labels=None, classes=0, seed=7, size=11) -> LayerSpread:
    photos = np.arange(len(values)) if photos is None else np.asarray(photos)
    counter = SpreadCounter({"conv": values.shape[1]}, classes, seed)
    for start in range(0, len(photos), size):
        some = photos[start : start + size]
        counter.add(some, values[some], None if labels is None else labels[some])
    return counter.result()["conv"]["spread"]


def assert_same(a: LayerSpread, b: LayerSpread) -> None:
    for field, array in vars(a).items():
        np.testing.assert_array_equal(array, getattr(b, field), err_msg=field)


def test_bins_lie_between_their_edges():
    values, low = maxima(), edges()
    assert len(low) == BINS
    assert low[0] == 2.0**-16
    assert low[-1] == 2.0**16
    assert (np.diff(low) > 0).all()
    for value, number in zip(values.ravel().tolist(), bins(values).ravel().tolist(), strict=True):
        if value <= 0:
            assert number == 0
        elif value < low[0]:
            assert number == 1
        elif value >= low[-1]:
            assert number == BINS - 1
        else:
            assert low[number - 1] <= value < low[number]
    np.testing.assert_array_equal(bins(low[:-1].astype(np.float32)), np.arange(1, BINS))


def test_counts_and_samples_are_those_of_loops():
    values = maxima()
    found, place = counted(values), bins(maxima())
    for channel in range(values.shape[1]):
        mixed = order(np.arange(len(values)), np.array(channel), 7)
        assert len(np.unique(mixed)) == len(values)
        for number in range(BINS):
            members = [photo for photo in range(len(values)) if place[photo, channel] == number]
            assert found.histogram[channel, number] == len(members)
            first = min(members, key=lambda photo: mixed[photo], default=-1)
            assert found.sample[channel, number] == first
            if members:
                assert found.sample_values[channel, number] == values[first, channel]


@pytest.mark.parametrize("seed", [0, 1])
def test_order_and_shards_change_nothing(seed):
    values = maxima()
    labels = np.random.default_rng(seed).integers(-1, 4, len(values))
    shuffled = np.random.default_rng(seed).permutation(len(values))
    whole = counted(values, labels=labels, classes=4)
    assert_same(counted(values, shuffled, labels, 4, size=17), whole)
    a, b = (counted(values, part, labels, 4) for part in np.array_split(shuffled, 2))
    assert_same(merge_spreads(a, b, 7), whole)
    assert_same(merge_spreads(b, a, 7), whole)


def test_sums_by_class_are_exact():
    values = np.abs(maxima())
    values = np.where(values < 2.0**-15, 0, values).astype(np.float32)  # all their bits lie above 2^-56
    labels = np.random.default_rng(0).integers(-1, 4, len(values))
    found = counted(values, labels=labels, classes=4)
    for label in range(4):
        of_class = values[labels == label]
        assert found.class_counts[label] == len(of_class)
        for channel in range(3):
            exact = sum((Fraction(float(value)) for value in of_class[:, channel]), Fraction(0)) / len(of_class)
            assert found.class_means(channel)[label] == pytest.approx(float(exact), rel=1e-12)
    assert found.strongest_classes(2) == []
    best = found.strongest_classes(0, 2)
    assert best[0][1] >= best[1][1] > 0
    assert best[0][0] == int(np.argmax(found.class_means(0)))


def test_quantiles_are_near_the_true_ones():
    values = np.abs(np.random.default_rng(1).normal(size=(1000, 1))).astype(np.float32) + np.float32(0.01)
    found = counted(values)
    ascending = np.sort(values[:, 0])
    for sampled in found.at_quantiles(0, [0, 0.1, 0.5, 0.9, 1]):
        true = ascending[min(int(sampled.quantile * 1000), 999)]
        assert values[sampled.photo, 0] == np.float32(sampled.value)
        assert true / 1.25 <= sampled.value <= true * 1.25
    half_dead = np.where(np.arange(1000)[:, None] % 2, values, 0).astype(np.float32)
    rare = counted(half_dead)
    assert rare.at_quantiles(0, [0.3])[0].value == 0
    assert rare.at_quantiles(0, [0.3], active=True)[0].value > 0
    assert counted(np.zeros((5, 1), np.float32)).at_quantiles(0, active=True) == []
    with pytest.raises(OptionError, match="between 0 and 1"):
        found.at_quantiles(0, [1.1])


def test_a_sample_is_drawn_evenly():
    """Of 20 photos in one bin, each is drawn about as often over many seeds."""
    values = np.ones((20, 1), np.float32)
    drawn = [int(counted(values, seed=seed).sample[0].max()) for seed in range(2000)]
    counts = np.bincount(drawn, minlength=20)
    assert counts.min() > 60  # 100 expected, standard deviation 10
    assert counts.max() < 140
    maps = counted(np.ones((20, 2000), np.float32)).sample.max(axis=1)  # and over the maps of one layer
    counts = np.bincount(maps, minlength=20)
    assert counts.min() > 60
    assert counts.max() < 140
