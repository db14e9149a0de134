"""The series of what is told later of one version of a stage: made at zero, with every label's value known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from pipemon import catalogue
from pipemon.catalogue import ANSWERS, COMPARISON_RESULTS, CONFIDENCE_BINS, DECIDERS, FEEDBACK_SIGNALS, OTHER, Metric
from pipemon.instrument.calls import StageKey
from pipemon.instrument.feature_series import Families
from pipemon.topology import ScoreShape, StageShape

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0
WAITS = (
    1.0, 5.0, 10.0, 30.0, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR,
    8 * _HOUR, _DAY, 3 * _DAY, 7 * _DAY,
)  # fmt: skip
"""Seconds until a person decides."""

_TENTHS = [float(bound) for bound in CONFIDENCE_BINS]


class FeedbackSeries:
    """Counters and histograms of one version of a stage; what its declaration does not ask for is None or empty."""

    def __init__(self, families: Families, key: StageKey, shape: StageShape, slices: Iterable[str]) -> None:
        self._families = families
        self._labels = key.labels
        self._shape = shape
        self._slices = ("", *slices)  # that of all has no name
        self.signals = {
            signal: self._by_slice(catalogue.FEEDBACK, signal) for signal in (*FEEDBACK_SIGNALS, *shape.feedback, OTHER)
        }
        self.scores = {
            score.name: {slice: _ScoreSeries(families, key, score, slice) for slice in self._slices}
            for score in shape.scores
        }
        self.candidates = {
            candidate: {
                result: self._counter(catalogue.COMPARISONS, candidate, result) for result in COMPARISON_RESULTS
            }
            for candidate in ((*shape.candidates, OTHER) if shape.candidates else ())
        }
        self.truth = _TruthSeries(self) if shape.labels else None
        self.decisions = _DecisionSeries(self) if shape.decisions else None

    def covers(self, shape: StageShape) -> bool:
        """Tell whether these are the series that a declaration asks for."""
        own = self._shape
        return (own.feedback, own.scores, own.candidates, own.labels, own.decisions) == (
            shape.feedback, shape.scores, shape.candidates, shape.labels, shape.decisions
        )  # fmt: skip

    def direct(self, ratio: float) -> None:
        """Show the share of the traffic that the version is meant to get; until then there is no such series."""
        self._families[catalogue.ROLLOUT_TRAFFIC.name].labels(*self._labels).set(ratio)

    def _counter(self, metric: Metric, *values: str) -> Any:
        return self._families[metric.name].labels(*self._labels, *values)

    def _by_slice(self, metric: Metric, *values: str) -> dict[str, Any]:
        return {slice: self._counter(metric, *values, slice) for slice in self._slices}

    def _histogram(self, metric: Metric, bounds: tuple[float, ...]) -> Any:
        return self._families[metric.name].child(self._labels, bounds)


class _TruthSeries:
    """What comes of true values: how many are due and came, when, how raters differ, and calibration."""

    def __init__(self, of: FeedbackSeries) -> None:
        self.expected = of._counter(catalogue.LABELS_EXPECTED)
        self.arrived = of._counter(catalogue.LABELS_ARRIVED)
        self.delay = of._histogram(catalogue.LABEL_DELAY, catalogue.LABEL_DELAYS)
        self.rated = of._by_slice(catalogue.LABELS_RATED)
        self.disagreements = of._by_slice(catalogue.LABEL_DISAGREEMENTS)
        self._calibration = [
            {
                correct: of._counter(catalogue.CALIBRATION, bin, answer)
                for correct, answer in ((True, "yes"), (False, "no"))
            }
            for bin in CONFIDENCE_BINS
        ]
        self._confidence = [of._counter(catalogue.CALIBRATION_CONFIDENCE, bin) for bin in CONFIDENCE_BINS]

    def calibrate(self, confidence: float, *, correct: bool) -> None:
        """Add an output that came with a confidence from 0 to 1."""
        bin = bisect_left(_TENTHS, confidence)
        self._calibration[bin][correct].inc()
        self._confidence[bin].inc(confidence)


class _DecisionSeries:
    """Who decided, and how long a person's decision took."""

    def __init__(self, of: FeedbackSeries) -> None:
        self.counters = {
            (decider, agreed): of._counter(catalogue.DECISIONS, decider, agreed)
            for decider in DECIDERS
            for agreed in ANSWERS
        }
        self.wait = of._histogram(catalogue.REVIEW_WAIT, WAITS)


class _ScoreSeries:
    """A score of one slice."""

    def __init__(self, families: Families, key: StageKey, score: ScoreShape, slice: str) -> None:
        labels = (*key.labels, score.name, slice)
        self._values = families[catalogue.QUALITY_SCORE.name].child(labels, score.bounds)
        self._signs = {
            sign: families[catalogue.QUALITY_SUM.name].labels(*labels, sign) for sign in ("positive", "negative")
        }

    def add(self, value: float) -> None:
        """Add a finite value."""
        self._values.observe(value)
        self._signs["negative" if value < 0 else "positive"].inc(abs(value))
