"""Which alert holds back which: from the topology and from `leads_to`, with the times that make it work."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from pipemon.spec.model import SEVERITIES, FailureMode, Spec
from pipemon.topology import downstream, find_cycle
from pipemon.units import duration

_NEVER_BY_TOPOLOGY = ("no_calls", "promql")


@dataclass(frozen=True)
class Refusal:
    """A `leads_to` that holds nothing back, and why."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """The spec with fitted times, the targets of each source, and what `leads_to` asks in vain."""

    spec: Spec
    targets: dict[str, tuple[str, ...]]
    refused: tuple[Refusal, ...]


def plan(spec: Spec) -> Plan:
    """Return who holds back whom.

    A source is at least as severe as its target. By topology it is also upstream of it and at least as
    sudden, and neither is an absence or written in PromQL; feedback needs `leads_to`. Slowness explains
    slowness only, and only slowness explains it.

    A target's `for` is no shorter than its source's, and a source goes on firing for its targets' window
    and a group interval, so that no effect notifies before or after its cause. An effect that looks back
    further than its cause is the exception: no page stays open for hours for its sake.
    """
    modes = {mode.name: mode for mode in spec.measurable}
    below = downstream(spec.upstream)
    stated, refused = _stated(modes)
    edges = set(stated)
    for source in modes.values():
        for target in modes.values():
            if _by_topology(source, target, below) and (target.name, source.name) not in stated:
                edges.add((source.name, target.name))
    _break_cycles(edges, stated)
    fitted, late = _fit_for(modes, edges, stated)
    edges -= {(refusal.source, refusal.target) for refusal in late}
    targets = {name: tuple(other for other in modes if (name, other) in edges) for name in modes}
    kept = {name: _keep_firing(fitted[name], [fitted[t] for t in found], spec) for name, found in targets.items()}
    failure_modes = tuple(kept.get(mode.name, mode) for mode in spec.failure_modes)
    return Plan(
        replace(spec, failure_modes=failure_modes),
        {name: found for name, found in targets.items() if found},
        (*refused, *(refusal for refusal in late if (refusal.source, refusal.target) in stated)),
    )


def _at_least_as_severe(source: FailureMode, target: FailureMode) -> bool:
    return SEVERITIES.index(source.severity) <= SEVERITIES.index(target.severity)


def _stated(modes: dict[str, FailureMode]) -> tuple[set[tuple[str, str]], list[Refusal]]:
    edges, refused = set(), []
    for source in modes.values():
        for name in source.leads_to:
            target = modes.get(name)
            if target is None:
                continue
            if _at_least_as_severe(source, target):
                edges.add((source.name, name))
            else:
                reason = f"a {source.severity} never holds back a {target.severity}"
                refused.append(Refusal(source.name, name, reason))
    return edges, refused


def _by_topology(source: FailureMode, target: FailureMode, below: dict[str, frozenset[str]]) -> bool:
    if source.stage is None or source.name == target.name:
        return False
    if target.stage is not None and target.stage not in below.get(source.stage, ()):
        return False
    signals = {condition.signal for condition in source.conditions}
    effects = {condition.signal for condition in target.conditions}
    if (signals | effects) & set(_NEVER_BY_TOPOLOGY) or "feedback" in signals:
        return False
    if (signals == {"latency"}) != (effects == {"latency"}):
        return False
    as_sudden = source.pace == "sudden" or target.pace == "gradual"
    return as_sudden and _at_least_as_severe(source, target)


def _break_cycles(edges: set[tuple[str, str]], stated: set[tuple[str, str]]) -> None:
    """Drop edges of the topology from every circle: what the team states wins (and has none itself)."""
    while True:
        names = {name for edge in edges for name in edge}
        cycle = find_cycle({name: {target for source, target in edges if source == name} for name in sorted(names)})
        if not cycle:
            return
        pairs = {edge for a, b in pairwise(cycle) for edge in ((a, b), (b, a))}
        loose = sorted(pair for pair in pairs & edges if pair not in stated)
        edges.discard(loose[0])


def _fit_for(
    modes: dict[str, FailureMode], edges: set[tuple[str, str]], stated: set[tuple[str, str]]
) -> tuple[dict[str, FailureMode], list[Refusal]]:
    """Let no source wait longer than its target: fit a default `for`, never a written one."""
    fitted = dict(modes)
    refused: dict[tuple[str, str], Refusal] = {}
    for _ in modes:
        for source, target in sorted(edges - refused.keys()):
            cause, effect = fitted[source], fitted[target]
            if cause.for_ <= effect.for_:
                continue
            if not effect.for_given:
                fitted[target] = replace(effect, for_=cause.for_)
            elif not cause.for_given:
                fitted[source] = replace(cause, for_=effect.for_)
            else:
                reason = f"its `for` of {duration(cause.for_)} is longer than the effect's {duration(effect.for_)}"
                refused[source, target] = Refusal(source, target, reason)
    return fitted, list(refused.values())


def _keep_firing(source: FailureMode, targets: list[FailureMode], spec: Spec) -> FailureMode:
    tails = [target.window + target.keep_firing_for for target in targets if target.window <= source.window]
    if not tails:
        return source
    return replace(source, keep_firing_for=max(source.keep_firing_for, max(tails) + spec.timing.group_interval))
