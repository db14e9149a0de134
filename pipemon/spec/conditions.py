"""The `signal:` or `signals:` of a failure mode, with the thresholds beside them."""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf
from typing import cast

from pipemon.errors import nearest
from pipemon.spec import cusum, drift, fields, thresholds
from pipemon.spec.arguments import Argument, Place, argument_of, compared
from pipemon.spec.baseline import FeatureBaseline, feature_key
from pipemon.spec.context import Context, WaitsForBaselineError
from pipemon.spec.fields import Report
from pipemon.spec.latency import bound_share
from pipemon.spec.model import LAST_HOUR, STABLE, Condition, Reference, Threshold
from pipemon.spec.own_series import lacking, without_canary
from pipemon.spec.reader import Items, Mapping, Node, Scalar, kind, shown
from pipemon.spec.reads import Calibration, Quantile, Reads
from pipemon.spec.schedule import same_run, unseen
from pipemon.spec.signals import (
    ALSO,
    CUSUM,
    DRIFT,
    PLANNED_SIGNALS,
    SIGNALS,
    STATISTICS,
    TOGETHER,
    Signal,
    Statistic,
)
from pipemon.topology import FeatureShape, StageShape
from pipemon.units import duration

BESIDE = ("above", "below", "outside", "changes_by", "from", "min_calls", "slice", "against", "hold")
_IN_SIGNALS = (*BESIDE, "signal")
_MOST_CALLS = 1_000_000


def conditions(report: Report, body: Mapping, key: Scalar, place: Place) -> tuple[tuple[Condition, ...], str, str]:
    """Return a failure mode's conditions, how they combine, and why it has none if it has none."""
    single, several = body.get("signal"), body.get("signals")
    beside = _only(body, BESIDE)
    if single is not None and several is not None:
        report.add(body.key("signals"), f"{place.name}: give `signal` or `signals`, not both", "comparison")
        return (), "all", ""
    if single is None and several is None:
        for name, at, _ in beside:
            report.add(at, f"{place.name}: {name!r} needs a signal to compare", "comparison")
        return (), "all", "not yet measurable: nobody has named a signal"
    combine, written = "all", []
    if several is None:
        assert single is not None
        written.append((single, beside))
    else:
        for name, at, _ in beside:
            report.add(at, f"{place.name}: with `signals`, write {name!r} beside each of them", "comparison")
        combine, items = _combined(report, several, place)
        written = [_split(report, item, place) for item in items]
    found, waiting = [], ""
    for node, near in written:
        try:
            condition = _condition(report, node, near, place)
        except WaitsForBaselineError as error:
            waiting = str(error)
            continue
        if condition is None:
            continue
        if combine == "all" and condition.signal == "no_calls" and len(written) > 1:
            report.add(
                node,
                f"{place.name}: no_calls can't hold together with a signal that needs calls",
                "comparison",
            )
        found.append(condition)
    _alone(report, key, found, place)
    if waiting:
        return (), combine, waiting
    if any(condition.threshold and condition.threshold.auto for condition in found):
        waiting = "not yet measurable: waits for `pipemon backtest --write`"
    return tuple(found), combine, waiting


def _alone(report: Report, key: Scalar, found: list[Condition], place: Place) -> None:
    """Refuse a throughput beside what is measured on calls: how many there are decides what is seen of those."""
    # Of a batch pipeline, silence is told by when it last ended well, not by calls.
    apart = ("throughput", "budget_burn", CUSUM, DRIFT, TOGETHER, *(["no_calls"] if place.spec.schedule else []))
    alone = next((each.signal for each in found if each.signal in apart), "")
    if len(found) > 1 and alone:
        report.add(key, f"{place.name}: {alone} stands alone; give it a failure mode of its own", "comparison")
    elif len(found) > 1 and any(condition.reference == STABLE for condition in found):
        # Its alert says which version, and the others' do not.
        message = f"{place.name}: what is compared with stable stands alone; give it a failure mode of its own"
        report.add(key, message, "comparison")
    elif len(found) > 1 and any(condition.threshold and condition.threshold.auto for condition in found):
        message = f"{place.name}: a threshold is chosen for one signal alone; give it a failure mode of its own"
        report.add(key, message, "comparison")


def _named(argument: Node | None) -> str:
    """Return the signal that `compare` names, or ""."""
    if isinstance(argument, Mapping) and argument.entries:
        return str(argument.entries[0][0].text)
    return argument.text.strip() if isinstance(argument, Scalar) else ""


