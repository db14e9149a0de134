"""The alert that every pipeline has: replicas of one version whose histograms have different bucket bounds.

What is summed over them is then no histogram: quantiles, shares over a bound and drift of it are wrong. Where there
is a baseline, so are bounds that are not its: what lies in its bins is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.annotations import as_read, plain, summary
from pipemon.generate.baseline_bins import BaselineBins, baseline_bins
from pipemon.generate.promql import Aggregate, Binary, Expr, Matcher, select
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, kept_labels
from pipemon.spec.model import BOUNDS_DIFFER, FailureMode, Spec
from pipemon.units import duration

_OR_BASELINE = ", or by others than its baseline"

_WAIT = 10
"""Evaluations that a restart of all replicas may take."""


def bounds_mode(spec: Spec) -> FailureMode:
    """Return the failure mode behind the alert, which no team has to write down."""
    learned = bool(baseline_bins(spec))
    return FailureMode(
        name=BOUNDS_DIFFER,
        what=f"Replicas of one version sort what they measure by different bucket bounds{_OR_BASELINE * learned}",
        stage=None,
        kind="software",
        conditions=(),
        combine="any",
        pace="sudden",
        severity="ticket",
        window=spec.timing.long_interval,
        for_=_WAIT * spec.timing.long_interval,
        keep_firing_for=0.0,
        owner=spec.owner,
        do="Restart the replicas that run longest, so that all read the same bounds and baseline files."
        + " If all are alike, give the baseline to pipemon.Pipeline, or learn it anew." * learned,
        runbook=f"{spec.runbook}#{BOUNDS_DIFFER}" if spec.runbook else "",
    )


def bounds_expr(spec: Spec) -> Expr:
    """Return how many bounds, or features, the replicas of a version differ in, or have other than its baseline."""
    stage = (*spec.keep, "pipeline", "stage", "version")
    run = (*spec.keep, "pipeline", "version")
    features = (*stage, "direction", "feature")
    hashes = Aggregate("count", (*features, "bins"), select(c.FEATURE_INFO, _own(spec), target_labels=_targets(spec)))
    differ = Binary(">", Aggregate("count", features, hashes), 1.0)
    of_stage: Expr = Binary("or", _durations(spec, c.STAGE_DURATION, stage), Aggregate("count", stage, differ))
    if learned := baseline_bins(spec):
        others = [
            select(c.FEATURE_INFO, (*_own(spec), *bins.matchers()), target_labels=_targets(spec)) for bins in learned
        ]
        of_stage = Binary("or", of_stage, Aggregate("count", stage, Aggregate("count", features, _any_of(others))))
    return Binary("or", of_stage, _durations(spec, c.PIPELINE_DURATION, run))


def _any_of(exprs: Sequence[Expr]) -> Expr:
    """Return what any of them gives, by halves: a baseline may have hundreds of features, too deep for a chain."""
    if len(exprs) == 1:
        return exprs[0]
    half = -(-len(exprs) // 2)
    return Binary("or", _any_of(exprs[:half]), _any_of(exprs[half:]))


def _durations(spec: Spec, metric: Metric, by: tuple[str, ...]) -> Expr:
    """Return how many bounds are not those of all replicas."""
    having = Aggregate("count", (*by, "le"), select(metric, _own(spec), suffix="_bucket", target_labels=_targets(spec)))
    # What is selected on the left is all that finds a partner on the right.
    every = Aggregate("count", by, select(metric, _own(spec)[:1], suffix="_count"))
    return Aggregate("count", by, Binary("<", having, every, on=by, group_left=True))


def _own(spec: Spec) -> tuple[Matcher, ...]:
    return (Matcher("pipeline", "=", spec.pipeline), *(Matcher(label, "=", value) for label, value in spec.select))


def _targets(spec: Spec) -> tuple[str, ...]:
    return tuple(label for label, _ in spec.select)


def bounds_annotations(spec: Spec, dashboard_url: str) -> dict[str, str]:
    """Return the alert's annotations."""
    mode = bounds_mode(spec)
    found = {
        "summary": summary(mode.what),
        "description": _described(spec, '{{ or $labels.stage "the pipeline" }}', "{{ $labels.version }}"),
        "do": mode.do,
    }
    if mode.runbook:
        found["runbook_url"] = plain(mode.runbook)
    if dashboard_url:
        found["dashboard_url"] = plain(dashboard_url)
    return found


def _described(spec: Spec, where: str, version: str) -> str:
    return (
        f"Replicas of version {version} of {where} have different bucket bounds"
        f"{', or others than the baseline' * bool(baseline_bins(spec))}. "
        "Quantiles, shares over a bound and drift of their sum are wrong."
    )


