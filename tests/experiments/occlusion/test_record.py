"""The positions of an occluding square, and what is read off a record, against loops."""

from __future__ import annotations

import numpy as np
import pytest

from deconvnet.errors import OptionError, RunError
from deconvnet.experiments.occlusion.record import (
    KIND,
    Fill,
    Grid,
    OccludedPhoto,
    OcclusionMap,
    OcclusionRecord,
    ProjectionRecord,
    rank_correlation,
)
from deconvnet.geometry import Box
from deconvnet.runs import Run, Unit

GRIDS = [
    Grid.of(photo, size, stride, border)
    for border in ("inside", "cut", "partial")
    for photo, size, stride in (((12, 20), (5, 4), (3, 4)), ((9, 9), 4, 1), ((10, 7), 7, 5), ((8, 8), 8, 3))
]


def covered(grid: Grid, i: int, j: int) -> np.ndarray:
    """Which pixels the square at position (i, j) covers: bool (H, W)."""
    mask = np.zeros(grid.photo, bool)
    for row in range(grid.photo[0]):
        for column in range(grid.photo[1]):
            inside = 0 <= row - grid.tops[i] < grid.size[0] and 0 <= column - grid.lefts[j] < grid.size[1]
            mask[row, column] = inside
    return mask


def occlusion_map(grid: Grid, fill: str = "grey", classes: int = 3, maps: int = 4, seed: int = 0) -> OcclusionMap:
    rng = np.random.default_rng(seed)
    return OcclusionMap(
        rng.integers(0, 256, (*grid.photo, 3), dtype=np.uint8),
        tuple(f"class {i}" for i in range(classes)),
        "conv5",
        Fill(fill, f"{fill} (1, 2, 3)", rng.integers(0, 256, (*grid.photo, 3), dtype=np.uint8)),
        grid,
        rng.normal(size=(*grid.shape, classes)).astype(np.float32),
        rng.random((*grid.shape, maps)).astype(np.float32),
        rng.random((*grid.shape, maps)).astype(np.float32),
        rng.normal(size=classes).astype(np.float32),
        np.array([1, 3, 2, 3], np.float32)[:maps],
        np.array([4, 3, 4, 1], np.float32)[:maps],
    )


@pytest.mark.parametrize(
    ("border", "starts"),
    [("inside", [0, 4, 8, 10]), ("cut", [0, 4, 8, 12]), ("partial", [-3, 1, 5, 9, 12])],
)
def test_where_squares_start(border, starts):
    grid = Grid.of((16, 17), 6, 4, border)
    assert grid.tops.tolist() == starts
    assert Grid.of((14, 14), 6, 4, border).tops.tolist()[:3] == starts[:3]
    if border != "partial":  # a stride that divides leaves nothing to add
        assert Grid.of((14, 14), 6, 4, border).tops.tolist() == [0, 4, 8]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_windows_are_row_by_row_and_leave_no_pixel_uncovered(grid):
    windows = grid.windows.reshape(*grid.shape, 4)
    count = np.zeros(grid.photo, int)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            mask = covered(grid, i, j)
            top, left, bottom, right = (max(int(edge), 0) for edge in windows[i, j])
            assert mask[top:bottom, left:right].all()
            assert mask.sum() == mask[top:bottom, left:right].size
            assert mask.any()
            count += mask
    assert count.min() >= 1
    assert len(grid) == windows.shape[0] * windows.shape[1]
    if grid.border == "inside":
        assert grid.windows.min() >= 0
        assert (grid.windows[:, 2:] <= grid.photo).all()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_means_by_pixel_and_sums_by_square_equal_loops(grid):
    values = np.random.default_rng(0).normal(size=grid.shape)
    image = np.random.default_rng(1).normal(size=grid.photo)
    total, count = np.zeros(grid.photo), np.zeros(grid.photo)
    sums = np.zeros(grid.shape)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            mask = covered(grid, i, j)
            total += values[i, j] * mask
            count += mask
            sums[i, j] = image[mask].sum()
    np.testing.assert_allclose(grid.per_pixel(values), total / count, atol=1e-12)
    np.testing.assert_allclose(grid.inside(image), sums, atol=1e-12)


