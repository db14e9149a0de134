"""`make pictures`: the dashboards of README and docs, while calls arrive over telephone lines; drift, after hours."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from pictures.cascade import SCRAPE_INTERVAL, running, until
from pictures.history import Part, history
from pictures.renderer import Renderer, View, rendering
from pipemon.errors import UnavailableError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "pictures"
NAMES = {"speech": "pipeline"}
"""Pictures that are not called as their dashboard's file is: it is a pipeline's own, whichever it is."""
GOOD_SECONDS = 90.0
FAULT_SECONDS = 25.0
SHOWN_SECONDS = 120.0
WIDTH = 1280
SETTLE_SECONDS = 10.0
DRIFT = "drift"
PAST = (Part(210), Part(90, "noise", 20.0))
"""What is behind the picture of drift: good calls, then noise 20 dB under the speech."""
SHOWN_HOURS = 3
TOP = 1000
"""Pixels of the README's picture: what is seen without scrolling."""
_USUAL = 16
"""Colours that a picture has most of: those of backgrounds, in which the least tint is seen."""


def main() -> None:
    """Draw every generated dashboard, or those that are named. Raises UnavailableError where something can't be had."""
    names = set(sys.argv[1:])
    FOLDER.mkdir(exist_ok=True)
    with rendering() as drawing:
        if not names or names - {DRIFT}:
            _draw_now(drawing, names - {DRIFT})
        if not names or DRIFT in names:
            _draw_drift(drawing)


def _draw_now(drawing: Renderer, names: set[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as cascade:
        time.sleep(GOOD_SECONDS)
        cascade.example.inject("telephone_band", 0.95)
        until(lambda: cascade.firing("telephone-microphones"), "the alert fires", 300.0)
        time.sleep(FAULT_SECONDS)
        now = cascade.end_calls()
        for path in cascade.dashboards:
            if path.stem == DRIFT or (names and path.stem not in names):
                continue
            drawn = Path(folder) / f"{path.stem}.png"
            chosen = {"stage": ["vad"]} if path.stem == "stage" else {}
            view = View(_date(now - SHOWN_SECONDS), _date(now), SCRAPE_INTERVAL, chosen, WIDTH, settle=SETTLE_SECONDS)
            drawing.draw(path, cascade.prometheus.url, view, drawn)
            picture = Image.open(drawn)
            _save(picture, FOLDER / f"{NAMES.get(path.stem, path.stem)}.png")
            if path.stem in NAMES:
                _save(picture.crop((0, 0, picture.width, min(TOP, picture.height))), ROOT / "examples" / "fault.png")


def _draw_drift(drawing: Renderer) -> None:
    with tempfile.TemporaryDirectory() as folder, history(Path(folder), PAST) as past:
        (path,) = (path for path in past.dashboards if path.stem == DRIFT)
        drawn, since = Path(folder) / f"{DRIFT}.png", past.end - SHOWN_HOURS * 3600
        view = View(_date(since), _date(past.end), "1m", {"stage": ["vad"]}, WIDTH, settle=SETTLE_SECONDS)
        drawing.draw(path, past.url, view, drawn)
        _save(Image.open(drawn), FOLDER / f"{DRIFT}.png")


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _save(picture: Image.Image, path: Path) -> None:
    """Write a picture in few colours, which screens of dashboards have: the usual ones exact, others nearly."""
    whole = picture.convert("RGB")
    few = whole.quantize(256 - _USUAL, Image.Quantize.MAXCOVERAGE)
    counted = sorted(whole.getcolors(whole.width * whole.height) or [], reverse=True)
    usual = [value for _, color in counted[:_USUAL] if isinstance(color, tuple) for value in color]
    few.putpalette([*(few.getpalette() or [])[: 3 * (256 - _USUAL)], *usual])
    whole.quantize(palette=few, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    try:
        main()
    except (UnavailableError, TimeoutError) as error:
        sys.exit(f"pictures: {error}")