def _only(mapping: Mapping, names: tuple[str, ...]) -> Mapping:
    entries = tuple((key, value) for key, value in mapping.entries if key.value in names)
    return Mapping(entries, mapping.line, mapping.column)


def _combined(report: Report, node: Node, place: Place) -> tuple[str, tuple[Node, ...]]:
    usage = "expected {any: [...]} or {all: [...]}"
    if not isinstance(node, Mapping) or not node.entries:
        report.add(node, f"{place.name}: signals: {usage}, found {kind(node)}", "type")
        return "all", ()
    for name, key, _ in node:
        if name not in ("any", "all"):
            message = f"{place.name}: signals: {usage}, found {shown(name)}{nearest(name, ('any', 'all'))}"
            report.add(key, message, "unknown-key")
            return "all", ()
    if len(node.entries) > 1:
        report.add(node.entries[1][0], f"{place.name}: signals: give `any` or `all`, not both", "comparison")
        return "all", ()
    name, _, items = next(iter(node))
    if not isinstance(items, Items) or not items.items:
        report.add(items, f"{place.name}: signals: {name}: expected a list of signals, found {kind(items)}", "type")
        return "all", ()
    return name, items.items


def _split(report: Report, item: Node, place: Place) -> tuple[Node, Mapping]:
    """Part `{mean: x, below: -60}` into the signal and what stands beside it."""
    if not isinstance(item, Mapping):
        return item, Mapping((), item.line, item.column)
    beside = _only(item, BESIDE)
    signal = item.get("signal")
    if signal is not None:
        fields.check_keys(report, item, _IN_SIGNALS, (), place.name)
        return signal, beside
    rest = tuple((key, value) for key, value in item.entries if key.text not in BESIDE)
    return Mapping(rest, item.line, item.column), beside


def _condition(report: Report, node: Node, beside: Mapping, place: Place) -> Condition | None:
    signal, argument, at = _signal(report, node, place)
    if signal is None or not _in_a_run(report, signal, argument, at, place):
        return None
    if signal.name != CUSUM:
        return _of_signal(report, signal, argument, at, beside, place)
    where = f"{place.name}: {CUSUM}"
    named = cusum.of_what(report, argument, at, where)
    if named is None or cusum.misplaced(report, beside, where):
        return None
    found = _of_signal(report, *named, at, beside, place)
    return None if found is None else cusum.summing(found)


def _of_signal(
    report: Report, signal: Signal, argument: Node | None, at: Node, beside: Mapping, place: Place
) -> Condition | None:
    if place.stage is None and not signal.whole_pipeline:
        report.add(at, f"{place.name}: {signal.name} is measured at a stage; say which with `stage:`", "missing")
        return None
    if place.stage is None and not place.spec.has_run and signal.name != "promql":
        message = f"{place.name}: the code marks no function with @{place.spec.pipeline}.run, so nothing is measured"
        report.add(at, f"{message} end to end; mark it, or say `stage:`", "missing")
        return None
    if place.stage is not None and not (
        _exported(report, signal, argument, at, place) and _declared(report, signal, at, place, place.stage)
    ):
        return None
    if signal.argument == "signal":
        compares = compared(report, signal, argument, at, place)
        if compares is None:
            return None
        signal, argument = compares, None
    argument_found = argument_of(report, signal, argument, at, place)
    if argument_found is None:
        return None
    text, feature = argument_found.text, argument_found.feature
    slice, labels = _sliced(report, signal, beside.get("slice"), at, argument_found, place)
    if slice is None:
        return None
    budget = place.spec.budget if place.stage is None else place.stage.budget
    learned = _learned(place, feature)
    last_hour = _last_hour(report, beside.get("hold"), place)
    against = None
    if signal.name == DRIFT:
        assert feature is not None
        against, fault = drift.past(beside, last_hour, sudden=place.sudden)
        fault = fault or drift.fault(text, feature, learned, against, place.no_baseline)
        if fault:
            report.add(fault.at or at, f"{place.name}: drift: {fault.message}", fault.rule)
            return None
        signal = replace(signal, default=str(STATISTICS[cast(Statistic, text)]))
    own = signal.unit if signal.unit in ("calls/s", "calls", "cores", "bytes") else argument_found.unit
    signed = bool(feature and feature.bounds and feature.bounds[0] < 0)
    unit = "" if signal.unit in ("ratio", "none") else feature.unit if feature else own
    context = Context(
        signal,
        unit,
        budget,
        learned,
        place.complete,
        signed,
        place.stage is not None,
        bool(slice),
        place.sudden,
        last_hour,
    )
    try:
        threshold = thresholds.threshold(report, beside, at, context, place.name)
    except WaitsForBaselineError:
        why = place.no_baseline or "which the baseline does not have; learn it again with `pipemon baseline`"
        name = feature.name if feature else signal.name
        raise WaitsForBaselineError(f"not yet measurable: waits for a baseline of {name}, {why}") from None
    given = _min_calls(report, beside.get("min_calls"), signal, place)
    if (threshold is None and signal.comparisons) or _of_a_canary(report, threshold, beside.get("above") or at, place):
        return None
    if signal.name == DRIFT and threshold is not None:
        wrong = drift.unreachable(threshold, text, drift.most(text, learned) if against is None else inf)
        if wrong:
            report.add(beside.get("above") or at, f"{place.name}: drift: {wrong}", "range")
            return None
    if threshold is not None and threshold.reference is None:
        _reachable(report, signal, threshold, feature, beside.get("above") or at, place)
    past = against or (threshold.reference if threshold else None)
    apart = _of_another_run(report, past, beside, at, place)
    if not apart or _misplaced(report, beside, past, place, of_drift=signal.name == DRIFT):
        return None
    condition = Condition(signal.name, text, feature, threshold, labels=labels, slice=slice, against=against)
    return _believed(condition, signal, given, beside, place)


