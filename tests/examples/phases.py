"""Series that Prometheus would have scraped, from real stages: what some calls add, again and again, phase by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import REGISTRY


@dataclass(frozen=True)
class Phase:
    """A time of `scrapes` scrapes, between each of which `per_scrape` calls came; `call` makes one of them."""

    call: Callable[[], None]
    scrapes: int
    per_scrape: float


def series(pipeline: str, phases: Sequence[Phase], calls: int = 600, beside: str = "") -> dict[str, str]:
    """Make `calls` real calls for each phase; return every series for promtool, each phase a straight line.

    Series of others, whose names begin with `beside`, are among them.

    What is a time is counted from now on: promtool's clock begins at 0.
    """
    now = time.time()
    at = dict.fromkeys(scraped(pipeline, beside), 0.0)
    parts: dict[str, list[str]] = {}
    passed = 0
    for phase in phases:
        before = scraped(pipeline, beside)
        for _ in range(calls):
            phase.call()
        for name, value in scraped(pipeline, beside).items():
            step = (value - before.get(name, 0.0)) * phase.per_scrape / calls if _counts(name) else 0.0
            begin = at.get(name, 0.0) if _counts(name) else value - (now if _tells_a_time(name) else 0.0)
            unborn = [f"_x{passed}"] if passed else []
            parts.setdefault(name, unborn).append(f"{begin!r}+{step!r}x{phase.scrapes - 1}")
            at[name] = begin + step * phase.scrapes
        passed += phase.scrapes
    instance = f'up{{job="{pipeline}", instance="{pipeline}:9464"}}'
    return {name: " ".join(written) for name, written in parts.items()} | {
        instance: f"1x{sum(phase.scrapes for phase in phases)}"
    }


def _counts(name: str) -> bool:
    return name.partition("{")[0].endswith(("_total", "_bucket", "_count", "_sum"))


def _tells_a_time(name: str) -> bool:
    return name.partition("{")[0].endswith("_timestamp_seconds")


def scraped(pipeline: str, beside: str = "") -> dict[str, float]:
    """Return what is exported of a pipeline now, and of what has names that begin with `beside`, by series."""
    found = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.labels.get("pipeline") == pipeline or (beside and sample.name.startswith(beside)):
                labels = {**sample.labels, "job": pipeline, "instance": f"{pipeline}:9464"}
                written = ", ".join(f'{name}="{value}"' for name, value in labels.items())
                found[f"{sample.name}{{{written}}}"] = float(sample.value)
    return found
