"""The past of a large cascade in a real Prometheus, as blocks that promtool made.

The series are those that decorated stages export, and those that the generated rules record of them.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import pipemon
from pipemon.demo.processes import children, free_ports, start
from pipemon.demo.programs import default_cache, program
from pipemon.demo.servers import prometheus_command
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files
from pipemon.prometheus import Prometheus, Sample
from pipemon.spec.load import load

PIPELINE = "many"
SCRAPE_INTERVAL = 15
SPARSE = 120
"""Seconds between samples before the dense hours: as far apart as is still scraped by anybody."""
_BLOCK = 7200
_LEARNED, _RATE = 500, 2.0
"""Runs that are really made, and how many there are a second in the past."""
_MODES = (
    ("fails", "signal: error_ratio, above: 2%, severity: page"),
    ("is-empty", "signal: null_ratio, above: 5%"),
    ("is-slow", "signal: {latency: p99}, above: budget"),
    ("drifts", "signal: {drift: input.number_0}"),
)
_FIRING = (("stage-20", "fails", "critical", 0.5), ("stage-21", "is-empty", "warning", 0.4))
"""Stage, failure mode and severity of what fires at the end, and for how many hours by then."""


@dataclass(frozen=True)
class Size:
    """Stages, features of each, and hours behind them; the last `dense` hours have a sample each scrape interval.

    Both hours are even. Before, samples are SPARSE: a day of all would take promtool half an hour.
    """

    stages: int
    features: int
    hours: int
    dense: int


@dataclass(frozen=True)
class Line:
    """A series as it is printed: what it is, or how it rises a second; `hours` tells how long there has been one."""

    printed: str
    value: float
    rises: bool = False
    hours: float = math.inf

    @property
    def name(self) -> str:
        """What the series is called."""
        return self.printed.partition("{")[0]

    def at(self, times: Sequence[int], end: int, noise: random.Random) -> Iterator[str]:
        """Yield its samples. A gauge varies by a thousandth, or all of its samples would be stored as one.

        What says that something is so is 1, and since when an alert holds does not change.
        """
        fixed = self.name.endswith("_info") or self.name.startswith("ALERTS")
        for when in times:
            if when > end - self.hours * 3600:
                value = (
                    self.value * (when % 1_000_000)
                    if self.rises
                    else self.value * (1 if fixed else 1 + noise.random() / 1000)
                )
                yield f"{self.printed} {value:{'.12g' if fixed else '.6g'}} {when}\n"


@dataclass(frozen=True)
class Past:
    """A Prometheus with the past, its process, when the past ended, the dashboards by name, and how much it is."""

    url: str
    process: int
    end: int
    boards: dict[str, dict[str, Any]]
    series: int
    samples: int

    def processor_time(self) -> float:
        """Return the seconds of processor time that Prometheus has taken, on all cores together."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def past(folder: Path, size: Size) -> Iterator[Past]:
    """Make the past under a folder, or find it there, and run a Prometheus that has it.

    Raises UnavailableError where there is no Prometheus.
    """
    made = folder / "made.json"
    if not made.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made.write_text(json.dumps(_made(folder, size)))
    known = json.loads(made.read_text())
    boards = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "boards").glob("*.json"))}
    with running_on(folder) as (client, process):
        yield Past(client.url, process, known["end"], boards, known["series"], known["samples"])


