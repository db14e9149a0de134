"""pytest fixtures: `pytest_plugins = ["pipemon.pytest_plugin"]` in the top conftest.py.

Not an entry point: pytest would then import pipemon in every project of the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from pipemon.testing import declarations_undone, since


@pytest.fixture
def pipemon_registry() -> CollectorRegistry:
    """A registry of the test's own, for `Pipeline(..., registry=pipemon_registry)`."""
    return CollectorRegistry()


@pytest.fixture
def pipemon_samples() -> Iterator[Callable[..., float]]:
    """`pipemon.testing.since()` the test began; the stages that it declares are in no other test's way."""
    with declarations_undone():
        yield since()
