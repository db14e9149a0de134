"""Prometheus rules of a spec: recording rules first, then one alert for each failure mode, and one of our own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipemon.generate import expected
from pipemon.generate.annotations import alert_annotations, plain
from pipemon.generate.arrived import arrived, arriving
from pipemon.generate.bounds_alert import bounds_annotations, bounds_expr, bounds_mode
from pipemon.generate.dashboards.pipeline import panel_ids
from pipemon.generate.drift.onset import onset_of
from pipemon.generate.expressions import alert_expr, keeps_own_labels
from pipemon.generate.formats.yamltext import comment, listed
from pipemon.generate.lookback import in_sight
from pipemon.generate.measures import measure
from pipemon.generate.own_series import SERIES, series_rules
from pipemon.generate.promql import Expr, block
from pipemon.generate.recordings import Recording, in_order, is_constant
from pipemon.generate.restriction import of_own
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.modes import alert_name
from pipemon.spec.signals import CUSUM, OF_DRIFT, SHIFT
from pipemon.units import duration

_ONSET = ".onset"
_GROUPS = ("", ".long", f".{CUSUM}", _ONSET)


@dataclass(frozen=True)
class Alert:
    """An alerting rule; times in seconds."""

    name: str
    mode: FailureMode
    expr: Expr
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, the recordings before the alerts that read them."""

    name: str
    suffix: str
    interval: float
    recordings: tuple[Recording, ...]
    alerts: tuple[Alert, ...]


@dataclass(frozen=True)
class Rules:
    """A pipeline's rules, and which failure modes read each recording."""

    spec: Spec
    groups: tuple[Group, ...]
    readers: dict[str, tuple[str, ...]]

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """The recording rules of all groups."""
        return tuple(recording for group in self.groups for recording in group.recordings)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """The alerts of all groups."""
        return tuple(alert for group in self.groups for alert in group.alerts)


def rules(spec: Spec, dashboard_url: str = "") -> Rules:
    """Return the rules of a spec; each recording rule stands once, whoever reads it."""
    readers: dict[str, dict[str, None]] = {}
    recorded: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    groups = _series_group(spec, readers)
    for suffix in _GROUPS:
        modes = [mode for mode in spec.measurable if _suffix(spec, mode) == suffix]
        # What the group before records already is read from there.
        new = tuple(r for r in _recordings(spec, modes, readers) if (r.name, r.static) not in recorded)
        recorded |= {(recording.name, recording.static) for recording in new}
        recordings = tuple(_recorded(spec, recording) for recording in new)
        alerts = tuple(_alert(spec, mode, _panel_url(spec, mode, dashboard_url)) for mode in modes)
        if alerts:
            interval = spec.interval(modes[0])
            groups.append(Group(f"pipemon-{spec.pipeline}{suffix}", suffix, interval, recordings, alerts))
    if announced := expected.recordings(spec):
        readers[expected.NAME] = dict.fromkeys(mode.name for mode in spec.measurable if expected.is_held(spec, mode))
        name = f"pipemon-{spec.pipeline}.expected"
        groups.insert(0, Group(name, ".expected", spec.timing.evaluation_interval, announced, ()))
    if moved := onset_of(spec):
        every = in_order(moved.origin)
        found = tuple(_recorded(spec, r) for r in every if (r.name, r.static) not in recorded)
        for recording in every:
            readers.setdefault(recording.name, {}).update(dict.fromkeys(_drifting(spec)))
        last = groups.pop() if groups and groups[-1].suffix == _ONSET else None
        together, alerts = ((*last.recordings, *found), last.alerts) if last else (found, ())
        groups.append(Group(f"pipemon-{spec.pipeline}{_ONSET}", _ONSET, moved.step, together, alerts))
    groups.append(_bounds_group(spec, dashboard_url))
    return Rules(spec, tuple(groups), {name: tuple(found) for name, found in readers.items()})


def _recorded(spec: Spec, recording: Recording) -> Recording:
    """Return a recording rule as it stands in the file of its pipeline."""
    found = of_own(spec, recording)
    return replace(found, expr=in_sight(found.expr, spec.timing.scrape_interval))


def _suffix(spec: Spec, mode: FailureMode) -> str:
    """Return which of _GROUPS a failure mode's rules are in: those of one are evaluated together."""
    if CUSUM in mode.signals:
        return f".{CUSUM}"
    if SHIFT in mode.signals:
        return _ONSET
    return ".long" if mode.window >= spec.timing.long_window else ""


def _drifting(spec: Spec) -> list[str]:
    return [mode.name for mode in spec.measurable if mode.signals & OF_DRIFT]


def _panel_url(spec: Spec, mode: FailureMode, dashboard_url: str) -> str:
    """Return the address of the panel that shows a failure mode, or of the whole dashboard where none does."""
    id = panel_ids(spec).get(mode.name) if dashboard_url else None
    return f"{dashboard_url}?viewPanel={id}" if id else dashboard_url


