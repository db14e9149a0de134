"""promtool test of which stage moved first: two features move, one before the other, among much that must not count.

Each step holds so many values that their mean is so many standard errors off, so that the cumulative sums are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from math import sqrt
from types import MappingProxyType

from pipemon import catalogue as c
from pipemon.generate.drift.constants import BASELINE, PLACE, Reference
from pipemon.generate.drift.onset import CERTAIN, ENOUGH, LIMIT, SLACK, TRIFLE, Onset, moving, onset_of
from pipemon.generate.promql import Call
from pipemon.generate.recordings import Recording, in_order
from pipemon.generate.rules import Rules
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.lines import rising
from pipemon.generate.ruletests.neighbours import neighbours
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, kept_labels
from pipemon.spec.model import Spec
from pipemon.units import duration

Test = dict[str, object]
Series = dict[str, str]

SCRAPES = 4
"""Scrapes in a step."""
_GROWS = 1.5
"""What the sum of what has moved grows by in each step."""
_MANY, _FEW = 1.5, 0.5
"""Independent values in a step, over the least that it takes: as usual, and where nobody can tell."""
_LATER, _FIRST = 6, 26
"""The step behind which what lies downstream moves, and what lies upstream: too soon after to be an effect of it."""
_GAP, _GONE, _END = 40, 43, 46
"""The step behind which there are too few values, behind which nobody tells the bins any more, and the last."""
_SHORT = 16
"""The last step of what needs no history."""
_NONE: Mapping[str, str] = MappingProxyType({})
_BY_HAND = "by_hand"
"""A label of what no rule has recorded: joins do not look at it."""


def onset_cases(rules: Rules) -> Iterator[tuple[str, str, Test]]:
    """Yield the test of a pipeline's onset, with the name of a failure mode that tells of it."""
    moved = onset_of(rules.spec)
    if moved is not None:
        reader = rules.readers[moved.origin.name][0]
        yield reader, "what moved first is told, and since when", _case(rules, moved)
        yield reader, "what moved first elsewhere is no matter", _elsewhere(rules.spec, moved)


def _case(rules: Rules, moved: Onset) -> Test:
    spec = rules.spec
    upstream, downstream = _two(spec, moved)
    ups, downs = Feature(spec, upstream, moved.step), Feature(spec, downstream, moved.step)
    places = {"pipeline": NEIGHBOUR, "stage": ANOTHER, "direction": ANOTHER, "feature": ANOTHER}
    places |= {label: ANOTHER for label, _ in spec.select}
    if upstream.version:
        places["version"] = ANOTHER
    inputs: list[Series] = []
    for each, after in ((ups, _FIRST), (downs, _LATER)):
        inputs += [
            *each.told(each.moves(after), until=_GONE),
            *each.told(each.moves(_END), {"track": "canary"}, until=_GONE),
            # Bins that a version had a while ago, and a candidate in shadow has: nothing can be said of those.
            each.bins("other", 3 * SCRAPES + 1, {"instance": "c"}),
            each.bins("other", _END * SCRAPES, {"track": "shadow", "instance": "c"}),
        ]
        for label, value in [*places.items(), ("track", "shadow")]:
            inputs += each.told(each.moves(_LATER), {label: value})
    beside = dict.fromkeys(name for each in (ups, downs) for name in _beside(rules, moved, each))
    inputs += map(_constant, beside)
    step, own = moved.step, {"baseline": upstream.place(spec)[2][1]}

    def asked(at: int, expr: str, *samples: tuple[Mapping[str, str], float]) -> dict[str, object]:
        wanted = [{"labels": series("", labels), "value": value} for labels, value in samples]
        return {"expr": expr, "eval_time": duration(at * step), "exp_samples": wanted}

    def here(recording: Recording, **which: str) -> str:
        return series(recording.name, {_BY_HAND: "", **which})

    counted, total = moved.score.parts
    both = [(each, track) for each in (ups, downs) for track in ("stable", "canary")]
    whole = {("stable", ups): {**ups.labels("stable"), **own}, ("stable", downs): {**downs.labels("stable"), **own}}
    high, low = ({**whole["stable", each], "side": side} for each, side in ((ups, "high"), (downs, "low")))
    shown = 36
    grown = (shown - _FIRST) * _GROWS
    first = {**kept_labels(spec), "pipeline": spec.pipeline}
    exprs = [
        asked(2, f"count({here(moved.score)})"),
        asked(5, f"count({here(moved.score)})", ({}, 4.0)),
        asked(14, here(moved.origin), ({"__name__": moved.origin.name, **first, **downs.side}, 1.0)),
        asked(
            shown, f"round({here(counted)}, 0.001)", *(({**e.labels(t), **own}, round(e.number, 3)) for e, t in both)
        ),
        asked(
            shown,
            f"round({here(total, version=ups.version)}, 0.001)",
            *((each.labels(track), round(each.total(track, shown), 3)) for each, track in both),
        ),
        asked(
            shown,
            f"round({here(moved.score)}, 0.001) != 0",
            (whole["stable", ups], round(ups.off, 3)),
            (whole["stable", downs], -round(downs.off, 3)),
        ),
        asked(shown, f"round({here(moved.sums[0])}, 0.001) > 0", (high, grown), (low, 2 * LIMIT)),
        asked(shown, f"{here(moved.onset)} + 0", (high, _FIRST * step), (low, _LATER * step)),
        asked(shown, here(moved.origin), ({"__name__": moved.origin.name, **first, **ups.side}, 1.0)),
        asked(_GAP + 2, f"{here(moved.sums[0])} + 0 > 0", (high, 2 * LIMIT), (low, 2 * LIMIT)),
        asked(_END, f"count({here(moved.sums[0])})"),
    ]
    return {"interval": duration(step / SCRAPES), "input_series": inputs, "promql_expr_test": exprs}


