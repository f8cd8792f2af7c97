"""Local response normalisation: the formula in plain loops, torch's function, and the gradient of the fast path."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deconvnet.networks.normalization import LocalResponseNorm


def loops(x: Tensor, size: int, alpha: float, beta: float, k: float, groups: int) -> Tensor:
    """x / (k + alpha/n * sum over n maps of x**2) ** beta, literally (Krizhevsky et al., Sec. 3.3, alpha by n)."""
    out = torch.empty_like(x)
    maps = x.shape[1] // groups
    for c in range(x.shape[1]):
        first = c // maps * maps
        total = torch.zeros_like(x[:, 0])
        for other in range(c - size // 2, c - size // 2 + size):
            if first <= other < first + maps:
                total += x[:, other] ** 2
        out[:, c] = x[:, c] / (k + alpha / size * total) ** beta
    return out


CASES = [
    (5, 1e-4, 0.75, 2.0, 1),
    (5, 1e-4, 0.75, 2.0, 2),
    (5, 0.3, 0.75, 2.0, 2),
    (4, 0.5, 0.75, 1.0, 1),
    (6, 0.5, 0.6, 1.0, 3),
    (30, 0.9, 0.75, 1.0, 1),
    (1, 1.0, 1.0, 1.0, 1),
]


def maps(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(2, 12, 3, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_the_formula(case: tuple, training: bool) -> None:
    norm, x = LocalResponseNorm(*case).train(training), maps()
    torch.testing.assert_close(norm(x), loops(x, *case), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_training_path_is_torchs_function(case: tuple) -> None:
    size, alpha, beta, k, groups = case
    x = maps().requires_grad_()
    y = LocalResponseNorm(*case).train()(x)
    assert "Banded" in type(y.grad_fn).__name__  # it is the fast path that is tested here
    weight = maps(1)
    (gradient,) = torch.autograd.grad((y * weight).sum(), x)
    expected = torch.cat([F.local_response_norm(t, size, alpha, beta, k) for t in x.chunk(groups, 1)], 1)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradcheck(case: tuple) -> None:
    x = maps()[:1, :, :2, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(LocalResponseNorm(*case).train(), (x,))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_float32_in_both_layouts(layout: torch.memory_format) -> None:
    x = (50 * torch.rand(2, 96, 9, 7)).contiguous(memory_format=layout).requires_grad_()
    norm = LocalResponseNorm(groups=2)
    fast, plain = norm.train()(x), norm.eval()(x)
    torch.testing.assert_close(fast, plain, rtol=1e-5, atol=1e-5)
    weight = torch.rand(fast.shape)
    a, b = (torch.autograd.grad((y * weight).sum(), x)[0] for y in (fast, plain))
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_it_is_found_as_torchs_module() -> None:
    norm = LocalResponseNorm()
    assert isinstance(norm, nn.LocalResponseNorm)
    assert (norm.size, norm.alpha, norm.beta, norm.k, norm.groups) == (5, 1e-4, 0.75, 2.0, 1)
    assert "groups=2" in repr(LocalResponseNorm(groups=2))
    assert "groups" not in repr(norm)


def test_a_batch_of_vectors_is_normalised_too() -> None:
    x = torch.rand(4, 10)
    norm = LocalResponseNorm(3, 0.5).train()
    torch.testing.assert_close(norm(x[:, :, None]), F.local_response_norm(x[:, :, None], 3, 0.5, 0.75, 2.0))


def test_the_printed_formula_is_five_times_alpha() -> None:
    """The paper's text sums alpha * a**2; its code divides alpha by n = 5."""
    x = maps()
    literal = loops(x, 1, 0.0, 0.75, 2.0, 1)  # shape only
    for c in range(x.shape[1]):
        near = x[:, max(0, c - 2) : c + 3]
        literal[:, c] = x[:, c] / (2 + 1e-4 * near.square().sum(1)) ** 0.75
    torch.testing.assert_close(LocalResponseNorm(alpha=5e-4).eval()(x), literal, rtol=1e-12, atol=1e-12)