def _misplaced(report: Report, beside: Mapping, past: Reference | None, place: Place, *, of_drift: bool) -> bool:
    """Tell whether `against` or `hold` stand beside what does not take them."""
    key, message = "", ""
    if beside.get("against") is not None and not of_drift:
        key, message = "against", "only drift takes it; write `above: 2x last week`, or `changes_by` and `from`"
    elif beside.get("hold") is not None and not (past and past.hold):
        key, message = "hold", "only what is compared with the last hour is held; remove it"
    if message:
        report.add(beside.key(key), f"{place.name}: {key}: {message}", "comparison")
    return bool(message)


def _in_a_run(report: Report, signal: Signal, argument: Node | None, at: Node, place: Place) -> bool:
    """Tell whether a signal can be told where there are the values of a last run only, if that is so."""
    why = unseen(signal, _named(argument) if signal.argument == "signal" else "") if place.spec.schedule else ""
    if why:
        report.add(at, f"{place.name}: {signal.name}: {why}", "schedule")
    return not why


def _of_another_run(report: Report, past: Reference | None, beside: Mapping, at: Node, place: Place) -> bool:
    """Tell whether what is compared with is another run, where a pipeline has some."""
    why = same_run(place.spec.schedule, past) if place.spec.schedule and past else ""
    if place.spec.schedule and beside.get("against") is not None:
        why = "drift of a pipeline with a schedule is from its baseline; remove `against`"
    if why:
        where = [node for key in ("against", "above", "below", "changes_by") if (node := beside.get(key)) is not None]
        report.add(where[0] if where else at, f"{place.name}: {why}", "schedule")
    return not why


def _believed(condition: Condition, signal: Signal, given: int | None, beside: Mapping, place: Place) -> Condition:
    """Return a condition with what must be seen before its value means anything: `given` calls, if that is written."""
    text, threshold = condition.argument, condition.threshold
    if place.spec.schedule is not None and place.stage is None and threshold is not None:
        # A batch job may be one run of the pipeline: one that is bad is all that there is.
        return replace(condition, min_count=given or 1)
    quantile = float(text[1:]) / 100 if signal.argument in ("quantile", "feature_quantile") else None
    if threshold is not None and threshold.reference is not None:
        least = thresholds.min_count(None, None, quantile, is_share=False)
        bad = thresholds.MIN_EVENTS if signal.unit == "ratio" and threshold.high is not None else 0
        return replace(condition, min_count=given or least, min_events=bad)
    if threshold is None or not signal.by_calls:
        return condition
    if isinstance(signal.reads, Calibration):
        return replace(condition, min_count=given or thresholds.calibration_count(threshold))
    if signal.name == DRIFT:
        # How many values it takes at least is the baseline's to say: the rules hold themselves to it.
        return replace(condition, min_count=given or 0)
    stage = place.stage.name if place.stage and place.stage in place.spec.stages else None
    known = place.stage is None or stage is not None
    over = bound_share(place.spec, stage, condition) if known else None
    is_share = signal.unit == "ratio" or over is not None
    if is_share and threshold.low is None and threshold.auto != "below":
        limit = over.allowed if over else threshold.high
        least = 0
        if thresholds.is_most(limit):
            least = thresholds.min_count(replace(threshold, high=limit), None, None, is_share=True)
        return replace(condition, min_count=given or least, min_events=thresholds.MIN_EVENTS)
    least = thresholds.min_count(threshold, thresholds.sd_steps(beside), quantile, is_share=is_share)
    return replace(condition, min_count=given or least)


