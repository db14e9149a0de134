"""The speech example as the demo plays it: a copy of its folder, its traffic, its generated files."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from pipemon.errors import UnavailableError
from pipemon.receiver.actions import Action, Actions, Asked

_LEFT_OUT = ("__pycache__", "*.baseline.json")
"""What is not copied: the demo learns its baseline itself."""


@dataclass(frozen=True)
class Example:
    """Where the demo's copy of the example lies, so that what it learns and generates disturbs nobody."""

    folder: Path
    generated: Path
    control: Path
    cache: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its programs: they find this package as this process did, and the cache."""
        found = os.pathsep.join(filter(None, sys.path))
        return {**os.environ, "PYTHONPATH": found, "PIPEMON_CACHE": str(self.cache)}

    @property
    def spec(self) -> Path:
        """The failure modes' file."""
        return self.folder / "failure_modes.yaml"

    def traffic_command(self, port: int, seed: int) -> list[str]:
        """Return the command that serves calls and exposes their metrics on `port`."""
        return [
            sys.executable, str(self.folder / "traffic.py"), "--port", str(port),
            "--control", str(self.control), "--seed", str(seed),
        ]  # fmt: skip

    @property
    def actions(self) -> Actions:
        """How its stages are rolled back: as in its actions.yaml, with its own paths."""
        command = (sys.executable, str(self.folder / "rollback.py"), str(self.control))
        return {Asked("speech", "rollback", stage): Action(command, timeout=30.0) for stage in ("vad", "asr")}

    def inject(self, fault: str | None, strength: float = 0.0) -> None:
        """Put `fault` into the traffic, or, with None, take any fault away."""
        draft = self.control.with_suffix(".draft")
        draft.write_text(json.dumps({"fault": fault, "strength": strength}), encoding="utf-8")
        draft.replace(self.control)

    async def fetch_recordings(self) -> None:
        """Get the recordings that the traffic plays, once. Raises UnavailableError where they can't be had."""
        await self._run([sys.executable, str(self.folder / "recordings.py")])

    async def generate(self, *options: str) -> None:
        """Generate rules, routes, dashboards and configurations from the failure modes."""
        await self._pipemon("generate", str(self.spec), "--out", str(self.generated), *options)

    async def learn_baseline(self, prometheus_url: str, seconds: float) -> None:
        """Learn the baseline from the last `seconds`; the next `generate` uses it."""
        await self._pipemon("baseline", str(self.spec), "--url", prometheus_url, "--over", f"{seconds:.0f}s")

    async def _pipemon(self, *arguments: str) -> None:
        await self._run([sys.executable, "-m", "pipemon", *arguments])

    async def _run(self, command: list[str]) -> None:
        """Run a command of this installation beside the event loop. Raises UnavailableError, with its last line."""
        done = await asyncio.to_thread(
            subprocess.run, command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if done.returncode:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            what = " ".join(Path(word).name if os.sep in word else word for word in command[1:])
            raise UnavailableError(f"{what} failed: {lines[-1].strip() if lines else f'code {done.returncode}'}")


def copy_example(folder: Path, cache: Path) -> Example:
    """Return a copy of the example under `folder`: of the installed package's, else of the repository's."""
    here = Path(__file__).resolve().parent
    for source in (here / "speech", here.parent.parent / "examples" / "speech"):
        if (source / "traffic.py").is_file():
            copied = shutil.copytree(source, folder / "speech", ignore=shutil.ignore_patterns(*_LEFT_OUT))
            return Example(Path(copied), folder / "generated", folder / "control.json", cache)
    raise UnavailableError("the example that the demo plays is not part of this installation; install pipemon[demo]")