def _elsewhere(spec: Spec, moved: Onset) -> Test:
    """Return the case of what neighbours record of one feature, of which ours record nothing."""
    feature = Feature(spec, _two(spec, moved)[0], moved.step)
    known = {**feature.labels("stable"), "baseline": dict(feature.reference.place(spec))["baseline"], "side": "high"}
    read = [each for each in in_order(moved.origin) if set(each.static) <= known.items()]
    time = Clock(moved.step, 0, None, _SHORT, _SHORT, None, _SHORT)
    inputs, exprs = neighbours(spec, read, known, (), time)
    return {"interval": duration(moved.step), "input_series": inputs, "promql_expr_test": exprs}


class Feature:
    """A feature's series: `number` values in a step, of which the mean is the baseline's or off."""

    def __init__(self, spec: Spec, reference: Reference, step: float) -> None:
        base = reference.baseline
        self.spec, self.reference, self.base = spec, reference, base
        self.version = reference.version or next(name for name in map(str, count(1)) if name not in reference.others)
        self.side = {"stage": reference.stage, "direction": reference.direction}
        self.names = {**self.side, "feature": reference.feature}
        independent = _MANY * ENOUGH / (1 - spec.timing.scrape_interval / step)
        self.number = independent * base.effect_on_sums
        chance = 1 / (_MANY * ENOUGH) + base.effect_on_sums / base.count
        self.error = max(sqrt(chance), TRIFLE) * base.sd
        self.slack = SLACK + CERTAIN * sqrt(base.effect_on_sums / base.count) * base.sd / self.error
        """What is taken from each step's score: what chance explains of it."""
        self.off = self.slack + _GROWS
        # What lies upstream moves up, the other one down.
        self.sign = 1.0 if reference.direction == "input" else -1.0

    def labels(self, track: str) -> dict[str, str]:
        """Return the labels of what is recorded of it."""
        place = {"pipeline": self.spec.pipeline, "version": self.version, "track": track}
        return {**kept_labels(self.spec), **place, **self.names}

    def moves(self, after: int) -> list[tuple[float, float, int]]:
        """Return the values in a step, their mean, and for how many steps: it moves behind a step; few at the end."""
        mean, few = self.base.mean, _FEW / _MANY * self.number
        off = mean + self.sign * self.off * self.error
        rest = mean if after == _END else off
        after = min(after, _GAP)
        return [(self.number, mean, after), (self.number, rest, _GAP - after), (few, rest, _END - _GAP)]

    def total(self, track: str, step: int) -> float:
        """Return the sum of the values of a step in which it has moved, or has not as a canary."""
        return self.number * (self.base.mean + (self.sign * self.off * self.error if track == "stable" else 0.0))

    def told(
        self, moves: list[tuple[float, float, int]], unlike: Mapping[str, str] = _NONE, until: int = _END
    ) -> list[Series]:
        """Return its series, of two replicas; those in other places, `unlike` it in some labels, are of one."""
        phases = [phase for phase in moves if phase[2]]
        found = [self.bins(self.base.bins, until * SCRAPES, {**unlike, "instance": "a"})]
        # Of both signs, so that both are seen to count; and a bucket of some values, which must not.
        parts: list[tuple[str, dict[str, str], list[tuple[float, int]]]] = [
            (f"{c.FEATURE_VALUE.name}_bucket", {"le": "1.0"}, [(number / 4, steps) for number, _, steps in phases]),
            (f"{c.FEATURE_VALUE.name}_bucket", {"le": "+Inf"}, [(number, steps) for number, _, steps in phases]),
        ]
        for sign, times in (("positive", 1.0), ("negative", -1.0)):
            rises = [(number * (max(times * mean, 0.0) + abs(mean)), steps) for number, mean, steps in phases]
            parts.append((c.FEATURE_SUM.name, {"sign": sign}, rises))
        for name, more, rises in parts:
            for instance, share in (("a", 1.0),) if unlike else (("a", 0.6), ("b", 0.4)):
                values = rising([(share * rise / SCRAPES, steps * SCRAPES) for rise, steps in rises])
                labels = {**self.labels("stable"), **unlike, **more, "instance": instance}
                found.append({"series": series(name, labels), "values": values})
        return found

    def bins(self, bins: str, scrapes: int, unlike: Mapping[str, str]) -> Series:
        """Return what a replica says of its bins for so long."""
        labels = {**self.labels("stable"), "unit": self.base.unit, "bins": bins, **unlike}
        return {"series": series(c.FEATURE_INFO.name, labels), "values": f"1+0x{scrapes} stale"}


