"""The baseline file: what `pipemon baseline` learned of each feature in a good period."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path

from pipemon.errors import Problem, SpecError


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
    """Return the file's text: the same baseline is the same bytes."""
    document = {
        "pipeline": baseline.pipeline,
        "from": baseline.start,
        "to": baseline.end,
        "features": {name: asdict(value) for name, value in sorted(baseline.features.items())},
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def load(path: Path) -> Baseline:
    """Return the baseline in a file. Raises SpecError for what is not one, FileNotFoundError where there is none."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        problem = Problem(str(path), error.lineno, error.colno, f"not JSON: {error.msg}", "baseline")
        raise SpecError([problem]) from None
    try:
        features = {
            str(name): FeatureBaseline(
                float(entry["mean"]),
                float(entry["sd"]),
                float(entry["count"]),
                str(entry.get("unit", "")),
                tuple(map(float, entry.get("bounds", ()))),
            )
            for name, entry in document["features"].items()
        }
        baseline = Baseline(str(document["pipeline"]), float(document["from"]), float(document["to"]), features)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = Problem(str(path), 1, 1, f"not a baseline: {type(error).__name__}: {error}", "baseline")
        raise SpecError([problem]) from None
    for name, feature in features.items():
        if not (isfinite(feature.mean) and isfinite(feature.sd) and feature.sd >= 0):
            problem = Problem(str(path), 1, 1, f"{name}: mean and sd must be finite, and sd not negative", "baseline")
            raise SpecError([problem])
    return baseline
