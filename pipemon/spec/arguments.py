"""What stands after a signal's name: the quantile, the feature, the feedback or the PromQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pipemon.errors import nearest
from pipemon.spec import expression, fields
from pipemon.spec.baseline import Baseline
from pipemon.spec.fields import Report
from pipemon.spec.model import Spec
from pipemon.spec.reader import Node, Scalar, kind, shown
from pipemon.spec.signals import SIGNALS, Signal
from pipemon.topology import FeatureShape, StageShape

_QUANTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)")


@dataclass(frozen=True)
class Place:
    """Where a condition stands: in which spec, at which stage (None: the whole pipeline), and its name.

    `no_baseline` says why there is no baseline. `closed` tells that the code names every feature there is.
    """

    spec: Spec
    stage: StageShape | None
    baseline: Baseline | None
    name: str
    no_baseline: str = ""
    closed: bool = False

    @property
    def complete(self) -> bool:
        """False where the stages could not be read, so that what they lack is no fault of what refers to it."""
        return bool(self.spec.stages)


def argument_of(
    report: Report, signal: Signal, node: Node | None, at: Node, place: Place
) -> tuple[str, FeatureShape | None] | None:
    """Return a condition's argument and feature, as the signal takes them; reports at `node`, else at `at`."""
    where = f"{place.name}: {signal.name}"
    if signal.argument == "none":
        if node is not None:
            hint = ""
            if isinstance(node, Scalar) and node.text and signal.comparisons:
                hint = f"; write a threshold beside it, such as `above: {shown(node.text)[1:-1]}`"
            report.add(node, f"{where} takes nothing after it, found {kind(node)}{hint}", "type")
            return None
        return "", None
    if signal.argument == "quantile":
        text = node.text.strip() if isinstance(node, Scalar) else ("p99" if node is None else "")
        match = _QUANTILE.fullmatch(text)
        if not match or not 0 < float(match[1]) < 100:
            found = shown(text) if text else kind(node or at)
            report.add(node or at, f"{where}: expected a quantile such as p50, p95 or p99.9, found {found}", "type")
            return None
        return text, None
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value.strip():
        expected = {
            "feature": "a feature after it, such as input.level_dbfs",
            "feedback": "what users do after it, such as redo",
            "promql": "a PromQL expression after it",
        }[signal.argument]
        found = kind(node) if node else "nothing"
        report.add(node or at, f"{where}: expected {expected}, found {found}", "type")
        return None
    if signal.argument == "feature":
        feature = _feature(report, node, place, where)
        return None if feature is None else ("", feature)
    if signal.argument == "feedback":
        return _feedback(report, node, place, where)
    text = node.text.strip()
    if wrong := expression.fault(text):
        report.add(node, f"{where}: {wrong}", "promql")
        return None
    return expression.uncommented(text), None


def compared(report: Report, compare: Signal, node: Node | None, at: Node, place: Place) -> Signal | None:
    """Return the signal that `compare` names, as it is when a canary is compared with the stable version."""
    names = [s.name for s in SIGNALS.values() if s.argument == "none" and s.unit == "ratio" and "stable" in s.against]
    text = node.text.strip() if isinstance(node, Scalar) else ""
    if text in names:
        signal = SIGNALS[text]
        return replace(signal, default=compare.default, comparisons=compare.comparisons, against=compare.against)
    found = shown(text) if text else kind(node) if node else "nothing"
    hint = nearest(text, names) if text in SIGNALS or nearest(text, names) else ""
    if not hint and text in SIGNALS and "stable" in SIGNALS[text].against:
        hint = f"; for {text} write `signal: {{{text}: ...}}` and `above: 1.5x stable`"
    report.add(node or at, f"{place.name}: compare: expected {fields.listed(names)}, found {found}{hint}", "type")
    return None


def _feedback(report: Report, node: Scalar, place: Place, where: str) -> tuple[str, None] | None:
    assert place.stage is not None
    word, known = node.text.strip(), place.stage.feedback
    if known and word not in known:
        hint = nearest(word, known) or f"; there are {fields.listed(known, 'and')}"
        report.add(node, f"{where}: {place.stage.name} declares no feedback {shown(word)}{hint}", "unknown-feedback")
        return None
    found = fields.name(report, node, where)
    return (found, None) if found else None


def _feature(report: Report, node: Scalar, place: Place, where: str) -> FeatureShape | None:
    """Find a feature by its full name, or by its extractor's where that is unambiguous."""
    assert place.stage is not None
    text = node.text.strip()
    direction, dot, name = text.partition(".")
    sides = (direction,) if dot and direction in ("input", "output") else ("input", "output")
    wanted = name if len(sides) == 1 else text
    if not place.stage.features:
        if place.closed and place.complete:
            message = f"{where}: the code takes no feature of the stage {place.stage.name!r}, found {shown(text)}"
            report.add(node, message, "unknown-feature")
            return None
        if len(sides) == 1 and fields.NAME.fullmatch(wanted):
            return FeatureShape("input" if direction == "input" else "output", wanted, wanted)
        if place.complete:
            message = f"{where}: expected input.<feature> or output.<feature>, found {shown(text)}"
            report.add(node, message, "unknown-feature")
        return None
    known = [feature for feature in place.stage.features if feature.direction in sides]
    found = [feature for feature in known if feature.name == wanted]
    found = found or [feature for feature in known if feature.short == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        several = fields.listed([f"{feature.direction}.{feature.name}" for feature in found])
        report.add(node, f"{where}: {shown(text)} could be {several}; write which", "unknown-feature")
        return None
    names = [f"{feature.direction}.{feature.name}" for feature in place.stage.features]
    # A name without its side is nearest to one without.
    close = nearest(text, names) if len(sides) == 1 else nearest(text, [feature.name for feature in known])
    hint = close or f"; there are {fields.listed(names, 'and')}"
    message = f"{where}: the stage {place.stage.name!r} has no feature {shown(text)}{hint}"
    report.add(node, message, "unknown-feature")
    return None
