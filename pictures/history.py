"""Hours of the speech example's calls in some minutes: its real stages, rules by promtool, Prometheus' own blocks.

Drift takes hours to be told from chance, for which nobody waits before a picture.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import REGISTRY

from benchmarks.drift.promtool import answers_by
from benchmarks.long_past import running_on
from pipemon.demo.programs import default_cache, program
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files
from pipemon.generate.ruletests.places import series as printed
from pipemon.spec.load import load

_SPEECH = Path(__file__).resolve().parent.parent / "examples" / "speech"
_MINUTE = 60
CALLS = 30
"""Calls a minute: each is really made, but for the decoding of a recording that was decoded before."""
_NAME = "is_called"
ASKED = 4
"""Minutes between two values of what rules record, as often as the slowest of them is evaluated."""


@dataclass(frozen=True)
class Part:
    """Some minutes of calls under a fault, None for none."""

    minutes: int
    fault: str | None = None
    strength: float | None = None


@dataclass(frozen=True)
class Past:
    """A Prometheus with the history, the dashboards generated with its rules, and when it ends, in Unix seconds."""

    url: str
    dashboards: tuple[Path, ...]
    end: int


@contextmanager
def history(folder: Path, parts: Sequence[Part]) -> Iterator[Past]:
    """Play the parts, one after the other, and run a Prometheus that has them.

    Raises UnavailableError where there is no Prometheus, or no recordings.
    """
    made = files([plan(load(_SPEECH / "failure_modes.yaml"))], Options())
    boards = {folder / Path(name).name: content for name, content in made.items() if "grafana/dashboards/" in name}
    for path, content in boards.items():
        path.write_text(content, encoding="utf-8")
    minutes = sum(part.minutes for part in parts)
    end = int(time.time()) // _MINUTE * _MINUTE
    scraped = _played(parts)
    recorded = _recorded(yaml.load(made["rules/speech.rules.yml"], Loader=yaml.CSafeLoader), scraped, minutes)
    begin = end - (minutes - 1) * _MINUTE
    lines = folder / "history.txt"
    families: dict[str, list[str]] = {}
    for name, values in (scraped | recorded).items():
        # What is a time counts from the first minute.
        more = begin if name.startswith("ALERTS_FOR_STATE") else 0
        family = families.setdefault(name.partition("{")[0], [])
        family += (f"{name} {value + more!r} {begin + minute * _MINUTE}\n" for minute, value in values)
    with lines.open("w", encoding="utf-8") as file:
        for family_name, samples in families.items():
            file.writelines((f"# TYPE {family_name} unknown\n", *samples))
        file.write("# EOF\n")
    promtool = str(program(("promtool",), "prometheus", default_cache()))
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(lines), str(folder / "data")]
    subprocess.run(command, check=True)
    with running_on(folder) as (client, _):
        yield Past(client.url, tuple(sorted(boards)), end)


Values = dict[str, list[tuple[int, float]]]
"""Series as they are printed, with their values, each at its minute."""


def _played(parts: Sequence[Part]) -> Values:
    sys.path.insert(0, str(_SPEECH))
    import cascade  # noqa: PLC0415 - of the example
    import recogniser  # noqa: PLC0415
    import recordings  # noqa: PLC0415
    import traffic  # noqa: PLC0415

    recogniser.remembered = {}
    every = recordings.find(default_cache()) or recordings.fetch(default_cache())
    draw, numbers = random.Random(1), count()
    playlist = traffic.shuffled(every, draw)
    found: Values = {}
    minute = 0
    for part in parts:
        for _ in range(part.minutes):
            for _ in range(CALLS):
                cascade.setup = traffic.set_up(part.fault, part.strength)
                age = "adult" if next(numbers) % 5 else "child"
                traffic.serve(next(playlist), part.fault, part.strength, draw.random(), age)
            for family in REGISTRY.collect():
                for sample in family.samples:
                    if sample.labels.get("pipeline") == cascade.speech.name:
                        labels = sample.labels | {"job": "speech", "instance": "speech:9464"}
                        found.setdefault(printed(sample.name, labels), []).append((minute, float(sample.value)))
            minute += 1
    return found


def _recorded(rules: dict[str, Any], scraped: Values, minutes: int) -> Values:
    """Return what the rules make of what was scraped, and the alerts, by the rule engine itself."""
    inputs = [
        {"series": name, "values": " ".join(["_"] * values[0][0] + [repr(value) for _, value in values])}
        for name, values in scraped.items()
    ]
    inputs.append({"series": 'up{job="speech",instance="speech:9464"}', "values": f"1x{minutes}"})
    asked = []
    for minute in range(minutes):
        wanted = "ALERTS.*" if minute % ASKED else r"ALERTS.*|pipemon:baseline:ratio|.+:pipemon_.+"
        # An answer of promtool has no names.
        asked.append((f"{minute}m", f'label_replace({{__name__=~"{wanted}"}}, "{_NAME}", "$1", "__name__", "(.+)")'))
    found: Values = {}
    for minute, samples in enumerate(answers_by(rules, inputs, "1m", "1m", asked)):
        for sample in samples:
            labels = {label: value for label, value in sample.labels.items() if label not in (_NAME, "__name__")}
            found.setdefault(printed(sample.labels[_NAME], labels), []).append((minute, sample.value))
    return found
