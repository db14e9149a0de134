"""Whether the bucket bounds that really run are alike in all replicas, and those of the code and the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipemon import catalogue as c
from pipemon.generate.baseline_bins import baseline_bins
from pipemon.generate.bounds_file import durations, feature_bounds
from pipemon.generate.promql import quote
from pipemon.prometheus import Sample
from pipemon.spec.fields import listed
from pipemon.spec.model import Spec
from pipemon.units import fingerprint, le

Place = tuple[str, str]
"""A stage ("" for the whole pipeline) and a version."""

_STAGE_BUCKET, _RUN_BUCKET = f"{c.STAGE_DURATION.name}_bucket", f"{c.PIPELINE_DURATION.name}_bucket"
SERIES = (_STAGE_BUCKET, _RUN_BUCKET, c.FEATURE_INFO.name)
"""The names of the series that tell bounds."""


def bounds_findings(spec: Spec, samples: Sequence[Sample]) -> list[str]:
    """Return a sentence for each thing wrong with the bounds of running replicas; `samples` are of SERIES."""
    if not any(sample.labels["__name__"] == _STAGE_BUCKET for sample in samples):
        selected = listed([f"{label}={quote(value)}" for label, value in spec.select], "and")
        return [f"there are no durations of stages of {spec.pipeline} there{f' with {selected}' if selected else ''}"]
    return [*_of_durations(spec, samples), *_of_features(spec, samples)]


def _of_durations(spec: Spec, samples: Sequence[Sample]) -> Iterator[str]:
    found: dict[Place, dict[object, set[str]]] = {}
    for sample in samples:
        labels = dict(sample.labels)
        if labels["__name__"] in (_STAGE_BUCKET, _RUN_BUCKET):
            bound = labels.pop("le")
            replicas = found.setdefault((labels.get("stage", ""), labels.get("version", "")), {})
            replicas.setdefault(frozenset(labels.items()), set()).add(bound)
    for place, replicas in sorted(found.items()):
        every, common = set.union(*replicas.values()), set.intersection(*replicas.values())
        if every != common:
            yield f"replicas of {_said(place)} have different bucket bounds: only some have {_listed(every - common)}"
        needed, stated = _stated(spec, place[0])
        if lacking := needed - common:
            yield f"{_said(place)} has no bucket bound at {_listed(lacking)}, which the failure modes read{_how(spec)}"
        elif stated and (stated | needed) != common and every == common:
            more, fewer = common - stated - needed, (stated | needed) - common
            parts = [f"has {_listed(more)} more"] * bool(more) + [f"lacks {_listed(fewer)}"] * bool(fewer)
            yield f"{_said(place)} runs with other bucket bounds than the code's: it {' and '.join(parts)}"


def _stated(spec: Spec, stage: str) -> tuple[set[str], set[str]]:
    """Return the bounds that must be there, and all that the code has, if it is known."""
    if stage and stage not in {shape.name for shape in spec.stages}:
        return set(), set()
    own = spec.stage(stage).duration_bounds if stage else spec.duration_bounds
    needed = durations(spec, stage or None) if spec.reads_bounds or not own else []
    # Which budgets the code leaves to the file is not told by its shape.
    stated = {*map(le, own), "+Inf"} if own and not spec.reads_bounds else set()
    return set(map(le, needed)), stated


def _of_features(spec: Spec, samples: Sequence[Sample]) -> Iterator[str]:
    found: dict[tuple[Place, str], set[str]] = {}
    for sample in samples:
        labels = sample.labels
        if labels["__name__"] == c.FEATURE_INFO.name:
            name = f"{labels.get('direction')}.{labels.get('feature')}"
            place = (labels.get("stage", ""), labels.get("version", ""))
            found.setdefault((place, name), set()).add(labels.get("bins", ""))
    own = {
        (stage.name, f"{feature.direction}.{feature.name}"): feature.bounds
        for stage in spec.stages
        for feature in stage.features
        if feature.bounds
    }
    learned = baseline_bins(spec)
    for (place, name), hashes in sorted(found.items()):
        bounds = own.get((place[0], name))
        its = [each for each in learned if (each.stage, each.name) == (place[0], name) and each.holds_for(place[1])]
        if its and not hashes <= {each.bins for each in its}:
            yield f"{_said(place)} runs with other bins of {name} than its baseline{_learned(spec)}"
        if len(hashes) > 1:
            yield f"replicas of {_said(place)} have different bucket bounds of {name}"
        elif bounds is not None:
            # Bounds of a baseline or of the code's own stay without the file's.
            more = feature_bounds(spec, place[0]).get(name, []) if spec.reads_bounds else []
            if not hashes & {fingerprint(bounds), fingerprint(sorted({*bounds, *more}))}:
                yield f"{_said(place)} runs with other bucket bounds of {name} than the code's"


def _said(place: Place) -> str:
    return f"version {place[1]} of {place[0] or 'the pipeline'}"


def _learned(spec: Spec) -> str:
    return f'; give baseline="{spec.baseline}" to pipemon.Pipeline(...) and restart it, or learn the baseline anew'


def _listed(bounds: Iterable[str]) -> str:
    return listed([f"{bound}s" for bound in sorted(bounds, key=float)], "and")


def _how(spec: Spec) -> str:
    if spec.reads_bounds:
        return f"; roll out {spec.pipeline}.bounds.json and restart it"
    return f'; add spec="{spec.pipeline}.bounds.json" to pipemon.Pipeline(...)'
