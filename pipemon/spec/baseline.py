"""The baseline file: what `pipemon baseline` learned of each feature from training data or a good period."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

from pipemon.errors import Problem, SpecError
from pipemon.units import fingerprint

_EXACT, _ROUNDING = 1e-9, 1e-3
"""How far shares may add up beside 1 as numbers, and as they are written, with few digits."""
EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_800.0
"""From the year 1 until the year 9999, in Unix seconds: other numbers, as of milliseconds, are no times."""
RHYTHMS = {"daily": 86_400.0, "weekly": 7 * 86_400.0}
"""How far apart the same hours are, in seconds; the shortest first."""
CUMULATIVE = "_cumulative"
"""What stands behind the name of a rhythm where the design effect is that of cumulative shares."""
_HEAD = {"version": "", "source": "", "rows": 0, "data_hash": "", "stage_versions": {}}


@dataclass(frozen=True)
class FeatureBaseline:
    """One feature in the reference, in the feature's unit.

    `mean` and `sd` are those of single values: exact where raw values were seen; from a histogram the mean is
    exact and `sd` estimated. `count` is how many values there were, missing ones not counted. `bounds` are the
    histogram's upper bounds without +Inf, frozen with the baseline; `shares` what lies in each bucket, shape
    (len(bounds) + 1,), the last above the last bound, summing to 1, or () where nobody knows. `missing` is the
    share of looks that found no value. `design_effect`, at least 1, is by how much shares of this stream vary
    more than those of independent values would: n values tell as much as n / design_effect independent ones.
    `cumulative_design_effect` is the same of shares up to a bound, and `spread_design_effect` of the spread; 1 where a
    file says none. `seasonal_design_effects` are those of a comparison with the same hours of another day or week, by
    the names of RHYTHMS, and with CUMULATIVE behind these; none where nobody knows when values were.
    `quantiles` are values by their names, such as `p50`. A category has `categories` instead, the share of each,
    `other` among them; then mean, sd and bounds say nothing.
    """

    mean: float
    sd: float
    count: float
    unit: str = ""
    bounds: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    missing: float = 0.0
    design_effect: float = 1.0
    quantiles: Mapping[str, float] = field(default_factory=dict)
    categories: Mapping[str, float] = field(default_factory=dict)
    cumulative_design_effect: float = 1.0
    spread_design_effect: float = 1.0
    seasonal_design_effects: Mapping[str, float] = field(default_factory=dict)

    def effects_from(self, rhythm: str) -> tuple[float, float]:
        """Return the design effects, of shares and of cumulative ones, of a comparison with the same hours of a rhythm.

        Those of days stand in for those of weeks, and those of any two windows for both. Of `rhythm` "" the latter.
        """
        for name in (rhythm, next(iter(RHYTHMS))) if rhythm else ():
            if single := self.seasonal_design_effects.get(name):
                return single, max(single, self.seasonal_design_effects.get(f"{name}{CUMULATIVE}", 1.0))
        return self.design_effect, self.effect_on_sums

    @property
    def effect_on_sums(self) -> float:
        """The design effect of what adds up over bins: of cumulative shares, and so of the mean."""
        return max(self.design_effect, self.cumulative_design_effect)

    @property
    def effect_on_spread(self) -> float:
        """The design effect of what tells the spread, and not less than that of sums."""
        return max(self.effect_on_sums, self.spread_design_effect)

    @property
    def bins(self) -> str:
        """The hash of the bounds, as `pipemon_feature_info` has it in its label `bins`; "" for a category."""
        return fingerprint(self.bounds) if self.bounds else ""

    @property
    def has_distribution(self) -> bool:
        """Whether it says how the values are distributed, which drift is measured from."""
        return bool(self.categories or (self.bounds and self.shares))


@dataclass(frozen=True)
class Baseline:
    """The features of a pipeline by `<stage>.<direction>.<feature>`.

    `start` and `end` are the period in Unix seconds, 0 where it is not known. `version` is the pipeline's model
    version that it was made of, "" where nobody said; `stage_versions` are those of stages that have their own.
    `source` is the data's file, or how it was seen; `rows` how many runs or rows there were, `data_hash` a hash of
    all the values: the same data give the same.
    """

    pipeline: str
    start: float
    end: float
    features: Mapping[str, FeatureBaseline]
    version: str = ""
    source: str = ""
    rows: int = 0
    data_hash: str = ""
    stage_versions: Mapping[str, str] = field(default_factory=dict)

    def version_of(self, stage: str) -> str:
        """Return the version of a stage's model that this is the reference of, "" for any."""
        return self.stage_versions.get(stage, self.version)


def feature_key(stage: str, direction: str, feature: str) -> str:
    """Return a feature's name in the file."""
    return f"{stage}.{direction}.{feature}"


