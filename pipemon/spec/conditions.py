"""The `signal:` or `signals:` of a failure mode, with the thresholds beside them."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import cast

from pipemon.errors import nearest
from pipemon.spec import cusum, drift, fields, shift, thresholds
from pipemon.spec.arguments import Argument, Place, argument_of, compared
from pipemon.spec.baseline import FeatureBaseline, feature_key
from pipemon.spec.context import Context, WaitsForBaselineError
from pipemon.spec.contradictions import contradiction
from pipemon.spec.evidence import believed, min_calls
from pipemon.spec.fields import Report
from pipemon.spec.model import LAST_HOUR, STABLE, Condition, Reference, Threshold
from pipemon.spec.reach import check_reach
from pipemon.spec.reader import Items, Mapping, Node, Scalar, kind, shown
from pipemon.spec.requirements import (
    is_at_its_place,
    is_declared,
    is_exported,
    is_in_a_run,
    is_of_another_run,
    lacks_a_canary,
)
from pipemon.spec.signals import (
    CUSUM,
    DRIFT,
    SHIFT,
    STATISTICS,
    TOGETHER,
    Signal,
    Statistic,
)
from pipemon.spec.slice import slice_of
from pipemon.spec.written_signal import BESIDE, written_signal
from pipemon.topology import FeatureShape

_IN_SIGNALS = (*BESIDE, "signal")


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
    if why := contradiction(found, combine):
        report.add(key, f"{place.name}: {why}", "range")
    if waiting:
        return (), combine, waiting
    if any(condition.threshold and condition.threshold.auto for condition in found):
        waiting = "not yet measurable: waits for `pipemon backtest --write`"
    return tuple(found), combine, waiting


def _alone(report: Report, key: Scalar, found: list[Condition], place: Place) -> None:
    """Refuse a throughput beside what is measured on calls: how many there are decides what is seen of those."""
    # Of a batch pipeline, silence is told by when it last ended well, not by calls.
    apart = ("throughput", "budget_burn", CUSUM, DRIFT, SHIFT, TOGETHER, *(["no_calls"] if place.spec.schedule else []))
    alone = next((each.signal for each in found if each.signal in apart), "")
    if len(found) > 1 and alone:
        report.add(key, f"{place.name}: {alone} stands alone; give it a failure mode of its own", "comparison")
    elif len(found) > 1 and any(condition.reference == STABLE for condition in found):
        # Its alert says which version, and the others' do not.
        message = f"{place.name}: what is compared with stable stands alone; give it a failure mode of its own"
        report.add(key, message, "comparison")
    elif told := _of_one_histogram(found):
        message = f"{place.name}: estimated_accuracy and a quantile of {told} read one histogram, each in its own way"
        report.add(key, f"{message}; give each a failure mode of its own", "comparison")
    elif len(found) > 1 and any(condition.threshold and condition.threshold.auto for condition in found):
        message = f"{place.name}: a threshold is chosen for one signal alone; give it a failure mode of its own"
        report.add(key, message, "comparison")


def _of_one_histogram(found: list[Condition]) -> str:
    """Return the confidence of which a failure mode reads a quantile beside what it lets expect, or ""."""
    stated = {each.feature for each in found if each.signal == "estimated_accuracy"}
    both = (each.feature for each in found if each.signal == "quantile" and each.feature in stated)
    return next((f"{feature.direction}.{feature.name}" for feature in both if feature is not None), "")


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
        fields.check_keys(report, item, _IN_SIGNALS, place.name)
        return signal, beside
    rest = tuple((key, value) for key, value in item.entries if key.text not in BESIDE)
    return Mapping(rest, item.line, item.column), beside


def _condition(report: Report, node: Node, beside: Mapping, place: Place) -> Condition | None:
    signal, argument, at = written_signal(report, node, place)
    if signal is None or not is_in_a_run(report, signal, argument, at, place):
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
    if not is_at_its_place(report, signal, at, place):
        return None
    if place.stage is not None and not (
        is_exported(report, signal, argument, at, place) and is_declared(report, signal, at, place, place.stage)
    ):
        return None
    if signal.argument == "signal":
        compares = compared(report, signal, argument, at, place)
        if compares is None:
            return None
        signal, argument = compares, None
    about = argument_of(report, signal, argument, at, place)
    if about is None:
        return None
    slice, labels = slice_of(report, signal, beside.get("slice"), at, about, place)
    if slice is None:
        return None
    learned = _learned(place, about.feature)
    last_hour = _last_hour(report, beside.get("hold"), place)
    against, fault = _against(signal, about, learned, last_hour, beside, place)
    if fault:
        report.add(fault.at or at, f"{place.name}: {signal.name}: {fault.message}", fault.rule)
        return None
    if signal.name == DRIFT:
        signal = replace(signal, default=str(STATISTICS[cast(Statistic, about.text)]))
    context = _context(signal, about, learned, last_hour, place, in_slice=bool(slice))
    try:
        threshold = thresholds.threshold(report, beside, at, context, place.name)
    except WaitsForBaselineError:
        why = place.no_baseline or "which the baseline does not have; learn it again with `pipemon baseline`"
        name = about.feature.name if about.feature else signal.name
        raise WaitsForBaselineError(f"not yet measurable: waits for a baseline of {name}, {why}") from None
    given = min_calls(report, beside.get("min_calls"), signal, place)
    above = beside.get("above") or at
    if (threshold is None and signal.comparisons) or lacks_a_canary(report, threshold, above, place):
        return None
    if threshold is not None:
        if wrong := _unreachable(signal, about, threshold, learned, against):
            report.add(above, f"{place.name}: {signal.name}: {wrong}", "range")
            return None
        if signal.name == SHIFT:
            threshold = shift.explained(threshold, place.spec.timing)
        if threshold.reference is None:
            check_reach(report, signal, threshold, about.feature, above, place)
    past = against or (threshold.reference if threshold else None)
    apart = is_of_another_run(report, past, beside, at, place)
    if not apart or _misplaced(report, beside, past, place, of_drift=signal.name == DRIFT):
        return None
    condition = Condition(
        signal.name, about.text, about.feature, threshold, labels=labels, slice=slice, against=against
    )
    return believed(condition, signal, given, beside, place)


def _against(
    signal: Signal,
    about: Argument,
    learned: FeatureBaseline | None,
    last_hour: Reference,
    beside: Mapping,
    place: Place,
) -> tuple[Reference | None, drift.Fault | None]:
    """Return the past that a drift is from, None for a baseline, and what keeps drift or a shift from being told.

    Raises WaitsForBaselineError where what it takes is not there yet.
    """
    if signal.name == DRIFT:
        assert about.feature is not None
        against, fault = drift.past(beside, last_hour, sudden=place.sudden)
        return against, fault or drift.fault(about.text, about.feature, learned, against, place.no_baseline)
    if signal.name == SHIFT and about.feature is not None:
        wrong = shift.fault(cast(shift.Of, about.text), about.feature, learned, place.no_baseline)
        return None, drift.Fault(wrong) if wrong else None
    return None, None


def _context(
    signal: Signal,
    about: Argument,
    learned: FeatureBaseline | None,
    last_hour: Reference,
    place: Place,
    *,
    in_slice: bool,
) -> Context:
    feature = about.feature
    own = signal.unit if signal.unit in ("calls/s", "calls", "items", "cores", "bytes") else about.unit
    return Context(
        signal,
        unit="" if signal.unit in ("ratio", "none") else feature.unit if feature else own,
        budget=place.spec.budget if place.stage is None else place.stage.budget,
        baseline=learned,
        complete=place.complete,
        signed=bool(feature and feature.bounds and feature.bounds[0] < 0),
        at_stage=place.stage is not None,
        in_slice=in_slice,
        sudden=place.sudden,
        last_hour=last_hour,
    )


def _unreachable(
    signal: Signal, about: Argument, threshold: Threshold, learned: FeatureBaseline | None, against: Reference | None
) -> str:
    """Say why a threshold of drift or of a shift means nothing, or ""."""
    if signal.name == DRIFT:
        most = drift.most(about.text, learned) if against is None else inf
        return drift.unreachable(threshold, about.text, most, against)
    return shift.unreachable(threshold) if signal.name == SHIFT else ""


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


def _last_hour(report: Report, node: Node | None, place: Place) -> Reference:
    """Return the hour before, held for as long as is written."""
    return replace(LAST_HOUR, hold=fields.time(report, node, LAST_HOUR.hold, f"{place.name}: hold"))


def _learned(place: Place, feature: FeatureShape | None) -> FeatureBaseline | None:
    if place.baseline is None or feature is None or place.stage is None:
        return None
    return place.baseline.features.get(feature_key(place.stage.name, feature.direction, feature.name))
