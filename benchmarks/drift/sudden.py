"""Sudden drift: how soon the last five minutes are told from the hour before, and how often by chance.

By the generated rules and alerts in promtool, the reference that is held while an alert lasts included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml
from numpy.random import Generator

from benchmarks.drift.emulation import Array, counts, learned
from benchmarks.drift.promtool import answers_by
from benchmarks.drift.tables import Table
from pipemon.baseline.files import save
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.generate.ruletests.places import series
from pipemon.spec.baseline import Baseline
from pipemon.spec.load import load
from pipemon.units import fingerprint, le

WINDOW, EARLIER = 5, 60
"""Minutes that are looked at, and minutes before them that they are compared with."""
BEFORE, AFTER = WINDOW + EARLIER + 15, 60
"""Minutes without drift, and since it began."""
SIZES = (300, 1000, 3000)
"""Values in five minutes."""
TOGETHER = 12
"""Streams in one run of promtool, which loads 10,000 samples a query at most."""
STILL = 4 * 60
"""Minutes of streams that do not move."""
PLACE = {"pipeline": "bench", "stage": "hear", "version": "1", "track": "stable", "direction": "input"}
SHIFTED: Mapping[str, Callable[[Generator, int], Array]] = {
    "mean +0.25 sd": lambda random, n: random.normal(0.25, 1, n),
    "mean +0.5 sd": lambda random, n: random.normal(0.5, 1, n),
    "mean +1 sd": lambda random, n: random.normal(1, 1, n),
    "sd x1.2": lambda random, n: random.normal(0, 1.2, n),
    "sd x1.5": lambda random, n: random.normal(0, 1.5, n),
    "10% at +2 sd": lambda random, n: random.normal(size=n) + 2.0 * (random.random(n) < 0.1),
    "2% at +6 sd": lambda random, n: random.normal(size=n) + 6.0 * (random.random(n) < 0.02),
}
SPEC = {
    "pipeline": "bench",
    "keep": ["cluster"],
    "scrape_interval": "1m",
    "baseline": "bench.baseline.json",
    "stages": {"hear": {"features": {"input.level": "count"}}},
    "failure_modes": {
        "shift": {"what": "x", "stage": "hear", "signal": {"drift": "input.level"}, "pace": "sudden", "for": "2m"}
    },
}
FIRING = 'ALERTS{alertstate="firing",alertname="BenchShift"}'


def sudden(random: Generator, streams: int) -> Table:
    """Return the delays of `streams` streams of each kind, and the false alarms of as many that do not move."""
    made, bounds = _rules(random)
    rows = []
    for size in SIZES:
        fired, chance = _still(random, made, bounds, size, streams)
        cells = [f"{size:,}", f"{fired} of {streams}", f"{100 * chance:.2f}%"]
        for draw in SHIFTED.values():
            delays = _moved(random, made, bounds, size, draw, streams)
            seen = np.isfinite(delays)
            middle = f", {np.median(delays[seen]):.0f} min" if seen.any() else ""
            cells.append(f"{seen.sum()} of {streams}{middle}")
        rows.append(cells)
    about = (
        f"`pace: sudden`, psi at its default threshold, with a `for` of two minutes: the last {WINDOW} minutes against "
        f"the hour before, by the generated rules and alerts in promtool, evaluated each minute. Normal values, evenly "
        f"spread, ten bins and two tails of a baseline of 10,000. Without drift: in how many of {streams} streams of "
        f"{STILL // 60} hours the alert fired, and what share of the evaluations were taken for more than chance, "
        f"whatever the size (nominally 0.014%: 72 windows of six hours share 1%). Then in how many of {streams} the "
        f"alert fired within {AFTER} minutes since they moved, and the median of the minutes until it did."
    )
    head = ["values in 5 min", "without drift", "more than chance", *SHIFTED]
    return Table("Sudden drift: how soon, and how often by chance", about, head, rows)


def _rules(random: Generator) -> tuple[Mapping[str, Any], Array]:
    """Return the content of the rule file, and the bounds of the bins."""
    with TemporaryDirectory() as name:
        path = Path(name) / "bench.yaml"
        path.write_text(json.dumps(SPEC))
        base = learned(random.normal(size=10_000), 10)
        save(Baseline("bench", 0.0, 1.0, {"hear.input.level": base}), Path(name) / "bench.baseline.json")
        return yaml.safe_load(rule_file(rules(plan(load(path)).spec))), np.asarray(base.bounds)


def _still(random: Generator, made: Mapping[str, Any], bounds: Array, size: int, streams: int) -> tuple[int, float]:
    """Return on how many streams without drift the alert fired, and the share of evaluations beyond chance."""
    fired, shares = 0, []
    significant = '{__name__=~"cluster_pipeline_stage_track_.+_psi_significant:.+"}'
    asked = [
        (f"{STILL}m", f"count(count_over_time({FIRING}[{STILL}m]))"),
        (f"{STILL}m", f"avg(avg_over_time(({significant} > bool 0)[{STILL - BEFORE}m:1m]))"),
    ]
    for begin in range(0, streams, TOGETHER):
        live = [random.normal(size=STILL * size // WINDOW) for _ in range(min(TOGETHER, streams - begin))]
        alerts, chance = answers_by(made, _exported(live, bounds, STILL), "1m", "1m", asked)
        fired += int(alerts[0].value) if alerts else 0
        shares.append(chance[0].value)
    return fired, float(np.mean(shares))


def _moved(
    random: Generator,
    made: Mapping[str, Any],
    bounds: Array,
    size: int,
    draw: Callable[[Generator, int], Array],
    streams: int,
) -> Array:
    """Return after how many minutes the alert fired on each stream that moved, infinite where it did not."""
    delays = np.full(streams, np.inf)
    asked = [(f"{BEFORE + AFTER}m", f"min by (cluster) (min_over_time(timestamp({FIRING})[{AFTER - 1}m:1m]))")]
    for begin in range(0, streams, TOGETHER):
        live = [
            np.concatenate([random.normal(size=BEFORE * size // WINDOW), draw(random, AFTER * size // WINDOW)])
            for _ in range(min(TOGETHER, streams - begin))
        ]
        (found,) = answers_by(made, _exported(live, bounds, BEFORE + AFTER), "1m", "1m", asked)
        for sample in found:
            delays[begin + int(sample.labels["cluster"])] = sample.value / 60 - BEFORE
    return delays


def _exported(live: list[Array], bounds: Array, minutes: int) -> list[Mapping[str, str]]:
    """Return the series of streams, each a cluster, whose values come in evenly."""
    found: list[Mapping[str, str]] = []
    for cluster, values in enumerate(live):
        place = {**PLACE, "feature": "level", "cluster": str(cluster)}
        rows = np.cumsum(np.cumsum(counts(values.reshape(minutes, -1), bounds), axis=1), axis=0)
        for bound, row in zip((*map(le, bounds.tolist()), "+Inf"), rows.T, strict=True):
            name = series("pipemon_feature_value_bucket", {**place, "le": bound})
            found.append({"series": name, "values": " ".join(["0", *(f"{value:g}" for value in row)])})
        info = series("pipemon_feature_info", {**place, "bins": fingerprint(bounds.tolist())})
        found.append({"series": info, "values": f"1x{minutes}"})
    return found
