"""promtool tests of drift from the recent past, on what is recorded: of rare bins, and of a past that has fired.

Counts stand in the place of what rules record of the series of a service, so that hours take few series.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil, sqrt

from pipemon.generate.drift.constants import CORES
from pipemon.generate.drift.quantiles import normal
from pipemon.generate.drift.recent import EXPECTED, LEAST, Recent
from pipemon.generate.measures import measure
from pipemon.generate.recordings import Recording
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, kept_labels
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.modes import alert_name
from pipemon.units import duration

Test = dict[str, object]

_BINS = {"1": (1.0, 2.6), "2": (1.2, 2.2), "3": (0.03, 0.15), "4": (0.06, 0.04), "5": (0.01, 0.01)}
"""Values in each bin, now and then, over the least that a verdict takes: of the last two few are expected."""
_BEFORE, _AFTER, _LATER = 100, 200, 300
_MARGIN = 3
"""Steps before and after what is looked at."""


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
    """Return the case of an alert that was there for a while, of which the past is told later."""
    until = ceil(round((made.against.offset + made.earlier) / step, 6))
    since = ceil(round((made.against.offset - made.earlier) / step, 6))
    last = until + 2 * _MARGIN
    cell = {**_place(made), made.cell: "+Inf"}
    inputs = [
        (series(found["then"].name, cell), f"{_BEFORE}+0x{last}"),
        *_alerts(made, "ALERTS", f"_x{_MARGIN} 1 stale", f"1+0x{last}"),
    ]
    checks = {since: [(cell, _BEFORE)], until: [], last: [(cell, _BEFORE)]}
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


def _asked(expr: str, at: float, *samples: tuple[Mapping[str, str], float]) -> dict[str, object]:
    wanted = [{"labels": series("", labels), "value": value} for labels, value in samples]
    return {"expr": expr, "eval_time": duration(at), "exp_samples": wanted}


def _test(step: float, inputs: list[tuple[str, str]], exprs: list[dict[str, object]]) -> Test:
    lines = [{"series": name, "values": values} for name, values in inputs]
    return {"interval": duration(step), "input_series": lines, "promql_expr_test": exprs}
