"""A dashboard as Grafana's import dialog and grafana.com want it. Files and the HTTP API know no inputs."""

from __future__ import annotations

from typing import Any

from pipemon.generate.dashboards.panels import Json

_INPUT = "DS_PROMETHEUS"
_OLDEST = "10.0.0"
_PANELS = {
    "alertlist": "Alert list",
    "bargauge": "Bar gauge",
    "heatmap": "Heatmap",
    "nodeGraph": "Node Graph",
    "stat": "Stat",
    "state-timeline": "State timeline",
    "table": "Table",
    "text": "Text",
    "timeseries": "Time series",
}
"""Grafana's own panels by their type; a row is none."""


def importable(board: dict[str, Any]) -> Json:
    """Return a dashboard that asks, when it is imported, for the data source it first shows.

    Its variable `datasource` stays, so that another can still be chosen.
    """
    source: Json = {"text": f"${{{_INPUT}}}", "value": f"${{{_INPUT}}}", "selected": True}
    variables = [
        {**variable, "current": source} if variable["type"] == "datasource" else variable
        for variable in board["templating"]["list"]
    ]
    kinds = {panel["type"] for outer in board["panels"] for panel in (outer, *outer.get("panels", ()))} - {"row"}
    asked: Json = {
        "name": _INPUT,
        "label": "Data source",
        "description": "The Prometheus that scrapes the pipelines and evaluates the rules.",
        "type": "datasource",
        "pluginId": "prometheus",
        "pluginName": "Prometheus",
    }
    needed: list[Json] = [
        {"type": "grafana", "id": "grafana", "name": "Grafana", "version": _OLDEST},
        {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
        *({"type": "panel", "id": kind, "name": _PANELS[kind], "version": ""} for kind in sorted(kinds)),
    ]
    return {
        "__inputs": [asked],
        "__elements": {},
        "__requires": needed,
        **board,
        "templating": {**board["templating"], "list": variables},
    }
