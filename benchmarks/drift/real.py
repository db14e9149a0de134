"""Drift in the data sets of other tools, by the generated rules: which features, from which window on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np

from benchmarks.drift.datasets import Table as Columns
from benchmarks.drift.datasets import flights, loans
from benchmarks.drift.replay import Window, replay
from benchmarks.drift.tables import Table

CHUNK = 5000
LOANS = ("car_value", "salary_range", "loan_length", "repaid_loan_on_prev_car", "y_pred_proba")
STILL = ("debt_to_income_ratio", "driver_tenure")
FLIGHTS = ("AIRLINE", "CANCELLED", "DEPARTURE_DELAY", "TAXI_OUT", "AIR_TIME", "DISTANCE")
MERGED = date(2015, 7, 1)
BEFORE, AFTER = 21, 4


def car_loans() -> Table:
    reference, live = loans("reference"), loans("analysis")
    names = (*LOANS, *STILL)
    windows = _drift(reference, _chunks(live), names)
    rows = [_row(name, windows, _chunk) for name in names]
    reference, live = loans("dq_reference"), loans("dq_analysis")
    absent = ("salary_range", "driver_tenure")
    modes = {
        _mode(name): {"what": "x", "signal": {"missing_ratio": f"input.{name}"}, "above": "15%"} for name in absent
    }
    told = replay(_kinds(reference, absent), modes, reference, _chunks(live))
    rows += [[*_row(f"{name}, missing", told, _chunk)[:3], "", ""] for name in absent]
    about = (
        f"NannyML's car loans, {CHUNK} rows a window; what comes in changes at row 25,000. Alerts of the generated "
        "rules in promtool: psi at its default threshold, and, in the twin whose missing values rise from 10% to 22% "
        "at the same row, a missing ratio above 15%. Rows come in evenly, and the window slides over them; `for` is a "
        "tenth of the window."
    )
    return Table("Car loans", about, ["feature", "fires from", "before the change", "psi before", "psi since"], rows)


def us_flights() -> Table:
    columns = flights()
    january = columns["DATE"].astype(str) < "2015-02-01"
    weeks = np.array([(date.fromisoformat(str(day)) - MERGED).days // 7 for day in columns["DATE"]])
    windows = _drift(
        {name: column[january] for name, column in columns.items()},
        [{name: column[weeks == week] for name, column in columns.items()} for week in range(-BEFORE, AFTER)],
        FLIGHTS,
    )
    rows = [_row(name, windows, _week, BEFORE) for name in FLIGHTS]
    about = (
        "popmon's sample of the flights of 2015 in the United States, some 1,900 a week, against those of January; psi "
        "at its default threshold. US Airways became American Airlines in July. A week is a window, from 4 February. "
        "Nothing is said of a feature whose days differ so much that a week is not enough independent values."
    )
    return Table("Flights", about, ["feature", "fires from", "weeks before July", "psi before", "psi since"], rows)


def _drift(reference: Columns, live: list[Columns], names: tuple[str, ...]) -> list[Window]:
    modes = {_mode(name): {"what": "x", "signal": {"drift": f"input.{name.lower()}"}} for name in names}
    lower = [{name.lower(): columns[name] for name in names} for columns in (reference, *live)]
    return replay(_kinds(reference, names), modes, lower[0], lower[1:])


def _mode(name: str) -> str:
    return name.lower().replace("_", "-")


def _kinds(reference: Columns, names: tuple[str, ...]) -> dict[str, object]:
    """Return of each column that it is a number, or its categories."""
    numbers = {name: reference[name].dtype.kind == "f" for name in names}
    texts = {name: sorted({str(value) for value in reference[name]} - {""}) for name in names if not numbers[name]}
    return {name.lower(): "count" if numbers[name] else texts[name] for name in names}


def _chunks(columns: Columns) -> list[Columns]:
    many = len(next(iter(columns.values())))
    return [
        {name: column[begin : begin + CHUNK] for name, column in columns.items()} for begin in range(0, many, CHUNK)
    ]


def _row(name: str, windows: list[Window], said: Callable[[int], str], change: int = 25_000 // CHUNK) -> list[str]:
    feature, alert = (
        name.partition(",")[0].lower(),
        "".join(part.title() for part in _mode(name.partition(",")[0]).split("-")),
    )
    fired = [index for index, window in enumerate(windows) if f"Replay{alert}" in window.fired]
    values = [window.values.get(feature) for window in windows]
    since = next((index for index in fired if index >= change), None)
    ranges = [
        f"{min(known):.3f} to {max(known):.3f}" if (known := [each for each in part if each is not None]) else "unknown"
        for part in (values[:change], values[change:])
    ]
    return [name, "never" if since is None else said(since), str(sum(index < change for index in fired)), *ranges]


def _chunk(index: int) -> str:
    return f"row {index * CHUNK:,} to {(index + 1) * CHUNK:,}"


def _week(index: int) -> str:
    return f"week {index - BEFORE + 1} of July"
