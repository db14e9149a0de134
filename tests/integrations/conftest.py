from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from pipemon import Pipeline

Read = Callable[..., float | None]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def pipeline(registry: CollectorRegistry) -> Pipeline:
    return Pipeline("churn", version="7", registry=registry)


@pytest.fixture
def read(registry: CollectorRegistry) -> Read:
    """Scrape, and return the value of the one sample with this name and these labels among its own."""

    def read(name: str, **labels: str) -> float | None:
        found = [
            sample.value
            for metric in registry.collect()
            for sample in metric.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, f"{name}{labels} is not one series but {len(found)}"
        return found[0] if found else None

    return read
