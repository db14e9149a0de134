"""What stands after a signal's name: a quantile, a feature, a category, a score, or PromQL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import cast

from pipemon.catalogue import CONFIDENCE_BINS, FEEDBACK_SIGNALS, OTHER
from pipemon.errors import nearest
from pipemon.spec import expression, fields
from pipemon.spec.baseline import Baseline
from pipemon.spec.fields import Report
from pipemon.spec.model import Spec
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown
from pipemon.spec.shift import KINDS
from pipemon.spec.signals import OF_NUMBERS, SIGNALS, STATISTICS, Signal
from pipemon.topology import FeatureShape, StageShape

_QUANTILE = re.compile(r"p([0-9]{1,2}(?:\.[0-9]{1,3})?)")
_QUANTILE_OF = re.compile(r"(p\S*)\s+of\s+(\S.*)")

_STATISTIC_OF = re.compile(r"(\S+)\s+of\s+(\S.*)")

_EXPECTED = {
    "feature": "a feature after it, such as input.level_dbfs",
    "feature_quantile": "a quantile and its feature after it, such as p95 of input.audio_seconds",
    "category": "a feature and its category after it, such as input.language=fr",
    "feature_category": "a feature with categories after it, such as input.language",
    "statistic": "a feature after it, such as input.level_dbfs, or a statistic and its feature: ks of input.level_dbfs",
    "shifted": "a feature after it, such as input.level_dbfs, or spread of input.level_dbfs",
    "feedback": "what users do after it, such as redo",
    "score": "a score after it, such as wer",
    "candidate": 'the candidate version after it, such as "2.0"',
    "confidence": "the feature that is its confidence after it, such as output.confidence",
    "promql": "a PromQL expression after it",
}


@dataclass(frozen=True)
class Argument:
    """What a condition is about: the words after its signal, the feature where it is one's, the series' labels.

    `unit` is that of a score.
    """

    text: str = ""
    feature: FeatureShape | None = None
    labels: tuple[tuple[str, str], ...] = ()
    unit: str = ""


@dataclass(frozen=True)
class Place:
    """Where a condition stands: in which spec, at which stage (None: the whole pipeline), and its name.

    `no_baseline` says why there is no baseline. `closed` tells that the code names every feature there is, and
    `sudden` that the team calls it a sudden change. `member` is whom of a `group` it is of, "" for all: its features
    are those that are kept apart for it.
    """

    spec: Spec
    stage: StageShape | None
    baseline: Baseline | None
    name: str
    no_baseline: str = ""
    closed: bool = False
    sudden: bool = False
    group: str = ""
    member: str = ""

    @property
    def complete(self) -> bool:
        """False where the stages could not be read, so that what they lack is no fault of what refers to it."""
        return bool(self.spec.stages)


def argument_of(report: Report, signal: Signal, node: Node | None, at: Node, place: Place) -> Argument | None:
    """Return what stands after a signal's name, as the signal takes it; reports at `node`, else at `at`."""
    where = f"{place.name}: {signal.name}"
    if signal.argument == "none":
        if node is not None:
            hint = ""
            if isinstance(node, Scalar) and node.text and signal.comparisons:
                hint = f"; write a threshold beside it, such as `above: {shown(node.text)[1:-1]}`"
            report.add(node, f"{where} takes nothing after it, found {kind(node)}{hint}", "type")
            return None
        return Argument()
    if signal.argument == "quantile":
        text = node.text.strip() if isinstance(node, Scalar) else ("p99" if node is None else "")
        return Argument(text) if _is_quantile(report, text, node, at, where) else None
    if signal.argument == "burned":
        return _burned(report, node, place, where)
    if signal.argument == "candidate":
        return _candidate(report, node, at, place, where)
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value.strip():
        found = kind(node) if node else "nothing"
        report.add(node or at, f"{where}: expected {_EXPECTED[signal.argument]}, found {found}", "type")
        return None
    text = node.text.strip()
    match signal.argument:
        case "feature":
            # Any feature can be missing; only numbers have a mean.
            numbers = False if signal.unit == "feature" else None
            return _of_feature("", _feature(report, node, text, place, where, categories=numbers))
        case "feature_quantile":
            parts = _QUANTILE_OF.fullmatch(text)
            if parts is None:
                message = f"{where}: expected {_EXPECTED[signal.argument]}, found {shown(text)}"
                report.add(node, message, "type")
                return None
            if not _is_quantile(report, parts[1], node, at, where):
                return None
            return _of_feature(parts[1], _feature(report, node, parts[2], place, where, categories=False))
        case "statistic":
            return _statistic(report, node, text, place, where)
        case "shifted":
            return _shifted(report, node, text, place, where)
        case "feature_category":
            found_feature = _feature(report, node, text, place, where, categories=True)
            return _of_feature("", found_feature, ("category", OTHER))
        case "confidence":
            return _confidence(report, node, text, place, where)
        case "category":
            return _category(report, node, text, place, where)
        case "feedback":
            return _feedback(report, node, place, where)
        case "score":
            return _score(report, node, place, where)
    if wrong := expression.fault(text):
        report.add(node, f"{where}: {wrong}", "promql")
        return None
    return Argument(expression.uncommented(text))


