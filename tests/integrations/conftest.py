from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from pipemon import Pipeline


@pytest.fixture
def pipeline(registry: CollectorRegistry) -> Pipeline:
    return Pipeline("churn", version="7", registry=registry)
