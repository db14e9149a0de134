"""What every test may count on: the real programs, the real recordings, and no silent skip where it matters;
a registry of its own, and what a scrape of it gives."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from prometheus_client import CollectorRegistry

from pipemon.demo.programs import debian_packages
from pipemon.errors import UnavailableError
from pipemon.instrument import log

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = {
    "prometheus": ("prometheus", "promtool"),
    "prometheus-alertmanager": ("prometheus-alertmanager", "amtool"),
    "prometheus-node-exporter": ("prometheus-node-exporter",),
    "prometheus-pushgateway": ("prometheus-pushgateway",),
}
Read = Callable[..., float | None]
# How long an example takes says nothing where tests run beside each other.
settings.register_profile("pipemon", deadline=None)
settings.load_profile("pipemon")


def pytest_configure(config: pytest.Config) -> None:
    """Put the programs on the PATH and fetch the recordings: unpacked into .cache where they are not installed."""
    # A job in the background ignores Ctrl-C, and so would the programs that are tested.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        os.nice(10)  # the first worker plays the demo, in real time
    os.environ.setdefault("GOGC", "1600")  # promtool spends a quarter of its time on collecting what it could keep
    cache = Path(os.environ.setdefault("PIPEMON_CACHE", str(ROOT / ".cache")))
    try:
        for package, names in PROGRAMS.items():
            if not all(map(shutil.which, names)):
                folder = debian_packages([package], cache) / "usr" / "bin"
                os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
        fetch = [sys.executable, str(ROOT / "examples" / "speech" / "recordings.py")]
        subprocess.run(fetch, check=True, capture_output=True, text=True)
    except (UnavailableError, subprocess.CalledProcessError) as error:
        if os.environ.get("CI"):
            raise pytest.UsageError(f"the tests need real servers and recordings: {error}") from None
        print(f"tests that need real servers or recordings will be skipped: {error}", file=sys.stderr)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, mostly of waiting: the other tests run beside it."""
    items.sort(key=lambda item: item.get_closest_marker("demo") is None)


def pytest_collection_finish() -> None:
    """Leave thousands of tests out of every later collection of garbage: they stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """In CI a skipped test is a failed one: there all that it needs is installed."""
    report = yield
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _nothing_is_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged once a process is logged in each test anew, whichever ran before it."""
    monkeypatch.setattr(log._once, "_said", {})


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


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
