"""What Prometheus's and Alertmanager's own tools say of the generated files, where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.inhibition import Plan
from pipemon.generate.output import Options, write
from pipemon.generate.rules import Rules, rule_file, rules
from pipemon.generate.ruletests.by_mode import mode_tests
from pipemon.generate.templates import TEMPLATES, templates_file
from pipemon.units import duration

_LONGEST = 600.0
_AT_ONCE = 20
"""Failure modes whose tests one promtool runs, before it is told how far they are."""


def strict(plans: Sequence[Plan], told: Callable[[int], None] = lambda _: None) -> Iterator[tuple[bool, str]]:
    """Yield whether each tool is content, and what to tell: a line, or all that a tool says against the files.

    promtool checks the rules and runs their tests, amtool checks the configuration. One that is not on PATH is told
    as content: what it would say is not known. `told` hears of how many more failure modes the tests have run: those
    of each are given the rules that they need, and as many are run at once as there are processors.
    """
    with TemporaryDirectory(prefix="pipemon-") as name:
        folder = Path(name)
        made = [rules(each.spec) for each in plans]
        files = {f"rules/{each.spec.pipeline}.rules.yml": rule_file(each) for each in made}
        routes = {
            "alertmanager/alertmanager.yml": alertmanager_file(plans, Options.receiver_url),
            TEMPLATES: templates_file(),
        }
        write(folder, files | routes)
        yield _run(folder, "promtool", "check", "rules", *sorted(files))
        yield _tested(folder / "tests", made, told)
        yield _run(folder, "amtool", "check-config", "alertmanager/alertmanager.yml")


def _tested(folder: Path, made: Sequence[Rules], told: Callable[[int], None]) -> tuple[bool, str]:
    """Return what promtool says of all rule tests: once where it is content with all, or of those that fail."""
    if shutil.which("promtool") is None:
        return _run(folder, "promtool", "test", "rules")
    with ThreadPoolExecutor(_processors()) as pool:
        waiting = [pool.submit(_run, here, "promtool", "test", "rules", *tests) for here, tests in _lots(folder, made)]
        said = []
        for run in waiting:
            said.append(run.result())
            told(_AT_ONCE)
    against = list(dict.fromkeys(words for content, words in said if not content))
    return (False, "\n".join(against)) if against else said[0]


def _lots(folder: Path, made: Sequence[Rules]) -> Iterator[tuple[Path, list[str]]]:
    """Write the tests of failure modes, with the rules of each, and yield those to run together: where, and which."""
    for number, each in enumerate(made):
        here, modes = folder / str(number), mode_tests(each)
        while lot := list(islice(modes, _AT_ONCE)):
            write(here, {name: text for _, texts in lot for name, text in texts.items()})
            yield here, [f"./{name}" for _, texts in lot for name in texts if name.endswith(".tests.yml")]


def _processors() -> int:
    with suppress(AttributeError):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run(folder: Path, *command: str) -> tuple[bool, str]:
    program, *what = command
    words = " ".join(word for word in what if "/" not in word)
    if shutil.which(program) is None:
        return True, f"{program} {words}: not run, {program} is not on PATH"
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=_LONGEST
        )
    except subprocess.TimeoutExpired:
        by_hand = "; write the files by `pipemon generate`, and run it there" if program == "promtool" else ""
        return False, f"{program} {words}: not done after {duration(_LONGEST)}{by_hand}"
    except OSError as error:
        return False, f"{program} {words}: {error}"
    if done.returncode == 0:
        return True, f"{program} {words}: passed"
    return False, f"{program} {words}: failed\n{done.stdout}{done.stderr}".rstrip()
