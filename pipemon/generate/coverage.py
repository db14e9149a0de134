"""What the failure modes cover of a cascade and what nobody thought of, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pipemon.generate.bounds_file import interpolated
from pipemon.generate.drift.onset import moving
from pipemon.generate.drift.traffic import too_little
from pipemon.generate.expressions import counts_as_some
from pipemon.generate.inhibition import Plan
from pipemon.generate.usual import usual
from pipemon.spec.budgets import budget_words
from pipemon.spec.cusum import adds_up, step_of
from pipemon.spec.expression import may_keep
from pipemon.spec.fields import listed
from pipemon.spec.model import LONGEST_STEP, Condition, FailureMode, Kind, Spec
from pipemon.spec.signals import CUSUM, SHIFT
from pipemon.units import counted, duration

KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in ("rollout", "drift"))
"""The classes that every stage can fail in: a rollout is not always under way, and drift takes a baseline."""


_SHOWN = 4
"""Features and failure modes that are named, where there are many."""


_SOON = 120.0
"""Seconds: a shorter `for` is of someone who wants to know at once."""
_PERCENTS = 100.0
_KEPT = 15 * 86400.0
"""Seconds that Prometheus keeps samples where nothing else is said."""


def summary(made: Plan) -> Iterator[str]:
    """Yield a line for the files, then one for each thing that a team should know of its alerts."""
    spec = made.spec
    modes = {mode.name: mode for mode in spec.measurable}
    alerts = f"{len(spec.measurable)} with an alert"
    yield f"{', '.join(spec.files) or spec.source}: {counted(len(spec.failure_modes), 'failure mode')}, {alerts}"
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
        yield from (f"  {words}" for words in (*too_little(spec, mode), *usual(spec, mode)))
        yield from _of_nothing(mode)
        yield from _beyond_all(mode)
    yield from _unnoticed(spec)
    yield from _late(spec)
    yield from _forgotten(spec)
    yield from _few_scrapes(spec)
    yield from _beyond_retention(spec)
    yield from _of_any_size(spec)
    yield from _on_trust(spec)
    for words in interpolated(spec):
        yield f"  {words}"
    for stage in spec.stages:
        if stage.name not in spec.measurable_at:
            yield f"  no failure mode watches the stage {stage.name}"


def _on_trust(spec: Spec) -> Iterator[str]:
    """Yield the features that alerts read and no code was seen to take."""
    read = [(mode.stage, each.feature) for mode in spec.measurable for each in mode.conditions if each.feature]
    names = list(dict.fromkeys(f"{stage}'s {feature.direction}.{feature.name}" for stage, feature in read))
    if spec.code or not names:
        return
    shown = [*names[:_SHOWN], *([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])]
    yield (
        f"  no code says that {listed(shown, 'and')} {'is' if len(names) == 1 else 'are'} taken; "
        "name it by `code:`, or ask what runs with --url"
    )


def _without_place(spec: Spec, mode: FailureMode) -> Iterator[str]:
    """Yield what follows where an expression that a person wrote surely drops a label that tells alerts apart."""
    if len(mode.conditions) != 1 or mode.conditions[0].signal != "promql":
        return
    lost = [label for label in spec.told_apart_by if not may_keep(mode.conditions[0].argument, (label,))]
    if lost:
        yield f"  {mode.name}: its expression drops {listed(lost, 'and')}, so it is one alert whatever they are"


def _unnoticed(spec: Spec) -> Iterator[str]:
    """Yield that no alert tells of calls that stop: where there are none, neither is a share, a mean or a duration."""
    conditions = [condition for mode in spec.measurable for condition in mode.conditions]
    if conditions and not any(each.signal == "no_calls" or "absent" in each.argument for each in conditions):
        what = "runs" if spec.schedule else "calls"
        yield f"  nobody is told when {what} stop: add a failure mode with `signal: no_calls`"


def _late(spec: Spec) -> Iterator[str]:
    """Yield where silence is told far later than its `for` lets one think: the window must have no call first."""
    if spec.link or spec.schedule:
        return
    least = duration(4 * spec.timing.scrape_interval)
    for mode in spec.measurable:
        if mode.signals == {"no_calls"} and mode.for_ < _SOON <= mode.window:
            after = duration(mode.window + mode.for_)
            yield f"  {mode.name}: fires {after} after the last call; a shorter `window`, from {least} on, is sooner"


def _forgotten(spec: Spec) -> Iterator[str]:
    """Yield what absence forgets: a place whose series have ended, where no target tells that it should be there."""
    if not spec.told_apart_by or spec.schedule:
        return
    silent = [mode for mode in spec.measurable if "no_calls" in mode.signals]
    # What another service exports has other targets, and of a link that comes and goes no target tells a place.
    others = [mode for mode in silent if spec.link or (mode.stage is not None and spec.stage(mode.stage).series)]
    own = [mode for mode in silent if mode not in others and not spec.targets]
    up = 'up{job="..."}'
    answers = f"max_over_time({up}[{duration(spec.link)}])" if spec.link else up
    asked = f"{{promql: 'max by ({', '.join(spec.told_apart_by)}) ({answers}) == 0'}}"
    lasts, place = duration(spec.timing.long_window), listed(spec.told_apart_by)
    for modes, more in ((own, f"`targets: {{job: {spec.pipeline}}}`"), (others, f"`{asked}`")):
        if modes:
            names = listed([mode.name for mode in modes], "and")
            words = f"if the series of one {place} end, firing stops after {lasts}, as if all were well"
            yield f"  {names}: {words}; {more} fires on"


def _few_scrapes(spec: Spec) -> Iterator[str]:
    """Yield the cumulative sums whose steps, which are as long as can be, have few scrapes, or what has too few."""
    if not adds_up(spec.timing) and spec.schedule is None and len({(r.stage, r.direction) for r in moving(spec)}) > 1:
        yield f"  which stage moved first is not told: that takes scrapes {duration(LONGEST_STEP / 2)} apart at most"
    step, apart = step_of(spec.timing), spec.timing.scrape_interval
    names = [mode.name for mode in spec.measurable if mode.signals & {CUSUM, SHIFT}]
    if names and step < 4 * apart:
        seen = f"of {duration(step)}, with scrapes {duration(apart)} apart, see {1 - apart / step:.0%} of the calls"
        yield f"  {listed(names, 'and')}: steps {seen}; scrape every {duration(step / 4)} to see 75%"


def _beyond_retention(spec: Spec) -> Iterator[str]:
    """Yield which failure modes look back further than Prometheus keeps samples where it is not told how long."""
    back = {
        mode.name: mode.window + max((each.reference.offset for each in mode.conditions if each.reference), default=0.0)
        for mode in spec.measurable
    }
    if long := [name for name, seconds in back.items() if seconds > _KEPT]:
        most = duration(max(back.values()))
        names = listed([*long[:_SHOWN], *([f"{len(long) - _SHOWN} more"] if len(long) > _SHOWN else [])], "and")
        yield f"  {names}: looking back {most} takes --storage.tsdb.retention.time; Prometheus keeps {duration(_KEPT)}"


def _of_any_size(spec: Spec) -> Iterator[str]:
    """Yield that a batch pipeline's runs may be of any size: one that ended well on no input is a success, too."""
    if spec.schedule is not None and spec.stages and not any("throughput" in mode.signals for mode in spec.measurable):
        way = f"{{stage: {spec.stages[0].name}, signal: throughput, below: 0.5x last week}}"
        yield f"  no failure mode watches how many items a run has; a run on nothing ends well: {way}"


