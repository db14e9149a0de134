from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

import pipemon
from pipemon.instrument import background


@pytest.fixture
def speech(registry: CollectorRegistry) -> pipemon.Pipeline:
    return pipemon.Pipeline("speech", version="1.4", registry=registry)


@pytest.fixture
def no_thread_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that an earlier test began, which would flush in the middle of this one; a call begins another."""
    monkeypatch.setattr(background, "_flushed", [])
    background._before_fork()
