"""What rule tests expect: the alert with its labels and annotations, and the recorded values behind it."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, floor, inf, log10

from pipemon.generate.annotations import NOTHING_UPSTREAM, as_read, joined, on_values, printed, sentence, unit
from pipemon.generate.measures import measure
from pipemon.generate.overrun import UNKNOWN, overrun_words
from pipemon.generate.own_series import SERIES
from pipemon.generate.promql import Matcher, literal, quote
from pipemon.generate.recordings import Recording
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.places import CANARY_VERSION, series
from pipemon.generate.ruletests.recorded import part_of
from pipemon.generate.ruletests.scenes import State, calls_compared_with, kept_labels, labels_of, own_series, seen
from pipemon.generate.ruletests.synthetic import OVERRUN
from pipemon.generate.ruletests.values import compared_with, mean_of_all
from pipemon.spec import reads as r
from pipemon.spec.model import STABLE, Condition, FailureMode, Spec
from pipemon.spec.own_series import STANDS_FOR
from pipemon.spec.signals import DRIFT, SIGNALS
from pipemon.units import duration, figure, le


def firing_at(alert: Alert, at: str, expected: list[dict[str, str]]) -> dict[str, object]:
    """Return a test of who fires, whatever the annotations say."""
    asked = {"alertname": alert.name, "alertstate": "firing"}
    samples = [{"labels": series("ALERTS", {**asked, **labels}), "value": 1} for labels in expected]
    return {"expr": series("ALERTS", asked), "eval_time": at, "exp_samples": samples}


def fires_whatever_else(alert: Alert, at: str, expected: dict[str, str]) -> dict[str, object]:
    """Return a test that an alert fires with these labels, whatever others a person's expression gives it."""
    firing = series("ALERTS", {"alertname": alert.name, "alertstate": "firing"})
    sample = {"labels": series("", expected), "value": 1}
    return {"expr": f"max by ({', '.join(expected)}) ({firing})", "eval_time": at, "exp_samples": [sample]}


def place_of(spec: Spec, mode: FailureMode) -> dict[str, str]:
    """Return the labels that say where an alert of the place that is judged is."""
    stage = {"stage": mode.stage} if mode.stage is not None else {}
    own = own_series(spec, mode)
    told = own is None or any(each.version for each in own)
    compared = any(each.reference == STABLE for each in mode.conditions)
    canary = {"version": CANARY_VERSION} if told and compared else {}
    return {"pipeline": spec.pipeline, **stage, **canary, **kept_labels(spec)}


def place_if_any(spec: Spec, mode: FailureMode) -> dict[str, str]:
    """Return the labels of an alert that knows no place among several."""
    return {label: value for label, value in place_of(spec, mode).items() if label not in spec.told_apart_by}


def expected_alert(spec: Spec, alert: Alert, state: State, *, gone: bool) -> dict[str, object]:
    """Return the alert as it must be; `gone` where no value can be told."""
    mode = alert.mode
    labels = place_of(spec, mode)
    unknown = gone or not state.rate
    said = [
        sentence(
            spec,
            mode,
            condition,
            printed(value, unit(spec, mode, condition)) if _is_told(condition, state, gone) else "unknown",
            "unknown" if gone and _is_forgotten(spec, condition) else _then(spec, mode, condition, state),
            on_values(f"{state.rate * mode.window:.0f}") if condition.signal == DRIFT else "",
        )
        for condition, value in zip(mode.conditions, state.values, strict=True)
    ]
    rendered = {name: as_read(value) for name, value in alert.annotations.items()}
    rendered["description"] = as_read(joined(mode, said))
    if "upstream" in rendered:
        rendered["upstream"] = NOTHING_UPSTREAM
    if "origin" in rendered:
        rendered["origin"] = f"Moved first: the input of {mode.stage}."
    if "features_moved" in rendered:
        feature = mode.conditions[0].feature
        assert feature is not None
        rendered["features_moved"] = f"Moved at {mode.stage}, 1 in all: {feature.direction}.{feature.name}."
    if "overran" in rendered:
        # The first with a budget, as the test series have it.
        slowest = next(stage.name for stage in spec.stages if stage.budget)
        rendered["overran"] = UNKNOWN if unknown else overrun_words(slowest, figure(OVERRUN, 3))
    return {"exp_labels": {**labels, **alert.labels}, "exp_annotations": rendered}


