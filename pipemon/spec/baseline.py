"""The baseline file: what `pipemon baseline` learned of each feature in a good period."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

from pipemon.errors import Problem, SpecError
from pipemon.spec.reader import shown


@dataclass(frozen=True)
class FeatureBaseline:
    """One feature in the good period, in the feature's unit.

    `mean` is exact (sum over count). `sd` is the standard deviation of single values, estimated from the
    histogram. `bounds` are the histogram's upper bounds without +Inf, frozen with the baseline.
    """

    mean: float
    sd: float
    count: float
    unit: str = ""
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Baseline:
    """The features of a pipeline by `<stage>.<direction>.<feature>`, and the period, in Unix seconds."""

    pipeline: str
    start: float
    end: float
    features: dict[str, FeatureBaseline]


def feature_key(stage: str, direction: str, feature: str) -> str:
    """Return a feature's name in the file."""
    return f"{stage}.{direction}.{feature}"


def dump(baseline: Baseline) -> str:
    """Return the file's text, a feature a line: the same baseline is the same bytes."""
    head = {"pipeline": baseline.pipeline, "from": baseline.start, "to": baseline.end}
    lines = [f"  {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in head.items()]
    features = (
        f"    {json.dumps(name)}: {json.dumps(asdict(value), allow_nan=False, ensure_ascii=False)}"
        for name, value in sorted(baseline.features.items())
    )
    lines.append('  "features": {\n' + ",\n".join(features) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load(path: Path) -> Baseline:
    """Return the baseline in a file. Raises SpecError for what is not one, OSError where there is none to read."""
    text = path.read_text(encoding="utf-8", errors="replace")

    def fault(message: str, line: int = 1, column: int = 1) -> SpecError:
        again = "; delete the file and learn it again with `pipemon baseline`"
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
            raise fault(f"not a baseline: {shown(name)}: expected mean, sd and count as numbers") from None
        numbers = (feature.mean, feature.sd, feature.count, *feature.bounds)
        if not all(map(isfinite, numbers)) or feature.sd < 0 or feature.count < 0:
            raise fault(f"not a baseline: {shown(name)}: numbers must be finite, and sd and count not negative")
        if any(low >= high for low, high in pairwise(feature.bounds)):
            raise fault(f"not a baseline: {shown(name)}: bounds must rise")
        features[name] = feature
    try:
        start, end = float(document["from"]), float(document["to"])
    except (TypeError, ValueError, OverflowError):
        raise fault("not a baseline: expected from and to in Unix seconds") from None
    return Baseline(str(document["pipeline"]), start, end, features)


def _feature(entry: dict[str, Any]) -> FeatureBaseline:
    mean, sd, count = (float(entry[key]) for key in ("mean", "sd", "count"))
    return FeatureBaseline(mean, sd, count, str(entry.get("unit", "")), tuple(map(float, entry.get("bounds", ()))))
