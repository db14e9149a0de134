"""What the failure modes cover of a cascade and what nobody thought of, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pipemon.generate.bounds_file import interpolated
from pipemon.generate.drift.traffic import too_little
from pipemon.generate.inhibition import Plan
from pipemon.spec.budgets import budget_words
from pipemon.spec.expression import may_keep
from pipemon.spec.fields import listed
from pipemon.spec.model import FailureMode, Kind, Spec
from pipemon.units import duration

KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in ("rollout", "drift"))
"""The classes that every stage can fail in: a rollout is not always under way, and drift takes a baseline."""


def summary(made: Plan) -> Iterator[str]:
    """Yield a line for the files, then one for each thing that a team should know of its alerts."""
    spec = made.spec
    modes = {mode.name: mode for mode in spec.measurable}
    alerts = f"{len(spec.measurable)} with an alert"
    yield f"{', '.join(spec.files) or spec.source}: {len(spec.failure_modes)} failure modes, {alerts}"
    for mode in spec.failure_modes:
        if not mode.conditions:
            yield f"  {mode.name}: {mode.waiting}"
    for source, targets in made.targets.items():
        yield f"  {source} holds back {', '.join(targets)}"
    for source, targets in made.targets.items():
        window = modes[source].window
        if sooner := [target for target in targets if modes[target].window < window]:
            yield f"  {source} looks back {duration(window)}, so {listed(sooner, 'and')} may be told before it"
    for name, words in made.waiting.items():
        yield f"  {name} waits {words}"
    for refusal in made.refused:
        yield f"  {refusal.source} does not hold back {refusal.target}: {refusal.reason}"
    for mode in spec.measurable:
        yield from _without_place(spec, mode)
        yield from (f"  {words}" for words in too_little(spec, mode))
    for words in interpolated(spec):
        yield f"  {words}"
    for stage in spec.stages:
        if stage.name not in spec.measurable_at:
            yield f"  no failure mode watches the stage {stage.name}"


def _without_place(spec: Spec, mode: FailureMode) -> Iterator[str]:
    """Yield what follows where an expression that a person wrote surely drops a label that tells alerts apart."""
    if len(mode.conditions) != 1 or mode.conditions[0].signal != "promql":
        return
    lost = [label for label in spec.told_apart_by if not may_keep(mode.conditions[0].argument, (label,))]
    if lost:
        yield f"  {mode.name}: its expression drops {listed(lost, 'and')}, so it is one alert whatever they are"


def coverage(spec: Spec) -> Iterator[str]:
    """Yield what is watched of each stage, of how many stages each class is, what is in burn-in, and the budgets."""
    seen = {stage.name: {mode.kind for mode in spec.measurable_at.get(stage.name, ())} for stage in spec.stages}
    for name, kinds in seen.items():
        missing = [kind for kind in KINDS if kind not in kinds]
        if kinds and missing:
            yield f"  {name}: nobody thought of {listed(missing)} failures"
    if seen:
        counts = ", ".join(f"{kind} {sum(kind in kinds for kinds in seen.values())}" for kind in KINDS)
        yield f"  of {len(seen)} stages are watched: {counts}"
    ideas = sum(not mode.conditions for mode in spec.failure_modes)
    if ideas:
        yield f"  {ideas} of {len(spec.failure_modes)} failure modes can't be measured yet"
    for mode in spec.measurable:
        if mode.observe:
            since = f" since {mode.observe_since}" if mode.observe_since else ""
            yield f"  {mode.name}: in burn-in{since}, told to nobody"
    for stage in spec.stages[1:]:
        if stage.after is None:
            yield f"  {stage.name}: nobody says which stage is before it, by `after`, so none holds its alerts back"
    if spec.baseline and not spec.baselines:
        yield f"  the baseline {spec.baseline} is not there yet; `pipemon baseline` learns it"
    if words := budget_words(spec.budget, spec.stages):
        yield f"  {words}"