def _sliced(
    report: Report, signal: Signal, node: Node | None, at: Node, argument: Argument, place: Place
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return the slice, "" where none is written and None where it is wrong, and the labels that pick its series."""
    own = dict(argument.labels) | ({"slice": ""} if _has_slices(signal.reads) else {})
    if node is None and (not place.member or argument.feature is not None):
        return "", tuple(own.items())
    where = f"{place.name}: {'by' if node is None else 'slice'}"
    text = f"{place.group}={place.member}" if node is None else fields.text(report, node, where)
    node, known = node or at, place.spec.slices
    if not text:
        return None, ()
    if signal.in_slice is None:
        names = [each.name for each in SIGNALS.values() if each.in_slice is not None]
        report.add(
            node, f"{where}: {signal.name} is not kept apart by slices; {fields.listed(names, 'and')} are", "slice"
        )
        return None, ()
    group, sign, member = text.partition("=")
    if not sign or not group.strip() or not member.strip():
        report.add(node, f"{where}: expected a group and its member, such as age=young, found {shown(text)}", "slice")
        return None, ()
    text = f"{group.strip()}={member.strip()}"
    if text not in known and (known or place.closed):
        hint = nearest(text, known) or (f"; there are {fields.listed(known, 'and')}" if known else "")
        who = "the code declares" if place.closed else "the file declares"
        report.add(node, f"{where}: {who} no slice {shown(text)}{hint}", "unknown-slice")
        return None, ()
    return text, tuple((own | {"slice": text}).items())


def _has_slices(reads: Reads) -> bool:
    return "slice" in getattr(reads, "labels", ())


def _last_hour(report: Report, node: Node | None, place: Place) -> Reference:
    """Return the hour before, held for as long as is written."""
    return replace(LAST_HOUR, hold=fields.time(report, node, LAST_HOUR.hold, f"{place.name}: hold"))


def _min_calls(report: Report, node: Node | None, signal: Signal, place: Place) -> int | None:
    """Return how many observations are asked for, if any; None leaves it to the threshold."""
    where = f"{place.name}: min_calls"
    if not signal.comparisons or not signal.by_calls:
        if node is not None:
            report.add(node, f"{where}: {signal.name} counts no calls; remove it", "comparison")
        return None
    if node is None:
        return None
    if isinstance(node, Scalar) and type(node.value) is int and 0 < node.value <= _MOST_CALLS:
        return node.value
    report.add(node, f"{where}: expected a whole number from 1 to {_MOST_CALLS:,}, found {kind(node)}", "type")
    return None


def _signal(report: Report, node: Node, place: Place) -> tuple[Signal | None, Node | None, Node]:
    """Return the signal, the node of its argument, and where it stands."""
    argument: Node | None = None
    if isinstance(node, Mapping) and node.entries:
        name, at, argument = next(iter(node))
        if isinstance(argument, Scalar) and argument.value is None:
            argument = None
        more = [key for key, _ in node.entries[1:]]
        signals = [key for key in more if key.text in SIGNALS or key.text in PLANNED_SIGNALS]
        if signals:
            message = f"{place.name}: one signal each, found {name!r} and {signals[0].text!r}; list them in `signals:`"
            report.add(signals[0], message, "comparison")
            return None, None, node
        for key in more:
            hint = "; it stands beside `signal`, not in it" if key.text in BESIDE else nearest(key.text, BESIDE)
            report.add(key, f"{place.name}: unknown key {shown(key.text)}{hint}", "unknown-key")
    elif isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
        name, at = node.value.strip(), node
    else:
        message = f"{place.name}: expected a signal such as null_ratio or {{latency: p99}}, found {kind(node)}"
        report.add(node, message, "type")
        return None, None, node
    if name in PLANNED_SIGNALS:
        report.add(at, f"{place.name}: the signal {name!r} is planned, and not in this version", "planned")
    elif name not in SIGNALS:
        hint = f"; did you mean {ALSO[name.lower()]!r}?" if name.lower() in ALSO else _as_argument(name)
        hint = hint or nearest(name, (*SIGNALS, *PLANNED_SIGNALS)) or f"; there are {fields.listed([*SIGNALS], 'and')}"
        report.add(at, f"{place.name}: there is no signal {shown(name)}{hint}", "unknown-signal")
    return SIGNALS.get(name), argument, at


def _as_argument(name: str) -> str:
    """Return a hint for `mean output.words` and `p99`, which name a signal and what it is of in one word."""
    signal, _, rest = name.partition(" ")
    if rest and signal in SIGNALS:
        return f"; did you mean {{{signal}: {rest.strip()}}}?"
    return f"; did you mean {{latency: {name}}}?" if re.fullmatch(r"p\d+(\.\d+)?", name) else ""


_MISSING = {
    "one_to_one": "one_to_one=True, so more or less may come out than came in",
    "workers": "workers=..., so nobody knows how many calls can run at once",
    "trained": "a model that tells when it was trained",
    "labels": "labels=True, so no true values are told",
    "decisions": "decisions=True, so nobody tells who decides",
}


def _declared(report: Report, signal: Signal, at: Node, place: Place, stage: StageShape) -> bool:
    """Tell whether a stage is declared with what a signal needs. Without code only `one_to_one` can be known."""
    if not signal.needs or stage not in place.spec.stages or getattr(stage, signal.needs):
        return True
    if not place.closed and signal.needs != "one_to_one":
        return True
    missing = _MISSING[signal.needs]
    who = "the code" if place.closed else "the file"
    missing = missing if place.closed else missing.replace("=True", ": true")
    report.add(at, f"{place.name}: {signal.name}: {who} declares {stage.name!r} without {missing}", "undeclared")
    return False


def _exported(report: Report, signal: Signal, argument: Node | None, at: Node, place: Place) -> bool:
    """Tell whether a stage that is not decorated exports what a signal reads."""
    stage = place.stage
    # What burns a budget is failures, where nothing else is named.
    named = argument.text.strip() if isinstance(argument, Scalar) else "error_ratio"
    if stage is None or not stage.series or not (why := lacking(signal, stage, named)):
        return True
    message = f"{place.name}: {signal.name}: {stage.name!r} is not decorated; {why}"
    report.add(at, message, "undeclared")
    return False


def _of_a_canary(report: Report, threshold: Threshold | None, at: Node, place: Place) -> bool:
    """Tell whether a threshold is for the canary of a stage that is not decorated, where none is told."""
    stage = place.stage
    if stage is None or not stage.series or threshold is None or threshold.reference != STABLE:
        return False
    if not (why := without_canary(stage)):
        return False
    message = f"{place.name}: {stage.name!r} is not decorated; {why}"
    report.add(at, message, "undeclared")
    return True


def _learned(place: Place, feature: FeatureShape | None) -> FeatureBaseline | None:
    if place.baseline is None or feature is None or place.stage is None:
        return None
    return place.baseline.features.get(feature_key(place.stage.name, feature.direction, feature.name))


def _reachable(
    report: Report, signal: Signal, threshold: Threshold, feature: FeatureShape | None, at: Node, place: Place
) -> None:
    """Refuse a quantile's threshold beyond the histogram's buckets: no quantile would ever be seen to pass it."""
    if not isinstance(signal.reads, Quantile) or (place.spec.reads_bounds and not signal.reads.bounds):
        return
    add = f'; add spec="{place.spec.pipeline}.bounds.json" to pipemon.Pipeline(...)'
    if signal.reads.bounds:
        bounds, add = signal.reads.bounds, ""
    elif feature is not None:
        bounds = feature.bounds
    else:
        bounds = place.spec.duration_bounds if place.stage is None else place.stage.duration_bounds
    if not bounds:
        return
    of = duration if feature is None else "{:g}".format
    high, low = threshold.high, threshold.low
    if high is not None and (high > bounds[-1] or (feature is not None and high == bounds[-1])):
        beyond = "above" if high > bounds[-1] else "at"
        message = f"{of(high)} is {beyond} the largest bucket ({of(bounds[-1])}) and could never fire{add}"
        report.add(at, f"{place.name}: {message}", "range")
    # Of the lowest bucket, nothing is known but its upper bound.
    elif low is not None and low <= bounds[0]:
        message = f"{of(low)} is not above the lowest bucket ({of(bounds[0])}) and could never fire{add}"
        report.add(at, f"{place.name}: {message}", "range")
