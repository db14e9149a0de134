"""GPUs as NVML tells of them: the real pynvml, on a library that stands in for the driver's."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import ctypes
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pynvml
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import pipemon
from pipemon import catalogue
from pipemon.instrument import gpu
from pipemon.instrument.gpu import GpuCollector

GIB = 2**30
HANDLE = pynvml.c_nvmlDevice_t
FIRST = 0x1000
"""The address that stands for the first GPU."""
Series = dict[str, dict[str, float]]


@dataclass
class Driver:
    """What libnvidia-ml.so is to pynvml: C functions that fill structures and return a code.

    `fails` has the code that a function returns, for the GPU at an address or (None) all; while
    `gate` is cleared none returns.
    """

    gpus: int = 2
    fails: dict[tuple[str, int | None], int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name.startswith("__") or name in self.missing or not hasattr(Driver, f"_{name}"):
            raise AttributeError(name)

        def function(*arguments: Any) -> int:
            self.asked.append(name)
            assert self.gate.wait(30)
            address = ctypes.cast(arguments[0], ctypes.c_void_p).value if type(arguments[0]) is HANDLE else None
            for key in ((name, None), (name, address)):
                if key in self.fails:
                    return self.fails[key]
            getattr(self, f"_{name}")(*arguments)
            return int(pynvml.NVML_SUCCESS)

        return function

    def _nvmlInitWithFlags(self, flags: int) -> None:
        assert flags == 0

    def _nvmlDeviceGetCount_v2(self, count: Any) -> None:
        count._obj.value = self.gpus

    def _nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> None:
        ctypes.c_void_p.from_buffer(handle._obj).value = FIRST + index.value

    def _nvmlDeviceGetUtilizationRates(self, device: Any, rates: Any) -> None:
        rates._obj.gpu, rates._obj.memory = 25, 50

    def _nvmlDeviceGetMemoryInfo(self, device: Any, memory: Any) -> None:
        memory._obj.total, memory._obj.free, memory._obj.used = 16 * GIB, 11 * GIB, 5 * GIB

    def _nvmlDeviceGetMemoryInfo_v2(self, device: Any, memory: Any) -> None:
        assert memory._obj.version == pynvml.nvmlMemory_v2
        memory._obj.total, memory._obj.reserved = 16 * GIB, GIB
        memory._obj.free, memory._obj.used = 11 * GIB, 4 * GIB

    def _nvmlDeviceGetTemperature(self, device: Any, sensor: Any, temperature: Any) -> None:
        assert sensor.value == pynvml.NVML_TEMPERATURE_GPU
        temperature._obj.value = 61

    def _nvmlDeviceGetPowerUsage(self, device: Any, milliwatts: Any) -> None:
        milliwatts._obj.value = 70_500

    def _nvmlDeviceGetUUID(self, device: Any, text: Any, size: Any) -> None:
        text.value = b"GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52"

    def _nvmlDeviceGetName(self, device: Any, text: Any, size: Any) -> None:
        text.value = b"NVIDIA L4"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    """What pynvml finds in place of the driver's library."""
    driver = Driver()
    driver.gate.set()
    monkeypatch.setattr(pynvml, "nvmlLib", driver)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    return driver


@pytest.fixture
def scrape(registry: CollectorRegistry) -> Callable[[], Series]:
    """Scrape: by metric, the value for each GPU's index."""

    def scrape() -> Series:
        return {
            family.name: {sample.labels["gpu"]: sample.value for sample in family.samples}
            for family in text_string_to_metric_families(generate_latest(registry).decode())
        }

    return scrape


def finish_reading() -> None:
    for thread in threading.enumerate():
        if thread.name == "pipemon-gpu":
            thread.join()


def test_each_gpu_is_exported_in_base_units(
    driver: Driver, registry: CollectorRegistry, scrape: Callable[[], Series]
) -> None:
    assert pipemon.gpu_metrics(registry)
    found = scrape()
    read = found.pop("pipemon_gpu_last_read_timestamp_seconds")
    assert read.keys() == {"0", "1"}
    assert found == {
        name: {"0": value, "1": value}
        for name, value in {
            "pipemon_gpu_utilization_ratio": 0.25,
            "pipemon_gpu_memory_used_bytes": 4 * GIB,
            "pipemon_gpu_memory_total_bytes": 16 * GIB,
            "pipemon_gpu_temperature_celsius": 61,
            "pipemon_gpu_power_watts": 70.5,
            "pipemon_gpu_info": 1,
        }.items()
    }


def test_what_is_exported_is_what_the_catalogue_says(driver: Driver, registry: CollectorRegistry) -> None:
    assert pipemon.gpu_metrics(registry)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert {family.name for family in families} == set(catalogue.GPU_METRICS)
    for family in families:
        metric = catalogue.GPU_METRICS[family.name]
        assert (family.type, family.documentation) == (metric.type, metric.help)
        assert all(set(sample.labels) == set(metric.labels) for sample in family.samples)
    info = next(family for family in families if family.name == "pipemon_gpu_info").samples[0]
    assert info.labels == {"gpu": "0", "uuid": "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52", "model": "NVIDIA L4"}