def _series_group(spec: Spec, readers: dict[str, dict[str, None]]) -> list[Group]:
    """Return the group that names the series of stages that are not decorated: the first, since all others read it."""
    named = series_rules(spec)
    undecorated = {stage.name for stage in spec.stages if stage.series}
    for recording in named:
        readers[recording.name] = dict.fromkeys(mode.name for mode in spec.measurable if mode.stage in undecorated)
    name = f"pipemon-{spec.pipeline}.stages"
    return [Group(name, ".stages", spec.timing.evaluation_interval, named, ())] if named else []


def _bounds_group(spec: Spec, dashboard_url: str) -> Group:
    mode = bounds_mode(spec)
    name, annotations = alert_name(spec.pipeline, mode.name), bounds_annotations(spec, dashboard_url)
    expr = in_sight(bounds_expr(spec), spec.timing.scrape_interval)
    alert = Alert(name, mode, expr, _labels(spec, mode), annotations)
    return Group(f"pipemon-{spec.pipeline}.bounds", ".bounds", spec.timing.long_interval, (), (alert,))


def _labels(spec: Spec, mode: FailureMode) -> dict[str, str]:
    own = dict(mode.labels) | ({"mode": "observe"} if mode.observe else {})
    return {
        "failure_mode": mode.name,
        "kind": mode.kind,
        "severity": spec.severity_label(mode.severity),
        "owner": mode.owner,
    } | own


def _recordings(spec: Spec, modes: list[FailureMode], readers: dict[str, dict[str, None]]) -> tuple[Recording, ...]:
    """Return what `modes` read, in the order in which it is needed; note who reads it."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Recording] = {}
    # Hundreds of features of one pipeline read the same rules, and each a few thousand constants: looked at once.
    names: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[str, ...]] = {}
    for mode in modes:
        for condition in mode.conditions:
            read = measure(spec, mode, condition)
            for top in read.tops if read else ():
                which = top.name, top.static
                if which not in names:
                    needed = in_order(top)
                    names[which] = tuple(dict.fromkeys(each.name for each in needed))
                    for each in needed:
                        found.setdefault((each.name, each.static), each)
                for name in names[which]:
                    readers.setdefault(name, {})[mode.name] = None
    # Constants first: who reads one may stand before the feature that it is of.
    return tuple(sorted(found.values(), key=lambda each: not is_constant(each)))


def _alert(spec: Spec, mode: FailureMode, dashboard_url: str) -> Alert:
    labels = _labels(spec, mode)
    if keeps_own_labels(mode):
        place = {"pipeline": spec.pipeline} | ({"stage": mode.stage} if mode.stage else {})
        labels = place | labels
    return Alert(
        alert_name(spec.pipeline, mode.name),
        mode,
        in_sight(expected.held(spec, mode, alert_expr(spec, mode)), spec.timing.scrape_interval),
        labels,
        alert_annotations(spec, mode, dashboard_url),
    )


def rule_file(made: Rules) -> str:
    """Return the text of a Prometheus rule file."""
    spec = made.spec
    head = comment(
        f"Prometheus rules for the pipeline {spec.pipeline}, generated by pipemon from {spec.source}.\n"
        "Edit that file and generate again rather than this one.\n"
        "A comment is of the rules below it, up to the next: which failure modes read them, and what each alert is of."
    )
    waiting = [mode for mode in spec.failure_modes if not mode.conditions]
    if waiting:
        head += comment("Without a rule:\n" + "\n".join(f"  {mode.name}: {mode.waiting}" for mode in waiting))
    groups = "".join(_group(made, group) for group in made.groups)
    return f"{head}groups:\n{groups}"


def _group(made: Rules, group: Group) -> str:
    entries: list[tuple[str, object]] = []
    last = ""
    for recording in (arriving(made.spec, each) for each in group.recordings):
        static = dict(recording.static)
        note = f"for {', '.join(made.readers[recording.name])}"
        if SERIES in static:
            stage = static[dict(made.spec.labels).get("stage", "stage")]
            note = f"{stage} is not decorated; this is what it exports of its own"
        # One comment is of all rules up to the next.
        note, last = ("" if note == last else note), note
        labels = {"labels": dict(recording.static)} if recording.static else {}
        expr = block(arrived(made.spec.labels, recording.expr))
        entries.append((note, {"record": recording.name, "expr": expr, **labels}))
    for alert in group.alerts:
        entries.append((f"{alert.mode.name}: {alert.mode.what}", _entry(made.spec, alert)))
    head = f"  - name: {group.name}\n    interval: {duration(group.interval)}\n    rules:\n"
    return head + listed(entries, 6)


def _entry(spec: Spec, alert: Alert) -> dict[str, object]:
    expr = block(arrived(spec.labels, alert.expr))
    entry: dict[str, object] = {"alert": alert.name, "expr": expr, "for": duration(alert.mode.for_)}
    if alert.mode.keep_firing_for:
        entry["keep_firing_for"] = duration(alert.mode.keep_firing_for)
    labels = {label: plain(value) for label, value in alert.labels.items()}
    return entry | {"labels": labels, "annotations": alert.annotations}
