"""The dashboards that suit any pipeline, by the names of their files."""

from __future__ import annotations

from pipemon.generate.dashboards.board import Scraped
from pipemon.generate.dashboards.cascade import cascade
from pipemon.generate.dashboards.drift import drift
from pipemon.generate.dashboards.panels import Json
from pipemon.generate.dashboards.resources import resources
from pipemon.generate.dashboards.stage import stage
from pipemon.generate.dashboards.users import users
from pipemon.generate.dashboards.versions import versions

_USUAL = Scraped()


def generic(scraped: Scraped = _USUAL) -> dict[str, Json]:
    """Return each dashboard by its name."""
    return {
        "cascade": cascade(scraped),
        "stage": stage(scraped),
        "drift": drift(scraped),
        "versions": versions(scraped),
        "feedback": users(scraped),
        "resources": resources(scraped),
    }
