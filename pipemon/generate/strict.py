"""What Prometheus's and Alertmanager's own tools say of the generated files, where they are installed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pipemon.generate.inhibition import Plan
from pipemon.generate.output import Options, files, write

_LONGEST = 600.0


def strict(plans: Sequence[Plan]) -> Iterator[tuple[bool, str]]:
    """Yield whether each tool is content, and what to tell: a line, or all that a tool says against the files.

    promtool checks the rules and runs their tests, amtool checks the configuration. One that is not on PATH is told
    as content: what it would say is not known.
    """
    with TemporaryDirectory(prefix="pipemon-") as name:
        folder = Path(name)
        made = files(plans, Options())
        write(folder, made)
        rules = sorted(path for path in made if path.startswith("rules/") and "/tests/" not in path)
        tests = sorted(path for path in made if path.startswith("rules/tests/"))
        yield _run(folder, "promtool", "check", "rules", *rules)
        yield _run(folder, "promtool", "test", "rules", *tests)
        yield _run(folder, "amtool", "check-config", "alertmanager/alertmanager.yml")


def _run(folder: Path, *command: str) -> tuple[bool, str]:
    program, *what = command
    words = " ".join(word for word in what if "/" not in word)
    if shutil.which(program) is None:
        return True, f"{program} {words}: not run, {program} is not on PATH"
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=_LONGEST
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"{program} {words}: {error}"
    if done.returncode == 0:
        return True, f"{program} {words}: passed"
    return False, f"{program} {words}: failed\n{done.stdout}{done.stderr}".rstrip()