def _of_nothing(mode: FailureMode) -> Iterator[str]:
    """Yield a multiple that a few bad ones are where there were none, unless the team says from where on it matters."""
    fixed = [each.signal for each in mode.conditions if each.threshold and not each.reference]
    for each in mode.conditions:
        if each.threshold is None or not counts_as_some(each) or (mode.combine == "all" and each.signal in fixed):
            continue
        # The words of what a canary is compared with are no threshold's: it may be worse by as little.
        if each.reference is not None and each.reference.offset:
            none, enough = f"where {each.reference.words} had none", f"{each.min_events} bad ones are enough"
            way = f"signals: {{all: [..., {{{_written(each)}, above: 1%}}]}}"
            yield f"  {mode.name}: {none}, {enough}; say from where on it matters, as in {way}"


def _beyond_all(mode: FailureMode) -> Iterator[str]:
    """Yield a threshold of a ratio that looks like percents: ratios above 1 may be meant, but seldom are."""
    for each in mode.conditions:
        if each.feature is None or each.feature.unit != "ratio" or each.threshold is None or each.reference:
            continue
        if each.signal not in ("mean", "quantile") or each.threshold.learned:
            continue
        for end in filter(None, (each.threshold.low, each.threshold.high)):
            if 1 < end <= _PERCENTS:
                name = f"{each.feature.direction}.{each.feature.name}"
                words = f"{name} is a ratio, and {end:g} of it {end:.0%}"
                yield f"  {mode.name}: {words}; if {end:g}% is meant, write it so"


def _written(condition: Condition) -> str:
    """Return a signal as a file says it: `signal: null_ratio`, `share: output.language=fr`."""
    feature = condition.feature
    words = condition.argument
    if feature is not None:
        name = f"{feature.direction}.{feature.name}"
        words = f"{name}={words}" if condition.signal == "share" else name
    return f"{condition.signal}: {words}" if words else f"signal: {condition.signal}"


def coverage(spec: Spec) -> Iterator[str]:
    """Yield what is watched of each stage, of how many stages each class is, what is in burn-in, and the budgets."""
    seen = {stage.name: {mode.kind for mode in spec.measurable_at.get(stage.name, ())} for stage in spec.stages}
    for name, kinds in seen.items():
        missing = [kind for kind in KINDS if kind not in kinds]
        if kinds and missing:
            idle = [mode.name for mode in spec.failure_modes if mode.stage == name and not mode.conditions]
            which = listed(idle) if len(idle) <= _SHOWN else f"one of {len(idle)}"
            unless = f", unless by {which}, which can't be measured yet" if idle else ""
            yield f"  {name}: nobody thought of {listed(missing)} failures{unless}"
    if seen:
        counts = ", ".join(f"{kind} {sum(kind in kinds for kinds in seen.values())}" for kind in KINDS)
        yield f"  of {counted(len(seen), 'stage')} {'is' if len(seen) == 1 else 'are'} watched: {counts}"
    ideas = sum(not mode.conditions for mode in spec.failure_modes)
    if ideas:
        yield f"  {ideas} of {counted(len(spec.failure_modes), 'failure mode')} can't be measured yet"
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
