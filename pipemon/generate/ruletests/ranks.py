"""promtool tests of features that share false alarms by Benjamini and Hochberg: the more moved, the less each shows.

A feature moves by what is more than chance where others have moved as well, and is within it where none has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import NamedTuple, cast

from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.measure import condition_references
from pipemon.generate.drift.shapes import Shares, critical, moved, moved_inside, noticed
from pipemon.generate.drift.together import counted
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.clocks import clock_of_a_move
from pipemon.generate.ruletests.expectations import firing_at, place_of
from pipemon.generate.ruletests.lines import counters
from pipemon.generate.ruletests.places import World
from pipemon.generate.ruletests.scenes import kept_labels, version_of
from pipemon.generate.ruletests.synthetic import Moves, distributed
from pipemon.generate.ruletests.values import MARGIN, tested_values
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import Statistic
from pipemon.topology import FeatureShape
from pipemon.units import duration

Test = dict[str, object]

_ENOUGH = 1.4
"""Values in the window, over the least that a verdict takes, at least."""


def ranked_cases(spec: Spec, alert: Alert, steps: int) -> Iterator[tuple[str, Test]]:
    """Yield the cases of an alert of drift from the baseline whose stage has ranks; none where size alone decides."""
    mode, condition = alert.mode, alert.mode.conditions[0]
    reference, statistic = condition_references(spec, mode, condition)[0], cast(Statistic, condition.argument)
    watched = counted(spec, mode)
    rank = max((each for each in reference.ranks if each <= len(watched)), default=1)
    if rank == 1:
        return
    every = {_feature(each): condition_references(spec, other, each)[0] for other, each in watched}
    threshold = tested_values(spec, mode, condition).beyond[0] * (1 + MARGIN)

    def between(number: float) -> float:
        """Return what is more than chance with the others, and not alone, of so many values."""
        shared = replace(reference, alpha=rank * reference.alpha)
        return sqrt(critical(reference, statistic, number) * critical(shared, statistic, number))

    number = _ENOUGH * max(each.least for each in every.values())
    if between(number) <= threshold:
        return
    while between(2 * number) > threshold:
        number *= 2
    usual = {feature: each.shares for feature, each in every.items()}
    others = {_feature(each): _moved(spec, other, each, number) for other, each in watched}
    own = {_feature(condition): moved_inside(reference, statistic, between(number), number)}
    live = _Live(every, number, steps, usual)
    yield "fires where the others have moved too", _case(spec, alert, live, {**others, **own}, fires=True)
    yield "is quiet where it alone has moved", _case(spec, alert, live, {**usual, **own}, fires=False)


class _Live(NamedTuple):
    """Features with their baselines, how many values each has in a window of so many steps, and its usual shares."""

    baselines: dict[FeatureShape, Reference]
    number: float
    steps: int
    usual: dict[FeatureShape, Shares]


def _case(spec: Spec, alert: Alert, live: _Live, unusual: dict[FeatureShape, Shares], *, fires: bool) -> Test:
    """Return a case in which the features have such shares for a time."""
    mode = alert.mode
    time = clock_of_a_move(spec, mode, live.steps)
    place = {"pipeline": spec.pipeline, "stage": mode.stage or "", "version": version_of(spec, mode), "track": "stable"}
    before, during = World(place, kept_labels(spec)), World(place, kept_labels(spec))
    for world, shares in ((before, live.usual), (during, unusual)):
        for feature, reference in live.baselines.items():
            labels = {"direction": feature.direction, "feature": feature.name}
            moves = Moves()
            distributed(moves, reference, shares[feature], live.number / mode.window, **labels)
            world.take(moves)
    firing = [{**place_of(spec, mode), **alert.labels}] if fires else []
    return {
        "interval": duration(time.step),
        "input_series": counters([before], [during], time, gone=False),
        "promql_expr_test": [
            firing_at(alert, time.at(time.judged), firing),
            *([firing_at(alert, time.at(time.resolved), [])] if fires else []),
        ],
    }


def _moved(spec: Spec, mode: FailureMode, condition: Condition, number: float) -> Shares:
    """Return the shares of a feature that has moved beyond its failure mode's threshold, and beyond chance."""
    reference, statistic = condition_references(spec, mode, condition)[0], cast(Statistic, condition.argument)
    chance = noticed(reference, statistic, number) * (1 + MARGIN)
    return moved(reference, statistic, max(tested_values(spec, mode, condition).beyond[0], chance), number)


def _feature(condition: Condition) -> FeatureShape:
    assert condition.feature is not None
    return condition.feature
