"""The two files that let a Grafana find its Prometheus and the dashboards by itself."""

from __future__ import annotations

import re

from pipemon.errors import OptionError
from pipemon.generate.dashboards.text import web
from pipemon.generate.formats.yamltext import dump
from pipemon.units import duration

DASHBOARDS = "/var/lib/grafana/dashboards"
DATASOURCE_UID = "pipemon-prometheus"


def grafana_provisioning(
    *,
    prometheus: str = "http://localhost:9090",
    scrape_interval: float = 15.0,
    dashboards: str = DASHBOARDS,
    traces: str = "",
) -> dict[str, str]:
    """Return file texts by their path under the output folder.

    `prometheus` is its address as Grafana sees it; `dashboards` the folder with the JSON files, likewise;
    `scrape_interval` is in seconds. `traces` is where exemplars lead: an address with `{trace_id}`, or the uid of a
    data source of traces. The same arguments give the same texts. Raises OptionError for `traces` that are neither.
    """
    options: dict[str, object] = {"timeInterval": duration(scrape_interval), "httpMethod": "POST"}
    if traces:
        options["exemplarTraceIdDestinations"] = [{"name": "trace_id", **_destination(traces)}]
    source = {
        "name": "Prometheus",
        "uid": DATASOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": _literal(prometheus),
        # Two defaults would keep Grafana from starting.
        "isDefault": False,
        "editable": False,
        "jsonData": options,
    }
    provider = {
        "name": "pipemon",
        "folder": "pipemon",
        "folderUid": "pipemon",
        "type": "file",
        "disableDeletion": False,
        "updateIntervalSeconds": 10,
        "allowUiUpdates": False,
        "options": {"path": _literal(dashboards), "foldersFromFilesStructure": False},
    }
    return {
        "grafana/provisioning/datasources/prometheus.yml": dump({"apiVersion": 1, "datasources": [source]}),
        "grafana/provisioning/dashboards/pipemon.yml": dump({"apiVersion": 1, "providers": [provider]}),
    }


def _destination(traces: str) -> dict[str, str]:
    before, found, after = traces.partition("{trace_id}")
    if found and web(before + after):
        # Grafana fills in the trace's id where it shows the link, not when it reads the file.
        return {"url": f"{_literal(before)}$${{__value.raw}}{_literal(after)}", "urlDisplayLabel": "Trace"}
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", traces):
        return {"datasourceUid": traces}
    raise OptionError(
        f"{traces!r} is no place of traces; write an address with {{trace_id}}, as "
        "https://jaeger.example/trace/{trace_id}, or the uid of a data source"
    )


def _literal(text: str) -> str:
    # Grafana fills environment variables into these files.
    return text.replace("$", "$$")
