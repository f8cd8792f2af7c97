"""Linear classifiers on features (Sec. 5.2, 5.3): support vector machine and softmax, as scikit-learn has them.

Features are standardised by the training photos' mean and deviation and divided by one number, so that a training
photo's squared length is 1 on average: C then means the same in layers of any size. Where there are more features than
photos, both sets are turned into the space that the training photos span; since the solution lies in it (the penalty is
the squared length of the weights), it stays the same, and the work no longer depends on the number of features.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from deconvnet.errors import DeconvnetError, ModelError, UnknownNameError

SVM, SOFTMAX = "svm", "softmax"
CLASSIFIERS = (SVM, SOFTMAX)
GRID = {SVM: (0.1, 1.0, 10.0), SOFTMAX: (10.0, 100.0, 1000.0)}
"""The values of C among which is chosen, ascending."""
Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
_CHUNK = 1024


class Classifier(Protocol):
    """What scikit-learn's classifiers share."""

    classes_: npt.NDArray[Any]

    def fit(self, x: Matrix, y: npt.NDArray[Any]) -> Any: ...
    def predict(self, x: Matrix) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class FeatureScaling:
    """Training and test features ready for a classifier: (N, F) and (M, F), F at most N."""

    train: Matrix
    test: Matrix


def check_classifiers(kinds: Sequence[str]) -> tuple[str, ...]:
    """Kinds of classifier without repetition; refused where one is unknown or scikit-learn is not installed."""
    for kind in kinds:
        if kind not in CLASSIFIERS:
            raise UnknownNameError("classifier", kind, CLASSIFIERS)
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise DeconvnetError(
            "linear classifiers come with scikit-learn, which is not installed: pip install 'deconvnet[experiments]'."
        ) from error
    return tuple(dict.fromkeys(kinds)) or CLASSIFIERS


def standardise(train: npt.NDArray[np.floating], test: npt.NDArray[np.floating], layer: str) -> FeatureScaling:
    """Bring features to the training photos' mean 0 and deviation 1, and to few dimensions.

    Parameters
    ----------
    train, test : ndarray, (N, F) and (M, F)
        Features that are constant over the training photos are left out.
    layer : str
        For the error.

    Raises
    ------
    ModelError
        If all features are constant.
    """
    mean = train.mean(0, dtype=np.float64)
    deviation = train.std(0, dtype=np.float64)
    varying = deviation > 1e-7 * max(1e-30, float(np.abs(train).max()))  # below: rounding of float32
    if not varying.any():
        raise ModelError(
            f"the features of layer {layer!r} are the same for all {len(train)} training photos, so nothing can be "
            "told apart by them: choose another layer, or check the weights and the photos."
        )
    scale = deviation[varying] * np.sqrt(varying.sum())
    ready = (train[:, varying] - mean[varying]) / scale

    def others() -> list[Matrix]:
        return [(test[i : i + _CHUNK][:, varying] - mean[varying]) / scale for i in range(0, len(test), _CHUNK)] or [
            np.zeros((0, int(varying.sum())))
        ]

    if ready.shape[1] <= len(ready):
        return FeatureScaling(ready, np.concatenate(others()))
    values, vectors = np.linalg.eigh(ready @ ready.T)
    kept = values > 1e-10 * values[-1]
    lengths = np.sqrt(values[kept])
    turn = vectors[:, kept] / lengths  # training photos, times this: an orthonormal basis of their span
    return FeatureScaling(vectors[:, kept] * lengths, np.concatenate([(part @ ready.T) @ turn for part in others()]))


def fitted(kind: str, c: float, features: Matrix, labels: Labels) -> Classifier:
    """A classifier trained with the given C.

    ``"svm"`` is ``LinearSVC``: squared hinge, one class against the rest; ``"softmax"`` is ``LogisticRegression``:
    multinomial, by L-BFGS.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    classifier: Any
    if kind == SVM:
        classifier = LinearSVC(C=c, dual=True, tol=1e-2, max_iter=2000, random_state=0)  # type: ignore[arg-type]
    else:
        classifier = LogisticRegression(C=c, tol=1e-5, max_iter=500)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="The number of unique classes")  # one photo a class is asked for
        return classifier.fit(features, labels)


def choose(kind: str, features: Matrix, labels: Labels, fit: npt.NDArray[np.bool_]) -> float:
    """The C of the grid with the best mean accuracy over classes on the training photos that are not fitted.

    Parameters
    ----------
    kind : {"svm", "softmax"}
    features : ndarray, (N, F)
    labels : ndarray of int64, (N,)
    fit : ndarray of bool, (N,)
        The part to fit; the rest decides. Where one of these is empty the grid's second value is taken.

    Returns
    -------
    float
        Of equals the smallest, which is the most regularised.
    """
    grid = GRID[kind]
    if not fit.any() or fit.all():
        return grid[1]
    reached = [
        per_class(fitted(kind, c, features[fit], labels[fit]).predict(features[~fit]), labels[~fit]) for c in grid
    ]
    return grid[int(np.argmax(reached))]


def per_class(predicted: npt.NDArray[Any], labels: Labels) -> float:
    """Mean over classes of the share of photos that are named rightly (the paper's measure on Caltech-101)."""
    return float(np.nanmean(by_class(predicted, labels, int(labels.max()) + 1)))


def by_class(predicted: npt.NDArray[Any], labels: Labels, classes: int) -> npt.NDArray[np.float64]:
    """Share of each class's photos that are named rightly, (classes,); NaN where there is none."""
    right = np.bincount(labels, predicted == labels, classes)
    count = np.bincount(labels, minlength=classes)
    return np.where(count > 0, right / np.maximum(count, 1), np.nan)
