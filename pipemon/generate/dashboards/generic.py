"""The dashboards that suit any pipeline, by the names of their files."""

from __future__ import annotations

from pipemon.generate.dashboards.cascade import cascade
from pipemon.generate.dashboards.drift import drift
from pipemon.generate.dashboards.panels import Json
from pipemon.generate.dashboards.resources import resources
from pipemon.generate.dashboards.stage import stage
from pipemon.generate.dashboards.users import users
from pipemon.generate.dashboards.versions import versions


def generic(scrape_interval: float = 15.0) -> dict[str, Json]:
    """Return each dashboard by its name; `scrape_interval`, in seconds, is the shortest of what is scraped."""
    return {
        "cascade": cascade(scrape_interval),
        "stage": stage(scrape_interval),
        "drift": drift(scrape_interval),
        "versions": versions(scrape_interval),
        "feedback": users(scrape_interval),
        "resources": resources(scrape_interval),
    }