def _statistic(report: Report, node: Scalar, text: str, place: Place, where: str) -> Argument | None:
    if (parts := _parted(report, node, text, STATISTICS, "psi", f"{where}: there is no statistic")) is None:
        return None
    name, feature = parts
    numbers = False if name in OF_NUMBERS else None
    return _of_feature(name, _feature(report, node, feature, place, where, categories=numbers))


def _shifted(report: Report, node: Scalar, text: str, place: Place, where: str) -> Argument | None:
    if (parts := _parted(report, node, text, KINDS, "level", f"{where}: what of a feature is")) is None:
        return None
    name, feature = parts
    return _of_feature(name, _feature(report, node, feature, place, where, categories=None))


def _parted(
    report: Report, node: Scalar, text: str, known: Iterable[str], usual: str, wrong: str
) -> tuple[str, str] | None:
    """Part `ks of input.level` into what is asked of a feature, the `usual` where only that is named, and the feature.

    None where what is asked is none of `known`, of which `wrong` begins to tell.
    """
    parts, names = _STATISTIC_OF.fullmatch(text), [*known]
    name, feature = (parts[1], parts[2]) if parts else (usual, text)
    if name in names:
        return name, feature
    hint = nearest(name, names) or f"; there are {fields.listed(names, 'and')}"
    report.add(node, f"{wrong} {shown(name)}{hint}", "type")
    return None


def _is_quantile(report: Report, text: str, node: Node | None, at: Node, where: str) -> bool:
    match = _QUANTILE.fullmatch(text)
    if match and 0 < float(match[1]) < 100:
        return True
    found = shown(text) if text else kind(node or at)
    meant = f"; did you mean 'p{text}'?" if _QUANTILE.fullmatch(f"p{text}") else ""
    report.add(node or at, f"{where}: expected a quantile such as p50, p95 or p99.9, found {found}{meant}", "type")
    return False


def _of_feature(text: str, feature: FeatureShape | None, *more: tuple[str, str]) -> Argument | None:
    if feature is None:
        return None
    return Argument(text, feature, (("direction", feature.direction), ("feature", feature.name), *more))


def _confidence(report: Report, node: Scalar, text: str, place: Place, where: str) -> Argument | None:
    """Return a feature whose histogram has the bounds that outputs are counted by once they are labelled."""
    feature = _feature(report, node, text, place, where, categories=False)
    if feature is None:
        return None
    name = f"{feature.direction}.{feature.name}"
    if feature.unit not in ("", "ratio"):
        message = f"{where}: {name} is in {feature.unit}; a confidence is a ratio, from 0 to 1"
        report.add(node, message, "unit")
        return None
    lacks = [bin for bin in CONFIDENCE_BINS if feature.bounds and float(bin) not in feature.bounds]
    if lacks:
        message = f"{where}: {name} has no bucket bound {lacks[0]}, and labels are counted by tenths of confidence"
        message += "; take it once more under another name, with bounds=[0.1, 0.2, ..., 1.0]"
        report.add(node, message, "bounds")
        return None
    return _of_feature("", feature)


def _category(report: Report, node: Scalar, text: str, place: Place, where: str) -> Argument | None:
    name, sign, category = (part.strip() for part in text.partition("="))
    if not sign or not category:
        report.add(node, f"{where}: expected {_EXPECTED['category']}, found {shown(text)}", "type")
        return None
    feature = _feature(report, node, name, place, where, categories=True)
    if feature is None:
        return None
    known = (*feature.categories, OTHER)
    if feature.categories and category not in known:
        hint = nearest(category, known) or f"; there are {fields.listed(known, 'and')}"
        message = f"{where}: {feature.direction}.{feature.name} has no category {shown(category)}{hint}"
        report.add(node, message, "unknown-category")
        return None
    return _of_feature(category, feature, ("category", category))


def _score(report: Report, node: Scalar, place: Place, where: str) -> Argument | None:
    assert place.stage is not None
    name = node.text.strip()
    known = {score.name: score for score in place.stage.scores}
    if name not in known and (known or (place.closed and place.complete)):
        who = "the code declares" if place.closed else "the file declares"
        hint = nearest(name, known) or (f"; there are {fields.listed([*known], 'and')}" if known else "")
        report.add(node, f"{where}: {who} no score {shown(name)} of {place.stage.name!r}{hint}", "unknown-score")
        return None
    found = fields.name(report, node, where)
    unit = known[found].unit if found in known else "ratio"
    return Argument(found, None, (("score", found), ("slice", "")), unit) if found else None


