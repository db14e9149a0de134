"""promtool tests of shifts: a level or a spread that stays away from the baseline's, chance, and too few values.

Each step holds so many values, spread over the baseline's bins so that the mean of their scores is so many standard
errors off: then the cumulative sums are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from math import ceil, sqrt
from typing import cast

from pipemon import catalogue as c
from pipemon.generate.annotations import NOTHING_MOVED
from pipemon.generate.drift.constants import ANY, Reference
from pipemon.generate.drift.shifts import ENOUGH, shifts_of, watched_for_shifts
from pipemon.generate.measures import measure
from pipemon.generate.promql import quote
from pipemon.generate.recordings import Recording, in_order, is_constant
from pipemon.generate.rules import Alert, Group
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.expectations import expected_alert, firing_at, place_of, recorded_value
from pipemon.generate.ruletests.lines import rising
from pipemon.generate.ruletests.neighbours import neighbours
from pipemon.generate.ruletests.onset import SCRAPES, Feature
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, State
from pipemon.generate.ruletests.values import MARGIN
from pipemon.generate.ruletests.wait import wait_case
from pipemon.spec.model import Spec
from pipemon.spec.shift import MOST, SLACKS, TRIFLE, Of, allowance, scores, spread_deviation
from pipemon.spec.signals import SHIFT
from pipemon.units import duration

Test = dict[str, object]
Series = dict[str, str]
Phases = list[tuple[float, float, int]]
"""How many values there are in a step, how many standard errors off, and for how many steps."""

_BEFORE = 3
"""Steps before anything moves."""
_STEPS = 5
"""Steps in which a sum comes close to its limit: the next one is beyond."""
_QUIET = 30
"""Steps in which a sum that grows at all would be beyond its limit."""
_FEW = 0.5
"""Independent values in a step, of as many as are enough: too few to tell."""
_GAP = 3
"""Steps with too few values, over which a sum is held."""
_GONE = 4
"""Steps after its last scrape, when nothing of a version is left."""
_SHORT = 16
"""The last step of what needs no history."""
_BY_HAND = "by_hand"
"""A label of what no rule has recorded: joins do not look at it."""
_MANY = 4.5
"""The same of as many as are usual."""


def shifting(alert: Alert) -> bool:
    """Tell whether an alert is one of a shift, which stands alone."""
    return any(condition.signal == SHIFT for condition in alert.mode.conditions)


def shift_cases(spec: Spec, group: Group) -> dict[float, list[tuple[str, str, Test]]]:
    """Return the cases of a group's alerts of shifts, with their failure modes' names, by their step."""
    found: dict[float, list[tuple[str, str, Test]]] = {}
    for alert in filter(shifting, group.alerts):
        mode = alert.mode
        cases = found.setdefault(group.interval, [])
        cases += [(mode.name, name, test) for name, test in _cases(spec, alert)]
        read = measure(spec, mode, mode.conditions[0])
        assert read is not None
        step, case = wait_case(spec, alert, read)
        found.setdefault(step, []).append(case)
    return found


def _cases(spec: Spec, alert: Alert) -> Iterator[tuple[str, Test]]:
    (condition,) = alert.mode.conditions
    shape, threshold = condition.feature, condition.threshold
    assert shape is not None
    assert threshold is not None
    assert threshold.high is not None
    of, place = cast(Of, condition.argument), (alert.mode.stage, shape.direction, shape.name)
    reference = next(
        each for each in watched_for_shifts(spec)[of] if (each.stage, each.direction, each.feature) == place
    )
    feature = _Scored(spec, reference, alert.mode.window, of)
    large = feature.growing(threshold.high / (_STEPS + 0.05), "large")
    # Where one bin has nearly all, as of a flag, values can hardly be closer together.
    sides = [(sign, side) for sign, side in ((1.0, "upwards"), (-1.0, "downwards")) if feature.reaches(sign * large)]
    for sign, side in sides:
        yield f"fires once a shift {side} adds up", _fires(spec, alert, feature, sign * large, _STEPS)
        steps = feature.steps(threshold.high)
        if steps > _STEPS:
            small = feature.growing(threshold.high / (steps + 0.05), "small")
            yield f"fires once a small shift {side} adds up", _fires(spec, alert, feature, sign * small, steps)
    few = _FEW / _MANY
    chance = [(1.0, feature.explained("small") * (1 - MARGIN))]
    yield "is quiet where chance explains it, whatever moves elsewhere", _quiet(spec, alert, feature, chance, value=0.0)
    far = sides[0][0] * large if sides else large
    yield "is quiet on too few values", _quiet(spec, alert, feature, [(few, far)], value=None)
    other, lasts = {"instance": "c"}, (_BEFORE + _QUIET) * SCRAPES
    bins = [feature.bins("other", lasts, other)]
    yield "is quiet on other bins than the baseline has", _quiet(spec, alert, feature, [(1.0, far)], bins, value=None)
    for sum_ in shifts_of(spec).sums:
        which = dict(sum_.static)
        yield (
            f"what adds up elsewhere is no matter: {' '.join(which.values())}",
            _elsewhere(spec, alert, feature, which),
        )


class _Scored(Feature):
    """A feature's series, of which the scores' mean is so many standard errors off the baseline's."""

    def __init__(self, spec: Spec, reference: Reference, step: float, of: Of) -> None:
        super().__init__(spec, reference, step)
        base = reference.baseline
        self.of, self.scores = of, scores(base, of)
        independent = _MANY * ENOUGH
        self.number = independent * base.effect_on_sums / (1 - spec.timing.scrape_interval / step)
        self.error = sqrt(1 / independent + base.effect_on_sums / base.count)
        self.allowance = allowance(base) / self.error
        place = {"baseline": reference.version or ANY, "of": of}
        self.place = dict(reference.place(spec))
        self.recorded = {**self.labels("stable"), **place}
        """The labels of what is recorded of it."""
        self.slacks = {size: max(TRIFLE / 2 / self.error, least) for size, least in SLACKS.items()}

    def explained(self, size: str) -> float:
        """Return how many standard errors off do not add up yet."""
        return self.slacks[size] + self.allowance

    def growing(self, grows: float, size: str) -> float:
        """Return how many standard errors off let a sum grow by so much in each step."""
        return self.explained(size) + grows / (2 * self.slacks[size])

    def steps(self, limit: float) -> int:
        """Return in how many steps small shifts add up to a limit of which large ones see nothing."""
        grows = 2 * self.slacks["small"] * (self.slacks["large"] - self.slacks["small"]) * (1 - MARGIN)
        return ceil(limit / grows) if grows > 0 else 0

    def reaches(self, z: float) -> bool:
        """Tell whether the mean of any values' scores can be so far off."""
        return self._moved(z)[1] <= 1

    def shares(self, z: float) -> list[float]:
        """Return the share of each bin: some of all values have moved into the one that counts most, or least."""
        to, part = self._moved(z)
        return [
            (1 - min(1.0, part)) * share + (min(1.0, part) if index == to else 0.0)
            for index, share in enumerate(self.base.shares)
        ]

    def _moved(self, z: float) -> tuple[int, float]:
        """Return the bin into which values have moved, and what part of all; above 1 where all are not enough."""
        shares = self.base.shares
        mean = sum(share * score for share, score in zip(shares, self.scores, strict=True))
        wanted = z * self.error
        if self.of == "spread":
            u = self.error * spread_deviation(self.base)
            wanted = (1 + u * (z - u / 3) / 3) ** 3
        most, least = max(self.scores), min(self.scores)
        end = most if wanted > mean else least
        return self.scores.index(end), (wanted - mean) / (end - mean)

    def told_of(self, phases: Phases, unlike: Mapping[str, str], until: int) -> list[Series]:
        """Return its series, of two replicas; those in other places, `unlike` it in some labels, are of one."""
        found = [self.bins(self.base.bins, until * SCRAPES, {**unlike, "instance": "a"})]
        below = [(number, list(accumulate(self.shares(z))), steps) for number, z, steps in phases if steps]
        for index, le in enumerate(self.reference.bins):
            for instance, replica in (("a", 1.0),) if unlike else (("a", 0.6), ("b", 0.4)):
                rises = [
                    (replica * number * self.number * upto[index] / SCRAPES, steps * SCRAPES)
                    for number, upto, steps in below
                ]
                labels = {**self.labels("stable"), **unlike, "le": le, "instance": instance}
                name = series(f"{c.FEATURE_VALUE.name}_bucket", labels)
                found.append({"series": name, "values": rising(rises)})
        return found


