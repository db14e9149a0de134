"""Which failure modes would fire by what one process shows: their alerts' expressions, over the seconds seen."""

from __future__ import annotations

from dataclasses import replace

from pipemon.generate.expressions import alert_expr
from pipemon.generate.inlining import inlined
from pipemon.generate.live.counters import NotOnePageError, Page
from pipemon.generate.measures import measure
from pipemon.generate.promql import Expr
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.signals import OF_DRIFT
from pipemon.watch.reading import Alert, Reading


def would_fire(spec: Spec, reading: Reading) -> tuple[Alert, ...]:
    """Return the failure modes whose conditions hold now, whatever their `for`; those in burn-in are left out.

    What needs the past, an interpolated quantile or Prometheus itself is not told by a page: `untold` has those.
    """
    if spec.schedule is not None:
        reading = reading.of_last_run()
    elif reading.seconds <= 0:
        return ()
    page = Page(reading.samples, reading.at, reading.seconds)
    return tuple(
        Alert(spec.pipeline, mode.stage or "", mode.name, spec.severity_label(mode.severity), "would fire")
        for mode in spec.measurable
        if not mode.observe and _holds(spec, mode, page)
    )


def untold(spec: Spec) -> tuple[str, ...]:
    """Return the failure modes that a page can't tell."""
    return tuple(mode.name for mode in spec.measurable if _holds(spec, mode, Page((), 0.0, 1.0)) is None)


def _holds(spec: Spec, mode: FailureMode, page: Page) -> bool | None:
    if mode.signals & OF_DRIFT:
        # It takes a window that is whole, and its rules.
        return None
    try:
        return bool(page.evaluate(_expr(spec, mode)))
    except NotOnePageError:
        return None


def _expr(spec: Spec, mode: FailureMode) -> Expr:
    """Return a mode's expression of exported series alone, which on a page have no labels of a target."""
    here = replace(spec, select=(), keep=())
    found = (measure(here, mode, condition) for condition in mode.conditions)
    rules = [rule for each in found if each is not None for rule in each.recordings]
    return inlined(alert_expr(here, mode), rules, here.interval(mode))
