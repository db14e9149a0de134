"""The `signal:` or `signals:` of a failure mode, with the thresholds beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipemon.errors import nearest
from pipemon.spec import fields, thresholds
from pipemon.spec.baseline import Baseline, FeatureBaseline, feature_key
from pipemon.spec.fields import Report
from pipemon.spec.model import Condition, Spec
from pipemon.spec.reader import Items, Mapping, Node, Scalar, kind
from pipemon.spec.signals import PLANNED_SIGNALS, SIGNALS, Signal
from pipemon.spec.thresholds import Context, WaitsForBaselineError
from pipemon.topology import FeatureShape, StageShape

_BESIDE = ("above", "below", "outside", "changes_by", "from", "min_calls")
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True)
class Place:
    """Where a condition stands: in which spec, at which stage (None: the whole pipeline), and its name."""

    spec: Spec
    stage: StageShape | None
    baseline: Baseline | None
    name: str


def conditions(report: Report, body: Mapping, key: Scalar, place: Place) -> tuple[tuple[Condition, ...], str, str]:
    """Return a failure mode's conditions, how they combine, and why it has none if it has none."""
    single, several = body.get("signal"), body.get("signals")
    beside = {name: value for name, _, value in body if name in _BESIDE}
    if single is not None and several is not None:
        report.add(body.key("signals"), f"{place.name}: give `signal` or `signals`, not both", "comparison")
        return (), "all", ""
    if single is None and several is None:
        for name in beside:
            report.add(body.key(name), f"{place.name}: {name!r} needs a signal to compare", "comparison")
        return (), "all", "not yet measurable: nobody has named a signal"
    combine, written = "all", []
    if single is not None:
        written.append((single, beside))
    else:
        assert several is not None
        for name in beside:
            report.add(
                body.key(name),
                f"{place.name}: with `signals`, write {name!r} beside each of them",
                "comparison",
            )
        combine, items = _combined(report, several, place)
        written = [_split(item) for item in items]
    found, waiting = [], ""
    for node, near in written:
        try:
            condition = _condition(report, node, near, place)
        except WaitsForBaselineError as error:
            waiting = str(error)
            continue
        if condition is not None:
            found.append(condition)
    if combine == "all" and len(found) > 1 and any(condition.signal == "no_calls" for condition in found):
        report.add(key, f"{place.name}: no_calls can't hold together with a signal that needs calls", "comparison")
    if waiting:
        return (), combine, waiting
    return tuple(found), combine, ""


def _combined(report: Report, node: Node, place: Place) -> tuple[str, tuple[Node, ...]]:
    usage = "expected {any: [...]} or {all: [...]}"
    if not isinstance(node, Mapping) or len(node.entries) != 1:
        report.add(node, f"{place.name}: signals: {usage}, found {kind(node)}", "type")
        return "all", ()
    name, key, items = next(iter(node))
    if name not in ("any", "all"):
        report.add(
            key,
            f"{place.name}: signals: {usage}, found {name!r}{nearest(name, ('any', 'all'))}",
            "unknown-key",
        )
        return "all", ()
    if not isinstance(items, Items) or not items.items:
        report.add(items, f"{place.name}: signals: {name}: expected a list of signals, found {kind(items)}", "type")
        return "all", ()
    return name, items.items


def _split(item: Node) -> tuple[Node, dict[str, Node]]:
    """Part `{mean: x, below: -60}` into the signal and what stands beside it."""
    if not isinstance(item, Mapping):
        return item, {}
    beside = {name: value for name, _, value in item if name in _BESIDE}
    rest = tuple((key, value) for key, value in item.entries if str(key.value) not in _BESIDE)
    if len(rest) == 1 and rest[0][0].value == "signal":
        return rest[0][1], beside
    return Mapping(rest, item.line, item.column), beside


def _condition(report: Report, node: Node, beside: dict[str, Node], place: Place) -> Condition | None:
    signal, argument, at = _signal(report, node, place)
    if signal is None:
        return None
    if place.stage is None and not signal.whole_pipeline:
        report.add(at, f"{place.name}: {signal.name} is measured at a stage; say which with `stage:`", "missing")
        return None
    checked = _argument(report, signal, argument, at, place)
    if checked is None:
        return None
    text, feature = checked
    stage, spec = place.stage, place.spec
    budget = spec.budget if stage is None else stage.budget
    context = Context(signal, feature.unit if feature else "", budget, _learned(place, feature))
    try:
        threshold = thresholds.threshold(report, beside, at, context, place.name)
    except WaitsForBaselineError:
        name = feature.name if feature else signal.name
        raise WaitsForBaselineError(f"not yet measurable: waits for a baseline of {name} (pipemon baseline)") from None
    if threshold is None and signal.comparisons:
        return None
    allowed = 1 - float(text[1:]) / 100 if signal.argument == "quantile" else None
    least = thresholds.min_count(context, threshold, thresholds.sd_steps(beside), allowed)
    if signal.name in ("no_calls", "promql"):
        least = 0
    given = beside.get("min_calls")
    if given is not None:
        if isinstance(given, Scalar) and type(given.value) is int and given.value > 0 and least:
            least = given.value
        else:
            report.add(
                given,
                f"{place.name}: min_calls: expected a whole number above 0, found {kind(given)}",
                "type",
            )
    _reachable(report, signal, threshold.high if threshold else None, at, place)
    return Condition(signal.name, text, feature, threshold, least)


