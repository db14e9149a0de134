"""Draws a dashboard file with Grafana's published front-end packages in a headless Chromium: no Grafana server."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipemon.demo.programs import default_cache, find_program
from pipemon.errors import UnavailableError

_PLAIN_REPORT = Path(__file__).resolve().with_name("plain_report.mjs")
_ATTEMPTS = 4
"""On a busy machine the renderer may take its picture before the last answer."""
_PICTURE = "await page.screenshot({ path: args.out"
_WHOLE = (
    "await page.setViewportSize({ width: Number(args.width), "
    "height: await page.evaluate(() => document.documentElement.scrollHeight) }); "
)
_CHANGES = (
    ("render.mjs", _PICTURE, f"{_WHOLE}await page.waitForTimeout(Number(process.env.SETTLE_MS ?? 0)); {_PICTURE}"),
    ("render.mjs", "address().port}/`", "address().port}/#${process.env.THEME ?? 'dark'}`"),
    ("src/boot.ts", "mode: 'dark'", "mode: location.hash === '#light' ? 'light' : 'dark'"),
    ("src/panels/core.tsx", "wrapHeaderText: false,", "wrapHeaderText: false, wrapText: false,"),
    ("src/panels/plots.tsx", "const flip = ", "const flip = theme.isDark && "),
)
"""What is changed in the renderer's files: it has the whole page in view, on which panels are drawn only then, waits
until they have settled, and knows cells that wrap and the light theme, in which Grafana does not turn the colours of
heatmaps round."""
_KEPT = ("node_modules", "dist")


def source() -> Path:
    """Return where the renderer's source is: $PIPEMON_GRAFANA_RENDERER, else beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "grafana-render"
    return Path(os.environ.get("PIPEMON_GRAFANA_RENDERER", beside))


@dataclass(frozen=True)
class Renderer:
    """A renderer that is built, its browser, and how many seconds panels have to settle before the picture.

    `theme` is Grafana's: `dark` or `light`.
    """

    folder: Path
    chromium: Path
    settle: float = 0.0
    theme: str = "dark"

    def draw(self, dashboard: Path, prometheus: str, picture: Path, *options: str) -> dict[str, Any]:
        """Draw a dashboard file to a PNG file, and return the report on its panels.

        `options` are the renderer's own, such as `--from 5m`. Raises RuntimeError with what it printed where it fails.
        """
        report = picture.with_suffix(".json")
        command = [
            "nice", "node", "--import", str(_PLAIN_REPORT), "render.mjs", "--no-types",
            "--chromium", str(self.chromium), "--dashboard", str(dashboard), "--prometheus", prometheus,
            "--out", str(picture), "--report", str(report), *options,
        ]  # fmt: skip
        environment = {**os.environ, "SETTLE_MS": str(round(1000 * self.settle)), "THEME": self.theme}
        for _ in range(_ATTEMPTS):
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RuntimeError(f"{dashboard.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
            found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
            loading = any(panel["state"] == "Loading" for panel in found["panels"])
            if not loading and not all(panel["noData"] for panel in found["panels"]):
                return found
        raise RuntimeError(f"{dashboard.name}: panels were loading, or none had data, in each of {_ATTEMPTS} pictures")


def renderer() -> Renderer:
    """Return the renderer, built once in the cache. Raises UnavailableError with what is missing."""
    found = source()
    if not (found / "render.mjs").is_file():
        raise UnavailableError(f"there is no renderer in {found}; PIPEMON_GRAFANA_RENDERER names its folder")
    chromium = find_program("chromium", "chromium-browser", "google-chrome")
    if chromium is None:
        raise UnavailableError("chromium is not on the PATH; install it: `apt-get install chromium`")
    if not find_program("npm"):
        raise UnavailableError("npm is not on the PATH; install it: `apt-get install npm`")
    return Renderer(_built(found), chromium)


def _built(found: Path) -> Path:
    files = sorted(p for p in found.rglob("*") if p.is_file() and not {*_KEPT} & {*p.relative_to(found).parts})
    state = hashlib.sha256(repr(_CHANGES).encode() + b"".join(p.read_bytes() for p in files)).hexdigest()[:12]
    folder = default_cache() / "grafana-render" / state
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "dist").is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(found, folder, ignore=shutil.ignore_patterns(*_KEPT))
            for name, old, new in _CHANGES:
                text = (folder / name).read_text(encoding="utf-8")
                (folder / name).write_text(text.replace(old, new), encoding="utf-8")
            for command in (["nice", "npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
                done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise UnavailableError(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")
    return folder
