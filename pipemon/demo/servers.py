"""Prometheus, Alertmanager and Grafana as the demo runs them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from pipemon.generate.formats.provisioning import grafana_provisioning
from pipemon.generate.output import write

HOST = "127.0.0.1"


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


def without_inhibition(config: str) -> str:
    """Return an Alertmanager configuration without its inhibition rules."""
    document = yaml.safe_load(config)
    document.pop("inhibit_rules", None)
    return yaml.safe_dump(document, sort_keys=False)


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
    """Write Grafana's provisioning files under `folder` and return the folder that Grafana has to know."""
    files = grafana_provisioning(prometheus=prometheus_url, scrape_interval=scrape_interval, dashboards=str(dashboards))
    write(folder, files)
    return folder / "grafana" / "provisioning"


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
    return [f"/d/{json.loads(path.read_text(encoding='utf-8'))['uid']}" for path in sorted(dashboards.rglob("*.json"))]
