"""Cumulative sums of bad events as recording rules: more of them than is tolerated, and not by chance."""

from __future__ import annotations

from pipemon.generate.promql import Aggregate, Binary, Call, Matcher, Recorded, span
from pipemon.generate.recordings import Measure, Recording, Scope
from pipemon.spec.cusum import LIMIT, slack
from pipemon.spec.model import Condition, FailureMode

MOST = 2 * LIMIT
"""A sum stops here, so that it is soon below the limit when all is well again."""
_MODE = "failure_mode"


def cumulative_sum(scope: Scope, mode: FailureMode, condition: Condition, summed: Measure) -> Measure:
    """Return the sum of the bad events that `summed` counts, over steps of the scope's window.

    Its rules must be evaluated once each step. Where the counters are gone, or Prometheus was away for longer than it
    looks back (5 minutes), it begins anew.
    """
    which = (*scope.place, Matcher(_MODE, "=", mode.name))
    excess = _excess(scope, mode, condition, summed)
    name = excess.name.replace("_excess:", "_cusum:")
    step = excess.series(*which)
    before = Binary("or", Recorded(name, excess.labels, which, offset=scope.window), Binary("*", 0.0, step))
    expr = Call("clamp", (Binary("+", before, step), 0.0, MOST))
    value = Recording(name, expr, excess.labels, (excess,), excess.static)
    return Measure(value, which, None, ())


def _excess(scope: Scope, mode: FailureMode, condition: Condition, summed: Measure) -> Recording:
    """Return the rule of what a step adds to the sum: its bad events, less what all of them take from it."""
    bad, every = (Aggregate("max", scope.by, part.recording.series(*part.matchers)) for part in summed.parts)
    more = Binary("-", bad, Binary("*", slack(condition.tolerated), every))
    # Between the scrapes of two steps lies a piece that neither sees: counts are extrapolated over it.
    seen = Binary("*", more, 1 - scope.spec.timing.scrape_interval / scope.window)
    events = summed.parts[0].recording
    labels = (*scope.by, _MODE)
    name = f"{'_'.join(labels)}:{events.name.split(':')[1]}_excess:increase{span(scope.window)}"
    return Recording(name, seen, labels, tuple(part.recording for part in summed.parts), ((_MODE, mode.name),))
