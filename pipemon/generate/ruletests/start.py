"""promtool tests of a first start: until the window is full, calls per second are too few without being so."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from pipemon.generate.expressions import is_low_until_full
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.clocks import clock
from pipemon.generate.ruletests.lines import rising
from pipemon.generate.ruletests.played import ENOUGH, Test, calls_rate
from pipemon.generate.ruletests.recorded import recorded_past
from pipemon.generate.ruletests.scenes import State, judged
from pipemon.generate.ruletests.values import edge_values, least_compared_with
from pipemon.spec.model import Spec
from pipemon.units import duration


def cases_of_a_start(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    """Yield a case in which calls begin, as many as there may be: no alert, not even for a moment."""
    mode = alert.mode
    (condition, *more) = mode.conditions
    if more or not is_low_until_full(spec, condition):
        return
    time = clock(spec, mode)._replace(recovers=False)
    _, before = edge_values(spec, mode, condition)[0]
    state = State((before,), calls_rate(spec, mode, ENOUGH), (before,), 0.0)
    own = judged(spec, mode, state)
    begins, steps = 2, ceil(round((2 * mode.window + mode.for_) / time.step, 6))
    lines = [
        {"series": name, "values": f"_x{begins} {rising([(rate * time.step, steps)])}"}
        for name, rate in own.rates.items()
    ]
    past = recorded_past(spec, mode, state, time, ENOUGH * least_compared_with(mode, condition))
    ever = f'max_over_time(ALERTS{{alertname="{alert.name}",alertstate="firing"}}[{duration(steps * time.step)}])'
    yield (
        "is quiet until its window is full",
        {
            "interval": duration(time.step),
            "input_series": [*lines, *past],
            "promql_expr_test": [{"expr": ever, "eval_time": time.at(begins + steps), "exp_samples": []}],
        },
    )
