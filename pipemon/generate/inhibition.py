"""Which alert holds back which: from the topology and from `leads_to`, with the times that make it work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import pairwise

from pipemon.spec.model import SEVERITIES, STABLE, FailureMode, Spec
from pipemon.spec.signals import SIGNALS
from pipemon.topology import find_cycle
from pipemon.units import duration

Edges = dict[str, set[str]]
"""The targets of each source."""

_SLOWNESS = frozenset({"latency", "first_item"})


@dataclass(frozen=True)
class Refusal:
    """A cause that does not hold back its effect, and why."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """The spec with fitted times, the targets of each source, and what does not work out.

    `waiting` tells, for each failure mode whose `for` was lengthened, how long and after which cause.
    """

    spec: Spec
    targets: dict[str, tuple[str, ...]]
    refused: tuple[Refusal, ...]
    waiting: dict[str, str]

    @cached_property
    def sources(self) -> dict[str, tuple[str, ...]]:
        """The sources of each target."""
        found: dict[str, list[str]] = {}
        for source, targets in self.targets.items():
            for target in targets:
                found.setdefault(target, []).append(source)
        return {target: tuple(sources) for target, sources in found.items()}

    @cached_property
    def refusals(self) -> dict[str, tuple[Refusal, ...]]:
        """What does not hold back each effect."""
        found: dict[str, list[Refusal]] = {}
        for each in self.refused:
            found.setdefault(each.target, []).append(each)
        return {target: tuple(each) for target, each in found.items()}


def plan(spec: Spec) -> Plan:
    """Return who holds back whom.

    A source is at least as severe as its target. By topology it is also upstream of it and at least as
    sudden, it tells a broken stage (nulls, failures, slowness), and neither is an absence, a queue or written in
    PromQL. Slowness, such as a late first item, explains slowness only. What callers see of the whole
    pipeline is held back only by the same signal of a stage.

    No effect may notify before its cause: a cause by topology waits and looks back no longer than its
    effect, and with `leads_to` an effect waits as long as its cause, unless a `for` is written there. Nor
    after it: a source goes on firing for its targets' window and a group interval. An effect that looks
    back further than its cause is the exception: no page stays open for hours for its sake.

    What is in burn-in holds nothing back and is not held back: it neither hides nor changes what is told.
    """
    modes = {mode.name: mode for mode in spec.measurable if not mode.observe}
    stated, refused = _stated(spec)
    edges = _grouped(stated)
    _add_by_topology(edges, spec, modes, stated)
    _break_cycles(edges, stated)
    fitted, waiting = _fit_for(modes, stated)
    late = sorted(_too_late(edges, fitted, stated), key=lambda each: (each.source, each.target))
    refused += late
    for each in late:
        edges[each.source].discard(each.target)
    place = {name: index for index, name in enumerate(modes)}
    targets = {name: tuple(sorted(edges.get(name, ()), key=place.__getitem__)) for name in modes}
    kept = _keep_firing(fitted, edges, spec)
    for name, found in targets.items():
        if found:
            kept[name] = replace(kept[name], holds_back=found)
    timing = replace(spec.timing, group_wait=_group_wait(spec, modes, targets))
    return Plan(
        replace(spec, timing=timing, failure_modes=tuple(kept.get(mode.name, mode) for mode in spec.failure_modes)),
        {name: found for name, found in targets.items() if found},
        tuple(refused),
        waiting,
    )


def _at_least_as_severe(source: FailureMode, target: FailureMode) -> bool:
    return SEVERITIES.index(source.severity) <= SEVERITIES.index(target.severity)


def _stated(spec: Spec) -> tuple[set[tuple[str, str]], list[Refusal]]:
    edges, refused = set(), []
    modes = {mode.name: mode for mode in spec.measurable}
    for source in modes.values():
        for name in source.leads_to:
            target = modes.get(name)
            if target is None:
                continue
            if source.observe or target.observe:
                who = source.name if source.observe else name
                refused.append(Refusal(source.name, name, f"{who} is in burn-in, and told to nobody"))
            elif _at_least_as_severe(source, target):
                edges.add((source.name, name))
            else:
                reason = f"a {source.severity} never holds back a {target.severity}"
                refused.append(Refusal(source.name, name, reason))
    return edges, refused


def _compares_versions(mode: FailureMode) -> bool:
    # What ails all versions is no difference between them, and a canary has but a part of the traffic.
    return any(condition.reference == STABLE for condition in mode.conditions)


def _tells_a_broken_stage(mode: FailureMode) -> bool:
    return (
        mode.stage is not None and all(SIGNALS[name].explains for name in mode.signals) and not _compares_versions(mode)
    )


def _never_by_topology(mode: FailureMode) -> bool:
    return not all(SIGNALS[name].explained for name in mode.signals) or _compares_versions(mode)


def _by_topology(source: FailureMode, target: FailureMode) -> bool:
    """Tell whether a broken stage holds back what it does to one below it, or to the whole pipeline."""
    signals, effects = source.signals, target.signals
    if (signals <= _SLOWNESS) != (effects <= _SLOWNESS):
        return False
    if target.stage is None and signals != effects:
        return False
    as_sudden = source.pace == "sudden" or target.pace == "gradual"
    return as_sudden and _at_least_as_severe(source, target)


def _add_by_topology(edges: Edges, spec: Spec, modes: dict[str, FailureMode], stated: set[tuple[str, str]]) -> None:
    # Those that are alike in all that `_by_topology` asks are looked at together, by their stages.
    targets: dict[object, tuple[FailureMode, dict[str | None, list[str]]]] = {}
    for mode in modes.values():
        if not _never_by_topology(mode):
            alike = (mode.signals, mode.pace, mode.severity, mode.stage is None)
            _, names = targets.setdefault(alike, (mode, {}))
            names.setdefault(mode.stage, []).append(mode.name)
    causes = _grouped((effect, cause) for cause, effect in stated)
    for source in filter(_tells_a_broken_stage, modes.values()):
        found = edges.setdefault(source.name, set())
        below = (None, *spec.downstream.get(source.stage or "", ()))
        for one, names in targets.values():
            if _by_topology(source, one):
                found.update(*(names.get(stage, ()) for stage in below))
        found -= causes.get(source.name, set())


def _grouped(edges: Iterable[tuple[str, str]]) -> Edges:
    """Return the targets of each source, by name."""
    found: Edges = {}
    for source, target in edges:
        found.setdefault(source, set()).add(target)
    return found


def _ordered(edges: Edges) -> dict[str, list[str]]:
    """Return the targets of each source, all in the order of their names, without those that are no source."""
    return {source: sorted(edges[source] & edges.keys()) for source in sorted(edges)}


def _break_cycles(edges: Edges, stated: set[tuple[str, str]]) -> None:
    """Drop edges of the topology from every circle: what the team states wins (and has none itself)."""
    while cycle := find_cycle(_ordered(edges)):
        pairs = {edge for a, b in pairwise(cycle) for edge in ((a, b), (b, a))}
        source, target = min(pair for pair in pairs - stated if pair[1] in edges[pair[0]])
        edges[source].discard(target)


def _fit_for(
    modes: dict[str, FailureMode], stated: set[tuple[str, str]]
) -> tuple[dict[str, FailureMode], dict[str, str]]:
    """Let a stated effect wait as long as its cause where its own `for` is a default."""
    fitted = dict(modes)
    waiting: dict[str, str] = {}
    effects = _grouped(stated)
    for source in _causes_first(modes, effects):
        for target in sorted(effects.get(source, ())):
            cause, effect = fitted[source], fitted[target]
            if cause.for_ > effect.for_ and not effect.for_given:
                fitted[target] = replace(effect, for_=cause.for_)
                waiting[target] = f"{duration(cause.for_)}, as long as its cause {source}"
    return fitted, waiting


def _too_late(edges: Edges, modes: dict[str, FailureMode], stated: set[tuple[str, str]]) -> Iterator[Refusal]:
    """Yield the causes that would notify after their effects, and why."""
    # A cause has thousands of effects in a long cascade, and these have few times.
    alike = _alike(modes, lambda mode: (mode.for_, mode.window))
    for source, targets in edges.items():
        cause = modes[source]
        for (wait, window), names in alike.items():
            if cause.for_ > wait:
                longer = f"its `for` of {duration(cause.for_)} is longer than the effect's {duration(wait)}"
                yield from (Refusal(source, target, longer) for target in targets & names)
            elif cause.window > window:
                longer = f"its window of {duration(cause.window)} is longer than the effect's {duration(window)}"
                late = (target for target in targets & names if (source, target) not in stated)
                yield from (Refusal(source, target, longer) for target in late)


def _alike(
    modes: Mapping[str, FailureMode], times: Callable[[FailureMode], tuple[float, float]]
) -> dict[tuple[float, float], set[str]]:
    """Return the names of the failure modes of the same times."""
    found: dict[tuple[float, float], set[str]] = {}
    for mode in modes.values():
        found.setdefault(times(mode), set()).add(mode.name)
    return found


def _causes_first(names: Iterable[str], edges: Edges) -> list[str]:
    causes: dict[str, list[str]] = {name: [] for name in names}
    for source in sorted(edges):
        for target in sorted(edges[source]):
            causes[target].append(source)
    return list(TopologicalSorter(causes).static_order())


def _keep_firing(modes: dict[str, FailureMode], edges: Edges, spec: Spec) -> dict[str, FailureMode]:
    """Let each source outlast its targets, which outlast their own: effects first."""
    kept = dict(modes)
    sources = {name for name, found in edges.items() if found}
    among = {source: sources & edges[source] for source in sources}
    rest = {name: mode for name, mode in modes.items() if name not in sources}
    alike = _alike(rest, lambda mode: (mode.window, mode.keep_firing_for))
    for name in reversed(_causes_first(sources, among)):
        source = kept[name]
        times = {(kept[each].window, kept[each].keep_firing_for) for each in among[name]}
        times.update(each for each, names in alike.items() if not names.isdisjoint(edges[name]))
        if tails := [window + tail for window, tail in times if window <= source.window]:
            least = max(tails) + spec.timing.group_interval
            kept[name] = replace(source, keep_firing_for=max(source.keep_firing_for, least))
    return kept


def _group_wait(spec: Spec, modes: dict[str, FailureMode], targets: dict[str, tuple[str, ...]]) -> float:
    """Return how long a first notification waits, in seconds: until each cause has had its turn to be evaluated.

    Those of one rule group have it together; those of the other may come an interval of their own later.
    """
    long = {name for name, mode in modes.items() if mode.window >= spec.timing.long_window}
    later = (
        spec.interval(modes[source])
        for source, found in targets.items()
        if not (long.issuperset(found) if source in long else long.isdisjoint(found))
    )
    return max((spec.timing.group_wait, *later))
