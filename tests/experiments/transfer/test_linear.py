"""Linear classifiers: standardising and turning features changes nothing, the measure by loops, the choice of C."""

from __future__ import annotations

import numpy as np
import pytest

from deconvnet.errors import ModelError, UnknownNameError
from deconvnet.experiments.transfer import linear, precision


@pytest.fixture(scope="module")
def data():
    """Four classes of ten photos in 200 features, of which ten tell them apart and five are constant."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 20)
    x = rng.normal(3, 2, (80, 200))
    x[:, :10] += rng.normal(0, 1.4, (4, 10))[labels]
    x[:, 50:55] = 7
    first = np.tile(np.arange(20) < 10, 4)
    return x.astype(np.float32), labels.astype(np.int64), first


def slow_per_class(predicted, labels) -> float:
    shares = []
    for c in sorted(set(labels.tolist())):
        own = [p == c for p, t in zip(predicted.tolist(), labels.tolist(), strict=True) if t == c]
        shares.append(sum(own) / len(own))
    return sum(shares) / len(shares)


def test_mean_accuracy_over_classes_by_loops():
    rng = np.random.default_rng(3)
    labels = rng.choice(6, 200, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.01]).astype(np.int64)
    predicted = np.where(rng.random(200) < 0.6, labels, rng.integers(0, 6, 200))
    assert linear.per_class(predicted, labels) == pytest.approx(slow_per_class(predicted, labels), rel=1e-12)
    assert linear.per_class(predicted, labels) != pytest.approx((predicted == labels).mean(), abs=1e-3)
    shares = linear.by_class(np.array([0, 0, 2]), np.array([0, 2, 2]), 4)
    assert shares[[0, 2]].tolist() == [1.0, 0.5]
    assert np.isnan(shares[[1, 3]]).all()


def test_features_are_standardised_by_the_training_photos(data):
    x, _, first = data
    narrow = x[:, :30]
    ready = linear.standardise(narrow[first], narrow[~first], "x")
    mean, deviation = narrow[first].astype(float).mean(0), narrow[first].astype(float).std(0)
    assert ready.test == pytest.approx((narrow[~first] - mean) / deviation / np.sqrt(30), abs=1e-6)
    assert (ready.train**2).sum(1).mean() == pytest.approx(1)


@pytest.mark.parametrize("kind", linear.CLASSIFIERS)
def test_turned_features_give_the_same_classifier(data, kind):
    x, labels, first = data
    ready = linear.standardise(x[first], x[~first], "x")
    assert ready.train.shape == (40, 39)  # 195 vary; 40 centred photos span 39 dimensions
    varying = x[first].std(0) > 0
    assert varying.sum() == 195
    scale = x[first].astype(float)[:, varying].std(0) * np.sqrt(195)
    plain = [
        (x[part].astype(float)[:, varying] - x[first].astype(float)[:, varying].mean(0)) / scale
        for part in (first, ~first)
    ]
    assert ready.train @ ready.train.T == pytest.approx(plain[0] @ plain[0].T, abs=1e-6)
    assert ready.test @ ready.train.T == pytest.approx(plain[1] @ plain[0].T, abs=1e-6)
    fast = linear.fitted(kind, 10.0, ready.train, labels[first])
    whole = linear.fitted(kind, 10.0, plain[0], labels[first])
    difference = fast.decision_function(ready.test) - whole.decision_function(plain[1])
    assert np.abs(difference).max() < 0.03 * np.abs(whole.decision_function(plain[1])).max()
    assert (fast.predict(ready.test) == whole.predict(plain[1])).mean() > 0.95


def test_c_is_chosen_on_the_photos_that_are_not_fitted():
    rng = np.random.default_rng(1)  # here those that are fitted would choose 10 for the SVM, the others 0.1
    labels = np.repeat(np.arange(4), 20)
    x = rng.normal(0, 1, (80, 40))
    x[:, :10] += rng.normal(0, 1, (4, 10))[labels]
    ready = linear.standardise(x, x[:1], "x").train
    fit = np.tile(np.arange(20) < 12, 4)
    for kind in linear.CLASSIFIERS:
        reached = {}
        for c in linear.GRID[kind]:
            classifier = linear.fitted(kind, c, ready[fit], labels[fit])
            reached[c] = slow_per_class(classifier.predict(ready[~fit]), labels[~fit])
        best = max(reached.values())
        assert linear.choose(kind, ready, labels, fit) == min(c for c in reached if reached[c] == best)
        assert linear.choose(kind, ready, labels, np.ones(80, bool)) == linear.GRID[kind][1]


def test_refused(data):
    x, _, first = data
    with pytest.raises(ModelError, match=r"'conv9' are the same for all 40 training photos"):
        linear.standardise(np.full_like(x[first], 0.1), x[~first], "conv9")
    with pytest.raises(UnknownNameError, match="did you mean svm"):
        linear.check_classifiers(["svmm"])
    assert linear.check_classifiers([]) == ("svm", "softmax")
    assert linear.check_classifiers(["softmax", "softmax"]) == ("softmax",)


def slow_average_precision(has, scores) -> float:
    """Precision at each photo that has the label, averaged; scores all different."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    found, precisions = 0, []
    for rank, i in enumerate(order, start=1):
        if has[i]:
            found += 1
            precisions.append(found / rank)
    return sum(precisions) / len(precisions)


def test_average_precision_by_loops():
    rng = np.random.default_rng(1)
    has, scores = rng.random((50, 4)) < 0.3, rng.random((50, 4))
    has[:, 3] = False
    found = precision.average_precisions(has, scores)
    for label in range(3):
        assert found[label] == pytest.approx(slow_average_precision(has[:, label], scores[:, label]))
    assert np.isnan(found[3])


@pytest.mark.parametrize("kind", linear.CLASSIFIERS)
def test_ranking_by_label(data, kind):
    x, labels, first = data
    has = np.zeros((80, 5), bool)
    has[np.arange(80), labels] = True
    has[labels == 2, 0] = True  # two labels; the fifth has no photo
    ready = linear.standardise(x[first, :10], x[~first, :10], "x")
    scores = precision.ranked(kind, 10.0, ready.train, has[first], ready.test)
    assert (scores[:, 4] == 0).all()
    found = precision.average_precisions(has[~first], scores)
    assert (found[:4] > has[~first].mean(0)[:4] + 0.1).all()
    fit = np.tile(np.arange(10) < 6, 4)
    assert precision.choose_ranked(kind, ready.train, has[first], fit) in linear.GRID[kind]
