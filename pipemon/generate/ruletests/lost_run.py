"""promtool tests of what a gateway loses: a scrape that is missing changes nothing, and what stays away is gone: all of
it, or one counter of those that a value is made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from pipemon.generate.measures import measure
from pipemon.generate.promql import Binary, Expr, Selector, literal, quote, rebuilt, text
from pipemon.generate.recordings import Recording, own
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.clocks import ages, clock
from pipemon.generate.ruletests.expectations import firing_at, place_of
from pipemon.generate.ruletests.joint import joint_of
from pipemon.generate.ruletests.lines import pushed_lines
from pipemon.generate.ruletests.places import World
from pipemon.generate.ruletests.played import ENOUGH, SKIPPED, calls_rate
from pipemon.generate.ruletests.recorded import recorded_past
from pipemon.generate.ruletests.scenes import State, own_series, worlds
from pipemon.generate.ruletests.values import least_compared_with
from pipemon.spec import reads as r
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.own_series import STANDS_FOR
from pipemon.spec.signals import SIGNALS
from pipemon.units import duration

Test = dict[str, object]

_LOOKBACK = 300.0
"""For how many seconds Prometheus takes a sample to be of now."""


def lost_run_cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    """Yield the case of a batch pipeline's alert, () for what is there at once: how old a model is."""
    mode = alert.mode
    if spec.schedule is None or ages(mode):
        return
    joint, rate = joint_of(spec, mode), calls_rate(spec, mode, ENOUGH)
    good = joint.calm()
    bad = joint.hold() or joint.one(0, joint.every[0].beyond[0], hold=False)
    if good is None or bad is None:
        return
    state = State(bad, rate, good, rate)
    time = clock(spec, mode)
    window = ceil(round(mode.window / time.step, 6))
    past = ENOUGH * max(least_compared_with(mode, condition) for condition in mode.conditions)
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
    if pauses := _pauses(spec, mode):
        yield "ends with each counter that it is made of", _paused(spec, mode, state, pauses)


def _pauses(spec: Spec, mode: FailureMode) -> list[tuple[Recording, Selector]]:
    """Return the rules that read several counters, or one beside another rule, with each of these counters."""
    found: dict[tuple[str, str], tuple[Recording, Selector]] = {}
    for condition in mode.conditions:
        read = measure(spec, mode, condition)
        for recording in read.recordings if read is not None else ():
            counters = _counters(recording.expr)
            for each in counters if recording.parts or len(counters) > 1 else ():
                found[recording.name, text(each)] = recording, each
    return list(found.values())


def _counters(expr: Expr) -> list[Selector]:
    found: list[Selector] = []

    def visit(each: Expr) -> Expr:
        if isinstance(each, Selector) and each.window and not each.offset:
            found.append(each)
        return rebuilt(each, visit)

    visit(expr)
    return found


def _paused(spec: Spec, mode: FailureMode, state: State, pauses: list[tuple[Recording, Selector]]) -> Test:
    """Return the case in which one counter after another is missing for longer than its window."""
    step = spec.interval(mode)
    skipped = SKIPPED if mode.stage is not None and own_series(spec, mode) is None else 0.0
    # What a service exports is recorded for as long as Prometheus looks back for a sample, and then for the window.
    seen = 0.0 if own_series(spec, mode) is None else _LOOKBACK
    length = ceil(round((mode.window + seen) / step, 6)) + 1
    end = (length + 1) * len(pauses) + 1
    # Each is there for one step before the next is missing.
    begins = [1 + index * (length + 1) for index in range(len(pauses))]
    lines = []
    for world in worlds(spec, mode, state._replace(skipped=skipped), state.others):
        for name, rate in world.rates.items():
            missing = {b for b, (_, counter) in zip(begins, pauses, strict=True) if _is_of(world, name, counter)}
            lines.append({"series": name, "values": _values(rate * mode.window, missing, length, end)})
        lines += [{"series": name, "values": f"{value:.12g}+0x{end}"} for name, (value, _) in world.gauges.items()]
    exprs = []
    for begin, (recording, _) in zip(begins, pauses, strict=True):
        made, recorded = recording.expr, text(recording.series(*own(spec)))
        # What is made of another where one is missing is that other.
        kept = f"{recorded} != {text(made.right)}" if isinstance(made, Binary) and made.op == "or" else recorded
        exprs.append({"expr": f"count({kept})", "eval_time": duration((begin + length - 1) * step), "exp_samples": []})
    return {"interval": duration(step), "input_series": lines, "promql_expr_test": exprs}


def _is_of(world: World, name: str, counter: Selector) -> bool:
    """Tell whether a series of a place is of a counter: of its name, sign and bounds."""
    which = {m.label: m.value for m in counter.matchers if m.label in ("sign", "le")}
    if world.own is not None and counter.metric in STANDS_FOR.values():
        # A service has names and bounds of its own.
        bounds = which["le"].replace("\\", "").split("|") if "le" in which else ()
        told = [world.names(counter.metric, counter.suffix, le=bound) for bound in bounds]
        return any(name in names for names in told or [world.names(counter.metric, counter.suffix)])
    named = name.startswith(f"{counter.metric.name}{counter.suffix}{{")
    return named and all(re.search(f'{label}="({value})"', name) for label, value in which.items())


def _values(value: float, missing: set[int], length: int, end: int) -> str:
    values, at = [], 0
    for begin in sorted(missing):
        values += [f"{value:.12g}+0x{begin - at - 1}", f"_x{length}"]
        at = begin + length
    return " ".join((*values, f"{value:.12g}+0x{end - at}"))


def _recorded(spec: Spec, mode: FailureMode) -> str:
    """Return the names of what is recorded of the run, as a regular expression."""
    names: dict[str, None] = {}
    for condition in mode.conditions:
        read = measure(spec, mode, condition)
        if read is None:
            continue
        past = condition.reference is not None and condition.reference.offset
        now = replace(read, reference=None) if past else read
        # What confidences are worth is known for days.
        known = read.value.parts[:1] if isinstance(SIGNALS[condition.signal].reads, r.Estimated) else ()
        lasting = {each.name for each in (*known, *(part for each in known for part in each.parts))}
        names |= dict.fromkeys(each.name for each in now.recordings if each.name not in lasting)
    return "|".join(map(literal, names))