def _is_told(condition: Condition, state: State, gone: bool) -> bool:
    """Tell whether a condition has a value: where nobody calls, what is no statement about calls has one."""
    signal = SIGNALS[condition.signal]
    return not gone and (state.rate > 0 or not (signal.by_calls or isinstance(signal.reads, r.Age)))


def _is_forgotten(spec: Spec, condition: Condition) -> bool:
    """Tell whether the hour before is over where nothing is heard: a link that is cut is waited for longer."""
    return bool(spec.link and condition.reference is not None and condition.reference.hold)


def _then(spec: Spec, mode: FailureMode, condition: Condition, state: State) -> str:
    """Return what an alert says that it compares with, or ""."""
    if condition.reference is None:
        return ""
    whole = mean_of_all(mode, condition)
    then = compared_with(mode, condition) if whole is None else state.values[whole]
    return printed(then, unit(spec, mode, condition))


def recorded_values(
    spec: Spec, mode: FailureMode, state: State, time: Clock, *, parts: bool
) -> list[dict[str, object]]:
    """Return tests of the recorded values, or of the counts that they are made of: of this place alone."""
    found: dict[str, dict[str, object]] = {}
    every = [read for condition in mode.conditions if (read := measure(spec, mode, condition)) is not None]
    bounds: dict[str, set[str]] = {}
    told = [(read.value, read.matchers) for read in every]
    told += [(part.recording, part.matchers) for read in every for part in read.parts]
    for recording, which in told:
        bounds.setdefault(recording.name, set()).update(m.value for m in which if m.label == "le")

    def add(recording: Recording, matchers: tuple[Matcher, ...], value: float) -> None:
        # Of two bounds that it has each is asked for.
        more = () if parts and len(bounds.get(recording.name, ())) < 2 else ("le",)
        test = recorded_value(spec, recording, matchers, value, *more, at=time.at(time.judged))
        found[str(test["expr"])] = test

    for condition, value in zip(mode.conditions, state.values, strict=True):
        count = state.rate * mode.window * seen(spec, mode, condition)
        read = measure(spec, mode, condition)
        if read is None:
            continue
        for part in (part for part in read.parts if parts and part.of != "among"):
            add(part.recording, part.matchers, part_of(part, value, state.skipped) * count)
        if condition.signal != "no_calls" and count:
            add(read.value, read.matchers, value)
        if condition.reference == STABLE and read.reference is not None:
            then = compared_with(mode, condition)
            behind = calls_compared_with(mode) if state.then is None else state.then * mode.window
            add(read.reference.value, read.reference.matchers, then)
            for part in read.reference.parts if parts else ():
                add(part.recording, part.matchers, part_of(part, then, state.skipped) * behind)
    return list(found.values())


def recorded_value(
    spec: Spec, recording: Recording, matchers: tuple[Matcher, ...], value: float, *more: str, at: str
) -> dict[str, object]:
    """Return the test of a recorded value; `more` are labels that other series of its name may differ in."""
    # Without the pipeline, the selection and the bound, so that a rule which records too much is seen.
    name, labels = recording.name, labels_of(spec, recording.labels, matchers)
    place = ("pipeline", "le", *(label for label, _ in spec.select))
    asked = {m.label: m.value for m in matchers if m.label in more or m.label not in place}
    asked |= {label: labels[label] for label in spec.told_apart_by}
    nearest = _step(value)
    expr = f"round({series(name, asked) if asked else name}, {nearest:g})"
    # As Prometheus rounds, so that the last bit is the same.
    # An empty label is none.
    labels = {label: found for label, found in labels.items() if found}
    sample = {"labels": series("", labels), "value": floor(value * (1 / nearest) + 0.5) / (1 / nearest) + 0.0}
    return {"expr": expr, "eval_time": at, "exp_samples": [sample]}


