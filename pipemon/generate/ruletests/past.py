"""promtool tests of what rules record of the past, which take days of made-up time: in steps of an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from pipemon.generate.measures import measure
from pipemon.generate.rules import Group
from pipemon.generate.ruletests.expectations import nothing_of_others, recorded_value
from pipemon.generate.ruletests.lines import run_lines, value_lines
from pipemon.generate.ruletests.places import CANARY_VERSION, STABLE_ONES, World
from pipemon.generate.ruletests.played import SKIPPED
from pipemon.generate.ruletests.recorded import part_of, recorded_of_others
from pipemon.generate.ruletests.scene_texts import Entries, Queries, scene_of
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, kept_labels
from pipemon.generate.ruletests.synthetic import measured
from pipemon.generate.ruletests.values import compared_with
from pipemon.spec import reads as r
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import signal_in
from pipemon.units import duration

_PER_STEP = 12
"""Scrapes a step."""


def past_step(spec: Spec) -> float:
    """Return the step of these tests, in seconds."""
    return spec.timing.long_window


def past_cases(spec: Spec, group: Group) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield a case for each value of the past that a group's alerts compare with, and its failure mode's name."""
    for alert in group.alerts:
        for condition in alert.mode.conditions:
            if condition.reference is not None and condition.reference.offset:
                words = f"remembers {condition.reference.words}"
                for name, alone in ((words, True), (f"{words} beside others", False)):
                    yield alert.mode.name, name, _case(spec, alert.mode, condition, alone)


def _case(spec: Spec, mode: FailureMode, condition: Condition, alone: bool) -> dict[str, object]:
    played = ("past", condition, alone)
    scene = scene_of(spec, mode, played, lambda: _scene(spec, mode, condition, alone))
    interval = duration(past_step(spec) / _PER_STEP)
    return {"interval": interval, "input_series": scene.inputs, "promql_expr_test": scene.recorded}


def _scene(spec: Spec, mode: FailureMode, condition: Condition, alone: bool) -> tuple[None, Entries, Queries]:
    """Return the series of a past, and the tests of what is recorded of them."""
    read, reference = measure(spec, mode, condition), condition.reference
    assert reference is not None
    assert read is not None
    assert read.reference is not None
    then = read.reference
    step = past_step(spec)
    window = max(mode.window, step)
    end = ceil(round((reference.offset + 2 * window) / step, 6))
    # It all ended long ago, and began less briskly and with less: only who looks back just so far has it right.
    until = ceil(round((end - reference.offset / step) * _PER_STEP, 6))
    slow = until - ceil(round(window / step * _PER_STEP, 6))
    stage = {"stage": mode.stage, "track": "stable"} if mode.stage is not None else {}
    place = {"pipeline": spec.pipeline, "version": "1", **stage}
    reads = signal_in(spec, condition.signal).reads
    is_rate = isinstance(reads, r.Rate | r.Counted)
    # What a run counted is there from its end on, however far back is looked.
    counted_over = window if spec.schedule is None else mode.window
    # Skipped calls once, and once none, not even a series of them.
    skipped = SKIPPED if mode.stage is not None and not is_rate and alone else 0.0

    def worlds(value: float, rate: float) -> list[World]:
        found = [
            World(place, kept_labels(spec), STABLE_ONES, skipped=skipped),
            World({**place, "pipeline": NEIGHBOUR}, kept_labels(spec)),
        ]
        found += [World(place, {**kept_labels(spec), label: ANOTHER}) for label in spec.keep]
        if mode.stage is not None:
            others = ({"track": "shadow"}, {"track": "canary", "version": CANARY_VERSION})
            found += [World({**place, **other}, kept_labels(spec)) for other in others]
        for index, world in enumerate(found):
            measured(world, spec, mode, condition, (1 + index / 2) * value, rate)
        return found

    value, rate = compared_with(mode, condition), 1.0
    during = worlds(value, rate)
    if is_rate:
        rate = value if isinstance(reads, r.Rate) else value / counted_over
    expected = [(part.recording, part.matchers, part_of(part, value) * rate * counted_over) for part in then.parts]
    expected.append((then.value, then.matchers, value))
    if then.count is not None and not then.parts:
        expected.append((then.count, then.count_matchers, rate * counted_over))
    # Others record what ours count of, such as calls, and ours make nothing of it.
    read_of = [replace(part, recording=inner) for part in then.parts for inner in part.recording.parts]
    beside = recorded_of_others(spec, read_of, end * _PER_STEP) if alone else []
    if not alone:
        # Of the counts others record too, so only the value tells.
        beside += recorded_of_others(spec, then.parts, end * _PER_STEP)
        expected = [entry for entry in expected if entry[0] == then.value]
    at = duration(end * step)
    if spec.schedule is None:
        lines = value_lines(worlds(value / 2, rate / 2), during, step / _PER_STEP, slow, until - slow)
    else:
        lines = run_lines(during, counted_over, slow, until - slow)
    asked = [recorded_value(spec, recording, matchers, value, at=at) for recording, matchers, value in expected]
    if not alone:
        told = {part.recording.name for part in then.parts}
        inner = [part.recording.name for part in read_of]
        asked += [nothing_of_others(spec, at, name) for name in inner if name not in told]
    if spec.schedule is not None:
        # A run from before that, of which no more is there, is not the one.
        later = duration(end * step + 2 * window)
        asked += [{**test, "eval_time": later, "exp_samples": []} for test in asked]
    return None, [*lines, *beside], asked
