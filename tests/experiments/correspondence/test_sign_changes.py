"""Hamming distances and the permutation test, against loops and full enumeration."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from deconvnet.experiments.correspondence.sign_changes import compare, permutation_test


@pytest.mark.parametrize("features", [7, 70_001])  # the latter takes two blocks
def test_against_loops(features):
    signs = np.random.default_rng(features).choice([-1, 0, 0, 1], (4, features)).astype(np.int8)
    found = compare(signs)
    assert found.features == features
    for a, b in product(range(4), repeat=2):
        hamming = both = opposite = 0
        for s, t in zip(signs[a].tolist(), signs[b].tolist(), strict=True):
            hamming += s != t  # three values: 0 differs from 1 and from -1
            both += s != 0 and t != 0
            opposite += s * t < 0
        assert (found.hamming[a, b], found.both[a, b], found.opposite[a, b]) == (hamming, both, opposite)


def test_no_change_is_a_sign_of_its_own():
    signs = np.array([[0, 0, 0], [1, -1, 0]], np.int8)
    assert compare(signs).hamming[0, 1] == 2
    assert compare(np.zeros((2, 5), np.int8)).hamming[0, 1] == 0


def test_p_is_that_of_all_choices():
    photos, regions = 3, 3
    rng = np.random.default_rng(1)
    part = rng.random((photos, regions, photos, regions))
    whole = rng.random(part.shape) + 0.5

    def statistic(chosen) -> float:
        pairs = [(i, chosen[i], j, chosen[j]) for i, j in combinations(range(photos), 2)]
        return sum(part[p] for p in pairs) / sum(whole[p] for p in pairs)

    every = [statistic(chosen) for chosen in product(range(regions), repeat=photos)]
    observed = statistic((0, 0, 0))
    below = np.mean([value <= observed + 1e-12 for value in every])
    above = np.mean([value >= observed - 1e-12 for value in every])
    found = permutation_test(part, whole, 40_000, np.random.default_rng(0))
    assert found == pytest.approx(min(1, 2 * min(below, above)), abs=0.02)


def fake(photos: int, regions: int, shift: float, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.choice([-1, 0, 1], (photos, regions, 200)).astype(np.int8)
    template = rng.choice([-1, 0, 1], 200)
    keep = rng.random((photos, 200)) < shift
    vectors[:, 0] = np.where(keep, template, vectors[:, 0])
    return (compare(vectors.reshape(-1, 200)).hamming / 200).reshape(photos, regions, photos, regions)


def test_a_part_that_is_missed_alike_is_found():
    rng = np.random.default_rng(0)
    assert permutation_test(fake(6, 8, 0.5, rng), 1.0, 999, rng) == pytest.approx(2 / 1000)


def test_noise_is_not_found_more_often_than_it_says():
    rng = np.random.default_rng(0)
    found = np.array([permutation_test(fake(5, 5, 0.0, rng), 1.0, 199, rng) for _ in range(300)])
    assert (found <= 0.1).mean() == pytest.approx(0.1, abs=0.06)
    assert found.mean() == pytest.approx(0.5, abs=0.08)


def test_nothing_to_divide_by_is_no_evidence():
    assert permutation_test(np.zeros((3, 3, 3, 3)), np.zeros((3, 3, 3, 3)), 99, np.random.default_rng(0)) == 1
