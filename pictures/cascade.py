"""The speech example, served and scraped while its dashboards are drawn: real calls, a real Prometheus, no Grafana.

A roll-out of the detector is on its way, and a made exporter stands in for that of GPUs, which are not here.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from pictures.gpu import made_exporter
from pipemon.demo.example import Example, copy_example
from pipemon.demo.processes import Child, children, free_ports, start
from pipemon.demo.programs import default_cache, program
from pipemon.demo.servers import HOST, prometheus_command
from pipemon.generate.output import Options, generate
from pipemon.prometheus import Prometheus

TIME_SCALE = 20.0
"""How much faster than in production all goes, as in the demo."""
SCRAPE_INTERVAL = "750ms"
_SPEECH = Path(__file__).resolve().parent.parent / "examples" / "speech"


@dataclass(frozen=True)
class Cascade:
    """The running example, and the Prometheus that scrapes it and evaluates the generated rules."""

    example: Example
    prometheus: Prometheus
    traffic: Child

    @property
    def dashboards(self) -> tuple[Path, ...]:
        """The generated dashboards: the pipeline's own and those for any pipeline."""
        return tuple(sorted((self.example.generated / "grafana" / "dashboards").rglob("*.json")))

    def firing(self, failure_mode: str) -> bool:
        """Tell whether the alert of a failure mode fires."""
        return bool(self.prometheus.query(f'ALERTS{{failure_mode="{failure_mode}",alertstate="firing"}}'))

    def end_calls(self) -> float:
        """End the traffic, and return when, in Unix seconds: until then there is everything to draw.

        Raises UnavailableError where it ended before.
        """
        ended = time.time()
        self.traffic.check()
        self.traffic.stop()
        return ended


@contextmanager
def running(folder: Path, *, once: bool = False) -> Iterator[Cascade]:
    """Run the example under `folder`; its processes end with the block.

    With `once`, the same audio is decoded once: a slow machine then has as many calls, but their durations are no real
    ones.

    Raises UnavailableError where Prometheus or the recordings can't be had.
    """
    cache = default_cache()
    example = copy_example(folder, cache)
    shutil.copy(_SPEECH / "speech.baseline.json", example.folder)
    target, gpus, port = free_ports(3)
    generate([example.spec], example.generated, Options(time_scale=TIME_SCALE, targets=(f"{HOST}:{target}",)))
    config = example.generated / "prometheus.yml"
    _scrape_gpus(config, gpus)
    binary = program(("prometheus",), "prometheus", cache)
    client = Prometheus(f"http://{HOST}:{port}")
    with made_exporter(gpus), children() as started:
        command = [*example.traffic_command(target, seed=1), "--rollout", *(["--once"] if once else [])]
        traffic = start("traffic", command, folder / "traffic.log", folder, example.environment)
        started.append(traffic)
        command = prometheus_command(binary, config, folder / "prometheus", port)
        prometheus = start("prometheus", command, folder / "prometheus.log")
        started.append(prometheus)
        until(lambda: client.ready() and bool(client.query("pipemon_pipeline_runs_total > 2")), "calls scraped", 60.0)
        yield Cascade(example, client, traffic)
        prometheus.check()


def _scrape_gpus(config: Path, port: int) -> None:
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["scrape_configs"].append({"job_name": "gpus", "static_configs": [{"targets": [f"{HOST}:{port}"]}]})
    config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def until(true: Callable[[], bool], what: str, patience: float) -> None:
    """Wait until something is true. Raises TimeoutError after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {patience:g} s")
        time.sleep(0.25)