def _two(spec: Spec, moved: Onset) -> tuple[Reference, Reference]:
    """Return two features of which one lies upstream of the other: that first."""
    places = {
        tuple(label for _, label in each.static[1:]): each.expr.args[0]
        for each in in_order(moved.origin)
        if each.name == "pipemon:stage:position" and isinstance(each.expr, Call)
    }
    found = sorted(moving(spec), key=lambda each: float(str(places[each.stage, each.direction])))
    first = found[0]
    return first, next(each for each in found if (each.stage, each.direction) != (first.stage, first.direction))


def _beside(rules: Rules, moved: Onset, feature: Feature) -> Iterator[str]:
    """Yield what stands beside what is joined, unlike it in one label: a match that does not name it finds two."""
    counted, total = moved.score.parts
    of_baseline = {f"{BASELINE}{name}" for name in ("mean", "sd", "observations", "cumulative_design_effect")}
    known = {**feature.labels("stable"), _BY_HAND: "yes"}
    for each in in_order(moved.score):
        labels = dict(each.static)
        if each.name in of_baseline and {label: labels.get(label) for label in feature.names} == feature.names:
            labels |= {**dict(rules.spec.select), _BY_HAND: "yes"}
            yield from (series(each.name, {**labels, label: ANOTHER}) for label in PLACE)
    info = next(part for part in counted.parts if part.name.partition(":")[2].startswith("pipemon_feature_baseline:"))
    own = {label: value for label, value in known.items() if label != "track"}
    for label in own:
        if label in ("pipeline", "stage", "direction", "feature", *dict(rules.spec.select)):
            value = NEIGHBOUR if label == "pipeline" else ANOTHER
            yield series(info.name, {**own, "baseline": dict(info.static)["baseline"], label: value})
    yield series(info.name, {**own, "baseline": dict(info.static)["baseline"], "version": _BY_HAND})
    neighbours_in = ("pipeline", *dict(rules.spec.select))
    for label in (*neighbours_in, "stage", "direction", "feature", "version"):
        yield series(total.name, {**known, label: _BY_HAND})
    at = {label: known[label] for label in moved.origin.labels} | {_BY_HAND: "yes"}
    places = moved.origin.parts[0]
    for label in neighbours_in:
        yield series(moved.onset.name, {**known, "side": "high", label: _BY_HAND})
        yield series(places.name, {**at, label: _BY_HAND})
    for label in ("pipeline", "stage"):
        yield series("pipemon:stage:position", {**at, **dict(rules.spec.select), label: ANOTHER})


def _constant(name: str) -> Series:
    return {"series": name, "values": f"1+0x{_END * SCRAPES}"}
