"""What Prometheus would have scraped while the factory's real stages inspected plates, in promtool's notation."""

from __future__ import annotations

from collections.abc import Iterator

import inspection
from disturbances import set_up
from production import Line
from prometheus_client import REGISTRY


def scraped(*phases: tuple[str | None, int], frames: int) -> dict[str, str]:
    """Play phases, each a fault and its number of scrapes, with so many frames before each; return every series."""
    line, usual = Line(), inspection.camera
    inspection.camera = inspection.Camera()
    found: dict[str, list[str]] = {}
    try:
        for number, fault in enumerate(fault for fault, scrapes in phases for _ in range(scrapes)):
            inspection.camera.setup = set_up(fault)
            for _ in range(frames):
                line.next_frame()
            for series, value in _scrape():
                found.setdefault(series, ["_"] * number).append(value)
    finally:
        inspection.camera = usual
    return {series: " ".join(values) for series, values in found.items()}


def _scrape() -> Iterator[tuple[str, str]]:
    yield 'up{job="factory", instance="tablet:9464"}', "1"
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.labels.get("pipeline") == "factory":
                labels = {**sample.labels, "job": "factory", "instance": "tablet:9464"}
                written = ", ".join(f'{name}="{value}"' for name, value in labels.items())
                yield f"{sample.name}{{{written}}}", repr(float(sample.value))