def dump(baseline: Baseline) -> str:
    """Return the file's text, a feature a line: the same baseline is the same bytes.

    What is not known, or as usual, is left out. Raises ValueError for a number that is not finite.
    """
    head: dict[str, Any] = {"pipeline": baseline.pipeline}
    head |= {name: getattr(baseline, name) for name, usual in _HEAD.items() if getattr(baseline, name) != usual}
    head |= {"from": baseline.start, "to": baseline.end}
    lines = [f"  {json.dumps(name)}: {_json(value)}" for name, value in head.items()]
    features = (f"    {_json(name)}: {_json(_told(value))}" for name, value in sorted(baseline.features.items()))
    lines.append('  "features": {\n' + ",\n".join(features) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _told(feature: FeatureBaseline) -> dict[str, Any]:
    found = {}
    for entry in fields(feature):
        value = getattr(feature, entry.name)
        if entry.name in ("mean", "sd") and feature.categories:
            continue
        if entry.name in ("mean", "sd", "count") or value not in (entry.default, (), {}):
            found[entry.name] = dict(sorted(value.items())) if isinstance(value, Mapping) else value
    return found


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def load(path: Path) -> Baseline:
    """Return the baseline in a file. Raises SpecError for what is not one, OSError where there is none to read."""
    text = path.read_text(encoding="utf-8", errors="replace")

    def fault(message: str, line: int = 1, column: int = 1) -> SpecError:
        again = "; where it was one, learn it again with `pipemon baseline` after removing it"
        return SpecError([Problem(str(path), line, column, f"{message}{again}", "baseline")])

    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        message = error.msg[:1].lower() + error.msg[1:]
        raise fault(f"not JSON: {message}", error.lineno, error.colno) from None
    except (ValueError, RecursionError):
        raise fault("not a baseline: a number too long, or nested too deeply") from None
    if not isinstance(document, dict) or not {"pipeline", "from", "to", "features"} <= set(document):
        raise fault("not a baseline: expected an object with pipeline, from, to and features")
    if not isinstance(document["features"], dict):
        raise fault("not a baseline: features: expected an object")
    features = {}
    for name, entry in document["features"].items():
        try:
            feature = _feature(entry)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            raise fault(f"not a baseline: {_shown(name)}: expected mean, sd and count as numbers") from None
        if wrong := _wrong(feature):
            raise fault(f"not a baseline: {_shown(name)}: {wrong}")
        features[name] = feature
    try:
        start, end = float(document["from"]), float(document["to"])
        if not all(EARLIEST <= time < LATEST for time in (start, end)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise fault("not a baseline: expected from and to in Unix seconds") from None
    try:
        rows, versions = int(document.get("rows", 0)), _texts(document.get("stage_versions", {}))
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise fault("not a baseline: expected rows as a number, and stage_versions as an object") from None
    version, source, data_hash = (str(document.get(key, "")) for key in ("version", "source", "data_hash"))
    return Baseline(str(document["pipeline"]), start, end, features, version, source, rows, data_hash, versions)


def _feature(entry: dict[str, Any]) -> FeatureBaseline:
    categories = _numbers(entry.get("categories", {}))
    mean, sd = (0.0, 0.0) if categories else (float(entry["mean"]), float(entry["sd"]))
    return FeatureBaseline(
        mean,
        sd,
        float(entry["count"]),
        str(entry.get("unit", "")),
        tuple(map(float, entry.get("bounds", ()))),
        _whole(tuple(map(float, entry.get("shares", ())))),
        float(entry.get("missing", 0.0)),
        float(entry.get("design_effect", 1.0)),
        _numbers(entry.get("quantiles", {})),
        dict(zip(categories, _whole(tuple(categories.values())), strict=True)),
        float(entry.get("cumulative_design_effect", 1.0)),
        float(entry.get("spread_design_effect", 1.0)),
        _numbers(entry.get("seasonal_design_effects", {})),
    )


def _whole(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Return shares that add up to 1, as those of few digits nearly do; others as they are, which `_wrong` tells."""
    total = sum(shares)
    return tuple(share / total for share in shares) if _EXACT < abs(total - 1) <= _ROUNDING else shares


def _wrong(feature: FeatureBaseline) -> str:
    """Return what is wrong with a feature's numbers, or nothing."""
    effects = (
        feature.design_effect,
        feature.cumulative_design_effect,
        feature.spread_design_effect,
        *feature.seasonal_design_effects.values(),
    )
    numbers = (feature.mean, feature.sd, feature.count, *feature.bounds, *effects)
    if not all(map(isfinite, (*numbers, *feature.quantiles.values()))) or feature.sd < 0 or feature.count < 0:
        return "numbers must be finite, and sd and count not negative"
    if any(low >= high for low, high in pairwise(feature.bounds)):
        return "bounds must rise"
    buckets = len(feature.bounds) + 1
    if feature.shares and len(feature.shares) != buckets:
        return f"expected {buckets} shares, one for each bucket, found {len(feature.shares)}"
    for shares in (feature.shares, feature.categories.values()):
        if shares and not (all(share >= 0 for share in shares) and abs(sum(shares) - 1) <= _ROUNDING):
            return "shares must not be negative, and add up to 1"
    if feature.categories and feature.bounds:
        return "a feature has bounds or categories, not both"
    if not 0 <= feature.missing <= 1 or min(effects) < 1:
        return "missing is a share from 0 to 1, and each design_effect at least 1"
    return ""


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    return {str(name): float(value) for name, value in entry.items()}


def _texts(entry: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in entry.items()}


def _shown(name: str) -> str:
    # Only what is wrong needs the reader: where a model is trained there may be no yaml.
    from pipemon.spec.reader import shown  # noqa: PLC0415

    return shown(name)
