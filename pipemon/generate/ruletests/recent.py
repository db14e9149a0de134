"""promtool tests of drift from the recent past, on what is recorded: of either side, and of a past that has fired.

Counts stand in the place of what rules record of the series of a service, so that hours take few series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, sqrt

from pipemon import catalogue as c
from pipemon.generate.drift.constants import CORES
from pipemon.generate.drift.quantiles import normal
from pipemon.generate.drift.recent import EXPECTED, LEAST, Recent
from pipemon.generate.measures import measure
from pipemon.generate.recordings import Recording
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR, kept_labels
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.modes import alert_name
from pipemon.units import duration

Test = dict[str, object]

_BINS = {"1": (1.0, 2.6), "2": (1.2, 2.2), "3": (0.03, 0.15), "4": (0.06, 0.04), "5": (0.01, 0.01)}
"""Values in each bin, now and then, over the least that a verdict takes: of the last two few are expected."""
_BEFORE, _AFTER, _LATER = 100, 200, 300
_MARGIN = 3
"""Steps before and after what is looked at."""
_FEW, _ENOUGH = 0.7, 1.4
"""Values over the least that a verdict takes: too few, and just enough."""
_STEPS = 3
"""Steps of each phase of a case; the second is looked at."""
_MANY = 1e6
"""More than any threshold."""
_HARDLY = 10
"""Values of a category, too few for a verdict."""
_NAMES = ("on both", "only now", "only then")
"""Categories, by the sides that count them."""


def recent_cases(spec: Spec, mode: FailureMode, step: float) -> Iterator[tuple[str, Test]]:
    """Yield the cases of a failure mode of drift from the recent past; `step` in seconds."""
    condition = mode.conditions[0]
    made, read = Recent(spec, mode, condition), measure(spec, mode, condition)
    assert read is not None
    found = {
        each.name.split(":")[1].removeprefix(f"{made.stem}_"): each
        for each in read.recordings
        if not each.name.startswith("pipemon:")
    }
    assert read.count is not None
    enough = _enough(made, read.value, read.count, found, step)
    yield "takes just enough values on either side, and is quiet on what changes elsewhere", enough
    yield "has nothing of what nobody tells the bins of", _untold(made, found["now"], step)
    if made.cell == "category":
        yield "has 0 of what only the other side counts", _one_sided(made, found, step)
    if "chi_squared" in found:
        yield "tells chance from drift where bins are rare", _rare(made, found, step)
    if made.against.hold:
        yield "keeps the past as it was before it fired", _kept(made, found, step)
    else:
        yield "leaves out the past in which it fired", _clean(made, found, step)


def _place(made: Recent) -> dict[str, str]:
    feature = {"direction": made.feature.direction, "feature": made.feature.name}
    place = {"pipeline": made.spec.pipeline, "stage": made.mode.stage or "", "track": "stable"}
    return {**kept_labels(made.spec), **place, **feature, **dict(made.static)}


def _enough(made: Recent, value: Recording, count: Recording, found: Mapping[str, Recording], step: float) -> Test:
    """Return the case of too few values now, then of too few in the past, and then of just enough on either side.

    Under the name of the failure mode much changes meanwhile that is not its feature.
    """
    few, enough = (f"{share * LEAST * made.effect:g}+0x" for share in (_FEW, _ENOUGH))
    short, long = _STEPS - 1, 2 * _STEPS - 1
    sides = {"count": f"{few}{short} {enough}{long}", "count_then": f"{enough}{short} {few}{short} {enough}{short}"}
    inputs = [(series(found[side].name, _place(made)), values) for side, values in sides.items()]
    usable = {label: value for label, value in _place(made).items() if label in count.labels}
    inputs += [
        (series(value.name, {**usable, label: ANOTHER}), f"{_MANY:g}+0x{3 * _STEPS - 1}")
        for label in ("stage", "direction", "feature")
    ]
    at_last = [(usable, _ENOUGH * LEAST * made.effect)]
    checks = enumerate(([], [], at_last))
    exprs = [_asked(f"{_mine(made, count)} + 0", _within(phase) * step, *samples) for phase, samples in checks]
    alerts = series("ALERTS", {"alertname": alert_name(made.spec.pipeline, made.mode.name)})
    return _test(step, inputs, [*exprs, _asked(alerts, _within(0) * step)])


def _untold(made: Recent, now: Recording, step: float) -> Test:
    """Return the case of values that go on being counted when nobody tells their bins any more."""
    place = {label: value for label, value in _place(made).items() if label not in dict(made.static)}
    metric, suffix = (c.FEATURE_CATEGORY, "") if made.cell == "category" else (c.FEATURE_VALUE, "_bucket")
    cell = {made.cell: "+Inf"}
    inputs = [
        (series(f"{metric.name}{suffix}", {**place, **cell}), f"0+{LEAST}x{2 * _STEPS}"),
        (series(c.FEATURE_INFO.name, {**place, "bins": made.bins.hash}), f"1+0x{_STEPS - 1} stale"),
    ]
    checks = enumerate(([({**_place(made), **cell}, 1.0)], []))
    exprs = [_asked(f"sgn({_mine(made, now)})", _within(phase) * step, *samples) for phase, samples in checks]
    return _test(step, inputs, exprs)


def _one_sided(made: Recent, found: Mapping[str, Recording], step: float) -> Test:
    """Return the case of a category on either side that the other has not, and then of one side alone, and the other.

    They are too few for the alert. Neighbours count another category on both sides, all along.
    """
    then = "held" if made.against.hold else "clean"
    both, now_only, then_only = _NAMES
    pauses = f"stale _x{_STEPS - 1}"
    some, always = f"{_HARDLY}+0x{_STEPS - 1}", f"{_HARDLY}+0x{3 * _STEPS - 1}"
    sides = {
        "now": ((both, now_only), f"{some} {pauses} {some}"),
        then: ((both, then_only), f"{_HARDLY}+0x{2 * _STEPS - 1} stale"),
    }
    neighbours = [{label: NEIGHBOUR} for label in ("pipeline", *dict(made.spec.select), "failure_mode")]
    inputs = [
        (series(found[side].name, {**_place(made), **unlike, "category": name}), told)
        for side, (names, values) in sides.items()
        for unlike, own, told in (({}, names, values), *((each, (ANOTHER,), always) for each in neighbours))
        for name in own
    ]
    checks: dict[str, tuple[dict[str, int], ...]] = {
        "bin_now": ({both: _HARDLY, now_only: _HARDLY, then_only: 0}, {}, {both: _HARDLY, now_only: _HARDLY}),
        "bin_then": ({both: _HARDLY, then_only: _HARDLY, now_only: 0}, {both: _HARDLY, then_only: _HARDLY}, {}),
    }
    exprs = [
        _asked(
            f"{_mine(made, found[side])} + 0",
            _within(phase) * step,
            *(({**_place(made), "bin": name}, value) for name, value in bins.items()),
        )
        for side, phases in checks.items()
        for phase, bins in enumerate(phases)
    ]
    return _test(step, inputs, exprs)


def _rare(made: Recent, found: Mapping[str, Recording], step: float) -> Test:
    """Return the case of counts, of which those of rare bins are more now than chance explains, if not by much."""
    place, unit = _place(made), LEAST * made.effect
    now = {name: unit * x for name, (x, _) in _BINS.items()}
    then = {name: unit * y for name, (_, y) in _BINS.items()}
    n, before = sum(now.values()), sum(then.values())
    core = [name for name in _BINS if (now[name] + then[name]) * n / (n + before) >= EXPECTED * made.effect]
    times = sum(then[name] for name in core) / sum(now[name] for name in core)
    off = {name: (now[name] * times - then[name]) ** 2 / ((now[name] + then[name]) * times) for name in core}
    squares, degrees = sum(off.values()) / made.effect, len(core) - 1
    ninth = 2 / 9 / degrees
    quantile = degrees * (1 - ninth + normal(made.alpha * CORES) * sqrt(ninth)) ** 3
    k, others = (sum(each[name] for name in _BINS if name not in core) / made.effect for each in (now, then))
    a = others + 1
    e = a * n / before
    z = 3 * (k ** (1 / 3) * (1 - 1 / 9 / k) - e ** (1 / 3) * (1 - 1 / 9 / a)) / sqrt(k ** (-1 / 3) + e ** (2 / 3) / a)
    inputs = [
        (series(found[what].name, {**place, **unlike, "bin": name}), f"{value:g}+0x{_MARGIN}")
        for what, counts in (("bin_now", now), ("bin_then", then))
        for name, value in counts.items()
        for unlike in ({}, {"failure_mode": ANOTHER})
    ]
    told: dict[str, dict[str, float]] = {
        "core_now": {name: now[name] for name in core},
        "core_then": {name: then[name] for name in core},
        "core_ratio": {"": times},
        "chi_squared": {"": squares},
        "degrees": {"": degrees},
        "rare_now": {"": k},
        "rare_then": {"": others},
        "evidence": {"": max(squares / quantile, z / normal(made.alpha * (1 - CORES)))},
    }
    exprs = [
        _asked(
            f"round({_mine(made, found[what])}, 0.001)",
            _MARGIN * step,
            *(({**place, **({"bin": name} if name else {})}, round(value, 3)) for name, value in values.items()),
        )
        for what, values in told.items()
    ]
    return _test(step, inputs, exprs)


def _kept(made: Recent, found: Mapping[str, Recording], step: float) -> Test:
    """Return the case of an alert that ends, and of one that goes on for longer than what is new stays new."""
    clean = ceil(round((made.earlier + made.mode.window) / step, 6))
    again = clean + 3 * _MARGIN
    long = again + 3 * _MARGIN
    last = long + _MARGIN
    held = found["held"]
    cell = {**_place(made), made.cell: "+Inf"}
    values = f"{_BEFORE}+0x{_MARGIN} {_AFTER}+0x{again - _MARGIN - 1} {_LATER}+0x{last - again}"
    # Those of another rule's alert, and of other places, are always there, and have been for too long.
    since = f"{long * step - made.against.hold:.0f}+0x{last}"
    inputs = [
        (series(found["then"].name, cell), values),
        *_alerts(
            made, "ALERTS", f"_ 1+0x{_MARGIN - 2} stale _x{again - _MARGIN - 2} 1+0x{last - again + 1}", f"1+0x{last}"
        ),
        *_alerts(made, "ALERTS_FOR_STATE", since, f"{-10 * made.against.hold:.0f}+0x{last}"),
    ]
    checks = {1: _BEFORE, clean: _BEFORE, clean + _MARGIN: _AFTER, long - 1: _AFTER, long + 2: _LATER}
    exprs = [_asked(f"{_mine(made, held)} + 0", at * step, (cell, value)) for at, value in checks.items()]
    return _test(step, inputs, exprs)


def _clean(made: Recent, found: Mapping[str, Recording], step: float) -> Test:
    """Return the case of an alert that was there for a while, of which the past is told later.

    Before that the past began before the feature did.
    """
    earlier, ago = (ceil(round(seconds / step, 6)) for seconds in (made.earlier, made.against.offset))
    first, fires = earlier - 1, 3 * earlier
    since, until = fires + ago - earlier, fires + ago + earlier
    last = until + 2 * _MARGIN
    cell = {**_place(made), made.cell: "+Inf"}
    known = {label: value for label, value in _place(made).items() if label not in dict(made.static)}
    elsewhere = [{label: ANOTHER} for label in ("pipeline", "stage", "direction", "feature", *dict(made.spec.select))]
    inputs = [
        (series(found["then"].name, cell), f"{_BEFORE}+0x{last}"),
        (series(c.FEATURE_INFO.name, known), f"_x{first} 1+0x{last}"),
        *((series(c.FEATURE_INFO.name, {**known, **other}), f"1+0x{last}") for other in elsewhere),
        *_alerts(made, "ALERTS", f"_x{fires + _MARGIN} 1 stale", f"1+0x{last}"),
    ]
    checks = {since - _MARGIN: [], since: [(cell, _BEFORE)], until: [], last: [(cell, _BEFORE)]}
    exprs = [_asked(f"{_mine(made, found['clean'])} + 0", at * step, *cells) for at, cells in checks.items()]
    return _test(step, inputs, exprs)


def _alerts(made: Recent, name: str, values: str, elsewhere: str) -> Iterator[tuple[str, str]]:
    """Yield what Prometheus tells of a failure mode's alert, and of others: in other places, and beside it."""
    place = {label: value for label, value in _place(made).items() if label in (*made.spec.keep, "pipeline", "stage")}
    labels = {"alertname": alert_name(made.spec.pipeline, made.mode.name), **place}
    yield series(name, labels), values
    for label in ("alertname", "pipeline", "stage", *dict(made.spec.select)):
        yield series(name, {**labels, label: ANOTHER}), elsewhere


def _mine(made: Recent, recording: Recording) -> str:
    return series(recording.name, {"failure_mode": made.mode.name})


def _within(phase: int) -> int:
    """Return the step at which a phase of a case is looked at."""
    return phase * _STEPS + 1


def _asked(expr: str, at: float, *samples: tuple[Mapping[str, str], float]) -> dict[str, object]:
    wanted = [{"labels": series("", labels), "value": value} for labels, value in samples]
    return {"expr": expr, "eval_time": duration(at), "exp_samples": wanted}


def _test(step: float, inputs: list[tuple[str, str]], exprs: list[dict[str, object]]) -> Test:
    lines = [{"series": name, "values": values} for name, values in inputs]
    return {"interval": duration(step), "input_series": lines, "promql_expr_test": exprs}