def test_pixels_that_no_square_covers_have_no_mean():
    found = Grid.of((10, 10), 2, 4).per_pixel(np.ones((3, 3)))
    assert np.isnan(found[2:4]).all()
    assert (found[:2, :2] == 1).all()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_pixel_is_painted_with_the_nearest_centre(grid):
    values = np.arange(len(grid), dtype=float).reshape(grid.shape)
    painted = grid.paint(values)
    rows, columns = grid.centres
    for row in range(grid.photo[0]):
        for column in range(grid.photo[1]):
            if np.isnan(painted[row, column]):
                continue
            i, j = np.argwhere(values == painted[row, column])[0]
            assert abs(rows[i] - row - 0.5) <= np.abs(rows - row - 0.5).min()
            assert abs(columns[j] - column - 0.5) <= np.abs(columns - column - 0.5).min()
    assert set(painted[~np.isnan(painted)]) <= set(values.ravel())
    if grid.border == "partial":  # its centres go from edge to edge
        assert not np.isnan(painted).any()


def test_squares_inside_leave_the_border_unpainted():
    painted = Grid.of((20, 20), 8, 4).paint(np.ones((4, 4)))
    assert np.isnan(painted[:2]).all()
    assert not np.isnan(painted[2:18, 2:18]).any()


@pytest.mark.parametrize(
    ("size", "stride", "border", "part"),
    [
        (0, 1, "inside", "size must be at least 1 px, not 0 x 0"),
        ((3, -1), 1, "inside", "size must be at least 1 px, not 3 x -1"),
        (3, 0, "inside", "stride must be at least 1 px, not 0 x 0"),
        (11, 1, "inside", "does not fit into the 10 x 12 px"),
        ((3, 13), 1, "partial", "does not fit into the 10 x 12 px"),
        (3, 1, "wrap", "border is one of inside, cut, partial, not 'wrap'"),
    ],
)
def test_refused_grids(size, stride, border, part):
    with pytest.raises(OptionError, match=part):
        Grid.of((10, 12), size, stride, border)


def test_probabilities_winners_and_drops():
    found = occlusion_map(GRIDS[0])
    for i in range(found.grid.shape[0]):
        for j in range(found.grid.shape[1]):
            scores = found.logits[i, j].astype(float)
            expected = np.exp(scores) / np.exp(scores).sum()
            np.testing.assert_allclose(found.probabilities[i, j], expected, rtol=1e-6)
            assert found.most_probable[i, j] == scores.argmax()
            drop = found.clean_probabilities[1] - expected[1]
            assert found.drop(1)[i, j] == pytest.approx(drop, abs=1e-6)
            assert found.drop(1, "logit")[i, j] == pytest.approx(found.clean_logits[1] - scores[1], abs=1e-6)
    np.testing.assert_array_equal(found.per_pixel(2), found.grid.per_pixel(found.drop(2)))
    assert found.predicted == found.clean_logits.argmax()
    assert found.strongest("sum") == 1  # of equals, the lower
    assert found.strongest("max") == found.strongest() == 0
    with pytest.raises(OptionError, match="max or sum, not 'mean'"):
        found.strongest("mean")
    with pytest.raises(OptionError, match="probability, logit, not 'odds'"):
        found.score(0, "odds")


def occluded(grid: Grid) -> OccludedPhoto:
    maps = tuple(occlusion_map(grid, fill) for fill in ("grey", "blur"))
    rng = np.random.default_rng(3)
    projections = tuple(
        ProjectionRecord(
            name, Unit("conv5", 2, (1, 2)), 3.5, Box(-2, 3, 6, 11), rng.normal(size=(3, 8, 8)).astype(np.float32)
        )
        for name in ("cat.jpg", "other/dog.jpg")
    )
    return OccludedPhoto("cat.jpg", 1, True, 2, maps, projections)