def _signal(report: Report, node: Node, place: Place) -> tuple[Signal | None, Node | None, Node]:
    """Return the signal, the node of its argument, and where it stands."""
    argument: Node | None = None
    if isinstance(node, Mapping) and len(node.entries) == 1:
        name, at, argument = next(iter(node))
    elif isinstance(node, Scalar) and isinstance(node.value, str):
        name, at = node.value, node
    else:
        message = f"{place.name}: expected a signal such as null_ratio or {{latency: p99}}, found {kind(node)}"
        if isinstance(node, Mapping) and node.entries:
            message = f"{place.name}: expected one signal, found the keys {', '.join(key for key, _, _ in node)}"
        report.add(node, message, "type")
        return None, None, node
    if name in PLANNED_SIGNALS:
        report.add(at, f"{place.name}: the signal {name!r} is planned, and not in this version", "planned")
    elif name not in SIGNALS:
        hint = nearest(name, (*SIGNALS, *PLANNED_SIGNALS)) or f"; there are {', '.join(SIGNALS)}"
        report.add(at, f"{place.name}: there is no signal {name!r}{hint}", "unknown-signal")
    return SIGNALS.get(name), argument, at


def _argument(
    report: Report, signal: Signal, node: Node | None, at: Node, place: Place
) -> tuple[str, FeatureShape | None] | None:
    where = f"{place.name}: {signal.name}"
    if signal.argument == "none":
        if node is not None:
            report.add(node, f"{where} takes nothing after it", "type")
            return None
        return "", None
    if signal.argument == "quantile":
        text = node.text if isinstance(node, Scalar) else ("p99" if node is None else "")
        match = _QUANTILE.fullmatch(text)
        if not match or not 0 < float(match[1]) < 100:
            report.add(node or at, f"{where}: expected a quantile such as p95 or p99, found {text!r}", "type")
            return None
        return text, None
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value.strip():
        example = {"feature": "input.level_dbfs", "feedback": "redo"}.get(signal.argument, "a PromQL expression")
        report.add(
            node or at,
            f"{where}: expected {example} after it, found {kind(node) if node else 'nothing'}",
            "type",
        )
        return None
    if signal.argument == "feature":
        feature = _feature(report, node, place, where)
        return None if feature is None else ("", feature)
    if signal.argument == "feedback":
        return _feedback(report, node, place, where)
    return _promql(report, node, where)


def _feedback(report: Report, node: Scalar, place: Place, where: str) -> tuple[str, None] | None:
    assert place.stage is not None
    if place.stage.feedback and node.text not in place.stage.feedback:
        known = place.stage.feedback
        hint = nearest(node.text, known) or f"; declared are {', '.join(known)}"
        report.add(node, f"{where}: {place.stage.name} declares no feedback {node.text!r}{hint}", "unknown-feedback")
        return None
    return node.text, None


def _promql(report: Report, node: Scalar, where: str) -> tuple[str, None] | None:
    import promql_parser  # noqa: PLC0415  needed by few files

    text = node.text.strip()
    try:
        promql_parser.parse(text)
    except ValueError as error:
        reason = " ".join(str(error).split())
        report.add(node, f"{where}: not PromQL: {reason}", "promql")
        return None
    return text, None


def _feature(report: Report, node: Scalar, place: Place, where: str) -> FeatureShape | None:
    """Find a feature by its full name, or by its extractor's where that is unambiguous."""
    assert place.stage is not None
    direction, dot, name = node.text.partition(".")
    sides = (direction,) if dot and direction in ("input", "output") else ("input", "output")
    wanted = name if len(sides) == 1 else node.text
    known = [feature for feature in place.stage.features if feature.direction in sides]
    if not place.stage.features:
        if len(sides) == 1 and fields.NAME.fullmatch(wanted):
            return FeatureShape("input" if direction == "input" else "output", wanted, wanted)
        message = f"{where}: expected input.<feature> or output.<feature>, found {node.text!r}"
        report.add(node, message, "unknown-feature")
        return None
    found = [feature for feature in known if feature.name == wanted]
    found = found or [feature for feature in known if feature.short == wanted]
    if len(found) == 1:
        return found[0]
    names = [f"{feature.direction}.{feature.name}" for feature in place.stage.features]
    if found:
        several = ", ".join(f"{feature.direction}.{feature.name}" for feature in found)
        report.add(node, f"{where}: {node.text!r} could be any of {several}", "unknown-feature")
    else:
        hint = nearest(node.text, names) or f"; there are {', '.join(names)}"
        report.add(
            node,
            f"{where}: the stage {place.stage.name!r} has no feature {node.text!r}{hint}",
            "unknown-feature",
        )
    return None


def _learned(place: Place, feature: FeatureShape | None) -> FeatureBaseline | None:
    if place.baseline is None or feature is None or place.stage is None:
        return None
    return place.baseline.features.get(feature_key(place.stage.name, feature.direction, feature.name))


def _reachable(report: Report, signal: Signal, high: float | None, at: Node, place: Place) -> None:
    """Refuse a latency threshold above the largest bucket: no quantile would ever be seen to pass it."""
    if signal.name != "latency" or high is None:
        return
    bounds = place.spec.duration_bounds if place.stage is None else place.stage.duration_bounds
    if bounds and high > bounds[-1]:
        message = f"{place.name}: {high:g}s is above the largest bucket ({bounds[-1]:g}s) and could never fire"
        report.add(at, message, "range")
