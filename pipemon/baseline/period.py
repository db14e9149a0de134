"""A baseline of a good period in Prometheus: bins as they ran, over all replicas."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipemon import catalogue as c
from pipemon.baseline import design_effect, same_hours
from pipemon.baseline.histograms import feature_baseline
from pipemon.baseline.summary import features_of, rounded, rounded_shares
from pipemon.catalogue import Metric
from pipemon.errors import OptionError, UnavailableError
from pipemon.generate.own_series import exported_series
from pipemon.generate.promql import Aggregate, Call, Matcher, select, text
from pipemon.generate.queries import Sums, matchers, targets, total
from pipemon.prometheus import Prometheus, Sample
from pipemon.spec.baseline import RHYTHMS, Baseline, FeatureBaseline, feature_key
from pipemon.spec.fields import listed
from pipemon.spec.model import Spec
from pipemon.topology import PipelineShape

_BY = ("stage", "direction", "feature")
_WINDOWS, _FEWEST_WINDOWS = 72, 24
"""Into how many windows a period is divided to see how much their shares vary, and at least."""
_SCRAPES = 4
"""Scrapes a window at least: Prometheus guesses what lies between its ends and the scrapes."""

_LATELY = 8 * RHYTHMS["weekly"]
"""Of a longer period so much at its end tells how alike the same hours are: each hour is asked for."""

_YEAR, _LOOKS = 365 * 86_400.0, 500
"""How far back values are looked for where a server does not say how long it keeps them, and how often."""

_Windows = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
"""By feature, when windows ended, and their counts by bin, shape (windows, bins)."""
_Counts = dict[str, dict[str, float]]
"""By feature, then by bucket, category or sign."""


class _Kind(NamedTuple):
    """How a feature is counted: in which metric, and by which label."""

    metric: Metric
    label: str
    suffix: str = ""


_NUMBERS, _CATEGORIES = _Kind(c.FEATURE_VALUE, "le", "_bucket"), _Kind(c.FEATURE_CATEGORY, "category")


def learn(spec: Spec, prometheus: Prometheus, start: float, end: float, version: str | None = None) -> Baseline:
    """Return the baseline of every feature between two Unix times, in the bins that it had then.

    Means, shares, categories and what was missing are exact but for Prometheus' guess at what lies between the
    period's ends and the scrapes next to them; spreads and quantiles are interpolated. The design effect is that of
    the period's windows, 72 or as many of four scrapes as there are; 1 under 24; those between the same hours are of a
    period of days. All is of `version`, where one is named.

    Raises OptionError where a stage ran in several versions and none is named; UnavailableError if Prometheus can't
    be asked, or has no values in that period.
    """
    period = _Period(spec, prometheus, start, end, version)
    versions = period.versions()
    period.check_bins()
    numbers, categories = period.counts(_NUMBERS), period.counts(_CATEGORIES)
    sums = period.counts(_Kind(c.FEATURE_SUM, "sign"))
    of_numbers, of_categories = period.effects(_NUMBERS), period.effects(_CATEGORIES)
    missing = period.missing()
    units = {name: feature.unit for name, feature in features_of(shape_of_spec(spec)).items()}
    found: dict[str, FeatureBaseline] = {}
    for name, buckets in numbers.items():
        cumulative = sorted((float(bound), value) for bound, value in buckets.items())
        if cumulative[-1][1] > 0 and "positive" in sums.get(name, {}):
            found[name] = feature_baseline(
                cumulative,
                sums[name]["positive"] - sums[name].get("negative", 0.0),
                unit=units.get(name, ""),
                missing=missing.get(name, 0.0),
                effects=of_numbers.get(name, (1.0, 1.0, 1.0)),
            )
    for name, chosen in categories.items():
        if (count := sum(chosen.values())) > 0:
            shares = rounded_shares(value / count for value in chosen.values())
            found[name] = FeatureBaseline(
                0.0,
                0.0,
                round(count),
                missing=missing.get(name, 0.0),
                design_effect=of_categories.get(name, (1.0,))[0],
                categories=dict(zip(chosen, shares, strict=True)),
            )
    if not found:
        raise UnavailableError(period.nothing())
    seasonal = period.seasonal(_NUMBERS) | period.seasonal(_CATEGORIES)
    found = {name: replace(each, seasonal_design_effects=seasonal.get(name, {})) for name, each in found.items()}
    common = Counter(versions.values()).most_common(1)[0][0] if versions else ""
    return Baseline(
        spec.pipeline,
        round(start, 3),
        round(end, 3),
        found,
        version=common,
        source=f"Prometheus, {_moment(start)} to {_moment(end)}",
        rows=round(max(each.count for each in found.values())),
        data_hash=_hash([numbers, categories, sums]),
        stage_versions={stage: each for stage, each in sorted(versions.items()) if each != common},
    )


def shape_of_spec(spec: Spec) -> PipelineShape:
    """Return a spec's stages; the version is what most of them have."""
    known = Counter(stage.version for stage in spec.stages if stage.version)
    return PipelineShape(spec.pipeline, stages=spec.stages, version=known.most_common(1)[0][0] if known else "")


