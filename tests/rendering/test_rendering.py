"""Every generated dashboard as a browser draws it: Grafana's front-end components, the running example's data."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from real_speech import every_recording

from pictures.cascade import SCRAPE_INTERVAL, Cascade, running, until
from pictures.renderer import Renderer, renderer
from pipemon.errors import UnavailableError

pytestmark = [pytest.mark.integration, pytest.mark.demo]

FAULT = "telephone-microphones"
BOARDS = ("cascade", "drift", "feedback", "resources", "speech", "stage", "versions")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Renderer, Cascade]]:
    """The renderer, and the example half a minute after it began, with calls over telephone lines."""
    every_recording()
    with ThreadPoolExecutor(1) as beside, running(tmp_path_factory.mktemp("cascade")) as cascade:
        began = time.monotonic()
        try:
            ready = beside.submit(renderer).result()
        except UnavailableError as error:
            pytest.skip(str(error))
        time.sleep(max(0.0, began + 30 - time.monotonic()))
        cascade.example.inject("telephone_band", 0.95)
        until(lambda: cascade.firing(FAULT), f"{FAULT} fires", 300.0)
        yield ready, cascade


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_has_no_error_no_overlap_and_no_panel_without_data_or_the_reason(
    drawn: tuple[Renderer, Cascade], name: str, tmp_path: Path
) -> None:
    renderer, cascade = drawn
    assert {path.stem for path in cascade.dashboards} == set(BOARDS)
    path = next(path for path in cascade.dashboards if path.stem == name)
    options = ("--scrape-interval", SCRAPE_INTERVAL, "--from", "2m", "--timeout", "180")
    report = renderer.draw(path, cascade.prometheus.url, tmp_path / f"{name}.png", *options)
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
            assert "No data" not in panel["text"], panel
    assert [variable["error"] for variable in report["variables"] if variable.get("error")] == []
    assert [mark["error"] for mark in report["annotations"] if mark.get("error")] == []
    assert report["problems"] == []
    assert not any(report["checks"].values()), report["checks"]
    seen = {panel["title"]: panel["text"] for panel in report["panels"]}
    if name in ("cascade", "speech"):
        assert any(FAULT in text for title, text in seen.items() if title.startswith("Firing now")), seen


def _reasons(board: dict[str, Any]) -> dict[int, str]:
    """What each panel says where it has nothing to show."""
    every = [each for panel in board["panels"] for each in (panel, *panel.get("panels", ()))]
    return {each["id"]: each.get("fieldConfig", {}).get("defaults", {}).get("noValue", "") for each in every}
