"""Panels of a batch pipeline: they show what the last run pushed, and how long ago one ended well."""

from __future__ import annotations

import re
from dataclasses import replace

from pipemon.generate import last_run
from pipemon.generate.dashboards.layout import Row
from pipemon.generate.dashboards.level import Level
from pipemon.generate.dashboards.panels import Json, Line, Panel, Query
from pipemon.generate.dashboards.states import SEVERITY_COLORS
from pipemon.spec.model import Spec
from pipemon.units import duration

_WORDS = (
    ("Calls/s", "Calls of the last run"),
    ("Runs/s", "Runs of the last push"),
    ("end a second", "ended in the last run"),
    ("alls a second", "alls of the last run"),
)
_OVER = re.compile(r", over the last [0-9a-z]+(?=[.;:])")


def of_last_run(row: Row, spec: Spec) -> Row:
    """Return a row whose panels read the last run's values as they are, and say so."""
    assert spec.schedule is not None
    return replace(row, sections=tuple(tuple(map(_panel, section)) for section in row.sections))


def _panel(panel: Panel) -> Panel:
    return replace(
        panel,
        title=_said(panel.title),
        description=_said(panel.description),
        queries=tuple(replace(query, expr=last_run.of_last_run(query.expr)) for query in panel.queries),
        defaults=_counts(panel.defaults, "unit"),
        options=_options(panel.options),
    )


def _said(text: str) -> str:
    for of_service, of_run in _WORDS:
        text = text.replace(of_service, of_run)
    return _OVER.sub("", text)


def _counts(found: Json, key: str) -> Json:
    return {**found, key: "short"} if found.get(key) == "cps" else found


def _options(options: Json) -> Json:
    nodes = options.get("nodes")
    return {**options, "nodes": _counts(nodes, "mainStatUnit")} if isinstance(nodes, dict) else options


def overdue_panels(level: Level) -> tuple[Panel, ...]:
    """Return the panel of how long ago a run ended well, in the row of a batch pipeline as a whole."""
    made = level.spec.schedule
    if made is None or level.stage is not None:
        return ()
    watches = level.watching("no_calls")
    expr = last_run.since_success(level.spec).value.expr
    lines = [Line(made.limit, SEVERITY_COLORS[watch.mode.severity]) for watch in watches]
    about = (
        f"How long ago a run last ended well: it is to run every {duration(made.period)}, and may be "
        f"{duration(made.grace)} late. Above the dashed line: look at whether it was started, then at its log."
    )
    query = Query(expr, "since a success" + level.kept())
    return (
        level.panel(
            "overdue", "Since the last success", about, [query], watches, unit="s", lines=lines, empty="no success yet"
        ),
    )
