"""What a sudden change is told by: the hour before, kept as it was while the alert on it lasts."""

from __future__ import annotations

from dataclasses import replace

from pipemon import catalogue as c
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Recorded, select
from pipemon.generate.queries import key, targets
from pipemon.generate.recordings import Measure, Recording, here, own
from pipemon.spec.model import FailureMode, Reference, Spec
from pipemon.spec.modes import alert_name


def held(spec: Spec, mode: FailureMode, reference: Reference, then: Measure) -> Measure:
    """Return `then`, the hour before, as a series that stays while the failure mode's alert is pending or firing.

    It stays until that hour is clean again, too, so that recovery fires nothing and the next fault is seen at
    once. After `hold` seconds the change is the new normal. A gap in rule evaluation longer than Prometheus
    looks back (5 minutes) begins anew with the hour before.
    """
    by, which = key(spec, mode.stage), Matcher("failure_mode", "=", mode.name)
    metric = then.value.name.partition(":")[2]
    labels = (*by, which.label)
    name = f"{'_'.join(labels)}:{metric}_held"
    matchers = (*here(spec, mode.stage), which)
    itself = Recorded(name, labels, matchers, offset=spec.interval(mode))
    now = then.value.series(*then.matchers)
    expr = Binary(
        "or",
        kept(spec, mode, reference.hold, Aggregate("max", by, itself)),
        now if now.labels == by else Aggregate("max", by, now),
    )
    value = Recording(name, expr, labels, (then.value,), static=((which.label, which.value),))
    return replace(then, value=value, matchers=matchers)


def kept(spec: Spec, mode: FailureMode, hold: float, itself: Expr, on: tuple[str, ...] | None = None) -> Expr:
    """Return `itself` while the failure mode's alert is pending or firing, and until the past is clean again.

    Not for longer than `hold` seconds. `on` are the labels of its place where it has more.
    """
    by, alert = key(spec, mode.stage), _alert(spec, mode)
    clean = max(mode.window, spec.timing.long_window) + mode.window
    lately = select(c.ALERTS, (*own(spec), alert), window=clean, target_labels=targets(spec))
    since = select(c.ALERTS_FOR_STATE, (*own(spec), alert), target_labels=targets(spec))
    too_long = Binary(">", Binary("-", Call("time", ()), since), hold)
    stays = Binary("and", itself, Aggregate("count", by, Call("present_over_time", (lately,))), on=on)
    return Binary("unless", stays, Aggregate("count", by, too_long), on=on)


def fired_then(spec: Spec, mode: FailureMode, offset: float, window: float) -> Expr:
    """Return whether the failure mode's alert was there in a window as of `offset` ago, or within as long of it.

    An alert begins and ends later than what it tells.
    """
    ago = max(0.0, offset - window)
    lately = select(
        c.ALERTS, (*own(spec), _alert(spec, mode)), window=2 * window, offset=ago, target_labels=targets(spec)
    )
    return Aggregate("count", key(spec, mode.stage), Call("present_over_time", (lately,)))


def _alert(spec: Spec, mode: FailureMode) -> Matcher:
    return Matcher("alertname", "=", alert_name(spec.pipeline, mode.name))
