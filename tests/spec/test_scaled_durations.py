"""`--time-scale` divides every duration that is waited, and nothing else."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.spec.load import load
from pipemon.spec.model import Condition, FailureMode, Timing
from pipemon.spec.scale import scale_promql, scaled
from pipemon.units import seconds

OK = Path(__file__).parent / "ok"
FILES = [path for path in sorted(OK.glob("*.yaml")) if not path.stem.startswith("waiting")]

units = st.sampled_from(["ms", "s", "m", "h", "d", "w"])
times = st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 999), units)
# Nothing here may close the string or the comment it is put into.
hidden = st.text(st.sampled_from("[]5ms 'offset:{}"), max_size=12)


def untimed(mode: FailureMode) -> FailureMode:
    """Return a failure mode without its times and without PromQL, which holds more of them."""

    def timeless(condition: Condition) -> Condition:
        threshold = condition.threshold
        if threshold is not None and threshold.reference is not None:
            threshold = replace(threshold, reference=replace(threshold.reference, offset=0.0, hold=0.0))
        if threshold is not None and condition.burns:
            threshold = replace(threshold, words="")
        argument = "" if condition.signal == "promql" else condition.argument
        return replace(condition, argument=argument, threshold=threshold, burns=())

    conditions = tuple(map(timeless, mode.conditions))
    return replace(mode, window=0, for_=0, keep_firing_for=0, conditions=conditions, fires_on=(), quiet_on=())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_scaling_by_one_changes_nothing(path: Path) -> None:
    spec = load(path)
    assert scaled(spec, 1) == spec


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_time_is_divided_and_every_value_stays(path: Path) -> None:
    spec, short = load(path), scaled(load(path), 60)
    assert asdict(short.timing) == {name: round(value / 60, 3) for name, value in asdict(spec.timing).items()}
    for long, brief in zip(spec.failure_modes, short.failure_modes, strict=True):
        assert (brief.window, brief.for_) == (round(long.window / 60, 3), round(long.for_ / 60, 3))
        assert brief.keep_firing_for == round(long.keep_firing_for / 60, 3)
        assert untimed(long) == untimed(brief)
    untimed_ones = (replace(each, timing=Timing(), failure_modes=(), schedule=None, link=0) for each in (spec, short))
    assert next(untimed_ones) == next(untimed_ones)


def test_a_burn_rate_says_the_windows_that_it_looks_at(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "pipeline: a\nobjective: 99% over 30d\nstages: {b: {}}\n"
        "failure_modes: {burns: {what: c, stage: b, signal: budget_burn, severity: page}}\n"
    )
    (condition,) = scaled(load(path), 60).failure_modes[0].conditions
    assert condition.threshold is not None
    assert condition.threshold.words == (
        "above 14.4% over 1m and 5s or above 6% over 6m and 30s: "
        "the 1% that 99% over 30d leaves goes 14.4 or 6 times too fast"
    )


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        ("rate(x[10m]) > 600", "rate(x[10s]) > 600"),
        ("max_over_time(x[1h:10m])", "max_over_time(x[1m:10s])"),
        ("max_over_time(x[ 1h : ])", "max_over_time(x[ 1m:])"),
        ("x offset 1h", "x offset 1m"),
        ("x offset -1h30m", "x offset -1m30s"),
        ("x offset - 1h", "x offset - 1m"),
        ("x[1y1d]", "x[6d2h24m]"),
        ("x @ 1609746000 > 5", "x @ 1609746000 > 5"),
        ("x{a='[5m]'}[5m]", "x{a='[5m]'}[5s]"),
        ('x{a="\\"[5m] offset 5m"}', 'x{a="\\"[5m] offset 5m"}'),
        ("x{a=`\\`}[5m]", "x{a=`\\`}[5s]"),
        ("x[5m] # it's [5m]\n> y[5m] # isn't", "x[5s] # it's [5m]\n> y[5s] # isn't"),
        ("rate_5m > 1 and y:5m > 2", "rate_5m > 1 and y:5m > 2"),
        ("offset_5m[5m]", "offset_5m[5s]"),
    ],
)
def test_promql_has_its_ranges_steps_and_offsets_divided(text: str, divided: str) -> None:
    assert scale_promql(text, 60) == divided


@given(time=times, string=hidden, factor=st.floats(0.1, 1000))
def test_strings_and_comments_are_never_touched(time: str, string: str, factor: float) -> None:
    promql = f'rate(x{{a="{string}"}}[{time}] offset {time}) # {string}'
    found = re.fullmatch(
        r'rate\(x\{a="(?P<string>.*)"\}\[(?P<range>\w+)\] offset (?P<offset>\w+)\) # (?P<comment>.*)',
        scale_promql(promql, factor),
    )
    assert found is not None
    assert found["string"] == found["comment"] == string
    wanted = max(seconds(time) / factor, 0.001)
    assert seconds(found["range"]) == seconds(found["offset"]) == pytest.approx(wanted, abs=0.0006)