def _burned(report: Report, node: Node | None, place: Place, where: str) -> Argument | None:
    """Return the signal whose bad events burn the budget: failures, if nothing else is said."""
    names = ["error_ratio", "null_ratio", "latency"] if place.stage is not None else ["error_ratio", "latency"]
    text = node.text.strip() if isinstance(node, Scalar) else ("" if node is not None else names[0])
    budget = place.spec.budget if place.stage is None else place.stage.budget
    if text == "latency" and budget is None and place.complete:
        report.add(cast(Node, node), f"{where}: there is no budget here that calls could take longer than", "budget")
        return None
    if text in names:
        return Argument(text)
    assert node is not None
    if text == "null_ratio":
        report.add(node, f"{where}: {text} is measured at a stage; say which with `stage:`", "missing")
        return None
    found = shown(text) if text else kind(node)
    report.add(node, f"{where}: expected {fields.listed(names)}, found {found}{nearest(text, names)}", "type")
    return None


def _candidate(report: Report, node: Node | None, at: Node, place: Place, where: str) -> Argument | None:
    assert place.stage is not None
    known = place.stage.candidates
    text = node.text.strip() if isinstance(node, Scalar) else ""
    if node is None and len(known) == 1:
        return Argument(known[0], None, (("candidate", known[0]),))
    message, rule = "", "type"
    if not text:
        found = kind(node) if node else "nothing"
        message = f"expected {_EXPECTED['candidate']}, found {found}"
        message += f"; there are {fields.listed(known, 'and')}" if known else ""
    elif text not in known and (known or (place.closed and place.complete)):
        hint = nearest(text, known) or (f"; there are {fields.listed(known, 'and')}" if known else "")
        message, rule = f"{place.stage.name} declares no candidate {shown(text)}{hint}", "unknown-candidate"
    if message:
        report.add(node or at, f"{where}: {message}", rule)
        return None
    return Argument(text, None, (("candidate", text),))


def compared(report: Report, compare: Signal, node: Node | None, at: Node, place: Place) -> Signal | None:
    """Return the signal that `compare` names, as it is when a canary is compared with the stable version."""
    names = [s.name for s in SIGNALS.values() if s.argument == "none" and s.unit == "ratio" and "stable" in s.against]
    text = node.text.strip() if isinstance(node, Scalar) else ""
    if isinstance(node, Mapping) and node.entries:
        text = node.entries[0][0].text
    elif text in names:
        signal = SIGNALS[text]
        return replace(signal, default=compare.default, comparisons=compare.comparisons, against=compare.against)
    found = shown(text) if text else kind(node) if node else "nothing"
    hint = nearest(text, names) if text in SIGNALS or nearest(text, names) else ""
    if not hint and text in SIGNALS and "stable" in SIGNALS[text].against:
        hint = f"; for {text} write `signal: {{{text}: ...}}` and `above: 1.5x stable`"
    report.add(node or at, f"{place.name}: compare: expected {fields.listed(names)}, found {found}{hint}", "type")
    return None


def _feedback(report: Report, node: Scalar, place: Place, where: str) -> Argument | None:
    assert place.stage is not None
    word, declared = node.text.strip(), place.stage.feedback
    # What every stage exports is there too; without code, a service may declare more than the file does.
    known = (*FEEDBACK_SIGNALS, *declared)
    if (declared or (place.closed and place.complete)) and word not in known:
        hint = nearest(word, known) or f"; there are {fields.listed(known, 'and')}"
        report.add(node, f"{where}: {place.stage.name} declares no feedback {shown(word)}{hint}", "unknown-feedback")
        return None
    found = fields.name(report, node, where)
    return Argument(found, None, (("signal", found),)) if found else None


def _feature(
    report: Report, node: Scalar, text: str, place: Place, where: str, *, categories: bool | None
) -> FeatureShape | None:
    """Find a feature by its name, and refuse numbers where `categories` are asked for, or the other way round."""
    text = f"{text}_{place.member}" if place.member else text
    feature = _named(report, node, text, place, where)
    if feature is None or categories is None:
        return feature
    # Without code nobody may have said which of them it is.
    known = place.closed or bool(feature.categories or feature.unit)
    if not known or bool(feature.categories) == categories:
        return feature
    what = "counts categories" if feature.categories else "is a number"
    instead = "share, new_category, or drift by psi" if feature.categories else "mean, quantile, or drift"
    message = f"{where}: {feature.direction}.{feature.name} {what}; its signals are {instead}"
    report.add(node, message, "comparison")
    return None


def _named(report: Report, node: Scalar, text: str, place: Place, where: str) -> FeatureShape | None:
    """Find a feature by its full name, or by its extractor's where that is unambiguous."""
    assert place.stage is not None
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