def test_a_record_comes_back_as_it_was_written(tmp_path):
    photos = [occluded(GRIDS[0]), OccludedPhoto("b.png", 0, False, 1, (occlusion_map(GRIDS[0]),), (), "no reason.")]
    run = Run.create(tmp_path / "run", KIND, {}, {})
    OcclusionRecord("net", tuple(photos)).write(run)
    back = OcclusionRecord.read(Run.open(tmp_path / "run")).photos
    assert len(back) == 2
    for one, other in zip(photos, back, strict=True):
        for name in ("name", "label", "given", "channel", "unprojected", "label_name", "unit"):
            assert getattr(one, name) == getattr(other, name)
        for mine, theirs in zip(one.maps, other.maps, strict=True):
            for name in ("view", "logits", "sums", "maxima", "clean_logits", "clean_sums", "clean_maxima"):
                np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
                assert getattr(mine, name).dtype == getattr(theirs, name).dtype
            assert (mine.classes, mine.layer, mine.precision) == (theirs.classes, theirs.layer, theirs.precision)
            assert (mine.fill.name, mine.fill.about) == (theirs.fill.name, theirs.fill.about)
            np.testing.assert_array_equal(mine.fill.picture, theirs.fill.picture)
            np.testing.assert_array_equal(mine.grid.windows, theirs.grid.windows)
            assert mine.grid.about == theirs.grid.about
        for mine, theirs in zip(one.projections, other.projections, strict=True):
            np.testing.assert_array_equal(mine.pixels, theirs.pixels)
            for name in ("photo", "unit", "activation", "box"):
                assert getattr(mine, name) == getattr(theirs, name)


def test_a_damaged_record_is_refused(tmp_path):
    run = Run.create(tmp_path / "run", KIND, {}, {})
    OcclusionRecord("net", (occluded(GRIDS[0]),)).write(run)
    arrays, name = run.arrays("record"), "photos/0/maps/0/sums"
    run.save_arrays("record", {**arrays, name: arrays[name][:-1]})
    with pytest.raises(RunError, match=r"photos\[0\]\.maps\[0\]\.sums is said to be"):
        OcclusionRecord.read(run)
    run.save_json("record", {"photos": [{}]})
    with pytest.raises(RunError, match="damaged"):
        OcclusionRecord.read(run)
    other = Run.create(tmp_path / "other", "mine", {}, {})
    with pytest.raises(RunError, match="kind 'mine'"):
        OcclusionRecord.read(other)


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, (6, 7)).astype(float), rng.random((6, 7))
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert rank_correlation(other, -np.exp(other)) == pytest.approx(-1)
    assert rank_correlation(one, np.ones((6, 7))) is None


def test_agreement_is_the_rank_correlation_of_loss_and_covered_projection():
    grid = Grid.of((12, 12), 4, 2)
    found = occlusion_map(grid)
    pixels = np.zeros((3, 6, 6), np.float32)
    pixels[1, 2, 2] = -2  # at row 5, column 6 of the photo
    covers = np.array([[covered(grid, i, j)[5, 6] for j in range(5)] for i in range(5)])
    for sign, expected in ((-0.5, 1.0), (0.5, -1.0)):
        sums = found.sums.copy()
        sums[..., 0] = 1 + sign * covers
        one = OcclusionMap(**{**{k: getattr(found, k) for k in found.__dataclass_fields__}, "sums": sums})
        own = ProjectionRecord("a", Unit("conv5", 0, (0, 0)), 1.0, Box(3, 4, 9, 10), pixels)
        assert OccludedPhoto("a", 0, True, 0, (one,), (own,)).agreement() == pytest.approx(expected)
        assert OccludedPhoto("a", 0, True, 0, (one,), ()).agreement() is None
    flat = OcclusionMap(
        **{**{k: getattr(found, k) for k in found.__dataclass_fields__}, "sums": np.ones_like(found.sums)}
    )
    assert OccludedPhoto("a", 0, True, 0, (flat,), (own,)).agreement() is None
