"""Data sets that no default was chosen by, with faults put into them, through the generated rules and alerts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator

from benchmarks.drift.beside import by_peers
from benchmarks.drift.datasets import Table as Columns
from benchmarks.drift.replay import Window, replay
from benchmarks.drift.tables import Table
from benchmarks.drift.unseen_data import SETS

QUIET, LASTS, REST = 8, 2, 1
"""Windows before the first fault, with each of them, and behind it; a window is as long as the rules look back."""
Fault = Callable[[Generator, Any], Any]


def _some(random: Generator, values: Any, share: float, value: float | str) -> Any:
    return np.where(random.random(len(values)) < share, value, values)


FAULTS: Mapping[str, Fault] = {
    "x 0.0555, another unit": lambda random, values: values * 0.0555,
    "x 0.2, another unit": lambda random, values: values * 0.2,
    "x 1.609, another unit": lambda random, values: values * 1.609,
    "x 60, another unit": lambda random, values: values * 60,
    "+ 0.3 sd": lambda random, values: values + 0.3 * np.nanstd(values),
    "+ 0.1 sd": lambda random, values: values + 0.1 * np.nanstd(values),
    "variance x 2": lambda random, values: np.nanmean(values) + np.sqrt(2) * (values - np.nanmean(values)),
    "stuck at one value": lambda random, values: np.full_like(values, np.nanmedian(values)),
    "20% missing": lambda random, values: _some(random, values, 0.2, np.nan),
    "10% are -999": lambda random, values: _some(random, values, 0.1, -999.0),
    "zeros become ones": lambda random, values: np.where(values == 0, 1.0, values),
    "each row ten times": lambda random, values: np.repeat(values, 10)[: len(values)],
    "the commonest one vanishes": lambda random, values: _without(values, -1),
    "the rarest one vanishes": lambda random, values: _without(values, 0),
    "5% are new": lambda random, values: _some(random, values.astype("U16"), 0.05, "unheard"),
}


@dataclass(frozen=True)
class Case:
    """A data set: how much of it is the baseline, the values of a window, which features, and what befalls them.

    Rows are in the order of the data, or shuffled where that means nothing.
    """

    baseline: int
    window: int
    faults: tuple[tuple[str, str], ...]
    shuffled: bool = True


CASES: Mapping[str, Case] = {
    "flights": Case(
        52_000,
        6_500,
        (
            ("dep_delay", "x 60, another unit"),
            ("dep_delay", "20% missing"),
            ("distance", "x 1.609, another unit"),
            ("air_time", "stuck at one value"),
            ("carrier", "the commonest one vanishes"),
            ("carrier", "5% are new"),
        ),
        shuffled=False,
    ),
    "weather": Case(8_700, 2_200, (("temp", "stuck at one value"), ("pressure", "10% are -999")), shuffled=False),
    "glucose": Case(
        17_000, 4_000, (("glucose", "x 0.0555, another unit"), ("glucose", "stuck at one value")), shuffled=False
    ),
    "shuttle": Case(
        16_000,
        1_000,
        (
            ("f2", "variance x 2"),
            ("f2", "stuck at one value"),
            ("f4", "zeros become ones"),
            ("f1", "+ 0.3 sd"),
            ("f9", "10% are -999"),
        ),
    ),
    "returns": Case(500, 80, (("aapl", "variance x 2"), ("jpm", "+ 0.3 sd"), ("wmt", "stuck at one value"))),
    "diamonds": Case(
        18_000,
        1_000,
        (
            ("carat", "x 0.2, another unit"),
            ("depth", "+ 0.3 sd"),
            ("depth", "+ 0.1 sd"),
            ("price", "20% missing"),
            ("price", "each row ten times"),
            ("clarity", "the rarest one vanishes"),
            ("clarity", "5% are new"),
        ),
    ),
    "visits": Case(7_000, 500, (("mdu", "zeros become ones"), ("age", "+ 0.3 sd"), ("ndisease", "variance x 2"))),
    "marks": Case(
        24_000, 1_000, (("y", "variance x 2"), ("y", "stuck at one value"), ("dept", "the commonest one vanishes"))
    ),
    "films": Case(
        20_000,
        1_500,
        (("votes", "+ 0.3 sd"), ("rating", "+ 0.3 sd"), ("length", "x 60, another unit"), ("budget", "10% are -999")),
    ),
}
assert CASES.keys() == SETS.keys()
BESIDE = (
    ("flights", "dep_delay", "x 60, another unit"),
    ("glucose", "glucose", "stuck at one value"),
    ("shuttle", "f2", "stuck at one value"),
    ("diamonds", "depth", "+ 0.3 sd"),
    ("films", "rating", "+ 0.3 sd"),
)


def unseen(random: Generator) -> Table:
    # Each with the same chance, so that one set alone gives the same.
    rows = [row for name in CASES for row in _told(deepcopy(random), name)]
    about = (
        "What packages of data carry, on which no default of pipemon was chosen, with faults put into one feature at a "
        f"time. The baseline is the first part; then come {QUIET} windows without a fault, and {LASTS} with each, "
        f"{REST} behind it; a window is as many values as the rules look back on. Every feature is watched by psi, "
        "`wasserstein`, the missing ratio (10% more than in the baseline) and `new_category`, at default thresholds, "
        "in promtool. After how many values the alert of the feature fired, by what saw it; how many alerts of other "
        "features did; and in how many of the windows before, and of how many known of all features. Shuffled sets "
        "do not drift; flights, weather and glucose come in their order: what fired there before is their own."
    )
    head = ["data", "feature", "fault", "psi", "wasserstein", "else", "other features", "before the first fault"]
    return Table("Unseen data", about, head, rows)


def beside(random: Generator) -> Table:
    """Return what peers make of some of the same streams."""
    streams: dict[str, tuple[Any, Any]] = {}
    for name, feature, fault in BESIDE:
        case, values = CASES[name], SETS[name]()[feature]
        values = random.permutation(values) if case.shuffled else values
        live = values[case.baseline : case.baseline + (QUIET + LASTS) * case.window].copy()
        live[QUIET * case.window :] = FAULTS[fault](random, live[QUIET * case.window :])
        known = [part[np.isfinite(part)] for part in np.split(live, [QUIET * case.window])]
        streams[f"{name} {len(known[0])}"] = values[: case.baseline][np.isfinite(values[: case.baseline])], known
    told = by_peers({name: (reference, np.concatenate(live)) for name, (reference, live) in streams.items()})
    rows = []
    for tool, found in told.items():
        cells = []
        for name in streams:
            quiet, alarms = int(name.partition(" ")[2]), found["alarms"][name]
            delay = min((at - quiet for at in alarms if at > quiet), default=None)
            cells.append(f"{sum(at <= quiet for at in alarms)}; {'never' if delay is None else f'{delay:,}'}")
        rows.append([tool, *cells])
    about = (
        "Some of the same streams, with the settings that the tools come with, in batches of 1,000 or value by value: "
        f"how many alarms in the {QUIET} windows before the fault, and after how many values of it the next one. "
        "A delay means nothing where alarms are raised anyhow. pipemon's are in the table above."
    )
    heads = [f"{name}: {feature} {fault}" for name, feature, fault in BESIDE]
    return Table("Peers on unseen data", about, ["", *heads], rows)


def _told(random: Generator, name: str) -> list[list[str]]:
    case, columns = CASES[name], SETS[name]()
    features = list(dict.fromkeys(feature for feature, _ in case.faults))
    count = len(columns[features[0]])
    order = random.permutation(count) if case.shuffled else np.arange(count)
    table = {feature: columns[feature][order] for feature in features}
    reference = {feature: values[: case.baseline] for feature, values in table.items()}
    live = []
    many = QUIET + len(case.faults) * (LASTS + REST)
    for index in range(many):
        which = case.baseline + (index * case.window + np.arange(case.window)) % (count - case.baseline)
        live.append({feature: values[which] for feature, values in table.items()})
    for number, (feature, fault) in enumerate(case.faults):
        begin = QUIET + number * (LASTS + REST)
        for window in live[begin : begin + LASTS]:
            window[feature] = FAULTS[fault](random, window[feature])
    kinds: dict[str, object] = {
        feature: sorted(set(values.tolist())) if values.dtype.kind == "U" else "count"
        for feature, values in reference.items()
    }
    windows = replay(kinds, _modes(reference), reference, live)
    before = sum(len(window.fired) for window in windows[1:QUIET])
    known = sum(len(window.values) for window in windows[1:QUIET])
    quiet = f"{before} firings, known in {known} of {(QUIET - 1) * len(features)}"
    rows = []
    for number, (feature, fault) in enumerate(case.faults):
        begin = QUIET + number * (LASTS + REST)
        rows.append([name, feature, fault, *_found(windows, begin, case.window, feature), quiet])
    return rows


def _modes(reference: Columns) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for feature, values in reference.items():
        name, watched = feature.replace("_", "-"), f"input.{feature}"
        found[f"{name}-psi"] = {"what": "x", "signal": {"drift": watched}}
        if values.dtype.kind == "U":
            found[f"{name}-new"] = {"what": "x", "signal": {"new_category": watched}}
        else:
            absent = float(np.isnan(values).mean())
            found[f"{name}-wasserstein"] = {"what": "x", "signal": {"drift": f"wasserstein of {watched}"}}
            if absent < 0.5:
                found[f"{name}-missing"] = {
                    "what": "x",
                    "signal": {"missing_ratio": watched},
                    "above": f"{absent + 0.1:.0%}",
                }
    return found


def _found(windows: list[Window], begin: int, size: int, feature: str) -> list[str]:
    """Return after how many values each statistic saw a fault, and which alerts of other features fired meanwhile."""
    stem = "Replay" + "".join(part.title() for part in feature.split("_"))
    first: dict[str, float] = {}
    for number, window in enumerate(windows[begin : begin + LASTS]):
        for alert, share in window.since.items():
            first.setdefault(alert, number + share)
    earlier = windows[begin - 1].fired

    def cell(kind: str) -> str:
        if (at := first.get(f"{stem}{kind}")) is None:
            return "never"
        return "was firing" if f"{stem}{kind}" in earlier and at < 0.1 else f"{at * size:,.0f}"

    more = [f"{kind.lower()}: {cell(kind)}" for kind in ("Missing", "New") if f"{stem}{kind}" in first]
    others = sorted(each for each in first if not each.startswith(stem) and each not in earlier)
    return [
        cell("Psi"),
        cell("Wasserstein"),
        ", ".join(more),
        str(len(others)),
    ]


def _without(values: Any, place: int) -> Any:
    names, counts = np.unique(values, return_counts=True)
    ranked = names[np.argsort(counts, kind="stable")]
    return np.where(values == ranked[place], ranked[place - 1 if place else 1], values)
