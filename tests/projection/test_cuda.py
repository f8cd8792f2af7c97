"""On a GPU: the same projections as on the CPU, and the same bits in every run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.projection.test_windows import NETS, build, everywhere, photos

from deconvnet.projection import project
from deconvnet.projection._pooling import _accumulate, scatter_by_cells

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@needs_cuda
@pytest.mark.parametrize("unpool", ["sum", "place", "mean"])
@pytest.mark.parametrize("windows", [True, False])
@pytest.mark.parametrize("name", ["zfnet", "residual", "joining", "dilated"])
def test_a_gpu_gives_the_same(name: str, windows: bool, unpool: str) -> None:
    model, two = build(name), photos(name, 2)
    units = everywhere(model, NETS[name][2], two)
    expected = project(model, two, units, windows=windows, unpool=unpool)
    model.cuda()
    found = project(model, two, units, windows=windows, unpool=unpool)
    assert found.units == expected.units
    for index in np.flatnonzero(expected.active):
        largest = np.abs(expected.pixels[index]).max()
        assert np.abs(found.pixels[index] - expected.pixels[index]).max() <= 1e-9 * largest
    again = project(model, two, units, windows=windows, unpool=unpool)
    assert np.array_equal(found.pixels, again.pixels)


@needs_cuda
def test_accumulation_on_a_gpu_has_one_answer() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(200_000, generator=generator).cuda()
    cells = torch.randint(500, (200_000,), generator=generator).cuda()
    first = scatter_by_cells(values, cells, 500, "sum")
    assert all(torch.equal(first, scatter_by_cells(values, cells, 500, "sum")) for _ in range(5))


def test_both_ways_of_accumulating_add_up_alike() -> None:
    """The GPU's way runs on the CPU too: the numbers are those of ``scatter_add``."""

    class Elsewhere(torch.Tensor):
        is_cpu = False  # type: ignore[assignment]

    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4000, generator=generator, dtype=torch.float64)
    cells = torch.randint(50, (4000,), generator=generator)
    empty = torch.zeros(50, dtype=torch.float64)
    there = _accumulate(empty.clone().as_subclass(Elsewhere), cells, values)
    torch.testing.assert_close(there.as_subclass(torch.Tensor), _accumulate(empty.clone(), cells, values))
