"""What it takes to open the dashboards of a large cascade with a day behind it.

A real Prometheus answers what Grafana asks when each dashboard is opened: every panel outside closed rows, six at once,
as a browser asks for them; a panel's queries one after another. `python -m benchmarks.dashboards` tells more of each,
also over other times than the dashboards' own.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from benchmarks.long_past import PIPELINE, SCRAPE_INTERVAL, Past, Size, past
from benchmarks.measure import Effort, Row
from pipemon.generate.dashboards.text import RATE_INTERVAL
from pipemon.units import duration, seconds

FULL = Size(stages=50, features=10, hours=24, dense=2)
FEW = Size(stages=2, features=2, hours=2, dense=2)
AT_ONCE = 6
WIDTH = 1600
"""Pixels of a panel: as many points it asks for, unless it says how many."""
TARGET = 2.0
"""Seconds of all cores together: what takes no more is answered as soon by one core, whatever else the machine does."""
TIMES = 5
_STEPS = (
    (0.75, 0.5), (1.5, 1), (3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120),
    (450, 300), (750, 600), (1050, 900), (1500, 1200), (2700, 1800), (5400, 3600),
)  # fmt: skip
"""Up to what time for a point Grafana takes which step, in seconds."""

Query = tuple[str, dict[str, str]]
"""The path and the parameters of a question to Prometheus."""


def rows(effort: Effort) -> list[Row]:
    """Open each dashboard at its own time range, the last hour."""
    size = FULL if effort.many > 1000 else FEW
    with TemporaryDirectory() as folder, past(Path(folder), size) as there:
        every = f"{size.stages} stages with {size.features} features each and {size.hours} h behind them"
        return [
            _row(f"Processor time to open the dashboard {_name(name)}: {every}", there, name) for name in there.boards
        ]


def _name(stem: str) -> str:
    return "of one pipeline" if stem == PIPELINE else stem


def _row(what: str, there: Past, name: str) -> Row:
    found = measured(there, opening(there, name))
    slowest = max(found.panels, key=lambda title: found.panels[title])
    detail = f"{found.queries} queries, {found.series} series, answered in {found.took:.2f} s; slowest: {slowest}"
    return Row(what, found.processor, " s", at_most=TARGET, detail=detail)


@dataclass(frozen=True)
class Opened:
    """One opening: seconds until the last answer, Prometheus' processor time, and how long each panel took."""

    took: float
    processor: float
    panels: dict[str, float]
    queries: int
    series: int


@dataclass(frozen=True)
class Opening:
    """A dashboard as it is opened: what fills its variables, and the time that it shows, in Unix seconds."""

    board: dict[str, Any]
    values: dict[str, list[str]]
    since: float
    until: float

    @property
    def panels(self) -> Iterator[tuple[str, list[Query]]]:
        """What each panel outside closed rows asks, by its title, and what the marks on graphs do."""
        for panel in self.board["panels"]:
            if panel.get("targets"):
                points = panel.get("maxDataPoints", WIDTH)
                for values in self._repeated(panel.get("repeat", "")):
                    title = filled(panel["title"], values)
                    yield title, [self._asked(target, values, points) for target in panel["targets"]]
        marks = [{"expr": mark["expr"], "instant": False} for mark in self.board["annotations"]["list"]]
        yield "marks of alerts and versions", [self._asked(mark, self.values, WIDTH) for mark in marks]

    def _repeated(self, variable: str) -> list[dict[str, list[str]]]:
        return [{**self.values, variable: [each]} for each in self.values[variable]] if variable else [self.values]

    def _asked(self, target: dict[str, Any], values: dict[str, list[str]], points: int) -> Query:
        base = seconds(target["interval"]) if "interval" in target else float(SCRAPE_INTERVAL)
        step = max(base, _step((self.until - self.since) / points))
        window = duration(max(step + base, 4 * base))
        expr = filled(target["expr"].replace(RATE_INTERVAL, window), values)
        if target["instant"]:
            return "/api/v1/query", {"query": expr, "time": repr(self.until)}
        begin, end = (step * (at // step) for at in (self.since, self.until))
        return "/api/v1/query_range", {"query": expr, "start": repr(begin), "end": repr(end), "step": repr(step)}


def filled(text: str, values: dict[str, list[str]]) -> str:
    """Return a text with the values of variables in their places."""
    return re.sub(r"\$([a-z]\w*)", lambda found: "|".join(values[found[1]]), text)


def _step(wanted: float) -> float:
    return next((step for most, step in _STEPS if wanted < most), 7200.0)


def opening(there: Past, name: str, shown: float | None = None) -> Opening:
    """Return what Grafana asks for: each variable's first value, or all where there may be several."""
    board, values = there.boards[name], {"pipeline": [PIPELINE]}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query" and variable["name"] != "pipeline":
            if variable.get("allValue"):
                values[variable["name"]] = [variable["allValue"]]
            else:
                found = _label_values(there, filled(variable["query"]["query"], values))
                values[variable["name"]] = found if variable["multi"] else found[:1]
    return Opening(board, values, there.end - (shown or seconds(board["time"]["from"].removeprefix("now-"))), there.end)


def _label_values(there: Past, query: str) -> list[str]:
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert found is not None
    window = {"match[]": found[1], "start": there.end - 3600, "end": there.end}
    with urlopen(f"{there.url}/api/v1/label/{found[2]}/values?{urlencode(window)}", timeout=60) as answer:
        values: list[str] = json.load(answer)["data"]
    return values


def opened(asked: Opening, there: Past) -> Opened:
    """Ask all, and return how long it took. Raises HTTPError where Prometheus refuses a query."""
    took: dict[str, float] = {}

    def ask(panel: tuple[str, list[Query]]) -> int:
        title, queries = panel
        begun, series = perf_counter(), 0
        for path, form in queries:
            with urlopen(there.url + path, urlencode(form).encode(), timeout=60) as answer:
                series += answer.read().count(b'"metric"')
        took[title] = took.get(title, 0.0) + perf_counter() - begun
        return series

    panels = list(asked.panels)
    begun, before = perf_counter(), there.processor_time()
    with ThreadPoolExecutor(AT_ONCE) as browser:
        series = sum(browser.map(ask, panels))
    whole = perf_counter() - begun
    return Opened(whole, there.processor_time() - before, took, sum(len(queries) for _, queries in panels), series)


def measured(there: Past, asked: Opening) -> Opened:
    """Open a dashboard some times; return the median opening, with the median processor time."""
    found = sorted((opened(asked, there) for _ in range(TIMES)), key=lambda each: each.took)
    return replace(found[TIMES // 2], processor=statistics.median(each.processor for each in found))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--dense", type=int, default=FULL.dense, help="the last hours with a sample each scrape interval"
    )
    parser.add_argument("--shown", type=seconds, help="the time shown, instead of each dashboard's own")
    parser.add_argument("--keep", type=Path, help="a folder where the past is made, and found again")
    told = parser.parse_args()
    with (
        nullcontext(told.keep) if told.keep else TemporaryDirectory() as folder,
        past(Path(folder), replace(FULL, dense=told.dense)) as there,
    ):
        print(f"{there.series:,} series and {there.samples:,} samples of {FULL.hours} h")
        for name in there.boards:
            found = measured(there, opening(there, name, told.shown))
            print(f"\n{_name(name)}: {found.queries} queries in {found.took:.2f} s, processor {found.processor:.2f} s")
            for title, took in sorted(found.panels.items(), key=lambda entry: -entry[1])[:8]:
                print(f"    {took * 1000:6.0f} ms  {title}")


if __name__ == "__main__":
    main()
