"""What is learned of a stage's output later: by users, labels, raters, reviewers, and candidates beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from pipemon.catalogue import DECIDERS, OTHER
from pipemon.instrument.attribution import Attributed, Attribution, close_to
from pipemon.instrument.run import Run

P = ParamSpec("P")
T = TypeVar("T")

Slice = Mapping[str, object]
_LABELS = frozenset({"accepted", "corrected"})
"""Signals that tell what would have been right."""
_LARGEST = 1e200


def _never_raises(function: Callable[P, None]) -> Callable[P, None]:
    """Return a method that logs once what goes wrong in it; none of them does anything while pipemon is disabled."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        of: Any = args[0]
        if of._told is None:
            return
        try:
            function(*args, **kwargs)
        except Exception:  # noqa: BLE001  such as a full disk under the files of multiprocess mode
            of._told.quietly.warn(function.__name__, "%s could not be counted", function.__name__, exc=True)

    return guarded


class TakesFeedback:
    """A pipeline's ear for what is told later.

    `run` says which run it is about: `pipemon.current_run().token`, kept until then. It counts for the version and
    track of the stage that served in that run; without it, or with an id alone, for the version that was declared
    first. `slice` is the group it came from: `{"age": "young"}`; a group that was not declared counts as `other`.
    Whatever was not declared is logged once, with the nearest valid name. Nothing here raises.
    """

    def __init__(self, slices: tuple[str, ...], told: Attribution | None) -> None:
        self._slices = slices
        self._told = told

    @_never_raises
    def feedback(self, signal: str, stage: str, *, run: str | Run | None = None, slice: Slice | None = None) -> None:
        """Count what a user did with a stage's output: `pipeline.feedback("redo", stage="asr", run=token)`.

        A signal that was not declared counts as `other`.
        """
        found = self._find("feedback", stage, run)
        if found is None:
            return
        counters = found.series.signals.get(str(signal))
        if counters is None:
            message = "feedback on stage %s counts as %s: there is no signal %s"
            close = close_to(signal, found.series.signals)
            self._warn((str(stage), close), message, stage, OTHER, close)
            counters = found.series.signals[OTHER]
        for name in self._groups("feedback", slice):
            counters[name].inc()
        if signal in _LABELS:
            self._arrived(stage, found, "feedback")

    @_never_raises
    def score(
        self,
        name: str,
        value: float,
        stage: str,
        *,
        run: str | Run | None = None,
        slice: Slice | None = None,
        version: str | None = None,
    ) -> None:
        """Tell how good a stage's output was: `pipeline.score("wer", 0.12, stage="asr", run=token)`.

        The score is one of the stage's `scores`; another one is not counted, nor is what is no finite number.
        `version` is that of an output which did not serve, as in shadow.
        """
        found = self._find("score", stage, run, version)
        if found is None:
            return
        scores = self._declared(found.series.scores, "score", stage, "scores=['wer']")
        if not scores:
            return
        series = scores.get(str(name))
        if series is None:
            close = close_to(name, scores)
            self._warn(("score", str(stage), close), "score on stage %s: there is no score %s", stage, close)
            return
        number = float(value)
        if not abs(number) <= _LARGEST:
            self._warn(("score", str(stage), str(name)), "score %s of stage %s: not a finite number", name, stage)
            return
        for group in self._groups("score", slice):
            series[group].add(number)
        self._arrived(stage, found, f"score {name}")

    @_never_raises
    def label_expected(self, stage: str, items: int = 1, *, run: str | Run | None = None) -> None:
        """Count outputs whose true value is to come, as when they are sent to be labelled. The stage has `labels=True`.

        A label has arrived when the first of these is told with `run`: a score, a calibration, raters' agreement, a
        person's decision, the feedback `accepted` or `corrected`.
        """
        found = self._find("label_expected", stage, run)
        truth = found and self._declared(found.series.truth, "label_expected", stage, "labels=True")
        if truth:
            truth.expected.inc(max(0, int(items)))

    @_never_raises
    def calibration(
        self,
        stage: str,
        confidence: float,
        correct: bool,
        *,
        run: str | Run | None = None,
        version: str | None = None,
    ) -> None:
        """Tell whether an output was right that came with a confidence from 0 to 1. The stage has `labels=True`.

        `version` is that of an output which did not serve, as in shadow.
        """
        found = self._find("calibration", stage, run, version)
        truth = found and self._declared(found.series.truth, "calibration", stage, "labels=True")
        if found is None or truth is None:
            return
        number = float(confidence)
        if not 0 <= number <= 1:
            self._warn(("confidence", str(stage)), "calibration of stage %s: a confidence is from 0 to 1", stage)
            return
        truth.calibrate(number, correct=bool(correct))
        self._arrived(stage, found, "calibration")

    @_never_raises
    def rated(self, stage: str, agreed: bool, *, run: str | Run | None = None, slice: Slice | None = None) -> None:
        """Tell whether two raters gave an item of the stage the same label. The stage has `labels=True`."""
        found = self._find("rated", stage, run)
        truth = found and self._declared(found.series.truth, "rated", stage, "labels=True")
        if found is None or truth is None:
            return
        for group in self._groups("rated", slice):
            truth.rated[group].inc()
            if not agreed:
                truth.disagreements[group].inc()
        self._arrived(stage, found, "rated")

    @_never_raises
    def compared(self, stage: str, candidate: str, agreed: bool | None, *, run: str | Run | None = None) -> None:
        """Tell whether a candidate, such as a version in shadow, gave the same output; None: it failed.

        `candidate` is one of the stage's `candidates`; another one counts as `other`.
        """
        found = self._find("compared", stage, run)
        candidates = found and self._declared(found.series.candidates, "compared", stage, "candidates=['2.0']")
        if not candidates:
            return
        counters = candidates.get(str(candidate))
        if counters is None:
            close = close_to(candidate, candidates)
            message = "a comparison of stage %s counts as %s: there is no candidate %s"
            self._warn(("candidate", str(stage), close), message, stage, OTHER, close)
            counters = candidates[OTHER]
        counters["candidate_error" if agreed is None else "agree" if agreed else "disagree"].inc()

    @_never_raises
    def decided(
        self,
        stage: str,
        by: str,
        agreed: bool | None = None,
        *,
        waited: float | None = None,
        run: str | Run | None = None,
    ) -> None:
        """Tell who decided on an output, the `model` or a `human`. The stage has `decisions=True`.

        `agreed`: whether the other would have decided the same; None: not known. `waited`: seconds that the output
        waited for a person.
        """
        found = self._find("decided", stage, run)
        decisions = found and self._declared(found.series.decisions, "decided", stage, "decisions=True")
        if found is None or decisions is None:
            return
        answer = "unknown" if agreed is None else "yes" if agreed else "no"
        counter = decisions.counters.get((str(by), answer))
        if counter is None:
            hint = close_to(by, DECIDERS)
            self._warn(("decided", hint), "a decision on stage %s is not counted: there is no decider %s", stage, hint)
            return
        counter.inc()
        if waited is not None and 0 <= float(waited) <= _LARGEST:
            decisions.wait.observe(float(waited))
        if by == "human" and agreed is not None:
            self._arrived(stage, found, "decided")

    @_never_raises
    def traffic(self, stage: str, version: str, ratio: float) -> None:
        """Tell which share of the traffic, 0 to 1, a version of a stage is meant to get: for whoever routes it."""
        assert self._told is not None
        series = self._told.of_version("traffic", stage, version)
        if series is not None and 0 <= float(ratio) <= 1:
            series.direct(float(ratio))
        elif series is not None:
            self._warn(("traffic", str(stage)), "traffic of stage %s: a share is from 0 to 1", stage)

    def _find(self, what: str, stage: str, run: object, version: object = None) -> Attributed | None:
        assert self._told is not None
        if version is None:
            return self._told.find(what, stage, run.token if isinstance(run, Run) else run)
        series = self._told.of_version(what, stage, version)
        return None if series is None else Attributed(series)  # without a run: no label of what served

    def _declared(self, series: T | None, what: str, stage: str, declare: str) -> T | None:
        """Return what a stage has only where its declaration asks for it; log once that it does not."""
        if not series:
            self._warn((what, str(stage)), "%s: stage %s is not declared with %s", what, stage, declare)
        return series

    def _arrived(self, stage: str, found: Attributed, kind: str) -> None:
        assert self._told is not None
        self._told.arrived(str(stage), found, kind)

    def _warn(self, key: object, message: str, *args: object) -> None:
        assert self._told is not None
        self._told.quietly.warn(key, message, *args)

    def _groups(self, what: str, slice: Slice | None) -> Iterator[str]:
        """Yield the slices that one thing told belongs to: that of all, without a name, and its own."""
        yield ""
        for name, member in (slice or {}).items():
            text = f"{name}={member}"
            if text in self._slices:
                yield text
                continue
            # Only declared names are logged: the value may be the user's data.
            self._warn("slice", "%s: a value of slice %r is not declared and counts as %s", what, name, OTHER)
            if self._slices:
                yield OTHER