def _made(folder: Path, size: Size) -> dict[str, int]:
    end = int(time.time()) // _BLOCK * _BLOCK
    lines = [*_exported(folder / "baseline.json", size), *_alerts()]
    generated = files([plan(load(_spec(folder, size)))], Options())
    (folder / "boards").mkdir()
    for name, text in generated.items():
        if name.startswith("grafana/dashboards/"):
            (folder / "boards" / Path(name).name).write_text(text)
    samples = _write(folder, lines, end, size)
    left = {
        (rule["record"], rule["expr"], tuple(rule.get("labels", {}).items()))
        for group in yaml.load(generated[f"rules/{PIPELINE}.rules.yml"], Loader=yaml.CSafeLoader)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    series = len(lines)
    # What a rule records another may read: evaluated until there is nothing new.
    while True:
        with running_on(folder) as (client, _):
            answers = {rule: client.query(rule[1], end) for rule in sorted(left)}
        found = [Line(_printed(s, rule[0], dict(rule[2])), s.value) for rule, got in answers.items() for s in got]
        if not found:
            return {"end": end, "series": series, "samples": samples}
        left -= {rule for rule, got in answers.items() if got}
        samples += _write(folder, found, end, size)
        series += len(found)


def _exported(baseline: Path, size: Size) -> Iterator[Line]:
    """Yield what the decorated stages export, and save what they learned."""
    registry = CollectorRegistry()
    made = pipemon.Pipeline(PIPELINE, version="1", registry=registry, budget="5s")
    found = [pipemon.Feature(f"number_{n}", _plus(n), unit="items") for n in range(size.features)]
    half = size.features // 2
    stages = [
        made.stage(
            _stage(n),
            after=_stage(n - 1) if n else (),
            budget="100ms",
            inputs={"number": found[:half]},
            output=found[half:],
        )(_same)
        for n in range(size.stages)
    ]

    @made.run
    def run(number: float) -> float:
        for stage in stages:
            number = stage(number)
        return number

    chance = random.Random(1)
    with pipemon.learning(made, source="benchmark") as learned:
        for _ in range(_LEARNED):
            run(chance.gauss(100, 20))
    learned.save(baseline)
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        rises = family.type in ("counter", "histogram")
        for sample in family.samples:
            each = Sample({**sample.labels, "instance": "10.0.0.1:9464", "job": PIPELINE}, sample.value)
            value = sample.value / _LEARNED * _RATE if rises else sample.value
            yield Line(_printed(each, sample.name), value, rises)


def _alerts() -> Iterator[Line]:
    for stage, mode, severity, hours in _FIRING:
        labels = {
            "alertname": f"{stage}-{mode}",
            "failure_mode": f"{stage}-{mode}",
            "pipeline": PIPELINE,
            "stage": stage,
        }
        labels |= {"severity": severity, "kind": "software", "owner": "team"}
        yield Line(_printed(Sample({**labels, "alertstate": "firing"}, 1.0), "ALERTS"), 1.0, hours=hours)
        yield Line(_printed(Sample(labels, 1.0), "ALERTS_FOR_STATE"), time.time() - hours * 3600, hours=hours)


def _printed(sample: Sample, name: str, more: dict[str, str] | None = None) -> str:
    labels = {**sample.labels, **(more or {})}
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()) if label != "__name__" and value)
    return f"{name}{{{inner}}}"


def _write(folder: Path, lines: Iterable[Line], end: int, size: Size) -> int:
    """Make blocks of two hours, and return how many samples they have; promtool would read a whole day twelve times."""
    promtool = str(program(("promtool",), "prometheus", default_cache()))
    families: dict[str, list[Line]] = {}
    for line in lines:
        families.setdefault(line.name, []).append(line)
    noise, written = random.Random(1), 0
    text = folder / "block.txt"
    for begin in range(end - size.hours * 3600, end, _BLOCK):
        times = range(begin, begin + _BLOCK, SCRAPE_INTERVAL if end - begin <= size.dense * 3600 else SPARSE)
        with text.open("w") as file:
            for name, members in families.items():
                file.write(f"# TYPE {name} unknown\n")
                for line in members:
                    samples = [*line.at(times, end, noise)]
                    file.writelines(samples)
                    written += len(samples)
            file.write("# EOF\n")
        command = [
            "nice",
            promtool,
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--quiet",
            str(text),
            str(folder / "data"),
        ]
        subprocess.run(command, check=True)
    text.unlink()
    return written


@contextmanager
def running_on(folder: Path) -> Iterator[tuple[Prometheus, int]]:
    """Run a Prometheus on the blocks in `folder/data`, and yield its client and process; nothing is scraped."""
    (folder / "prometheus.yml").write_text("{}")
    (port,) = free_ports(1)
    client = Prometheus(f"http://127.0.0.1:{port}", timeout=60)
    server = program(("prometheus",), "prometheus", default_cache())
    command = prometheus_command(server, folder / "prometheus.yml", folder / "data", port)
    # Blocks stay as they are: it would merge them while it is asked.
    command += [f"--storage.tsdb.{which}-block-duration=2h" for which in ("min", "max")]
    with children() as started:
        started.append(start("prometheus", command, folder / "prometheus.log"))
        deadline = time.monotonic() + 60
        while not client.ready():
            started[0].check()
            if time.monotonic() > deadline:
                raise TimeoutError("Prometheus is not ready within a minute")
            time.sleep(0.1)
        yield client, started[0].process.pid


def _spec(folder: Path, size: Size) -> Path:
    sides = ", ".join(
        f"{'input' if n < size.features // 2 else 'output'}.number_{n}: items" for n in range(size.features)
    )
    lines = [f"pipeline: {PIPELINE}", "owner: team", "budget: 5s", "baseline: baseline.json", "stages:"]
    for n in range(size.stages):
        lines.append(f"  {_stage(n)}: {{after: [{_stage(n - 1) if n else ''}], budget: 100ms, features: {{{sides}}}}}")
    lines.append("failure_modes:")
    for n in range(size.stages):
        for mode, signal in _MODES:
            lines.append(f"  {_stage(n)}-{mode}: {{what: The step {mode}, stage: {_stage(n)}, {signal}}}")
    path = folder / f"{PIPELINE}.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _stage(number: int) -> str:
    return f"stage-{number:02}"


def _plus(more: int) -> Any:
    return lambda number: number + more


def _same(number: float) -> float:
    return number
