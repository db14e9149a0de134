"""Every generated dashboard as a browser draws it: Grafana's front-end components, the running example's data."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from real_speech import every_recording

from pictures.cascade import SCRAPE_INTERVAL, Cascade, running, until
from pictures.renderer import Renderer, View, rendering
from pipemon.errors import UnavailableError

pytestmark = [pytest.mark.integration, pytest.mark.demo]

FAULT = "telephone-microphones"
BOARDS = ("cascade", "drift", "feedback", "resources", "speech", "stage", "versions")


@dataclass(frozen=True)
class Drawing:
    """A renderer, and a cascade whose calls ended at a time, in Unix seconds."""

    renderer: Renderer
    cascade: Cascade
    ended: float

    def of(self, path: Path) -> dict[str, Any]:
        """Draw a dashboard of the last minutes before the calls ended, and return the report on it."""
        since, until = (datetime.fromtimestamp(at, UTC).isoformat() for at in (self.ended - 120, self.ended))
        return self.renderer.draw(path, self.cascade.prometheus.url, View(since, until, SCRAPE_INTERVAL))


SHOWN = {
    "versions": ("Verdict", "Share", "Canary: ", "Agreement", "Decided", "People and model", "Wait"),
    "feedback": ("Stated confidence", "Labels, per", "Delay of labels"),
    "resources": ("GPU ",),
}
"""What only shows something with a canary, a version in shadow, people who decide, or a (made) exporter of GPUs."""


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawing]:
    """The example half a minute after it began, with calls over telephone lines, and what draws it.

    The calls end before anything is drawn: a slow machine has enough to do with one of both.
    """
    every_recording()
    with ExitStack() as stack, ThreadPoolExecutor(1) as beside:
        cascade = stack.enter_context(running(tmp_path_factory.mktemp("cascade"), once=True))
        began = time.monotonic()
        try:
            ready = beside.submit(stack.enter_context, rendering()).result()
        except UnavailableError as error:
            pytest.skip(str(error))
        time.sleep(max(0.0, began + 30 - time.monotonic()))
        cascade.example.inject("telephone_band", 0.95)
        until(lambda: cascade.firing(FAULT), f"{FAULT} fires", 300.0)
        yield Drawing(ready, cascade, cascade.end_calls())


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_has_no_error_no_overlap_and_no_panel_without_data_or_the_reason(
    drawing: Drawing, name: str
) -> None:
    assert {path.stem for path in drawing.cascade.dashboards} == set(BOARDS)
    path = next(path for path in drawing.cascade.dashboards if path.stem == name)
    report = drawing.of(path)
    says = _reasons(json.loads(path.read_text()))
    for panel in report["panels"]:
        assert (panel["errors"], panel["crashed"], panel["unresolved"]) == ([], [], []), panel["title"]
        assert not any(panel["unknown"].values()), panel
        assert panel["rendered"] != "none", panel["title"]
        if panel["noData"]:
            reason = says[panel["id"]]
            assert reason not in ("", "-"), f"{panel['title']} is empty and does not say why"
            assert reason in panel["text"], panel
        else:
            assert not panel["allNull"], f"{panel['title']} is empty without a word: all that it has is NaN or null"
            assert "No data" not in panel["text"], panel
    assert [variable["error"] for variable in report["variables"] if variable.get("error")] == []
    assert [mark["error"] for mark in report["annotations"] if mark.get("error")] == []
    assert report["problems"] == []
    assert not any(report["checks"].values()), report["checks"]
    shown = [panel for panel in report["panels"] if panel["title"].startswith(SHOWN.get(name, "-"))]
    assert len(shown) >= len(SHOWN.get(name, ()))
    assert [panel["title"] for panel in shown if panel["noData"]] == []
    seen = {panel["title"]: panel["text"] for panel in report["panels"]}
    if name in ("cascade", "speech"):
        assert any(FAULT in text for title, text in seen.items() if title.startswith("Firing now")), seen


def _reasons(board: dict[str, Any]) -> dict[int, str]:
    """What each panel says where it has nothing to show."""
    every = [each for panel in board["panels"] for each in (panel, *panel.get("panels", ()))]
    return {each["id"]: each.get("fieldConfig", {}).get("defaults", {}).get("noValue", "") for each in every}
