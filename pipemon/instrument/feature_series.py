"""The series of one feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipemon import catalogue
from pipemon.catalogue import OTHER
from pipemon.instrument.calls import StageKey
from pipemon.instrument.recorder import Rows
from pipemon.instrument.taking import untaken
from pipemon.topology import FeatureShape
from pipemon.units import fingerprint

_LARGEST = 1e200
"""Larger values count as infinite: a few of them would make a sum infinite for the process's life."""

Families = Mapping[str, Any]

Watch = Callable[[Rows], None]
"""Told of a feature's columns as they are counted, shape (n,): categories by their places, NaN for missing values."""


def column_of(shape: FeatureShape) -> str:
    """Return what a feature's column is called."""
    return f"{shape.direction}.{shape.name}"


def add(counter: Any, amount: float) -> None:
    """Add to a counter what is not nothing: most are, and each addition takes a lock."""
    if amount:
        counter.inc(amount)


class FeatureSeries:
    """What is exported of a feature, whether a number or a category."""

    def __init__(self, families: Families, key: StageKey, shape: FeatureShape, bins: str) -> None:
        labels = (*key.labels, shape.direction, shape.name)
        self.column = column_of(shape)
        self.direction = shape.direction
        self.watch: Watch | None = None
        self._observed = families[catalogue.FEATURE_OBSERVED.name].labels(*labels)
        self._missing = families[catalogue.FEATURE_MISSING.name].labels(*labels)
        families[catalogue.EXTRACTOR_ERRORS.name].labels(*labels)
        families[catalogue.FEATURE_INFO.name].labels(*labels, shape.unit, bins).set(1)

    def fold(self, column: Rows) -> None:
        """Add a column, shape (n,): NaN is missing, unless it is our own NaN for what was not looked at."""
        if self.watch is not None:
            self.watch(column)
        low, high = column.min(), column.max()
        if low >= -_LARGEST and high <= _LARGEST:  # False for NaN too
            self._observed.inc(len(column))
            self._add(column, low)
            return
        usable = np.abs(column) <= _LARGEST
        values = column[usable]
        looked = len(column) - untaken(column)
        add(self._missing, looked - len(values))
        add(self._observed, looked)
        if len(values):
            self._add(values, values.min())

    def _add(self, values: Rows, low: float) -> None:
        raise NotImplementedError


class _NumberSeries(FeatureSeries):
    def __init__(self, families: Families, key: StageKey, shape: FeatureShape) -> None:
        labels = (*key.labels, shape.direction, shape.name)
        self._values = families[catalogue.FEATURE_VALUE.name].child(labels, shape.bounds)
        self._positive = families[catalogue.FEATURE_SUM.name].labels(*labels, "positive")
        self._negative = families[catalogue.FEATURE_SUM.name].labels(*labels, "negative")
        super().__init__(families, key, shape, fingerprint(self._values.bounds))

    def _add(self, values: Rows, low: float) -> None:
        self._values.observe_many(values)
        if low >= 0:
            self._positive.inc(float(values.sum()))
            return
        part = np.maximum(values, 0.0)
        self._positive.inc(float(part.sum()))
        self._negative.inc(-float(np.minimum(values, 0.0, out=part).sum()))


class _CategorySeries(FeatureSeries):
    def __init__(self, families: Families, key: StageKey, shape: FeatureShape) -> None:
        family = families[catalogue.FEATURE_CATEGORY.name]
        labels = (*key.labels, shape.direction, shape.name)
        self._counters = [family.labels(*labels, category) for category in (*shape.categories, OTHER)]
        super().__init__(families, key, shape, "")

    def _add(self, values: Rows, low: float) -> None:
        counts = np.bincount(values.astype(np.intp), minlength=len(self._counters)).tolist()
        for counter, times in zip(self._counters, counts, strict=True):
            add(counter, times)


def feature_series(families: Families, key: StageKey, shape: FeatureShape) -> FeatureSeries:
    """Make a feature's series at zero."""
    return (_CategorySeries if shape.categories else _NumberSeries)(families, key, shape)
