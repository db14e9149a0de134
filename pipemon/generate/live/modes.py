"""Each failure mode against what runs: its value now and in the last hour, beside its threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pipemon.catalogue import EXTERNAL
from pipemon.generate.inlining import selectors
from pipemon.generate.live.conditions import FINE, FIRING, UNKNOWN, Judge, Judgement
from pipemon.generate.live.running import Live
from pipemon.generate.live.series import There, asked_labels
from pipemon.generate.live.values import Place, Values, measures
from pipemon.generate.promql import quote
from pipemon.spec.model import FailureMode, Spec
from pipemon.units import duration

_MOST_PLACES = 5


@dataclass(frozen=True)
class Line:
    """A line about what runs; a `fault` is what keeps an alert from ever working."""

    words: str
    fault: bool = False


def modes_told(spec: Spec, live: Live) -> Iterator[Line]:
    """Yield a line on what is wrong for the whole pipeline, then on each failure mode that can be measured.

    Raises UnavailableError if what runs does not answer.
    """
    found = list(measures(spec))
    values = Values(spec, live)
    read = [series for step, each in found for series in selectors(values.expr(each.value, each.matchers, step))]
    names = tuple(dict.fromkeys(series.metric.name + series.suffix for series in read))
    labels, own = asked_labels(spec, read), {each.name for stage in spec.stages for each in stage.series}
    others = tuple(name for name in names if _exported_by(name, own))
    rows = live.shown(tuple(set(names) - set(others)), labels, spec.pipeline) if set(names) - set(others) else []
    rows += live.shown(others, labels, "") if others else []
    there = There(spec, rows, live.others, live.external_labels() if spec.keep else frozenset())
    if clash := there.clash():
        yield Line(clash, fault=True)
    interval, said = live.interval(there.jobs), spec.timing.scrape_interval
    if interval is not None and interval > said:
        words = f"scraped every {duration(interval)} there, and the file says scrape_interval: {duration(said)}"
        yield Line(f"{words}, which every window is sized for")
    judge = Judge(values, there, interval, live.retention())
    for mode in spec.measurable:
        yield from _told(mode, [judge.judged(mode, condition) for condition in mode.conditions])


def _exported_by(name: str, own: set[str]) -> bool:
    """Tell whether a series is a process's, or one of a stage that is not decorated: it has no label of a pipeline."""
    return name in EXTERNAL or any(name.removesuffix(suffix) in own for suffix in ("", "_bucket", "_count", "_sum"))


def _told(mode: FailureMode, judged: list[dict[Place, Judgement]]) -> Iterator[Line]:
    """Yield a line for each place, the worst first."""
    lines = []
    for place in sorted({place for each in judged for place in each}):
        here = [each.get(place) or each.get(()) or Judgement("no value", UNKNOWN, "no value here") for each in judged]
        state = _combined(mode, [each.state for each in here])
        why = "; ".join(dict.fromkeys(each.why for each in here if each.state == UNKNOWN))
        words = f", {'and' if mode.combine == 'all' else 'or'} ".join(each.words for each in here)
        at = f" ({', '.join(f'{label}={quote(value)}' for label, value in place)})" if place else ""
        told = f"{UNKNOWN}: {why}" if state == UNKNOWN else state
        lines.append((state, Line(f"{mode.name}{at}: {words}: {told}", any(each.fault for each in here))))
    lines.sort(key=lambda line: (FIRING, UNKNOWN, FINE).index(line[0]))
    yield from (line for _, line in lines[:_MOST_PLACES])
    if rest := Counter(state for state, _ in lines[_MOST_PLACES:]):
        yield Line(f"{mode.name}: {', '.join(f'{count} more: {state}' for state, count in rest.items())}")


def _combined(mode: FailureMode, states: list[str]) -> str:
    first = (FINE, UNKNOWN, FIRING) if mode.combine == "all" else (FIRING, UNKNOWN, FINE)
    return next(state for state in first if state in states)
