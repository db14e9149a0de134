"""Each stage's live numbers, asked of Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from math import isfinite

from pipemon import catalogue as c
from pipemon.prometheus import Prometheus, Sample
from pipemon.units import duration


@dataclass(frozen=True)
class StageNumbers:
    """A stage over the last window; None where there was no traffic.

    `p95` is in seconds, `null_ratio` and `redo_ratio` are shares of calls, `means` are (feature, mean).
    """

    stage: str
    calls_per_second: float | None
    p95: float | None
    null_ratio: float | None
    redo_ratio: float | None
    means: tuple[tuple[str, float], ...]


def stage_numbers(prometheus: Prometheus, pipeline: str, window: float, features: Sequence[str]) -> list[StageNumbers]:
    """Return the numbers of every stage, the upstream ones first, over the last `window` seconds.

    Raises UnavailableError as Prometheus does.
    """
    here, over = f'{{pipeline="{pipeline}"}}', f"[{duration(window)}]"

    def rate(series: str, by: str, matchers: str = here) -> str:
        return f"sum by ({by}) (rate({series}{matchers}{over}))"

    calls = rate(c.STAGE_CALLS.name, "stage")
    signed = [
        rate(c.FEATURE_SUM.name, "stage, feature", f'{{pipeline="{pipeline}", sign="{sign}"}}')
        for sign in ("positive", "negative")
    ]
    counted = rate(f"{c.FEATURE_VALUE.name}_bucket", "stage, feature", f'{{pipeline="{pipeline}", le="+Inf"}}')
    redo = rate(c.FEEDBACK.name, "stage", f'{{pipeline="{pipeline}", signal="redo"}}')
    p95 = f"histogram_quantile(0.95, {rate(f'{c.STAGE_DURATION.name}_bucket', 'stage, le')})"

    rates = _by_stage(prometheus.query(calls))
    slow = _by_stage(prometheus.query(p95))
    null = _by_stage(prometheus.query(f"{rate(c.STAGE_NULL_OUTPUTS.name, 'stage')} / {calls}"))
    again = _by_stage(prometheus.query(f"{redo} / {calls}"))
    means = prometheus.query(f"({signed[0]} - {signed[1]}) / {counted}")
    return [
        StageNumbers(
            stage,
            rates.get(stage),
            slow.get(stage),
            null.get(stage),
            again.get(stage),
            tuple(
                (feature, sample.value)
                for feature in features
                for sample in means
                if (sample.labels.get("stage"), sample.labels.get("feature")) == (stage, feature)
                and isfinite(sample.value)
            ),
        )
        for stage in _in_order(prometheus.query(f"last_over_time({c.STAGE_UPSTREAM.name}{here}{over})"), rates)
    ]


def _by_stage(samples: Sequence[Sample]) -> dict[str, float]:
    return {sample.labels.get("stage", ""): sample.value for sample in samples if isfinite(sample.value)}


def _in_order(edges: Sequence[Sample], stages: dict[str, float]) -> list[str]:
    sorter = TopologicalSorter({stage: set[str]() for stage in stages})
    for edge in edges:
        sorter.add(edge.labels["stage"], edge.labels["upstream"])
    return [stage for stage in sorter.static_order() if stage in stages]