def _elsewhere(spec: Spec, alert: Alert, feature: _Scored, which: Mapping[str, str]) -> Test:
    """Return the case of what neighbours record of one feature, of which ours record nothing."""
    found = measure(spec, alert.mode, alert.mode.conditions[0])
    assert found is not None
    known = {**feature.recorded, **which}
    read = [each for each in in_order(found.value) if set(each.static) <= known.items()]
    time = Clock(alert.mode.window, 0, None, _SHORT, _SHORT, None, _SHORT)
    inputs, exprs = neighbours(spec, read, known, (), time)
    return {"interval": duration(alert.mode.window), "input_series": inputs, "promql_expr_test": exprs}


def _beside(spec: Spec, feature: _Scored, steps: int) -> Iterator[Series]:
    """Yield what stands beside what is joined, unlike it in one label: a match that does not name it finds two."""
    made = shifts_of(spec)
    known = {**feature.recorded, _BY_HAND: "yes"}
    info = next(part for part in made.counted.parts if ":pipemon_feature_baseline:" in part.name)
    names: dict[str, None] = {}
    for label in dict.fromkeys((*feature.recorded, *dict(spec.select))):
        # A neighbour's name is none of a place of which something is scraped here.
        unlike = {**known, label: _BY_HAND}
        error, allowed = ({k: v for k, v in unlike.items() if k != "of"} for _ in range(2))
        if label in ("of",):
            continue
        if label in ("pipeline", *dict(spec.select)):
            names |= dict.fromkeys(series(made.slacks[0].name, {**error, "size": size}) for size in SLACKS)
        names[series(made.error.name, error)] = None
        if label not in ("version", "track"):
            names[series(made.allowance.name, allowed)] = None
        if label not in ("track", "baseline"):
            told = {k: v for k, v in unlike.items() if k not in ("of", "track")}
            names[series(info.name, told)] = None
    scored = (each for each in made.scores if dict(each.static)["of"] == feature.of)
    for part in (*made.error.parts, *(part for each in scored for part in each.parts), *made.allowance.parts):
        static = dict(part.static)
        if is_constant(part) and feature.place.items() <= static.items() and static.get("le") in (None, "+Inf"):
            for label in (*feature.place, *dict(spec.select)):
                names[series(part.name, {**dict(spec.select), **static, label: _BY_HAND})] = None
    yield from ({"series": name, "values": f"1+0x{steps * SCRAPES}"} for name in names)