def bounds_cases(
    spec: Spec, name: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the promtool tests of the alert `name` with its labels and annotations."""
    step = spec.timing.long_interval
    stage = {"pipeline": spec.pipeline, "stage": "first", "version": "1"}
    run = {"pipeline": spec.pipeline, "version": "1"}
    for what, inputs, place in (
        ("a stage's durations", _sorted(spec, c.STAGE_DURATION, stage, ("0.1", "0.2")), stage),
        ("a feature", _hashed(spec, stage, ("aaaa", "bbbb")), stage),
        ("the runs' durations", _sorted(spec, c.PIPELINE_DURATION, run, ("0.1", "0.2")), run),
    ):
        where = place.get("stage", "the pipeline")
        rendered = {key: as_read(value) for key, value in annotations.items()}
        rendered["description"] = _described(spec, where, "1")
        fires: dict[str, object] = {"exp_labels": {**kept_labels(spec), **place, **labels}, "exp_annotations": rendered}
        yield (
            f"fires where replicas have different bounds of {what}",
            _test(name, step, inputs, {_WAIT - 1: [], _WAIT + 1: [fires]}),
        )
    for bins in baseline_bins(spec)[:1]:
        place = {"pipeline": spec.pipeline, "stage": bins.stage, "version": bins.version or "untold"}
        rendered = {key: as_read(value) for key, value in annotations.items()}
        rendered["description"] = _described(spec, bins.stage, place["version"])
        fires = {"exp_labels": {**kept_labels(spec), **place, **labels}, "exp_annotations": rendered}
        yield (
            "fires where a feature has other bins than its baseline",
            _test(name, step, _binned(spec, place, bins, "other"), {_WAIT - 1: [], _WAIT + 1: [fires]}),
        )
    beside: _Series = []
    for bins in {each.direction: each for each in reversed(baseline_bins(spec))}.values():
        place = {"pipeline": spec.pipeline, "stage": bins.stage, "version": bins.version or "untold"}
        beside += [
            *_binned(spec, place, bins, bins.bins),
            *_binned(spec, {**place, "pipeline": NEIGHBOUR}, bins, "other"),
            *_binned(spec, {**place, "stage": ANOTHER}, bins, "other"),
            *_binned(spec, place, bins._replace(direction=ANOTHER), "other"),
            *_binned(spec, place, bins._replace(feature=ANOTHER), "other"),
        ]
    if beside:
        yield "is quiet where all have the bins of their baseline", _test(name, step, beside, {_WAIT + 1: []})
    apart = [
        *(entry for version in "12" for entry in _alike(spec, {**stage, "version": version}, f"0.{version}")),
        *_alike(spec, {**stage, "stage": "second"}, "0.3"),
        *_alike(spec, {**stage, "pipeline": NEIGHBOUR}, "0.4"),
        *_sorted(spec, c.STAGE_DURATION, {**stage, "pipeline": NEIGHBOUR}, ("0.1", "0.2")),
        *_hashed(spec, {**stage, "pipeline": NEIGHBOUR}, ("aaaa", "bbbb")),
        *_sorted(spec, c.PIPELINE_DURATION, {**run, "pipeline": NEIGHBOUR}, ("0.1", "0.2")),
    ]
    for label in spec.keep:
        elsewhere = {**stage, label: ANOTHER}
        apart += _alike(spec, elsewhere, "0.5")
        if label in dict(spec.select):
            apart += _sorted(spec, c.STAGE_DURATION, {**elsewhere, "version": "3"}, ("0.1", "0.2"))
            apart += _hashed(spec, {**elsewhere, "version": "3"}, ("aaaa", "bbbb"))
            apart += _sorted(spec, c.PIPELINE_DURATION, {**run, label: ANOTHER, "version": "3"}, ("0.1", "0.2"))
    yield (
        "is quiet where versions, stages and places have bounds of their own",
        _test(name, step, apart, {_WAIT + 1: []}),
    )


_Series = list[dict[str, str]]


def _test(name: str, step: float, inputs: _Series, at: Mapping[int, list[dict[str, object]]]) -> dict[str, object]:
    checks = [
        {"eval_time": duration(steps * step), "alertname": name, "exp_alerts": alerts} for steps, alerts in at.items()
    ]
    return {"interval": duration(step), "input_series": inputs, "alert_rule_test": checks}


def _alike(spec: Spec, place: Mapping[str, str], bound: str) -> _Series:
    """Return two replicas with the same bounds."""
    run = {label: value for label, value in place.items() if label != "stage"}
    of_runs = [] if place["stage"] == "second" else _sorted(spec, c.PIPELINE_DURATION, run, (bound, bound))
    hashes = (f"bins{bound}", f"bins{bound}")
    return [*_sorted(spec, c.STAGE_DURATION, place, (bound, bound)), *_hashed(spec, place, hashes), *of_runs]


def _sorted(spec: Spec, metric: Metric, place: Mapping[str, str], bounds: tuple[str, str]) -> _Series:
    """Return a duration histogram of two replicas, each with a bound."""
    track = {"track": "stable"} if "track" in metric.labels else {}
    found = []
    for instance, bound in zip("ab", bounds, strict=True):
        labels = {**kept_labels(spec), **place, **track, "instance": instance}
        found += [series(f"{metric.name}_bucket", {**labels, "le": le}) for le in (bound, "+Inf")]
        found.append(series(f"{metric.name}_count", labels))
    return [{"series": name, "values": f"1+1x{_WAIT + 4}"} for name in found]


def _binned(spec: Spec, place: Mapping[str, str], bins: BaselineBins, found: str) -> _Series:
    """Return what two replicas say alike of the bins of a feature that has a baseline."""
    of = {"direction": bins.direction, "feature": bins.feature, "unit": "", "bins": found, "track": "stable"}
    labels = {**kept_labels(spec), **place, **of}
    names = [series(c.FEATURE_INFO.name, {**labels, "instance": instance}) for instance in "ab"]
    return [{"series": name, "values": f"1+0x{_WAIT + 4}"} for name in names]


def _hashed(spec: Spec, place: Mapping[str, str], hashes: tuple[str, str]) -> _Series:
    """Return what two replicas say of a feature's bounds, and of another feature's that are alike."""
    found = []
    for instance, bins in zip("ab", hashes, strict=True):
        labels = {**kept_labels(spec), **place, "track": "stable", "direction": "input", "instance": instance}
        for feature, own in (("level", bins), ("length", "cccc")):
            found.append(series(c.FEATURE_INFO.name, {**labels, "feature": feature, "unit": "dB", "bins": own}))
        other = {**labels, "direction": "output", "feature": "level", "unit": "dB", "bins": "dddd"}
        found.append(series(c.FEATURE_INFO.name, other))
    return [{"series": name, "values": f"1+0x{_WAIT + 4}"} for name in found]
