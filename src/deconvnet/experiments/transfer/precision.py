"""Photos with several labels: classifiers that rank, and the average precision of their ranking (Table 6)."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from deconvnet.experiments.transfer.linear import GRID, SVM, Matrix, fitted

Has = npt.NDArray[np.bool_]


def ranked(kind: str, c: float, features: Matrix, has: Has, others: Matrix) -> Matrix:
    """Scores by which the other photos are ranked for each label, (M, C).

    Parameters
    ----------
    kind : {"svm", "softmax"}
        One support vector machine for each label, its photos against the rest; or one softmax over all labels, as in
        Sec. 5.2, in which a photo counts once for each of its labels.
    c : float
    features : ndarray, (N, F)
    has : ndarray of bool, (N, C)
        Which labels photos have. Labels that none or all have give scores of 0.
    others : ndarray, (M, F)
    """
    scores = np.zeros((len(others), has.shape[1]))
    possible = np.flatnonzero(has.any(0) & ~has.all(0))
    if kind == SVM:
        for label in possible:
            machine = fitted(kind, c, features, has[:, label].astype(np.int64))
            scores[:, label] = machine.decision_function(others)  # type: ignore[attr-defined]
        return scores
    rows, columns = np.nonzero(has[:, possible])
    if len(possible) > 1:
        probabilities = fitted(kind, c, features[rows], columns).predict_proba(others)  # type: ignore[attr-defined]
        scores[:, possible] = probabilities
    return scores


def average_precisions(has: Has, scores: Matrix) -> npt.NDArray[np.float64]:
    """Average precision of each label, (C,); NaN for one that no photo has.

    scikit-learn's: precision at each photo with the label, averaged, without the interpolation of PASCAL's own.
    """
    from sklearn.metrics import average_precision_score

    found = np.full(has.shape[1], np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for label in np.flatnonzero(has.any(0)):
            found[label] = average_precision_score(has[:, label], scores[:, label])
    return found


def choose_ranked(kind: str, features: Matrix, has: Has, fit: npt.NDArray[np.bool_]) -> float:
    """The C with the best mean average precision on the training photos that are not fitted; of equals the smallest."""
    grid = GRID[kind]
    if not fit.any() or fit.all() or not (has[fit].any(0) & has[~fit].any(0)).any():
        return grid[1]
    reached = []
    for c in grid:
        found = average_precisions(has[~fit], ranked(kind, c, features[fit], has[fit], features[~fit]))
        reached.append(float(np.nanmean(found)))
    return grid[int(np.argmax(reached))]