def _each_sum(spec: Spec, feature: _Scored, z: float, ends: str, back: str, gone: str) -> Iterator[Test]:
    """Yield the tests that each sum by itself adds up, is held over too few values, not longer, and has all labels."""
    sums = shifts_of(spec).sums
    own = ",".join(f"{label}={quote(value)}" for label, value in feature.recorded.items())
    for size, slack in feature.slacks.items():
        grows = 2 * slack * (abs(z) - feature.explained(size))
        if grows > 0:
            which = f'{own},size="{size}",side="{"high" if z > 0 else "low"}"'
            one = {"labels": "{}", "value": 1}
            more = f"count({sums[0].name}{{{which}}} > {1.5 * grows:.3g})"
            yield {"expr": more, "eval_time": ends, "exp_samples": [one]}
    held = {"labels": "{}", "value": len(sums)}
    yield {"expr": f"count({sums[0].name}{{{own}}})", "eval_time": back, "exp_samples": [held]}
    yield {"expr": f"{sums[0].name}{{{own}}}", "eval_time": gone, "exp_samples": []}
    yield _without(sums[0], (*dict(spec.select), *feature.recorded), back)


def _without(found: Recording, labels: Iterable[str], at: str) -> Test:
    """Return the test that nothing is recorded under a name that lacks one of its labels."""
    each = " or ".join(f'{found.name}{{{label}="",{_BY_HAND}=""}}' for label in labels)
    return {"expr": each, "eval_time": at, "exp_samples": []}