def test_an_older_driver_tells_its_memory_too(
    driver: Driver, registry: CollectorRegistry, scrape: Callable[[], Series]
) -> None:
    driver.missing.add("nvmlDeviceGetMemoryInfo_v2")
    assert pipemon.gpu_metrics(registry)
    assert scrape()["pipemon_gpu_memory_used_bytes"]["0"] == 5 * GIB


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND]
)
def test_what_a_gpu_does_not_tell_is_left_out_and_the_rest_is_there(
    driver: Driver, registry: CollectorRegistry, scrape: Callable[[], Series], code: int
) -> None:
    driver.fails["nvmlDeviceGetUtilizationRates", FIRST + 1] = code
    assert pipemon.gpu_metrics(registry)
    found = scrape()
    assert found["pipemon_gpu_utilization_ratio"] == {"0": 0.25}
    assert found["pipemon_gpu_power_watts"] == {"0": 70.5, "1": 70.5}


def test_a_gpu_that_is_lost_takes_no_other_with_it_and_is_told_by_when_it_was_last_read(
    driver: Driver, registry: CollectorRegistry, scrape: Callable[[], Series]
) -> None:
    assert pipemon.gpu_metrics(registry)
    before = scrape()["pipemon_gpu_last_read_timestamp_seconds"]
    driver.fails["nvmlDeviceGetUUID", FIRST] = pynvml.NVML_ERROR_GPU_IS_LOST
    found = scrape()
    assert found["pipemon_gpu_utilization_ratio"] == {"1": 0.25}
    read = found["pipemon_gpu_last_read_timestamp_seconds"]
    assert read["0"] == before["0"]
    assert read["1"] > before["1"]


def test_a_scrape_does_not_wait_for_a_slow_nvml_and_asks_it_once_at_a_time(
    driver: Driver, registry: CollectorRegistry, scrape: Callable[[], Series]
) -> None:
    now = [1000.0]
    registry.register(GpuCollector(pynvml, wait=0.05, clock=lambda: now[0]))
    scrape()
    finish_reading()
    driver.gate.clear()
    asked = len(driver.asked)
    now[0] = 1059.0
    for _ in range(3):
        found = scrape()
    assert found["pipemon_gpu_utilization_ratio"] == {"0": 0.25, "1": 0.25}
    assert found["pipemon_gpu_last_read_timestamp_seconds"] == {"0": 1000, "1": 1000}
    assert len(driver.asked) == asked + 1
    now[0] = 1061.0
    found = scrape()
    assert found["pipemon_gpu_utilization_ratio"] == {}
    assert found["pipemon_gpu_last_read_timestamp_seconds"] == {"0": 1000, "1": 1000}
    driver.gate.set()
    finish_reading()
    assert scrape()["pipemon_gpu_last_read_timestamp_seconds"]["0"] == 1061


def test_called_again_it_exports_once(driver: Driver, registry: CollectorRegistry) -> None:
    assert pipemon.gpu_metrics(registry)
    assert pipemon.gpu_metrics(registry)
    assert generate_latest(registry).count(b"# TYPE pipemon_gpu_info") == 1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What was logged, all of it as information."""
    monkeypatch.setattr(gpu, "_told", set())
    with caplog.at_level(logging.DEBUG, "pipemon"):
        yield lambda: [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]


def no_gpus(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.gpus = 0


def no_driver(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.fails["nvmlInitWithFlags", None] = pynvml.NVML_ERROR_DRIVER_NOT_LOADED


def no_library(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)


@pytest.mark.parametrize(
    ("without", "reason"),
    [(no_gpus, "NVML sees none"), (no_driver, "Driver Not Loaded"), (no_library, "nvidia-ml-py is not installed")],
)
def test_where_there_is_no_gpu_nothing_is_exported_and_that_is_said_once(
    driver: Driver,
    registry: CollectorRegistry,
    monkeypatch: pytest.MonkeyPatch,
    told: Callable[[], list[str]],
    without: Callable[[Driver, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    without(driver, monkeypatch)
    assert not pipemon.gpu_metrics(registry)
    assert not pipemon.gpu_metrics(registry)
    assert told() == [f"no GPU metrics: {reason}"]
    assert generate_latest(registry) == b""


def test_on_this_machine_it_does_no_harm_whether_it_has_a_gpu_or_not(registry: CollectorRegistry) -> None:
    found = pipemon.gpu_metrics(registry)
    assert (b"pipemon_gpu_info{" in generate_latest(registry)) == found


def test_disabled_it_asks_nothing(driver: Driver, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    assert not pipemon.gpu_metrics(registry)
    assert driver.asked == []
