"""What stands beside the scene of a test of drift, for joins not to take one version, track or feature for another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from math import ceil

from pipemon import catalogue as c
from pipemon.generate.drift.constants import ANY, Reference
from pipemon.generate.drift.measure import condition_references
from pipemon.generate.measures import measure
from pipemon.generate.recordings import Recording, in_order, is_constant
from pipemon.generate.rules import Rules
from pipemon.generate.ruletests.categories import uncounted_case
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.lines import counters
from pipemon.generate.ruletests.neighbours import neighbours
from pipemon.generate.ruletests.places import World, series
from pipemon.generate.ruletests.scenes import ANOTHER, kept_labels, version_of
from pipemon.generate.ruletests.synthetic import measured
from pipemon.generate.ruletests.values import tested_values
from pipemon.spec.baseline import RHYTHMS
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.spec.signals import DRIFT
from pipemon.units import duration

_MANY = 1e5
"""Values of what stands beside, so many that they would outweigh those that are judged."""
_OF_PLACE = ("stage", "direction", "feature", "baseline")
"""Labels of constants, too: of these there are some of another place, of the first bin."""
_OF_VERSION = ("version", "track")


def twins(spec: Spec, mode: FailureMode, condition: Condition) -> Iterator[tuple[str, float]]:
    """Yield recorded counts, and which baseline they are of, each unlike those of the scene in one label.

    They are of no drift: a match that does not name the label finds two, and a sum that loses it adds both.
    """
    reference = condition_references(spec, mode, condition)[0]
    known = _known(spec, mode, reference)
    rules = _rules(spec, mode, condition)
    info = next(each for each in rules if ":pipemon_feature_baseline:" in each.name)
    for label in ("stage", "direction", "feature", "version"):
        yield series(info.name, {**{name: known[name] for name in known if name != "track"}, label: ANOTHER}), 1.0
    cell = "category" if reference.has_categories else "le"
    counted = next(each for each in rules if each.labels[-2:] == (cell, "baseline"))
    for label in (*_OF_PLACE, *_OF_VERSION):
        for name, number in _counts(reference, whole=label in _OF_VERSION):
            yield series(counted.name, {**known, label: ANOTHER, cell: name}), number


def _counts(reference: Reference, *, whole: bool) -> Iterator[tuple[str, float]]:
    """Yield counts by category or bound: of the whole baseline, or all in its first bin."""
    shares = reference.shares if whole else (1.0, *(0.0 for _ in reference.shares[1:]))
    upto = shares if reference.has_categories else tuple(accumulate(shares))
    counts = [(name, _MANY * min(1.0, share)) for name, share in zip(reference.bins, upto, strict=True)]
    yield from counts if whole else dict((counts[0], counts[0 if reference.has_categories else -1])).items()


def other_bins(spec: Spec, mode: FailureMode, condition: Condition, time: Clock) -> list[dict[str, str]]:
    """Return what is told of other bins and is no matter: longer ago than the window, and by a candidate in shadow."""
    reference = condition_references(spec, mode, condition)[0]
    known = _known(spec, mode, reference)
    labels = {**{name: known[name] for name in known if name != "baseline"}, "bins": "other"}
    last = time.bad - 2
    if condition.against is not None:
        earlier = max(mode.window, spec.timing.long_window)
        last = time.bad - ceil(round((mode.window + earlier) / time.step, 6)) - 2
    return [
        {"series": series(c.FEATURE_INFO.name, labels), "values": f"1+0x{last} stale"},
        {"series": series(c.FEATURE_INFO.name, {**labels, "track": "shadow"}), "values": f"1+0x{time.end}"},
    ]


def another_version(
    spec: Spec, mode: FailureMode, condition: Condition, number: float, time: Clock
) -> list[dict[str, str]]:
    """Return a version that is far from the baseline of this one, which is not its own."""
    reference = condition_references(spec, mode, condition)[0]
    if not reference.version:
        return []
    known = _known(spec, mode, reference)
    place = {label: known[label] for label in ("pipeline", "stage", "track")}
    world = World({**place, "version": ANOTHER}, kept_labels(spec))
    worst = tested_values(spec, mode, condition).worst[0]
    measured(world, spec, mode, condition, worst, number / mode.window)
    return counters([world], [world], time, gone=False)


def recorded_by_neighbours(
    rules: Rules, mode: FailureMode, condition: Condition, time: Clock
) -> tuple[list[dict[str, str]], list[dict[str, object]]]:
    """Return what neighbours record of all that this failure mode is the first to read, and that it is not ours."""
    spec, reference = rules.spec, condition_references(rules.spec, mode, condition)[0]
    read, against = measure(spec, mode, condition), condition.against
    assert read is not None
    drifts = {alert.mode.name for alert in rules.alerts if DRIFT in alert.mode.signals}
    own = [
        each
        for each in read.recordings
        if next(name for name in rules.readers[each.name] if name in drifts) == mode.name
    ]
    if all(map(is_constant, own)):
        return [], []
    known = _known(spec, mode, reference)
    known |= {"baseline": against.words, "failure_mode": mode.name} if against else {}
    # Of numbers the last is all of them, which the first is told from. There may be no core beside the first.
    core = next((index for index, part in enumerate(reference.parts) if part == "core" and index), 0)
    chosen = dict.fromkeys((0, core, len(reference.bins) - 1))
    cell = "category" if reference.has_categories else "le"
    names = [(reference.bins[index], reference.parts[index]) for index in chosen]
    cells = tuple({cell: name, "bin": name, "part": part} for name, part in names)
    place = {label: known[label] for label in ("stage", "track", "direction", "feature")} if against else {}
    return neighbours(spec, [*filter(is_constant, read.recordings), *own], known, cells, time, place)


def rare_parts(spec: Spec, mode: FailureMode, condition: Condition, at: str) -> list[dict[str, object]]:
    """Return the test of which rare part of the distribution has more than chance explains: where all moved to."""
    reference = condition_references(spec, mode, condition)[0]
    found = [each for each in _rules(spec, mode, condition) if "_rare_evidence:" in each.name]
    if not found:
        return []
    last = len(reference.shares) - 1
    to = min((0, last), key=lambda index: reference.shares[index])
    known = _known(spec, mode, reference)
    parts = {part for part, share in zip(reference.parts, reference.shares, strict=True) if share and part != "core"}
    samples = [
        {"labels": series("", {**known, "part": part}), "value": float(part == reference.parts[to])}
        for part in sorted(parts | {reference.parts[to]} - {"core"})
    ]
    return [{"expr": f"{series(found[0].name, known)} > bool 1", "eval_time": at, "exp_samples": samples}]


def uncounted(spec: Spec, mode: FailureMode, condition: Condition, step: float) -> dict[str, object]:
    """Return the case of categories that nobody counts."""
    reference = condition_references(spec, mode, condition)[0]
    return uncounted_case(spec, reference, _rules(spec, mode, condition), _known(spec, mode, reference), step)


def first_day(spec: Spec, mode: FailureMode, condition: Condition, step: float) -> dict[str, object]:
    """Return the case of a feature that is there for less than a day, and then for more, in another version at first.

    Features of other places were there before.
    """
    reference = condition_references(spec, mode, condition)[0]
    info = next(each for each in _rules(spec, mode, condition) if ":pipemon_feature_baseline:" in each.name)
    known = _known(spec, mode, reference)
    told = {name: value for name, value in known.items() if name not in ("track", "baseline")}
    told = {**told, "track": "stable", "bins": reference.baseline.bins}
    day = ceil(round(RHYTHMS["daily"] / step, 6))
    begins, last = 2, 2 + day + 2
    inputs = [
        (series(c.FEATURE_INFO.name, {**told, "version": ANOTHER}), f"_x{begins} 1 stale"),
        (series(c.FEATURE_INFO.name, told), f"_x{begins + 1} 1+0x{last}"),
        *(
            (series(c.FEATURE_INFO.name, {**told, label: ANOTHER}), f"1+0x{last}")
            for label in ("pipeline", "stage", "direction", "feature", *kept_labels(spec))
        ),
    ]
    mine = {label: value for label, value in known.items() if label in info.labels}
    sample = {"labels": series(info.name, mine), "value": 1}
    asked = {name: value for name, value in mine.items() if name != "version"}
    exprs = [
        {"expr": series(info.name, asked), "eval_time": duration(at * step), "exp_samples": samples}
        for at, samples in ((begins + day - 1, []), (begins + day, [sample]))
    ]
    lines = [{"series": name, "values": values} for name, values in inputs]
    return {"interval": duration(step), "input_series": lines, "promql_expr_test": exprs}


def _known(spec: Spec, mode: FailureMode, reference: Reference) -> dict[str, str]:
    """Return the labels of what is recorded of the place that is judged."""
    place = {"pipeline": spec.pipeline, "stage": reference.stage, "version": version_of(spec, mode), "track": "stable"}
    feature = {"direction": reference.direction, "feature": reference.feature}
    return {**kept_labels(spec), **place, **feature, "baseline": reference.version or ANY}


def _rules(spec: Spec, mode: FailureMode, condition: Condition) -> tuple[Recording, ...]:
    read = measure(spec, mode, condition)
    assert read is not None
    return in_order(read.value)
