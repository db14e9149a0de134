"""Series of three replicas, as a pipeline of `many_modes` would export them, for as long as its rules look back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, TextIO

import promql_parser

from benchmarks.many_modes import PIPELINE, STAGES, feature_name, stage_name
from pipemon.catalogue import FEEDBACK_SIGNALS, METRICS, Metric

REPLICAS = (
    {"version": "1", "track": "stable"},
    {"version": "1", "track": "stable"},
    {"version": "2", "track": "canary"},
)
_BOUNDS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf")
_PAST = 10 * 86400.0
_CALLS = 2.0
_RATES = {
    "pipemon_pipeline_runs_total": _CALLS, "pipemon_stage_calls_total": _CALLS,
    "pipemon_stage_items_in_total": _CALLS, "pipemon_stage_items_out_total": _CALLS,
    "pipemon_feature_observed_total": _CALLS, "pipemon_stage_cpu_seconds_total": 0.1,
    "pipemon_feature_sum_total": 50 * _CALLS, "pipemon_feedback_total": 0.002 * _CALLS,
    "pipemon_stage_workers": 8.0, "pipemon_stage_in_progress": 2.0,
}  # fmt: skip
"""A second, or a gauge's value; none of what should not happen, so that all is quiet."""

Window = tuple[float, float]
"""From how long ago to how long ago, in seconds."""


@dataclass(frozen=True)
class Series:
    """One series of a replica: as it is printed, how it rises or what it is, and when the rules look at it."""

    name: str
    labels: Mapping[str, str]
    replica: int
    value: float
    rises: bool
    windows: tuple[Window, ...]

    def since(self, seconds: float) -> float:
        """Return its value so long after the end of the past, which has lasted for ten days."""
        return self.value * (_PAST + seconds) if self.rises else self.value

    def printed(self, **more: str) -> str:
        """Print it with further labels."""
        inner = ",".join(f'{label}="{value}"' for label, value in {**self.labels, **more}.items())
        return f"{self.name}{{{inner}}}"


def read_series(exprs: Iterable[str], features: int) -> list[Series]:
    """Return the series of all replicas of metrics that the expressions read."""
    selectors: dict[str, set[tuple[str, Window]]] = {}
    picked: dict[str, Any] = {}
    for expr in exprs:
        for selector, window in _selectors(promql_parser.parse(expr), 0.0):
            selectors.setdefault(selector.name, set()).add((str(selector.matchers), window))
            picked[str(selector.matchers)] = selector.matchers
    found = []
    for metric in METRICS.values():
        for name in metric.series:
            for replica, labels in _labelled(metric, name, features) if name in selectors else ():
                windows = {w for text, w in selectors[name] if _matches(picked[text], labels)}
                value, rises = _value(metric, name, labels)
                # What no rule picks is there all the same: other buckets of the same histogram, say.
                found.append(Series(name, labels, replica, value, rises, tuple(sorted(windows or {(60.0, 0.0)}))))
    return found


def _selectors(node: Any, window: float) -> Iterator[tuple[Any, Window]]:
    if isinstance(node, promql_parser.MatrixSelector):
        yield from _selectors(node.vector_selector, node.range.total_seconds())
    elif isinstance(node, promql_parser.VectorSelector):
        offset = node.offset.total_seconds() if node.offset else 0.0
        yield node, (offset + (window or 60.0), offset)
    else:
        for part in ("expr", "lhs", "rhs"):
            if (below := getattr(node, part, None)) is not None:
                yield from _selectors(below, window)
        for below in getattr(node, "args", ()):
            yield from _selectors(below, window)


def _labelled(metric: Metric, name: str, features: int) -> Iterator[tuple[int, dict[str, str]]]:
    ways: dict[str, list[dict[str, str]]] = {
        "stage": [{"stage": stage_name(number)} for number in range(STAGES)],
        "feature": [
            dict(zip(("direction", "feature"), feature_name(n).split("."), strict=True)) for n in range(features)
        ],
        "signal": [{"signal": signal} for signal in FEEDBACK_SIGNALS],
        "sign": [{"sign": sign} for sign in ("positive", "negative")],
        "slice": [{"slice": each} for each in ("", "age=young")],
    }
    own = ("pipeline", "version", "track", "direction")
    parts = [ways.get(label, [{label: "other"}]) for label in metric.labels if label not in own]
    if name.endswith("_bucket"):
        parts.append([{"le": bound} for bound in _BOUNDS])
    for replica, place in enumerate(REPLICAS):
        known = {label: value for label, value in place.items() if label in metric.labels}
        for some in product(*parts):
            labels = {"pipeline": PIPELINE, **known}
            for each in some:
                labels |= each
            yield replica, labels


def _matches(matchers: Any, labels: Mapping[str, str]) -> bool:
    for each in matchers.matchers:
        value, op = labels.get(each.name, ""), str(each.op)
        equal = (
            value == each.value
            if op in ("MatchOp.Equal", "MatchOp.NotEqual")
            else bool(re.fullmatch(each.value, value))
        )
        if equal != (op in ("MatchOp.Equal", "MatchOp.Re")):
            return False
    return True


def _value(metric: Metric, name: str, labels: Mapping[str, str]) -> tuple[float, bool]:
    """Return how a series rises each second, or what it is, and which of the two."""
    if metric.type == "histogram":
        if name.endswith("_sum"):
            return 0.04 * _CALLS, True
        share = (_BOUNDS.index(labels["le"]) + 1) / len(_BOUNDS) if "le" in labels else 1.0
        return _CALLS * min(1.0, 2.5 * share), True
    value = 0.0 if labels.get("sign") == "negative" else _RATES.get(name, 0.0)
    return value, metric.type == "counter"


def write_history(file: TextIO, found: list[Series], instances: tuple[str, ...], end: float, step: float) -> int:
    """Write what each series was whenever the rules look at it, as OpenMetrics; return how many samples that is."""
    written = 0
    families: dict[str, list[Series]] = {}
    for series in found:
        families.setdefault(series.name, []).append(series)
    for name, members in families.items():
        file.write(f"# TYPE {name} unknown\n")
        for series in members:
            printed = series.printed(instance=instances[series.replica], job=PIPELINE)
            ticks = sorted({tick for window in series.windows for tick in _ticks(window, step)}, reverse=True)
            file.writelines(f"{printed} {series.since(-tick * step):.6f} {end - tick * step:.3f}\n" for tick in ticks)
            written += len(ticks)
    file.write("# EOF\n")
    return written


def _ticks(window: Window, step: float) -> range:
    """Return the ticks before the end that a window has, and a few minutes more on either side."""
    since, until = window
    spare = 300.0
    return range(max(0, int((until - spare) / step)), int((since + spare) / step) + 1)
