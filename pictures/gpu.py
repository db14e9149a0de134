"""GPU series of a made exporter: dcgm-exporter's names and labels, made-up values. There is no GPU here."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from pipemon import catalogue
from pipemon.demo.servers import HOST

HOSTNAME = "made-up-host"
"""Stands in every legend: nobody is to take the values for measured ones."""
GPUS = 2
_VALUES = {"GPU_UTIL": 65, "FB_USED": 9_000, "GPU_TEMP": 61, "SM_CLOCK": 1_410, "POWER_USAGE": 180, "XID_ERRORS": 0}
_SWING = 0.15
_PERIOD = 40.0
"""Seconds in which the values swing once, by as much of them."""


@contextmanager
def made_exporter(port: int) -> Iterator[None]:
    """Serve the series on `port` until the block ends."""
    registry = CollectorRegistry()
    for metric in catalogue.DCGM:
        if (value := _VALUES.get(metric.name.removeprefix("DCGM_FI_DEV_"))) is not None:
            gauge = Gauge(metric.name, f"Made up: {metric.help}", ("gpu", "Hostname"), registry=registry)
            for gpu in range(GPUS):
                gauge.labels(str(gpu), HOSTNAME).set_function(partial(_swinging, value, gpu))
    server, thread = start_http_server(port, HOST, registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _swinging(value: float, gpu: int) -> float:
    return value * (1 + _SWING * math.sin(2 * math.pi * (time.time() / _PERIOD + gpu / GPUS)))
