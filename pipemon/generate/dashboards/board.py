"""What every dashboard has: its frame, variables, links to the others, and marks of alerts and deployments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from pipemon import catalogue as c
from pipemon.generate.arrived import Labels, arrived, values_arrived
from pipemon.generate.dashboards.layout import RECENT, Row, place
from pipemon.generate.dashboards.panels import DATASOURCE, NEUTRAL, Json
from pipemon.generate.dashboards.series import Choice
from pipemon.generate.dashboards.text import plain, query, web
from pipemon.generate.lookback import in_sight
from pipemon.generate.promql import Aggregate, Binary, Expr, Matcher
from pipemon.units import duration

SCHEMA_VERSION = 39
"""Of Grafana 10.4: later ones migrate it when they load it."""

TAG = "pipemon"

_RANGES = tuple(minutes * 60.0 for minutes in (5, 15, 30, 60, 180, 360, 720))
_REFRESHES = (5.0, 10.0, 30.0, 60.0, 300.0)


def board(
    uid: str,
    title: str,
    description: str,
    panels: Sequence[Json],
    *,
    scrape_interval: float,
    variables: Sequence[Json] = (),
    annotations: Sequence[Json] = (),
    runbook: str = "",
) -> Json:
    """Return a dashboard as classic JSON that Grafana 10 to 13 load from a file. It shows the last 240 scrapes."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": duration(_at_least(_REFRESHES, scrape_interval * 2)),
        "time": {"from": f"now-{duration(_at_least(_RANGES, 240 * scrape_interval))}", "to": "now"},
        "templating": {"list": [_datasource(), *variables]},
        "annotations": {"list": list(annotations)},
        "links": _links(runbook),
        "panels": list(panels),
    }


@dataclass(frozen=True)
class Scraped:
    """How pipelines are scraped: every `interval` seconds or more; `labels` are those that arrive under other names."""

    interval: float = 15.0
    labels: Labels = ()


def any_board(
    name: str,
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    scraped: Scraped,
    variables: Sequence[Json],
    about: Choice,
) -> Json:
    """Return a dashboard that suits any pipeline; its marks are of what it is `about`."""
    asked = [_asking(each, values_arrived(scraped.labels, str(each["definition"]))) for each in variables]
    return board(
        any_uid(name),
        title,
        description,
        place(rows, scraped.interval, scraped.labels).panels,
        scrape_interval=scraped.interval,
        variables=asked,
        annotations=marks(replace(about, labels=scraped.labels), scraped.interval),
    )


def _at_least(choices: tuple[float, ...], value: float) -> float:
    return next((choice for choice in choices if choice >= value), choices[-1])


def stable_uid(name: str) -> str:
    """Return a uid that stays while the name does, as a dashboard's of a pipeline: at most 40 of `[a-zA-Z0-9_-]`."""
    whole = f"pipemon-{name}"
    if len(whole) <= 40 and re.fullmatch(r"[a-zA-Z0-9_-]+", whole):
        return whole
    safe = re.sub(r"[^a-zA-Z0-9_-]", "-", whole)[:31]
    return f"{safe}-{sha256(name.encode()).hexdigest()[:8]}"


def any_uid(name: str) -> str:
    """Return the uid of a dashboard that suits any pipeline: none of a pipeline begins so."""
    return f"pipemon_{name}"


def to_stage(label: str = "${__data.fields.Stage}") -> str:
    """Return the address of the dashboard of a stage, for a link in a panel; `label` is what Grafana fills in."""
    return f"/d/{any_uid('stage')}?var-pipeline=${{pipeline}}&var-stage={label}&${{__url_time_range}}"


def _datasource() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def constant(name: str, value: str) -> Json:
    """Return a variable that nobody sees or changes: links to other dashboards carry it."""
    current: Json = {"text": value, "value": value, "selected": True}
    return {
        "name": name,
        "type": "constant",
        "label": "",
        "query": value,
        "current": current,
        "options": [current],
        "hide": 2,
        "skipUrlSync": False,
    }


