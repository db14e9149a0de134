"""Time budgets along the slowest way through a cascade."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter

from pipemon.spec.fields import Report, listed
from pipemon.spec.reader import Mapping, Node
from pipemon.topology import StageShape, find_cycle

_IN_SECONDS = 10.0


def critical_path(stages: Sequence[StageShape]) -> tuple[StageShape, ...]:
    """Return the stages one after the other whose budgets add up to most; the longest such way.

    A stage without a budget counts as none. Only what is said to come after another is added to it.
    """
    shapes = {stage.name: stage for stage in stages}
    before = {stage.name: tuple(name for name in stage.after or () if name in shapes) for stage in stages}
    best: dict[str, tuple[float, int, tuple[str, ...]]] = {}
    for name in TopologicalSorter(before).static_order():
        spent, length, way = max((best[upstream] for upstream in before[name]), default=(0.0, 0, ()))
        best[name] = (spent + (shapes[name].budget or 0.0), length + 1, (*way, name))
    _, _, way = max(best.values(), key=lambda found: found[:2], default=(0.0, 0, ()))
    return tuple(shapes[name] for name in way)


def spent(stages: Sequence[StageShape]) -> float:
    """Return the sum of budgets in seconds."""
    # In whole microseconds: 0.1 + 0.2 is not more than 0.3.
    return round(sum(stage.budget or 0.0 for stage in stages), 6)


def budget_words(budget: float | None, stages: Sequence[StageShape]) -> str:
    """Return the sum of the budgets as people say it: `vad 50 + asr 300 of 500 ms: 150 ms unassigned`, or "".

    Stages on the way that have no budget are named, since what is left is theirs.
    """
    path = critical_path(stages)
    given = [stage for stage in path if stage.budget is not None]
    if not given or budget is None:
        return ""
    factor, unit = (1.0, "s") if budget >= _IN_SECONDS else (1000.0, "ms")
    parts = " + ".join(f"{stage.name} {(stage.budget or 0.0) * factor:.6g}" for stage in given)
    left = round(budget - spent(path), 6)
    without = [stage.name for stage in path if stage.budget is None]
    theirs = f", for {listed(without, 'and')}" if without and left > 0 else ""
    rest = f"{left * factor:.6g} {unit} unassigned{theirs}" if left > 0 else "all of it is assigned"
    if left < 0:
        rest = f"{-left * factor:.6g} {unit} more than there is"
    return f"{parts} of {budget * factor:.6g} {unit}: {rest}"


def check_budgets(report: Report, root: Mapping, budget: float | None, stages: Sequence[StageShape]) -> None:
    """Report budgets that add up to more than the whole may take."""
    if budget is None or find_cycle({stage.name: stage.after or () for stage in stages}):
        return
    if spent(critical_path(stages)) <= budget:
        return
    at: Node = next((node for key in ("budget", "stages", "code") if (node := root.get(key)) is not None), root)
    report.add(at, f"budget: {budget_words(budget, stages)}", "budget")
