"""Prometheus, Alertmanager and Grafana as the demo runs them: their commands and configuration files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from pipemon.units import duration

HOST = "127.0.0.1"


def prometheus_config(rule_files: str, job: str, scrape_interval: float, traffic: int, alertmanager: int) -> str:
    """Return a prometheus.yml that scrapes the traffic's port as `job` and sends alerts to Alertmanager's."""
    interval = duration(scrape_interval)
    return _yaml(
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [rule_files],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{HOST}:{alertmanager}"]}]}]},
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [f"{HOST}:{traffic}"]}]}],
        }
    )


def prometheus_command(program: Path, config: Path, data: Path, port: int) -> list[str]:
    """Return the command of a Prometheus that keeps to this machine."""
    return [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={HOST}:{port}",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]


def alertmanager_config(generated: str, receiver_url: str, inhibition: bool) -> str:
    """Return a generated alertmanager.yml with every webhook sent to `receiver_url`.

    Without `inhibition` its inhibition rules are left out.
    """
    config = yaml.safe_load(generated)
    for receiver in config["receivers"]:
        for webhook in receiver.get("webhook_configs", ()):
            webhook["url"] = receiver_url
    if not inhibition:
        config.pop("inhibit_rules", None)
    return _yaml(config)


def alertmanager_command(program: Path, config: Path, data: Path, port: int) -> list[str]:
    """Return the command of an Alertmanager that keeps to this machine."""
    return [
        str(program),
        f"--config.file={config}",
        f"--storage.path={data}",
        f"--web.listen-address={HOST}:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


def provision_grafana(folder: Path, dashboards: Path, prometheus_url: str, scrape_interval: float) -> Path:
    """Write Grafana's provisioning files, data source and dashboards, under `folder`; return that of them."""
    provisioning = folder / "provisioning"
    files = {
        "datasources/pipemon.yaml": {
            "apiVersion": 1,
            "datasources": [
                {
                    "name": "Prometheus",
                    "type": "prometheus",
                    "access": "proxy",
                    "url": prometheus_url,
                    "isDefault": True,
                    "jsonData": {"timeInterval": duration(scrape_interval), "httpMethod": "POST"},
                }
            ],
        },
        "dashboards/pipemon.yaml": {
            "apiVersion": 1,
            "providers": [{"name": "pipemon", "type": "file", "options": {"path": str(dashboards)}}],
        },
    }
    for name, content in files.items():
        path = provisioning / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_yaml(content), encoding="utf-8")
    return provisioning


def grafana_command(program: Path) -> list[str]:
    """Return Grafana's command: newer ones have one program with a `server` command."""
    command = [str(program), "server"] if program.name == "grafana" else [str(program)]
    # It finds its own files from the working directory unless told.
    homes = (program.resolve().parent.parent, Path("/usr/share/grafana"))
    return command + [f"--homepath={home}" for home in homes if (home / "conf" / "defaults.ini").is_file()][:1]


def grafana_environment(provisioning: Path, data: Path, port: int) -> dict[str, str]:
    """Return the settings of a Grafana that anybody on this machine may look at."""
    return {
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_PATHS_DATA": str(data),
        "GF_PATHS_LOGS": str(data / "log"),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }


def dashboard_paths(dashboards: Path) -> list[str]:
    """Return the path, under Grafana's address, of each dashboard file in a folder."""
    return [f"/d/{json.loads(path.read_text(encoding='utf-8'))['uid']}" for path in sorted(dashboards.glob("*.json"))]


def _yaml(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=False)
