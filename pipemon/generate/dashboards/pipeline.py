"""One Grafana dashboard of a whole cascade, as classic JSON that Grafana 10 to 13 load from a file."""

from __future__ import annotations

import re
from hashlib import sha256

from pipemon.generate.dashboards.level_row import level_row
from pipemon.generate.dashboards.panels import Json, Row, place
from pipemon.generate.dashboards.playbook import fired, playbook
from pipemon.generate.dashboards.state import cascade_state, order, topology_words, vital_signs
from pipemon.generate.dashboards.text import plain, web
from pipemon.spec.model import Spec
from pipemon.units import duration

SCHEMA_VERSION = 39
"""Of Grafana 10.4: later ones migrate it when they load it."""

TAG = "pipemon"
OPEN_ROWS = 6
"""A longer cascade's rows are closed at first, and queried when somebody opens them."""

_RANGES = tuple(minutes * 60.0 for minutes in (5, 15, 30, 60, 180, 360, 720))
_REFRESHES = (5.0, 10.0, 30.0, 60.0, 300.0)


def dashboard(spec: Spec) -> Json:
    """Return the dashboard of a pipeline: first its state, then what fired, then a row for each stage.

    The same spec gives the same value. Its panels read recordings only where a failure mode makes them.
    """
    names = order(spec)
    overview = [(cascade_state(spec),)] if names else []
    timeline = fired(spec)
    alerts = ((timeline,), (playbook(spec),)) if timeline else ((playbook(spec),),)
    rows = [
        Row("row/cascade", "", (*overview, vital_signs(spec))),
        Row("row/alerts", "", alerts),
    ]
    rows += [
        level_row(spec, name, _title(spec, name, i, len(names)), collapsed=len(names) > OPEN_ROWS)
        for i, name in enumerate(names, 1)
    ]
    if spec.budget is not None or any(mode.stage is None for mode in spec.measurable):
        rows.append(level_row(spec, None, "End to end"))
    return {
        "uid": uid(spec.pipeline),
        "title": plain(f"{spec.pipeline}: cascade"),
        "description": f"{topology_words(spec)}. Generated from the pipeline's failure modes: change those, not this.",
        "tags": [TAG],
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": duration(_at_least(_REFRESHES, spec.timing.scrape_interval * 2)),
        "time": {"from": f"now-{_range(spec)}", "to": "now"},
        "templating": {"list": [_datasource()]},
        "annotations": {"list": []},
        "links": _links(spec),
        "panels": place(rows),
    }


def uid(pipeline: str) -> str:
    """Return a dashboard's uid, which stays while the pipeline's name does: at most 40 of `[a-zA-Z0-9_-]`."""
    name = f"pipemon-{pipeline}"
    if len(name) <= 40 and re.fullmatch(r"[a-zA-Z0-9_-]+", name):
        return name
    safe = re.sub(r"[^a-zA-Z0-9_-]", "-", name)[:31]
    return f"{safe}-{sha256(pipeline.encode()).hexdigest()[:8]}"


def _title(spec: Spec, stage: str, position: int, total: int) -> str:
    after = spec.stage(stage).after
    upstream = f" (after {', '.join(after)})" if after else " (first)" if after == () or position == 1 else ""
    return f"{position}/{total} {stage}{upstream}"


def _at_least(choices: tuple[float, ...], value: float) -> float:
    return next((choice for choice in choices if choice >= value), choices[-1])


def _range(spec: Spec) -> str:
    """240 scrapes: an hour by default."""
    return duration(_at_least(_RANGES, 240 * spec.timing.scrape_interval))


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


def _links(spec: Spec) -> list[Json]:
    common: Json = {"tooltip": "", "asDropdown": False, "includeVars": True, "keepTime": True, "targetBlank": False}
    links: list[Json] = [
        {
            "title": "Pipelines",
            "type": "dashboards",
            "icon": "external link",
            "url": "",
            "tags": [TAG],
            **common,
            "asDropdown": True,
        }
    ]
    if web(spec.runbook):
        runbook: Json = {"title": "Runbook", "type": "link", "icon": "doc", "url": web(spec.runbook), "tags": []}
        links.append({**runbook, **common, "includeVars": False, "keepTime": False, "targetBlank": True})
    return links
