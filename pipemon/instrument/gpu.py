"""What the GPUs are doing, as NVML tells it."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipemon import catalogue
from pipemon.instrument.log import log_once, logger
from pipemon.instrument.switch import disabled
from pipemon.topology import being_described

_WAIT = 0.2
"""Seconds that a scrape waits for NVML; then it shows what was read before."""

_STALE = 60.0
"""Seconds after which what was read before is no longer shown, other than when that was."""

Samples = dict[str, list[tuple[tuple[str, ...], float]]]
"""By metric: label values and number of each GPU."""


def gpu_metrics(registry: CollectorRegistry | None = None) -> bool:
    """Export the utilization, memory, temperature and power of every GPU that NVML sees; tell whether there is one.

    Needs nvidia-ml-py: `pip install "pipemon[gpu]"`. Without it, a driver or a GPU that is logged once, as
    information, and nothing is exported. Call it once in the process that is scraped; NVML is initialised here,
    which takes up to a few seconds on a machine whose driver is not in persistence mode.

    NVML is asked at each scrape, in a thread; a scrape waits 0.2 s for it and shows else what was read before,
    for a minute. `pipemon_gpu_last_read_timestamp_seconds` says when that was. `gpu` is NVML's index, in the
    order of PCI bus ids: CUDA_VISIBLE_DEVICES doesn't count. In multiprocess mode give it the registry that is
    served. Where dcgm-exporter runs, its series say the same for the whole machine. Never raises.
    """
    if disabled() or being_described.get():
        return False
    registry = REGISTRY if registry is None else registry
    with _registering:
        if registry in _registered:
            return True
        try:
            import pynvml  # noqa: PLC0415

            collector = GpuCollector(pynvml)
            if not collector.count:
                raise LookupError("NVML sees none")
            registry.register(collector)
        except Exception as error:  # noqa: BLE001  no library, driver, GPU or permission
            reason = "nvidia-ml-py is not installed" if isinstance(error, ImportError) else str(error)
            with suppress(Exception):
                if reason not in _told:
                    _told.add(reason)
                    logger().info("no GPU metrics: %s", reason)
            return False
        _registered.add(registry)
        return True


_registered: weakref.WeakSet[CollectorRegistry] = weakref.WeakSet()
_registering = Lock()
_told: set[str] = set()


class GpuCollector(Collector):
    """Asks NVML at each scrape, never in the scrape's own thread: a GPU that is reset can block it for minutes.

    `nvml` is the module pynvml. Raises what it raises where NVML can't be initialised.
    """

    def __init__(
        self, nvml: Any, *, wait: float = _WAIT, stale: float = _STALE, clock: Callable[[], float] = time.time
    ) -> None:
        self._nvml = nvml
        self._wait = wait
        self._stale = stale
        self._clock = clock
        self._latest: Samples = {}
        self._reading: Thread | None = None
        self._starting = Lock()
        self._owner = os.getpid()
        self._initialised_in = 0
        self._initialise()
        self.count: int = nvml.nvmlDeviceGetCount()

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return every family, without samples."""
        return [_family(metric) for metric in catalogue.GPU_METRICS.values()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return what NVML says now, or if it is slow, what it said before."""
        self._read_within(self._wait)
        latest, fresh = self._latest, self._clock() - self._stale
        read = dict(latest.get(catalogue.GPU_LAST_READ.name, ()))
        for metric in catalogue.GPU_METRICS.values():
            family = _family(metric)
            for labels, value in latest.get(metric.name, ()):
                if metric in (catalogue.GPU_LAST_READ, catalogue.GPU_INFO) or read[labels] >= fresh:
                    family.add_metric(labels, value)
            yield family

    def _read_within(self, seconds: float) -> None:
        if self._owner != os.getpid():  # in a forked child, where the lock may be held and the thread is gone
            self._owner, self._starting, self._reading = os.getpid(), Lock(), None
        # One thread at most, however many scrapes find it stuck.
        with self._starting:
            if self._reading is None or not self._reading.is_alive():
                self._reading = Thread(target=self._read, name="pipemon-gpu", daemon=True)
                try:
                    self._reading.start()
                except RuntimeError as error:  # out of threads, or at exit
                    self._reading = None
                    log_once("gpu thread", "GPUs could not be read: %s", error)
                    return
            reading = self._reading
        reading.join(seconds)

    def _initialise(self) -> None:
        if self._initialised_in != os.getpid():  # a forked child does so for itself
            self._nvml.nvmlInit()
            self._initialised_in = os.getpid()

    def _read(self) -> None:
        try:
            self._initialise()
            found: Samples = {name: [] for name in catalogue.GPU_METRICS}
            before = dict(self._latest.get(catalogue.GPU_LAST_READ.name, ()))
            for index in range(self.count):
                gpu = (str(index),)
                try:
                    for metric, labels, value in self._read_one(index):
                        found[metric.name].append(((*gpu, *labels), value))
                    found[catalogue.GPU_LAST_READ.name].append((gpu, self._clock()))
                except Exception as error:  # noqa: BLE001  a GPU that fell off the bus; the others go on
                    log_once(("gpu", index), "GPU %d can't be read: %s", index, error)
                    if gpu in before:
                        found[catalogue.GPU_LAST_READ.name].append((gpu, before[gpu]))
            self._latest = found
        except Exception:  # noqa: BLE001  in a thread of its own it would only be printed
            log_once("gpu", "GPUs can't be read", exc=True)

    def _read_one(self, index: int) -> list[tuple[catalogue.Metric, tuple[str, ...], float]]:
        """Return what one GPU tells; virtual and partitioned ones don't tell everything.

        Raises what NVML raises when the GPU itself can't be reached.
        """
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid, model = nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
        found: list[tuple[catalogue.Metric, tuple[str, ...], float]] = [(catalogue.GPU_INFO, (uuid, model), 1.0)]

        untold = (nvml.NVMLError_NotSupported, nvml.NVMLError_NoPermission, nvml.NVMLError_FunctionNotFound)
        with suppress(*untold):
            found.append((catalogue.GPU_UTILIZATION, (), nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100))
        with suppress(*untold):
            memory = self._memory(handle)
            found.append((catalogue.GPU_MEMORY_USED, (), memory.used))
            found.append((catalogue.GPU_MEMORY_TOTAL, (), memory.total))
        with suppress(*untold):
            celsius = nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)
            found.append((catalogue.GPU_TEMPERATURE, (), celsius))
        with suppress(*untold):
            found.append((catalogue.GPU_POWER, (), nvml.nvmlDeviceGetPowerUsage(handle) / 1000))
        return found

    def _memory(self, handle: Any) -> Any:
        nvml = self._nvml
        try:
            return nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
        except nvml.NVMLError_FunctionNotFound:
            # Drivers before 510 count what they reserve for themselves as used.
            return nvml.nvmlDeviceGetMemoryInfo(handle)


def _family(metric: catalogue.Metric) -> GaugeMetricFamily:
    return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
