"""Each form of threshold is the range that is good, in the base unit, and the words a person reads."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.context import Context, WaitsForBaselineError
from pipemon.spec.fields import Report
from pipemon.spec.model import Threshold
from pipemon.spec.reader import Mapping, parse
from pipemon.spec.signals import SIGNALS
from pipemon.spec.thresholds import min_count, sd_steps, threshold

SHARE = Context(SIGNALS["null_ratio"], "", None, None)
REDO = Context(SIGNALS["feedback"], "", None, None)
TIME = Context(SIGNALS["latency"], "", 0.3, None)
LEVEL = Context(SIGNALS["mean"], "dBFS", None, None)
KNOWN = Context(SIGNALS["mean"], "dBFS", None, FeatureBaseline(-26, 2, 1000))

PLAIN = Context(SIGNALS["mean"], "none", None, None)

numbers = st.decimals(min_value=-10_000, max_value=10_000, places=3).map(float)
shares = st.decimals(min_value="0.01", max_value="99.99", places=2)


def resolved(text: str, context: Context) -> tuple[Threshold | None, list[str]]:
    given_ = parse(text, "t.yaml")
    report = Report("t.yaml")
    return threshold(report, given_, given_, context, "x"), [problem.rule for problem in report.problems]


@given(shares)
def test_a_share_in_percent_and_as_a_number_are_the_same(share: object) -> None:
    percent, _ = resolved(f"above: {share}%", SHARE)
    number, _ = resolved(f"above: {float(str(share)) / 100!r}", SHARE)
    assert percent is not None
    assert number is not None
    assert percent.high == pytest.approx(number.high, rel=1e-9)
    assert percent.words == number.words


def test_what_has_no_unit_is_said_without_one() -> None:
    for text in ("above: 50", "outside: [-20, 50]"):
        found, _ = resolved(text, PLAIN)
        assert found is not None
        assert "none" not in found.words


@given(st.integers(1, 10**6))
def test_a_time_is_in_seconds(milliseconds: int) -> None:
    found, _ = resolved(f"above: {milliseconds}ms", TIME)
    assert found is not None
    assert found.high == pytest.approx(milliseconds / 1000)
    assert (found.low, found.words) == (None, f"above {milliseconds}ms")


@given(numbers)
def test_above_and_below_are_the_two_ends(value: float) -> None:
    assert resolved(f"above: {value!r}", LEVEL)[0] == Threshold(None, value, f"above {value:.12g} dBFS")
    assert resolved(f"below: {value!r}", LEVEL)[0] == Threshold(value, None, f"below {value:.12g} dBFS")


@given(numbers, numbers)
def test_outside_is_both_ends_in_their_order(low: float, high: float) -> None:
    found, faults = resolved(f"outside: [{low!r}, {high!r}]", LEVEL)
    if low < high:
        assert found is not None
        assert (found.low, found.high, faults) == (low, high, [])
    else:
        assert (found, faults) == (None, ["range"])


@given(numbers, st.decimals(min_value="0.01", max_value=1000, places=2).map(float))
def test_a_change_is_as_far_down_as_up(centre: float, step: float) -> None:
    found, _ = resolved(f"changes_by: {step!r}\nfrom: {centre!r}", LEVEL)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < centre < found.high
    assert found.low == pytest.approx(centre - step, abs=step / 1000)
    assert found.high == pytest.approx(centre + step, abs=step / 1000)


@given(st.decimals(min_value="0.05", max_value=100, places=2).map(float), numbers, st.floats(1e-3, 1e3))
def test_spreads_are_those_of_the_baseline(steps: float, mean: float, sd: float) -> None:
    known = Context(SIGNALS["mean"], "dBFS", None, FeatureBaseline(mean, sd, 1000))
    found, faults = resolved(f"changes_by: {steps!r} sd", known)
    assume(steps * sd > abs(mean) * 1e-9)
    assert found is not None, faults
    assert found.high == pytest.approx(mean + steps * sd, abs=steps * sd / 1000)
    assert found.words.startswith(f"changed by more than {steps!r} sd from the baseline of")


def test_a_change_without_a_baseline_waits_for_it() -> None:
    with pytest.raises(WaitsForBaselineError):
        resolved("changes_by: 3 sd", LEVEL)
    with pytest.raises(WaitsForBaselineError):
        resolved("changes_by: 6 dB", LEVEL)


def test_the_baseline_may_be_named() -> None:
    assert resolved("changes_by: 6 dB", KNOWN) == resolved("changes_by: 6 dB\nfrom: baseline", KNOWN)
    assert resolved("changes_by: 6 dB", KNOWN)[0] == Threshold(
        -32, -20, "changed by more than 6 dB from the baseline of -26 dBFS", learned=True
    )


def test_the_budget_is_a_threshold_and_the_default_one() -> None:
    assert resolved("above: budget", TIME)[0] == Threshold(None, 0.3, "above 300ms (its budget)")
    assert resolved("{}", TIME) == resolved("above: budget", TIME)


def test_a_share_of_feedback_may_be_more_than_all() -> None:
    assert resolved("above: 150%", REDO)[0] == Threshold(None, 1.5, "above 150%")
    assert resolved("above: 150%", SHARE) == (None, ["range"])


@given(st.sampled_from([SHARE, REDO, TIME, LEVEL, KNOWN]), st.text(max_size=15))
def test_any_text_is_a_threshold_or_one_fault(context: Context, text: str) -> None:
    quoted = text.encode("ascii", "backslashreplace").decode().replace("\\", "/").replace("'", "''")
    quoted = "".join(character for character in quoted if character.isprintable())
    found, faults = resolved(f"above: '{quoted}'", context)
    assert (found is None) == (len(faults) == 1)


@given(st.integers(1, 9999))
def test_to_be_below_a_share_needs_calls_enough_that_none_is_no_chance(hundredths: int) -> None:
    found, _ = resolved(f"below: {hundredths / 100}%", SHARE)
    need = min_count(found, None, None, is_share=True)
    assert need >= 20
    assert (1 - hundredths / 10_000) ** need < 0.051


@given(st.integers(5000, 9999))
def test_to_be_above_most_needs_calls_enough_that_nothing_else_is_no_chance(hundredths: int) -> None:
    found, _ = resolved(f"above: {hundredths / 100}%", SHARE)
    need = min_count(found, None, None, is_share=True)
    assert need >= 20
    assert (hundredths / 10_000) ** need < 0.051


def test_a_quantile_and_a_small_change_need_more_calls() -> None:
    assert min_count(None, None, 0.99, is_share=False) == 100
    assert min_count(None, None, 0.5, is_share=False) == 20
    assert min_count(None, 3, None, is_share=False) == 20
    assert min_count(None, 0.5, None, is_share=False) == 64


def test_the_number_of_spreads_is_read_from_what_is_written() -> None:
    def steps(text: str) -> float | None:
        return sd_steps(parse(text, "t.yaml"))

    assert steps("changes_by: 2.5 sd") == 2.5
    assert steps("changes_by: 2.5 dB") is None
    assert steps("above: 2.5") is None
    assert sd_steps(Mapping((), 1, 1)) is None
