"""What a change of the failure modes changes in alerts, routes and panels, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipemon.generate.alertmanager import NOWHERE, receiver_name
from pipemon.generate.arrived import arrived
from pipemon.generate.bounds_alert import bounds_mode
from pipemon.generate.dashboards.difference import dashboard_differences
from pipemon.generate.dashboards.pipeline import dashboard
from pipemon.generate.dashboards.text import says
from pipemon.generate.inhibition import Plan
from pipemon.generate.promql import block
from pipemon.generate.rules import Alert, rules
from pipemon.spec.fields import listed
from pipemon.spec.model import FailureMode, Spec
from pipemon.units import duration


def differences(old: Sequence[Plan], new: Sequence[Plan]) -> tuple[str, ...]:
    """Return a line for each thing that is new, gone or different, under a line for its pipeline; () for nothing."""
    before = {made.spec.pipeline: made for made in old}
    after = {made.spec.pipeline: made for made in new}
    found: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            found.append(f"{name}: the pipeline is gone, with its {_count(before[name])}")
        elif name not in before:
            found.append(f"{name}: the pipeline is new, with {_count(after[name])}")
        elif lines := list(_pipeline(before[name], after[name])):
            found += [f"{name}:", *(f"  {line}" for line in lines)]
    return tuple(found)


def _count(made: Plan) -> str:
    count = len(made.spec.measurable)
    return f"{count} alert{'' if count == 1 else 's'}"


def _pipeline(old: Plan, new: Plan) -> Iterator[str]:
    yield from _settings(old.spec, new.spec)
    yield from _alerts(old.spec, new.spec)
    yield from _ideas(old.spec, new.spec)
    yield from _receivers(old.spec, new.spec)
    yield from _inhibition(old, new)
    yield from dashboard_differences(dashboard(old.spec), dashboard(new.spec))


def _settings(old: Spec, new: Spec) -> Iterator[str]:
    if old.timing.scrape_interval != new.timing.scrape_interval:
        now, was = duration(new.timing.scrape_interval), duration(old.timing.scrape_interval)
        yield f"rules: evaluated every {now} (was {was})"
    for name in ("select", "keep", "targets"):
        now, was = _words(getattr(new, name)), _words(getattr(old, name))
        if now != was:
            yield f"rules: {name} is {now} (was {was})"


def _words(value: tuple[object, ...]) -> str:
    return ", ".join("=".join(each) if isinstance(each, tuple) else str(each) for each in value) or "nothing"


def _alerts(old: Spec, new: Spec) -> Iterator[str]:
    before, after = ({alert.mode.name: alert for alert in rules(spec).alerts} for spec in (old, new))
    for name in dict.fromkeys((*before, *after)):
        if name not in after:
            yield f"alert {before[name].name}: gone"
        elif name not in before:
            mode = after[name].mode
            yield f"alert {after[name].name}: new, {says(new, mode)}; {_to(new, mode)}"
        else:
            for line in _alert(old, before[name], new, after[name]):
                yield f"alert {after[name].name}: {line}"


def _alert(old: Spec, before: Alert, new: Spec, after: Alert) -> Iterator[str]:
    was, now = _facts(old, before.mode), _facts(new, after.mode)
    named = [f"{what} {now[what]} (was {was[what]})" for what in now if now[what] != was[what]]
    yield from named
    if not named and block(arrived(old.labels, before.expr)) != block(arrived(new.labels, after.expr)):
        yield "its expression changes"
    elif not named and (before.labels, _said(before)) != (after.labels, _said(after)):
        yield "its labels or annotations change"


def _said(alert: Alert) -> dict[str, str]:
    # What it holds back is told with the routes.
    return {name: text for name, text in alert.annotations.items() if name != "holds_back"}


def _facts(spec: Spec, mode: FailureMode) -> dict[str, str]:
    """What people know of an alert, each fact under the words that go before it."""
    return {
        "fires on": says(spec, mode),
        "looks back": duration(mode.window) if spec.schedule is None else "to the last run",
        "keeps firing": f"{duration(mode.keep_firing_for)} after its end" if mode.keep_firing_for else "no longer",
        "is": _to(spec, mode),
        "is at": mode.stage or "the whole pipeline",
        "has the labels": _words(mode.labels),
        "means": repr(mode.what),
        "asks to": repr(mode.do),
        "asks its receiver for": mode.then.words if mode.then else "no action",
        "is explained at": mode.runbook or "no page",
    }


def _to(spec: Spec, mode: FailureMode) -> str:
    label = spec.severity_label(mode.severity)
    return f"{label}, told to {_receiver(mode)}" if not mode.observe else f"{label}, in burn-in and told to nobody"


def _receiver(mode: FailureMode) -> str:
    return NOWHERE if mode.observe else receiver_name(mode.owner, mode.severity)


def _ideas(old: Spec, new: Spec) -> Iterator[str]:
    before, after = ({mode.name for mode in spec.failure_modes if not mode.conditions} for spec in (old, new))
    names = {mode.name for mode in new.failure_modes}
    for mode in new.failure_modes:
        if mode.name in after - before:
            yield f"idea {mode.name}: new, {mode.waiting}"
    for mode in old.failure_modes:
        if mode.name in before - after:
            yield f"idea {mode.name}: {'now has an alert' if mode.name in names else 'gone'}"


def _receivers(old: Spec, new: Spec) -> Iterator[str]:
    before, after = (
        dict.fromkeys(_receiver(mode) for mode in (*spec.measurable, bounds_mode(spec))) for spec in (old, new)
    )
    for name in after:
        if name not in before:
            yield f"route: the receiver {name} is new{'' if name == NOWHERE else '; add its pager or chat'}"
    for name in before:
        if name not in after:
            yield f"route: the receiver {name} is gone"


def _inhibition(old: Plan, new: Plan) -> Iterator[str]:
    for source in dict.fromkeys((*old.targets, *new.targets)):
        before, after = old.targets.get(source, ()), new.targets.get(source, ())
        more, fewer = [t for t in after if t not in before], [t for t in before if t not in after]
        if more:
            yield f"route: {source} now holds back {listed(more, 'and')}"
        if fewer:
            yield f"route: {source} no longer holds back {listed(fewer, 'and')}"
