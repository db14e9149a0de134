"""Features of a classifier's probabilities: how sure it is.

All take the probabilities of one item: a vector over the classes, each 0 to 1, their sum 1 (within 0.02, as half
precision needs). One number alone is the probability of one of two classes. With more axes, the last is over the
classes and the feature is the mean over the others: of the tokens of a text, of the frames of audio. With
`logits=True` they take scores from which softmax makes probabilities (of one number alone, the logistic function).
What is no distribution counts as missing: probabilities of labels that do not exclude one another, say; of these
take `maximum()`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipemon.instrument.extractors.rows import Array, by_rows
from pipemon.instrument.features import Feature

_TOLERANCE = 0.02


def confidence(name: str | None = None, logits: bool = False, sample: float = 1.0) -> Feature:
    """Probability of the most likely class, 1 / classes to 1, in `ratio`. Cost: two passes.

    Of a calibrated model it is the expected accuracy, without any labels.
    """
    return _feature("confidence", lambda p: p.max(axis=-1), name, logits, sample)


def margin(name: str | None = None, logits: bool = False, sample: float = 1.0) -> Feature:
    """Probability of the most likely class minus that of the next, 0 to 1, in `ratio`. Cost: three passes.

    Near 0 the model wavers between two classes. Source: T. Scheffer et al., Active Hidden Markov Models for
    Information Extraction, 2001.
    """
    return _feature("margin", _margin, name, logits, sample)


def entropy(name: str | None = None, logits: bool = False, sample: float = 1.0) -> Feature:
    """Normalised entropy, -sum(p ln p) / ln(classes): 0 is certain, 1 any class alike; in `ratio`. Cost: three passes.

    Normalised, models with different numbers of classes compare. Source: C. E. Shannon, A Mathematical Theory of
    Communication, 1948, section 7, where it is called relative entropy.
    """
    return _feature("entropy", _entropy, name, logits, sample)


def _feature(default: str, measure: Callable[[Array], Array], name: str | None, logits: bool, sample: float) -> Feature:
    def rows(array: Array) -> Array:
        return np.asarray(measure(_distributions(array, logits)).mean(axis=1))

    return by_rows(default, rows, name=name, unit="ratio", sample=sample)


def _distributions(array: Array, logits: bool) -> Array:
    """Return probabilities of shape (n, positions, classes); all NaN where they are no distribution."""
    p = np.asarray(array, dtype=float)
    p = p.reshape(len(p), -1, p.shape[-1] if p.ndim > 1 else 1)
    if p.shape[-1] == 1:
        p = np.concatenate([p, np.zeros_like(p) if logits else 1 - p], axis=-1)
    if logits:
        p = np.exp(p - p.max(axis=-1, keepdims=True))
        shares: Array = p / p.sum(axis=-1, keepdims=True)
        return shares
    total = p.sum(axis=-1, keepdims=True)
    valid = (p.min(axis=-1, keepdims=True) >= 0) & (abs(total - 1) <= _TOLERANCE)
    return np.where(valid, p / total, np.nan)


def _margin(p: Array) -> Array:
    top = np.partition(p, -2, axis=-1)
    return np.asarray(top[..., -1] - top[..., -2])


def _entropy(p: Array) -> Array:
    # 0 ln 0 is 0; the sum of a certain distribution is -0.0.
    return np.asarray(abs(np.where(p == 0, 0.0, p * np.log(p)).sum(axis=-1)) / np.log(p.shape[-1]))