@dataclass(frozen=True)
class _Period:
    """What Prometheus says of a pipeline's features between two times, of one version or of the only one."""

    spec: Spec
    prometheus: Prometheus
    start: float
    end: float
    version: str | None

    def counts(self, kind: _Kind) -> _Counts:
        """Return increases over the period."""
        found: _Counts = {}
        for sample in self._asked(kind.metric, kind.label, suffix=kind.suffix):
            found.setdefault(_name(sample.labels), {})[sample.labels[kind.label]] = sample.value
        return found

    def missing(self) -> dict[str, float]:
        """Return the share of looks that found nothing."""
        missing = {_name(sample.labels): sample.value for sample in self._asked(c.FEATURE_MISSING)}
        return {
            name: rounded(min(1.0, missing.get(name, 0.0) / sample.value))
            for sample in self._asked(c.FEATURE_OBSERVED)
            if sample.value > 0 and (name := _name(sample.labels))
        }

    def versions(self) -> dict[str, str]:
        """Return each stage's version. Raises OptionError where one has several."""
        found: dict[str, set[str]] = {}
        for sample in self._asked(c.FEATURE_OBSERVED, "version"):
            if sample.value > 0:
                found.setdefault(sample.labels["stage"], set()).add(sample.labels.get("version", ""))
        for stage, several in sorted(found.items()):
            if len(several) > 1:
                versions = listed(sorted(several), "and")
                raise OptionError(f"{stage} ran in versions {versions} in that period; name one: --model-version")
        return {stage: next(iter(versions)) for stage, versions in found.items()}

    def nothing(self) -> str:
        """Say that there are no values, of which server and period, and where there are some."""
        which = f" of version {self.version}" if self.version else ""
        told = f"Prometheus at {self.prometheus.url} has no values of {self.spec.pipeline}'s features{which}"
        told += f" from {_moment(self.start)} to {_moment(self.end)}"
        step = (self.prometheus.retention() or _YEAR) / _LOOKS
        observed = select(
            c.FEATURE_OBSERVED,
            (*matchers(self.spec, c.FEATURE_OBSERVED), *self._which),
            window=step,
            target_labels=targets(self.spec),
        )
        every = text(exported_series(self.spec, Aggregate("count", (), Call("present_over_time", (observed,)))))
        now = time()
        looks = [
            at
            for series in self.prometheus.query_range(every, now - _LOOKS * step, now, step)
            for at, _ in series.points
        ]
        if not looks:
            return f"{told}, nor of any other time; is it scraped, and are its pipeline and labels named so?"
        return f"{told}; it has some between {_moment(min(looks) - step)} and {_moment(max(looks))}"

    def check_bins(self) -> None:
        """Raise OptionError where a feature's bins changed: what is summed over different ones is no histogram."""
        info = select(
            c.FEATURE_INFO,
            (*matchers(self.spec, c.FEATURE_INFO), *self._which),
            window=self.end - self.start,
            target_labels=targets(self.spec),
        )
        bins = Aggregate("count", (*_BY, "bins"), Call("present_over_time", (info,)))
        asked = text(exported_series(self.spec, bins))
        names = Counter(_name(sample.labels) for sample in self.prometheus.query(asked, time=self.end))
        changed = [name for name, several in sorted(names.items()) if several > 1]
        if changed:
            raise OptionError(f"the bins of {listed(changed, 'and')} changed in that period; choose one after that")

    def effects(self, kind: _Kind) -> dict[str, tuple[float, float, float]]:
        """Return each feature's design effects: of shares, of cumulative ones, of the spread; {} of too few windows."""
        step = max((self.end - self.start) / _WINDOWS, _SCRAPES * self.spec.timing.scrape_interval)
        if (self.end - self.start) / step < _FEWEST_WINDOWS:
            return {}
        return {
            name: (
                round(design_effect.of_counts(counts), 3),
                round(design_effect.of_cumulative(counts), 3),
                round(design_effect.of_spread(counts), 3),
            )
            for name, (_, counts) in self._windows(kind, step, self.start).items()
        }

    def seasonal(self, kind: _Kind) -> dict[str, dict[str, float]]:
        """Return each feature's design effects between the same hours of days and of weeks; {} of a short period."""
        if self.end - self.start < 2 * RHYTHMS["daily"]:
            return {}
        since = max(self.start, self.end - _LATELY)
        return {
            name: same_hours.of_hours(np.rint((ends - since) / same_hours.HOUR).astype(np.intp) - 1, counts)
            for name, (ends, counts) in self._windows(kind, same_hours.HOUR, since).items()
        }

    def _windows(self, kind: _Kind, step: float, since: float) -> _Windows:
        asked = self._query(kind.metric, step, kind.label, suffix=kind.suffix)
        windows: dict[str, dict[str, dict[float, float]]] = {}
        for series in self.prometheus.query_range(asked, since + step, self.end, step):
            windows.setdefault(_name(series.labels), {})[series.labels[kind.label]] = dict(series.points)
        found = {}
        for name, by in windows.items():
            labels = sorted(by, key=float) if kind is _NUMBERS else sorted(by)
            ends = sorted({end for points in by.values() for end in points})
            counts = np.array([[by[label].get(end, 0.0) for label in labels] for end in ends])
            if kind is _NUMBERS:
                counts = np.diff(np.maximum.accumulate(counts, axis=1), axis=1, prepend=0.0)
            found[name] = np.array(ends), counts
        return found

    def _asked(self, metric: Metric, *by: str, suffix: str = "") -> list[Sample]:
        return self.prometheus.query(self._query(metric, self.end - self.start, *by, suffix=suffix), time=self.end)

    def _query(self, metric: Metric, window: float, *by: str, suffix: str = "") -> str:
        sums = Sums(self.spec, (*_BY, *by), window)
        summed = total(sums, metric, *self._which, function="increase", suffix=suffix)
        return text(exported_series(self.spec, summed))

    @property
    def _which(self) -> tuple[Matcher, ...]:
        return () if self.version is None else (Matcher("version", "=", self.version),)


def _name(labels: dict[str, str]) -> str:
    return feature_key(*(labels[label] for label in _BY))


def _hash(counts: Iterable[_Counts]) -> str:
    return hashlib.sha256(json.dumps([*counts], sort_keys=True).encode()).hexdigest()[:16]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
