"""The mining record and the exact sums in it."""

from fractions import Fraction

import numpy as np
import pytest

from deconvnet.errors import RunError, UnitError, UnknownNameError
from deconvnet.mining.exact_sums import exact_means, exact_sums
from deconvnet.mining.record import LayerTop, TopActivations
from deconvnet.runs import Run


def record() -> TopActivations:
    first = LayerTop(
        values=np.array([[3, 0, -np.inf], [-1, -2, -np.inf]], np.float32),
        photos=np.array([[5, 1, -1], [1, 5, -1]], np.int64),
        positions=np.array([[[1, 2], [0, 0], [0, 0]], [[0, 1], [1, 1], [0, 0]]], np.int32),
        active=np.array([1, 0], np.int64),
        sums=exact_sums(np.array([[3, -1], [0, -2]], np.float32)),
        count=2,
        shape=(2, 2, 3),
        spatial=True,
    )
    return TopActivations({"features.10": first, "features.2": LayerTop.empty((4, 1, 1), 3, False)}, 2, "sum")


def test_the_record_survives_a_run(tmp_path):
    run = Run.create(tmp_path / "run", "mine", {}, {})
    mined = record()
    run.save_arrays("top", mined.to_arrays())
    back = TopActivations.from_arrays(Run.open(run.path).arrays("top"))
    assert list(back.layers) == ["features.10", "features.2"]
    assert (back.count, back.score, back.k) == (2, "sum", 3)
    assert back["features.10"].shape == (2, 2, 3)
    assert [top.spatial for top in back.layers.values()] == [True, False]
    before, after = mined.to_arrays(), back.to_arrays()
    for name in before:
        assert before[name].dtype == after[name].dtype
        np.testing.assert_array_equal(before[name], after[name])


def test_statistics_and_winners():
    top = record()["features.10"]
    np.testing.assert_array_equal(top.active_share, np.float32([0.5, 0]))
    np.testing.assert_array_equal(top.mean_maximum, np.float32([1.5, -1.5]))
    np.testing.assert_array_equal(record().dead("features.10"), [1])
    np.testing.assert_array_equal(top.inactive, [[False, True, True], [True, True, True]])
    assert top.winners(0) == [(5, 3.0, (1, 2), True), (1, 0.0, (0, 0), False)]
    with pytest.raises(UnitError, match="no channel 2"):
        top.winners(2)
    with pytest.raises(UnknownNameError, match=r"features\.2"):
        record().dead("features.3")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays: arrays.pop("count"),
        lambda arrays: arrays.pop("features.2/photos"),
        lambda arrays: arrays.update({"score": np.array(7)}),
        lambda arrays: arrays.update({"features.2/values": np.zeros((4, 2), np.float32)}),
        lambda arrays: arrays.update({"features.2/photos": np.zeros((4, 3), np.int32)}),
        lambda arrays: [arrays.pop(key) for key in list(arrays) if "/" in key],
    ],
)
def test_records_that_do_not_fit_are_told(spoil):
    arrays = record().to_arrays()
    spoil(arrays)
    with pytest.raises(RunError, match="mine again"):
        TopActivations.from_arrays(arrays)


def test_sums_are_exact_over_the_whole_range_of_float32():
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2**32, (500, 3), dtype=np.uint32).view(np.float32)
    numbers[~np.isfinite(numbers)] = 0
    tiny, huge = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    numbers[:8, 0] = [tiny, -tiny, tiny, huge, -huge, huge, 0, -0.0]
    means = exact_means(exact_sums(numbers), len(numbers))
    wanted = [float(sum(map(Fraction, map(float, column))) / len(numbers)) for column in numbers.T]
    assert means.tolist() == wanted

    shards = exact_sums(numbers[:1]) + exact_sums(numbers[200:][::-1]) + exact_sums(numbers[1:200])
    np.testing.assert_array_equal(shards, exact_sums(numbers))
