"""The two files that let a Grafana find its Prometheus and the dashboards by itself."""

from __future__ import annotations

from pipemon.generate.yamltext import dump
from pipemon.units import duration

DASHBOARDS = "/var/lib/grafana/dashboards"
DATASOURCE_UID = "pipemon-prometheus"


def grafana_provisioning(
    *, prometheus: str = "http://localhost:9090", scrape_interval: float = 15.0, dashboards: str = DASHBOARDS
) -> dict[str, str]:
    """Return file texts by their path under the output folder.

    `prometheus` is its address as Grafana sees it; `dashboards` the folder with the JSON files, likewise;
    `scrape_interval` is in seconds. The same arguments give the same texts.
    """
    source = {
        "name": "Prometheus",
        "uid": DATASOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": _literal(prometheus),
        # Two defaults would keep Grafana from starting.
        "isDefault": False,
        "editable": False,
        "jsonData": {"timeInterval": duration(scrape_interval), "httpMethod": "POST"},
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


def _literal(text: str) -> str:
    # Grafana fills environment variables into these files.
    return text.replace("$", "$$")
