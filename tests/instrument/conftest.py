from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

import pipemon


@pytest.fixture
def speech(registry: CollectorRegistry) -> pipemon.Pipeline:
    return pipemon.Pipeline("speech", version="1.4", registry=registry)