def _fires(spec: Spec, alert: Alert, feature: _Scored, z: float, steps: int) -> Test:
    """Return a case in which a feature is off until a sum is at its most, and moves back."""
    mode = alert.mode
    (condition,) = mode.conditions
    step = mode.window
    wait, tail = (ceil(round(seconds / step, 6)) for seconds in (mode.for_, mode.keep_firing_for))
    high = condition.threshold.high if condition.threshold else None
    assert high is not None
    passed = _BEFORE + steps + 1
    ends = max(passed + wait, _BEFORE + ceil(MOST / high * (steps + 0.05))) + 1
    # Back where it was, the sum of what is small falls the slowest.
    falls = min(2 * s * (s + feature.allowance) for s in feature.slacks.values())
    back = ends + _GAP
    resolved = back + ceil((MOST - high) / falls) + tail + 2
    gone = resolved + _GONE
    few = _FEW / _MANY
    phases = [(1.0, 0.0, _BEFORE), (1.0, z, ends - _BEFORE), (few, 0.0, _GAP), (1.0, 0.0, resolved - back)]
    found = measure(spec, mode, condition)
    assert found is not None
    expected = expected_alert(spec, alert, State((MOST,), feature.number / step, (0.0,), 0.0), gone=False)
    annotations = expected["exp_annotations"]
    if isinstance(annotations, dict) and "origin" in annotations:
        # Only its scores are told here, and not the means that tell what moved first.
        annotations["origin"] = NOTHING_MOVED
    at = {each: duration(each * step) for each in (passed - 1, passed + wait, ends, back, resolved, gone)}
    firing = [{**place_of(spec, mode), **alert.labels}]
    return {
        "interval": duration(step / SCRAPES),
        "input_series": [*feature.told_of(phases, {}, resolved), *_beside(spec, feature, gone)],
        "alert_rule_test": [
            {"eval_time": at[each], "alertname": alert.name, "exp_alerts": alerts}
            for each, alerts in ((ends, [expected]), (resolved, []))
        ],
        "promql_expr_test": [
            firing_at(alert, at[passed - 1], []),
            *([firing_at(alert, at[passed + wait - 1], [])] if wait and passed + wait - 1 in at else []),
            firing_at(alert, at[passed + wait], firing),
            *(recorded_value(spec, found.value, found.matchers, MOST, at=at[each]) for each in (ends, back)),
            *_each_sum(spec, feature, z, at[ends], at[back], at[gone]),
        ],
    }


def _quiet(
    spec: Spec,
    alert: Alert,
    feature: _Scored,
    off: list[tuple[float, float]],
    more: list[Series] | None = None,
    *,
    value: float | None,
) -> Test:
    """Return a case that stays quiet while others move; the sum is `value`, None where nothing can be told."""
    mode = alert.mode
    found = measure(spec, mode, mode.conditions[0])
    assert found is not None
    lasts = _BEFORE + _QUIET
    at = duration(lasts * mode.window)
    still: Phases = [(off[0][0], 0.0, _BEFORE)]
    inputs = feature.told_of([*still, *((number, z, _QUIET) for number, z in off)], {}, lasts) + (more or [])
    moved = [*still, (1.0, 2 * feature.explained("large"), _QUIET)]
    for label, other in (("pipeline", NEIGHBOUR), ("stage", ANOTHER), ("direction", ANOTHER), ("feature", ANOTHER)):
        inputs += feature.told_of(moved, {label: other}, lasts)
    inputs += feature.told_of(moved, {"track": "shadow"}, lasts)
    told: Test = {"expr": found.value.name, "eval_time": at}
    if value is not None:
        told = recorded_value(spec, found.value, found.matchers, value, at=at)
    return {
        "interval": duration(mode.window / SCRAPES),
        "input_series": inputs,
        "promql_expr_test": [told, firing_at(alert, at, []), _without(shifts_of(spec).counted, ("track",), at)],
    }
