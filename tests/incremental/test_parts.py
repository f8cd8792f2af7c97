"""The parts: spans against brute force, Winograd against float64, batches, totals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from deconvnet.incremental import grouping, spans, winograd
from deconvnet.incremental.fields import WindowedValue, WindowPlacement
from deconvnet.incremental.totals import Totals


@settings(max_examples=60, deadline=None)
@given(st.integers(8, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 2), st.integers(1, 2), st.data())
def test_a_span_is_exactly_what_a_convolution_changes(
    size: int, kernel: int, stride: int, padding: int, dilation: int, data: st.DataObject
) -> None:
    extent = (kernel - 1) * dilation + 1
    if extent > size + 2 * padding:
        return
    first = data.draw(st.integers(0, size - 1))
    last = data.draw(st.integers(first + 1, size))
    changed = torch.zeros(1, 1, size, size)
    changed[..., first:last, :] = 1
    weight = torch.ones(1, 1, kernel, kernel)
    seen = F.conv2d(changed, weight, stride=stride, padding=padding, dilation=dilation)[0, 0]
    rows = (seen.amax(1) > 0).nonzero()[:, 0]
    found = spans.slide(
        np.array([[first, 0, last, size]]), (extent, extent), (stride, stride), (padding, padding), tuple(seen.shape)
    )[0]
    if len(rows):  # a dilated kernel may step over a thin window: the span is the hull
        assert found[0] <= rows[0]
        assert found[2] > rows[-1]
    if dilation == 1:
        assert (found[0], found[2]) == ((int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0))


def test_the_union_of_spans_leaves_empty_ones_out() -> None:
    a, b = np.array([[2, 3, 5, 6], [0, 0, 0, 0], [0, 0, 0, 0]]), np.array([[4, 1, 9, 4], [7, 7, 8, 9], [0, 0, 0, 0]])
    assert spans.union([a, b]).tolist() == [[2, 1, 9, 6], [7, 7, 8, 9], [0, 0, 0, 0]]


@pytest.mark.parametrize("outputs", [2, 4])
def test_winograd_is_the_convolution(outputs: int) -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(3, 4 * outputs + 2, 2 * outputs + 2, 5).double(), torch.randn(7, 5, 3, 3).double()
    quick = winograd.Winograd(weight, outputs)
    expected = F.conv2d(x.permute(0, 3, 1, 2), weight).permute(0, 2, 3, 1)
    torch.testing.assert_close(quick.gather(x), expected)
    y = x[:, :-2, :-2].contiguous()
    expected = F.conv2d(y.permute(0, 3, 1, 2), weight, padding=2).permute(0, 2, 3, 1)
    torch.testing.assert_close(quick.spread(y), expected)


def test_tiles_round_as_they_say() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 14, 14, 256), torch.randn(128, 256, 3, 3)
    expected = F.conv2d(x.permute(0, 3, 1, 2).double(), weight.double()).permute(0, 2, 3, 1)
    for outputs, bound in ((2, 1e-6), (4, 8e-6)):
        found = winograd.Winograd(weight, outputs).gather(x)
        assert float((found - expected).abs().max() / expected.abs().max()) < bound


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 10**6))
def test_every_window_is_in_one_batch(count: int, most: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [rng.integers(1, 5, (count, 2)) for _ in range(3)]
    found = grouping.batches(sizes, [100.0, 1e6, 1e7], most)
    assert sorted(np.concatenate(found).tolist()) == list(range(count))
    assert max(map(len, found)) <= most


def test_batches_part_small_windows_from_large_ones() -> None:
    sizes = np.array([[2, 2]] * 30 + [[12, 12]] * 30)
    found = grouping.batches([sizes], [1e7], 64)
    assert sorted(map(len, found)) == [30, 30]
    assert len(grouping.batches([sizes], [10.0], 64)) == 1  # not where another batch costs more than it saves


def test_totals_of_a_map_from_a_window() -> None:
    torch.manual_seed(0)
    clean = torch.randn(1, 6, 9, 11)
    patch = torch.randn(2, 6, 4, 3) * 3
    at = WindowPlacement(torch.tensor([0, 5]), torch.tensor([8, 2]), 4, 3)
    whole = clean.repeat(2, 1, 1, 1)
    for n in range(2):
        whole[n, :, at.top[n] : at.top[n] + 4, at.left[n] : at.left[n] + 3] = patch[n]
    sums, maxima = Totals(WindowedValue(clean, (2, 3))).of(patch, at)
    torch.testing.assert_close(sums, whole.clamp(min=0).double().sum((2, 3)))
    torch.testing.assert_close(maxima, whole.amax((2, 3)))