def variable(
    name: str,
    label: str,
    metric: str,
    matchers: str = "",
    *,
    of: str = "",
    many: bool = True,
    hidden: bool = False,
    description: str = "",
) -> Json:
    """Return a variable of the values that a label has, `of` where it is not called as the variable.

    With `many`, several or all can be chosen, and all are at first. Values are those of the time looked at.
    """
    text = (
        f"label_values({metric}{{{matchers}}}, {of or name})" if matchers else f"label_values({metric}, {of or name})"
    )
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": DATASOURCE,
        **_asking({}, text),
        "current": {},
        "hide": 2 if hidden else 0,
        "includeAll": many,
        # What has no such label is there too: a version or an instance that nobody tells.
        **({"allValue": ".*"} if many and not hidden else {}),
        "multi": many,
        "options": [],
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }


def _asking(variable: Json, text: str) -> Json:
    query: Json = {"qryType": 1, "query": text, "refId": "PrometheusVariableQueryEditor-VariableQuery"}
    return {**variable, "definition": text, "query": query}


def variables(*names: str, one_stage: bool = False) -> list[Json]:
    """Return the variables that choose a pipeline and, by their names, what of it: stage, version, instance."""
    calls = c.STAGE_CALLS.name
    found = [variable("pipeline", "Pipeline", calls, many=False)]
    known = {
        "stage": variable("stage", "Stage", calls, 'pipeline="$pipeline"', many=not one_stage),
        "version": variable("version", "Version", calls, 'pipeline="$pipeline"'),
        "instance": variable("instance", "Instance", calls, 'pipeline="$pipeline"'),
    }
    return found + [known[name] for name in names]


def marks(choice: Choice, scrape_interval: float) -> list[Json]:
    """Return the marks on every graph: alerts that fire, and versions that were not there five minutes before.

    Grafana's published schema knows no words of a mark, so each kind has its own name and colour instead.
    """

    def firing(op: str, severity: str) -> Expr:
        which = (Matcher("alertstate", "=", "firing"), Matcher("severity", op, severity))
        return Aggregate("max", (), choice.series(c.ALERTS, *which, Matcher("mode", "!=", "observe")))

    page = choice.severities[0]
    by = ("pipeline", "stage", "version")
    now = Aggregate("count", by, choice.series(c.STAGE_CALLS))
    before = Aggregate("count", by, choice.series(c.STAGE_CALLS, offset=RECENT * scrape_interval))
    new = in_sight(Aggregate("max", (), Binary("unless", now, before)), scrape_interval)
    return [
        mark(choice, "Critical alerts", "red", firing("=", page)),
        mark(choice, "Other alerts", "orange", firing("!=", page)),
        mark(choice, "New versions", NEUTRAL, new),
    ]


def mark(choice: Choice, name: str, color: str, expr: Expr) -> Json:
    """Return one kind of marks: where an expression has a value."""
    return {
        "name": name,
        "type": "dashboard",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": query(arrived(choice.labels, expr), fills=choice.fills),
    }


def kept_mark(name: str, color: str, tags: Sequence[str]) -> Json:
    """Return one kind of marks: those that Grafana itself keeps with all of these tags."""
    return {
        "name": name,
        "type": "dashboard",
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": False,
        "iconColor": color,
        "target": {"type": "tags", "tags": list(tags), "matchAny": False, "limit": 100},
    }


def link(title: str, url: str) -> Json:
    """Return a link of a dashboard or a panel to an address of the web."""
    return {
        "title": plain(title),
        "type": "link",
        "icon": "doc",
        "url": web(url),
        "tags": [],
        "tooltip": "",
        "asDropdown": False,
        "includeVars": False,
        "keepTime": False,
        "targetBlank": True,
    }


def _links(runbook: str) -> list[Json]:
    others: Json = {
        "title": "Dashboards",
        "type": "dashboards",
        "icon": "external link",
        "url": "",
        "tags": [TAG],
        "tooltip": "",
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }
    return [others, *([link("Runbook", runbook)] if web(runbook) else [])]
