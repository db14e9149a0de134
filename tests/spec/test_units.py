"""Durations as people write them, and as Prometheus reads them; units of what is exported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.utils import floatToGoString

from pipemon.units import check_unit, counted, duration, figure, le, meant, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("500ms", 0.5), ("0.5s", 0.5), ("10m", 600), ("1h30m", 5400), ("1h 30m", 5400), (" 5 s ", 5), ("1w2d", 777600)],
)
def test_a_duration_is_a_number_with_its_unit(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    "text", ["", " ", "5", "m", "5x", "5 min", "-5s", "+5s", "0s", "0h0m", "1:30", "5s!", "\u0665m", "1e3s"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("5 minutes", "5m"), ("5min", "5m"), ("1.5 hours", "1h30m"), ("300 msec", "300ms"), ("2 weeks", "14d")],
)
def test_a_duration_in_words_is_told_as_it_is_written(text: str, hint: str) -> None:
    assert meant(text) == f"; did you mean '{hint}'?"


@pytest.mark.parametrize("text", ["", "5", "5 bytes", "0 minutes", "five minutes", "9" * 30 + "min"])
def test_what_is_no_duration_in_words_has_no_hint(text: str) -> None:
    assert meant(text) == ""


@pytest.mark.parametrize("value", [True, None, [5], float("inf"), float("nan"), 0, -1, "9" * 400 + "h"])
def test_what_is_no_positive_finite_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(value)  # type: ignore[arg-type]


@given(st.integers(min_value=1, max_value=10**12))
def test_what_is_printed_reads_back_as_the_same_whole_milliseconds(milliseconds: int) -> None:
    value = milliseconds / 1000
    assert seconds(duration(value)) == pytest.approx(value, rel=1e-12)


@given(st.floats(min_value=0, max_value=1e9))
def test_a_printed_duration_is_never_nothing(value: float) -> None:
    assert seconds(duration(value)) >= 0.001


@pytest.mark.parametrize(("bound", "label"), [(0.3, "0.3"), (1, "1.0"), (1e6, "1e+06"), (float("inf"), "+Inf")])
def test_a_bound_is_printed_as_the_exporter_labels_it(bound: float, label: str) -> None:
    assert le(bound) == label


@given(st.floats() | st.integers(-(10**15), 10**15).map(float) | st.decimals(-1, 10**9, places=4).map(float))
def test_any_bound_is_printed_as_the_client_library_does(bound: float) -> None:
    assert le(bound) == floatToGoString(bound)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "unit", ["", "seconds", "bytes", "ratio", "dB", "dBFS", "celsius", "words", "words/s", "levels^2"]
)
def test_base_units_and_what_is_counted_are_units(unit: str) -> None:
    assert check_unit(unit) == unit


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        ("ms", "use 'seconds' (1 ms is 0.001 seconds)"),
        ("milliseconds", "use 'seconds' (1 milliseconds is 0.001 seconds)"),
        ("s", "use 'seconds'"),
        ("%", "use 'ratio' (1 % is 0.01 ratio)"),
        ("Percent", "use 'ratio' (1 Percent is 0.01 ratio)"),
        ("MB", "use 'bytes' (1 MB is 1000000 bytes)"),
        ("kilobits", "use 'bytes' (1 kilobits is 125 bytes)"),
        ("MiB", "use 'bytes' (1 MiB is 1048576 bytes)"),
        ("m", "use 'meters' or 'seconds'"),
        ("fahrenheit", "use 'celsius'"),
    ],
)
def test_a_scaled_or_abbreviated_unit_is_refused_with_its_base_unit(unit: str, told: str) -> None:
    with pytest.raises(ValueError, match="is not a base unit") as error:
        check_unit(unit)
    assert str(error.value) == f"unit {unit!r} is not a base unit; {told}"


@pytest.mark.parametrize(("value", "text"), [(1.5, "1500ms"), (59.999, "59999ms"), (90, "1m30s"), (90.5, "1m30s500ms")])
def test_seconds_and_their_parts_are_said_in_one_unit(value: float, text: str) -> None:
    assert duration(value) == text


def test_one_has_no_s() -> None:
    assert (counted(1, "feature"), counted(0, "feature"), counted(12000, "call")) == (
        "1 feature",
        "0 features",
        "12,000 calls",
    )


@pytest.mark.parametrize(
    ("value", "digits", "read"),
    [
        (0.0, 4, "0"),
        (0.0001, 4, "0.0001"),
        (0.0123456, 4, "0.01235"),
        (12.3456, 4, "12.35"),
        (9999.4, 4, "9999"),
        (9999.7, 4, "10000"),
        (44123.4, 4, "44123"),
        (-44123.4, 4, "-44123"),
        (123456789.0, 4, "123456789"),
        (999.7, 3, "1000"),
        (1200.4, 3, "1200"),
    ],
)
def test_a_figure_is_read_without_an_exponent(value: float, digits: int, read: str) -> None:
    assert figure(value, digits) == read
