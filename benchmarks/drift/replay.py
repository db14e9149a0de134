"""A table as the live stream of a pipeline: its windows one after another, through the generated rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import yaml

from benchmarks.drift.datasets import Column, Table
from benchmarks.drift.promtool import answers_by
from pipemon.baseline.files import save
from pipemon.baseline.period import shape_of_spec
from pipemon.baseline.tables import learn
from pipemon.catalogue import OTHER
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.generate.ruletests.places import series
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.load import load
from pipemon.units import le

MINUTES = 64
"""How long a window takes to come in, and the window of the rules. A power of two: no counter falls by rounding."""
SCRAPE = 2
STAGE = "model"


class Window(NamedTuple):
    """What the rules made of a window: which alerts fired in it, and the values at its end, by feature.

    `since` tells by alert from which share of the window on it first did.
    """

    fired: frozenset[str]
    values: Mapping[str, float]
    since: Mapping[str, float]


def replay(
    features: Mapping[str, object], modes: Mapping[str, Mapping[str, object]], reference: Table, live: Sequence[Table]
) -> list[Window]:
    """Return what becomes of each window of `live`, whose rows come in evenly.

    `features` are by the names of columns, each a unit or its categories; `modes` are failure modes, whose window is
    one of these, with a tenth of it as their `for`. The baseline is learned from `reference` by
    `pipemon.baseline.learn`.
    """
    timed = {"stage": STAGE, "window": f"{MINUTES}m", "for": f"{MINUTES // 10}m"}
    document = {
        "pipeline": "replay",
        "scrape_interval": f"{SCRAPE}m",
        "baseline": "replay.baseline.json",
        "stages": {STAGE: {"features": {f"input.{name}": kind for name, kind in features.items()}}},
        "failure_modes": {name: {**timed, **mode} for name, mode in modes.items()},
    }
    with TemporaryDirectory() as name:
        path = Path(name) / "replay.yaml"
        path.write_text(json.dumps(document))
        columns = {column: values for column, values in reference.items() if column in features}
        learned = learn(shape_of_spec(load(path)), columns)
        save(learned, Path(name) / "replay.baseline.json")
        content = yaml.safe_load(rule_file(rules(plan(load(path)).spec)))
    inputs = [
        {"series": series, "values": values}
        for column in features
        for series, values in exported(
            column, learned.features[f"{STAGE}.input.{column}"], [part[column] for part in live]
        )
    ]
    asked = []
    for window in range(len(live)):
        # The first evaluation of a window still counts for the one before.
        at, within = f"{(window + 1) * MINUTES}m", f"{MINUTES - SCRAPE}m"
        asked.append((at, f'max by (alertname) (max_over_time(ALERTS{{alertstate="firing"}}[{within}]))'))
        first = 'min by (alertname) (min_over_time(timestamp(ALERTS{alertstate="firing"})'
        asked.append((at, f"{first}[{within}:{SCRAPE}m]))"))
        asked.append((at, '{__name__=~".+:pipemon_feature_(value|category)_psi:increase.+",version="1"}'))
    found = answers_by(content, inputs, f"{SCRAPE}m", f"{SCRAPE}m", asked)
    return [
        Window(
            frozenset(sample.labels["alertname"] for sample in fired),
            {sample.labels["feature"]: sample.value for sample in values},
            {sample.labels["alertname"]: sample.value / 60 / MINUTES - window for sample in first},
        )
        for window, (fired, first, values) in enumerate(zip(found[::3], found[1::3], found[2::3], strict=True))
    ]


def exported(name: str, base: FeatureBaseline, windows: list[Column]) -> Iterator[tuple[str, str]]:
    """Yield what a service would export of a feature, with promtool's values of each series."""
    place = {
        "pipeline": "replay",
        "stage": STAGE,
        "version": "1",
        "track": "stable",
        "direction": "input",
        "feature": name,
    }
    if base.categories:
        known = list(base.categories)
        present = [window[window != ""] for window in windows]
        labels = [np.where(np.isin(part, known), part, OTHER) for part in present]
        for category in known:
            counted = [float((part == category).sum()) for part in labels]
            yield series("pipemon_feature_category_total", {**place, "category": category}), counter(counted)
    else:
        present = [window[np.isfinite(window)] for window in windows]
        for bound in (*base.bounds, np.inf):
            counted = [float((part <= bound).sum()) for part in present]
            yield series("pipemon_feature_value_bucket", {**place, "le": le(bound)}), counter(counted)
    yield series("pipemon_feature_info", {**place, "bins": base.bins}), f"1x{len(windows) * MINUTES // SCRAPE}"
    yield series("pipemon_feature_observed_total", place), counter([float(len(part)) for part in windows])
    absent = [float(len(all_) - len(part)) for all_, part in zip(windows, present, strict=True)]
    yield series("pipemon_feature_missing_total", place), counter(absent)


def counter(amounts: Sequence[float]) -> str:
    """Return a counter that rises by each amount in turn, evenly within its window, in promtool's notation."""
    steps, found, total = MINUTES // SCRAPE, ["0"], 0.0
    for amount in amounts:
        each = amount / steps
        found.append(f"{total + each!r}+{each!r}x{steps - 1}")
        total += amount
    return " ".join(found)
