"""Draws a dashboard file with Grafana's published front-end packages in a headless Chromium: no Grafana server."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipemon.demo.programs import default_cache, find_program
from pipemon.errors import UnavailableError

_BROWSER = Path(__file__).resolve().with_name("browser.mjs")
_CHANGES = (
    ("src/boot.ts", "mode: 'dark'", "mode: location.hash === '#light' ? 'light' : 'dark'"),
    ("src/main.tsx", "!r.isActive || [", "["),
    ("src/panels/core.tsx", "wrapHeaderText: false,", "wrapHeaderText: false, wrapText: false,"),
    (
        "src/prom.ts",
        "return { frames };",
        "const nothing = { schema: { refId: q.refId, meta: {}, fields: [] }, data: { values: [] } };"
        " return { frames: frames.length || q.format !== 'table' ? frames : [nothing] };",
    ),
    ("src/panels/plots.tsx", "const flip = ", "const flip = theme.isDark && "),
)
"""What is changed in the renderer's files: it waits for panels that have not asked yet, on a busy machine; it knows
cells that wrap, that Grafana's server says of an empty table which query's it is, and the light theme, in which the
colours of heatmaps are not turned round."""
_PATIENCE_MS = 180_000
_KEPT = ("node_modules", "dist")


def source() -> Path:
    """Return where the renderer's source is: $PIPEMON_GRAFANA_RENDERER, else beside the project."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "grafana-render"
    return Path(os.environ.get("PIPEMON_GRAFANA_RENDERER", beside))


@dataclass(frozen=True)
class View:
    """How a dashboard is looked at: from and until when, as Grafana's addresses have it, and on which screen.

    `width` is in pixels, `theme` Grafana's: `dark` or `light`; `settle` the seconds that panels have before a picture.
    """

    since: str
    until: str = "now"
    scrape_interval: str = "15s"
    variables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    width: int = 1600
    theme: str = "dark"
    settle: float = 0.0


@dataclass(frozen=True)
class Renderer:
    """A renderer that is built and waits for dashboards, with one browser for all."""

    process: subprocess.Popen[str]

    def draw(self, dashboard: Path, prometheus: str, view: View, picture: Path | None = None) -> dict[str, Any]:
        """Draw a dashboard file, to a PNG file where one is named, and return the report on its panels.

        Raises RuntimeError with what went wrong in the browser.
        """
        job = {
            "dashboard": str(dashboard), "prometheus": prometheus, "out": str(picture) if picture else None,
            "from": view.since, "to": view.until, "scrapeInterval": view.scrape_interval,
            "vars": {name: list(values) for name, values in view.variables.items()},
            "width": view.width, "theme": view.theme, "settleMs": round(1000 * view.settle), "timeoutMs": _PATIENCE_MS,
        }  # fmt: skip
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{dashboard.name}: the renderer ended with code {self.process.wait()}")
        found: dict[str, Any] = json.loads(line)
        if "failed" in found:
            raise RuntimeError(f"{dashboard.name}: {found['failed'][-4000:]}")
        return found


@contextmanager
def rendering() -> Iterator[Renderer]:
    """Run the renderer, which is built once in the cache. Raises UnavailableError with what is missing."""
    folder, chromium = _ready()
    command = ["nice", "node", str(_BROWSER), str(chromium)]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Renderer(process)
        finally:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()  # which ends it


def _ready() -> tuple[Path, Path]:
    found = source()
    if not (found / "render.mjs").is_file():
        raise UnavailableError(f"there is no renderer in {found}; PIPEMON_GRAFANA_RENDERER names its folder")
    chromium = find_program("chromium", "chromium-browser", "google-chrome")
    if chromium is None:
        raise UnavailableError("chromium is not on the PATH; install it: `apt-get install chromium`")
    if not find_program("npm"):
        raise UnavailableError("npm is not on the PATH; install it: `apt-get install npm`")
    return _built(found), chromium


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
