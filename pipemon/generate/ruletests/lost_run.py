"""promtool tests of what a gateway loses: a scrape that is missing changes nothing, and what stays away is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from pipemon.generate.measures import measure
from pipemon.generate.promql import literal, quote
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.cases import ENOUGH, calls_rate, tested_values
from pipemon.generate.ruletests.expectations import firing_at, place_of
from pipemon.generate.ruletests.recorded import recorded_past
from pipemon.generate.ruletests.scenes import State, ages, clock, pushed_lines, worlds
from pipemon.generate.ruletests.values import least_compared_with
from pipemon.spec.model import FailureMode, Spec
from pipemon.units import duration

Test = dict[str, object]


def lost_run_cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    """Yield the case of a batch pipeline's alert, () for what is there at once: how old a model is."""
    mode = alert.mode
    if spec.schedule is None or ages(mode):
        return
    every = tuple(tested_values(spec, mode, condition) for condition in mode.conditions)
    good, rate = tuple(values.good for values in every), calls_rate(spec, mode, ENOUGH)
    state = State(tuple(values.beyond[0] for values in every), rate, good, rate)
    time = clock(spec, mode)
    window = ceil(round(mode.window / time.step, 6))
    past = ENOUGH * max(map(least_compared_with, mode.conditions))
    lines = [*pushed_lines(worlds(spec, mode, state, good), mode.window, time.judged)]
    # Of Prometheus 2 and 3, one counts a sample at the window's very beginning.
    still, gone = time.at(time.judged + window - 1), time.at(time.judged + window + 1)
    yield (
        "lasts while a scrape is missing, and no longer than its window",
        {
            "interval": duration(time.step),
            "input_series": [*lines, *recorded_past(spec, mode, state, time, past)],
            "promql_expr_test": [
                firing_at(alert, still, [{**place_of(spec, mode), **alert.labels}]),
                {"expr": f"count({{__name__=~{quote(_recorded(spec, mode))}}})", "eval_time": gone, "exp_samples": []},
            ],
        },
    )


def _recorded(spec: Spec, mode: FailureMode) -> str:
    """Return the names of what is recorded of the run, as a regular expression."""
    names: dict[str, None] = {}
    for condition in mode.conditions:
        read = measure(spec, mode, condition)
        if read is None:
            continue
        past = condition.reference is not None and condition.reference.offset
        now = replace(read, reference=None) if past else read
        names |= dict.fromkeys(each.name for each in now.recordings)
    return "|".join(map(literal, names))
