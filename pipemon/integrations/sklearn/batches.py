"""What goes into an estimator's method and what comes out, as batches that features are taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import is_classifier, is_outlier_detector, is_regressor

from pipemon.catalogue import OTHER
from pipemon.errors import DeclarationError
from pipemon.instrument.extractors import arrays, probabilities
from pipemon.instrument.features import MOST_CATEGORIES, Category, Feature
from pipemon.instrument.names import check_text

Array = NDArray[Any]

NOTHING: Array = np.empty(0)
"""A feature's values where this method's result does not show it."""

_PROBABILITIES: dict[str, Callable[[Any], Any]] = {"predict_proba": np.asarray, "predict_log_proba": np.exp}

_share_missing: Any = arrays.share_missing().many
_confidence: Any = probabilities.confidence().many


class Input:
    """What a method is given: rows on axis 0, dense, sparse, a data frame or a list."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return _length(self.rows)

    def share_missing(self) -> Any:
        """Return the share of entries missing in each row, shape (n,)."""
        rows = self.rows
        if hasattr(rows, "isna"):  # a data frame of mixed columns would become an array of objects
            missing = np.asarray(rows.isna(), dtype=float)
        elif issparse(rows):
            missing = rows.tocsr(copy=True)
            missing.data = np.isnan(missing.data).astype(float)
        else:
            return _share_missing(rows)
        if missing.ndim == 1:
            return missing
        return np.asarray(missing.sum(axis=1), dtype=float).ravel() / max(1, missing.shape[1])


class Output:
    """What a method returned: rows on axis 0."""

    def __init__(self, method: str, estimator: Any, result: Any) -> None:
        self._method = method
        self._estimator = estimator
        self._result = result

    def __len__(self) -> int:
        several = isinstance(self._result, list) and self._method in _PROBABILITIES  # an array for each output
        return _length(self._result[0] if several else self._result)

    def __iter__(self) -> Iterator[None]:
        """Yield None for each row that is all NaN, and nothing for the others: who counts nulls asks for no more."""
        result = self._result
        if not (isinstance(result, np.ndarray) and result.dtype.kind == "f" and result.ndim and result.size):
            return iter(())
        return iter([None] * int(np.isnan(result).reshape(len(result), -1).all(axis=1).sum()))

    def values(self) -> Array:
        """Return what was predicted of each row, shape (n,); nothing for several outputs at once."""
        if self._method != "predict":
            return NOTHING
        predicted = np.asarray(self._result)
        return predicted if predicted.ndim == 1 else NOTHING

    def labels(self) -> Array:
        """Return the predicted class of each row, shape (n,): the likeliest where these are probabilities."""
        if self._method == "predict":
            return self.values()
        found = self._probabilities()
        classes = getattr(self._estimator, "classes_", None)
        if found is None or classes is None or found.shape[1] != len(classes):
            return NOTHING
        labels: Array = np.asarray(classes)[found.argmax(axis=1)]
        return labels

    def confidences(self) -> Any:
        """Return the probability of the likeliest class of each row, shape (n,)."""
        found = self._probabilities()
        return NOTHING if found is None else _confidence(found)

    def _probabilities(self) -> Array | None:
        read = _PROBABILITIES.get(self._method)
        if read is None or isinstance(self._result, list):
            return None
        found = np.asarray(read(self._result))
        return found if found.ndim == 2 and len(found) else None


def input_features() -> tuple[Feature, ...]:
    """Return what is looked at in every step's input."""
    return (Feature("share_missing", Input.share_missing, unit="ratio", many=Input.share_missing),)


def output_features(estimator: Any) -> tuple[Feature, ...] | None:
    """Return what is looked at in a predictor's output; () for what predicts nothing, None before it is fitted."""
    if not hasattr(estimator, "predict"):
        return ()
    if is_regressor(estimator):
        return (Feature("value", Output.values, many=Output.values),)
    classes = _classes(estimator)
    confidence = (Feature("confidence", Output.confidences, unit="ratio", many=Output.confidences),)
    confidences = confidence if is_classifier(estimator) else ()
    if classes is None:
        return None if is_classifier(estimator) and not hasattr(estimator, "classes_") else confidences
    names = _names(classes)
    labels = (Category("label", Output.labels, many=Output.labels, categories=names),) if names else ()
    return (*labels, *confidences)


def _classes(estimator: Any) -> Sequence[Any] | Array | None:
    """Return what a fitted predictor chooses from: classes, clusters, or inlier and outlier."""
    if is_outlier_detector(estimator):
        return (-1, 1)
    classes = getattr(estimator, "classes_", None)
    if isinstance(classes, np.ndarray) and classes.ndim == 1:
        return classes
    clusters = getattr(estimator, "n_clusters", None)
    return range(clusters) if isinstance(clusters, int) and not is_classifier(estimator) else None


def _names(classes: Sequence[Any] | Array) -> tuple[str, ...]:
    """Return the classes that can be told apart; the others count as other."""
    found: dict[str, None] = {}
    for each in classes:
        name = str(each)
        try:
            valid = name == check_text("class", name).strip() and name not in ("", OTHER)
        except DeclarationError:
            valid = False
        if valid:
            found[name] = None
    return tuple(found)[:MOST_CATEGORIES]


def _length(rows: Any) -> int:
    shape = getattr(rows, "shape", None)  # a sparse matrix has no len
    return int(shape[0]) if shape else len(rows)