def nothing_of_others(spec: Spec, at: str, name: str = "") -> dict[str, object]:
    """Return a test that no rule (or that of a `name`) records what is of another pipeline, selection or track."""
    names = f"__name__={quote(name)}" if name else '__name__=~".+:pipemon_.+"'
    others = [
        f"{{{names},{label}!~{quote('|' + literal(value))}}}"
        for label, value in (("pipeline", spec.pipeline), *spec.select)
    ]
    if not name:
        # What is recorded with its track and without its version is of the stable ones.
        others.append(f'{{{names},__name__=~"(.+_)?stage_track(_.+)?:.+",track!="stable"}}')
    return {"expr": f"count({' or '.join(others)})", "eval_time": at, "exp_samples": []}


def named_as_ours(spec: Spec, stage: str, at: str) -> dict[str, object]:
    """Return the test that what a service exports has pipemon's names with its place and its own name, and no more has.

    The service's are the series that the file picks, of what is selected.
    """
    shape = spec.stage(stage)
    ours = f"__name__=~{quote('|'.join(_each(name for own in shape.series for name in STANDS_FOR[own.key].series)))}"
    # Recorded as those that are exported arrive, under whatever labels.
    pipeline_, stage_, track = (dict(spec.labels).get(label, label) for label in ("pipeline", "stage", "track"))
    place = f"{pipeline_}={quote(spec.pipeline)},{stage_}={quote(stage)}"
    selected = "".join(f",{label}=~{quote('|' + literal(value))}" for label, value in spec.select)
    tracks = "|".join(_each(own.track for own in shape.series))
    nameless = f'{{{ours},{place},{track}=~"|{tracks}",{SERIES}=""{selected}}}'
    named = f"{{{ours},{SERIES}=~{quote('|'.join(_each(own.name for own in shape.series)))}}}"
    right = []
    for own in shape.series:
        picked = "".join(f",{label}{op}{quote(value)}" for label, op, value in (*own.matchers, *own.by_track))
        if own.unit != 1:
            bounds = "|".join(literal(le(bound)) for bound in (*shape.duration_bounds, inf))
            picked += f",le=~{quote('|' + bounds)}"
        right.append(f'{{{place},{track}="{own.track}",{SERIES}="{own.name}"{picked}{selected}}}')
    expr = f"count({nameless} or ({named} unless ({' or '.join(_each(right))})))"
    return {"expr": expr, "eval_time": at, "exp_samples": []}


def _each(found: Iterable[str]) -> tuple[str, ...]:
    """Return each of some once, in their order."""
    return tuple(dict.fromkeys(found))


def of_no_other_stage(recorded: str, stage: str, at: str) -> dict[str, object]:
    """Return a test that a failure mode's own rule records nothing of another stage than its own."""
    return {"expr": f"count({recorded} unless {series('', {'stage': stage})})", "eval_time": at, "exp_samples": []}


def waited(alert: Alert, time: Clock) -> list[dict[str, object]]:
    """Return a test that an alert had been pending for so long when it first fired, where that can be told."""
    if time.step % 1:
        return []  # Prometheus keeps since when in whole seconds
    firing = f'ALERTS{{alertname="{alert.name}",alertstate="firing"}}'
    age = f'time() - ALERTS_FOR_STATE{{alertname="{alert.name}"}} and ignoring (alertstate) {firing}'
    expr = f"min(min_over_time(({age})[{time.at(time.judged)}:{duration(time.step)}]))"
    waits = ceil(round(alert.mode.for_ / time.step, 6)) * time.step
    return [{"expr": expr, "eval_time": time.at(time.judged), "exp_samples": [{"labels": "{}", "value": waits}]}]


def _step(value: float) -> float:
    """Return a step to round by, a millionth or so of the value, between whose multiples it is not a tie."""
    if not value:
        return 0.0001
    steps = [10.0 ** (floor(log10(abs(value))) - digits) for digits in (5, 6, 4, 7, 3)]
    return next((step for step in steps if abs(value / step % 1 - 0.5) > 0.1), steps[0])
