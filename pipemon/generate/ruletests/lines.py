"""Series as promtool reads them: counters and gauges of places that are as usual, are bad, and are as usual again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.places import World

T = TypeVar("T")

_HARDLY = 1e-6
"""Calls after a time, over the usual, where there are hardly any: a counter that stays the same may seem to fall."""
_TRIFLE = 1e-8
"""What a counter that stops rises by, so that it is never lower than what its steps were added up to."""


def counters(
    before: list[World], during: list[World], time: Clock, *, gone: bool, idle: bool = False
) -> list[dict[str, str]]:
    """Return the series of a case: as `before` until it turns bad and after it turns good, `during` between.

    `gone` has those of the first place end while it is bad; `idle` has hardly anybody call there after.
    """
    found: list[dict[str, str]] = []
    for index, (first, second) in enumerate(zip(before, during, strict=True)):
        vanishes, rests = gone and index == 0, idle and index == 0
        if first is second and not (vanishes or rests):
            # Most places go on as they do.
            found += [{"series": name, "values": _values((s, s, s), time)} for name, s in first.rates.items()]
        else:
            for name in {**first.rates, **second.rates}:
                slope = first.rates.get(name, 0.0)
                # A version that no run calls is not pushed.
                later = None if vanishes else second.rates.get(name, None if time.run else 0.0)
                slopes = slope, later, slope * _HARDLY if rests else slope
                found.append({"series": name, "values": _values(slopes, time)})
        for name, usual in first.gauges.items():
            values = gauge_values(usual, None if vanishes else second.gauges[name], time)
            found.append({"series": name, "values": values})
    return found


def gauge_values(usual: tuple[float, float], changed: tuple[float, float] | None, time: Clock) -> str:
    """Return a gauge's values: (value at time 0, rise per second) as usual, as changed or gone, and as usual again."""
    phases, begin = [], 0
    for what, length in _phases((usual, changed, usual), time):
        if what is None:
            phases.append(f"stale _x{length - 1}")
        else:
            value, rise = what
            phases.append(f"{_plain(value + rise * time.step * begin)}+{_plain(rise * time.step)}x{length - 1}")
        begin += length
    return " ".join(phases)


def _phases(whats: tuple[T, T, T], time: Clock) -> list[tuple[T, int]]:
    """Return what there is as usual, changed and after, each with its steps; one where nothing changes."""
    if whats[0] == whats[1] == whats[2]:
        return [(whats[0], sum(time.lengths))]
    return [(what, length) for what, length in zip(whats, time.lengths, strict=True) if length]


# Many series of a scene, and of scenes alike, rise alike.
@lru_cache(maxsize=5000)
def _values(slopes: tuple[float | None, float | None, float | None], time: Clock) -> str:
    level, parts = 0.0, []
    for slope, length in _phases(slopes, time):
        if slope is None:
            parts.append(f"stale _x{length - 1}")
        elif time.run:
            parts.append(f"{_plain(slope * time.run)}+0x{length - 1}")
        else:
            rise = slope * time.step
            # Counters begin at nothing.
            level += (rise or _TRIFLE) if parts else 0.0
            parts.append(f"{_plain(level)}+{_plain(rise)}x{length - 1}")
            level += rise * (length - 1)
    return " ".join(parts)


def _plain(value: float) -> str:
    """Print a number without an exponent, which promtool's series notation does not take."""
    # Nor one that is a trifle below nothing.
    return format(round(value, 12) + 0.0, ".12f").rstrip("0").rstrip(".")


def rising(phases: Iterable[tuple[float, int]]) -> str:
    """Return a counter's values: it rises by so much at each of so many steps, then by another, from nothing."""
    level, parts = 0.0, ["0"]
    for rise, steps in phases:
        parts.append(f"{_plain(level + rise)}+{_plain(rise)}x{steps - 1}")
        level += rise * steps
    return " ".join(parts)


def run_lines(worlds: list[World], calls: float, slow: int, steps: int) -> list[dict[str, str]]:
    """Return what two runs pushed, of `calls` seconds: the first of half as much, then for so many steps the other."""
    return [
        {"series": name, "values": f"{_plain(rate * calls / 2)}+0x{slow} {_plain(rate * calls)}+0x{steps}"}
        for world in worlds
        for name, rate in world.rates.items()
    ]


def pushed_lines(worlds: list[World], calls: float, steps: int) -> Iterator[dict[str, str]]:
    """Yield what a run of `calls` seconds pushed, for so many steps: then no scrape has it."""
    for world in worlds:
        for name, rate in world.rates.items():
            yield {"series": name, "values": f"{_plain(rate * calls)}+0x{steps} stale"}
        for name, (value, _) in world.gauges.items():
            yield {"series": name, "values": f"{_plain(value)}+0x{steps} stale"}


def value_lines(before: list[World], during: list[World], step: float, slow: int, steps: int) -> list[dict[str, str]]:
    """Return the counters of some places: first as `before`, then so many steps as `during`, then no more."""
    return [
        {
            "series": name,
            "values": f"0+{_plain(usual)}x{slow} {_plain(usual * slow + (rise or _TRIFLE))}+{_plain(rise)}x{steps}",
        }
        for first, second in zip(before, during, strict=True)
        for name, usual, rise in ((name, first.rates[name] * step, second.rates[name] * step) for name in second.rates)
    ]


def constant(name: str, value: float, time: Clock) -> dict[str, str]:
    """Return a series that stays the same."""
    return {"series": name, "values": f"{_plain(value)}+0x{time.end}"}


def from_step(value: float, step: int, time: Clock) -> str:
    """Return the values of a series that begins at a step and stays the same."""
    return f"_x{step} {_plain(value)}+0x{time.end - step}"
