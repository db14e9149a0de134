"""What a backtest found, in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from pipemon.backtest.firing import Firing
from pipemon.backtest.replay import Replayed
from pipemon.spec.model import FailureMode

_MOST = 10
_DAY = 86400.0
_WEEK = 7 * _DAY


def report(found: Replayed) -> Iterator[str]:
    """Yield lines: the period and what is known of it, then each failure mode with its firings."""
    spec, period = found.plan.spec, found.period
    yield f"{spec.pipeline}: {whole(period.end - period.start)} from {moment(period.start)} to {moment(period.end)}"
    yield from _known(found)
    # Of less than a day nobody can tell how often a week.
    weeks = found.known.length / _WEEK if found.known.length >= _DAY else 0.0
    for mode in spec.failure_modes:
        if not mode.conditions:
            yield f"  {mode.name}: {mode.waiting}"
            continue
        yield from _mode(found, mode, weeks)


def _known(found: Replayed) -> Iterator[str]:
    known, period = found.known, found.period
    asked = period.end - period.start
    if known.keeps is not None and known.keeps < asked:
        yield f"  Prometheus keeps {whole(known.keeps)}, and {whole(asked)} were asked for"
    if known.since is None:
        yield "  it has no samples of this pipeline in this time: nothing here tells anything"
    elif known.length < 0.99 * asked:
        late = known.since > period.start + asked / 100
        told = f"  samples begin at {moment(known.since)} and" if late else "  samples"
        week = "what is said by week is of that time" if known.length >= _DAY else "too short to tell how often a week"
        yield f"{told} are there for {whole(known.length)}: {week}"


def _mode(found: Replayed, mode: FailureMode, weeks: float) -> Iterator[str]:
    fired = found.fired.get(mode.name, ())
    name = f"  {mode.name} ({mode.severity}{', in burn-in' if mode.observe else ''})"
    if not fired:
        yield f"{name}: never{_why(found, mode)}"
        return
    end = found.period.end
    lengths = [firing.length(end) for firing in fired]
    rate = f", {weekly(len(fired), weeks)}" if weeks > 0 else ""
    held = sum(bool(firing.held_by) and firing.notified is None for firing in fired)
    told = sum(firing.notified is not None for firing in fired)
    counts = [f"told {told}"] if not mode.observe else ["told to nobody"]
    counts += [f"held back {held}"] if held else []
    yield (
        f"{name}: {times(len(fired))}{rate}; {whole(sum(lengths))} in all, "
        f"the longest {whole(max(lengths))}; {', '.join(counts)}"
    )
    for firing in fired[:_MOST]:
        yield f"    {moment(firing.start)} for {_length(firing, end)}{_where(found, firing)}{_became(mode, firing)}"
    if len(fired) > _MOST:
        yield f"    and {len(fired) - _MOST} more"


def _why(found: Replayed, mode: FailureMode) -> str:
    """Return why a failure mode could not fire, at all or for most of the time; "" where it could."""
    if lacks := found.absent.get(mode.name, []):
        return f", and it could not: no series {', '.join(lacks)}"
    judged = found.judged.get(mode.name, found.known.length)
    if not judged:
        return ", and it could not: too few values for a verdict in any window, or other bins than the baseline's"
    if judged < found.known.length / 2:
        return f", and there were values enough for a verdict for {whole(judged)} of it only"
    return ""


def weekly(count: int, weeks: float) -> str:
    """Return how often a week something came, in words."""
    rate = count / weeks
    return f"{rate:.0f} a week" if rate >= 10 else f"{rate:.2g} a week"


def times(count: int) -> str:
    """Return how often, in words."""
    return "once" if count == 1 else f"{count} times"


def _length(firing: Firing, end: float) -> str:
    return f"{whole(firing.length(end))}{', and on' if firing.end is None else ''}"


def _where(found: Replayed, firing: Firing) -> str:
    """Return the labels that tell an alert from others of its failure mode."""
    told = set(found.plan.spec.told_apart_by) | {"version"}
    labels = [f"{name}={value}" for name, value in firing.labels if name in told]
    return f" at {', '.join(labels)}" if labels else ""


def _became(mode: FailureMode, firing: Firing) -> str:
    if mode.observe:
        return ""
    if firing.notified is None:
        if firing.held_by:
            return f", held back by {', '.join(firing.held_by)}"
        return ", not told yet" if firing.end is None else ", over before it was told"
    late = f" after {', '.join(firing.held_by)}" if firing.held_by else ""
    return f", told{late}" if late else ""


def moment(time: float) -> str:
    """Return a Unix time as people and `--from` write it, in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def whole(seconds: float) -> str:
    """Return a time to the second of its two largest units: `2d4h`, `12m30s`."""
    for (unit, size), (lower, part) in pairwise(_UNITS):
        if seconds >= size:
            count, left = divmod(round(seconds / part), size // part)
            return f"{count}{unit}{f'{left}{lower}' if left else ''}"
    return f"{round(seconds)}s"
