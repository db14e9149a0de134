"""Rule tests by failure mode, each with the rules that it needs and no others: promtool evaluates all it is given."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pipemon.generate.rules import Rules, rule_file
from pipemon.generate.ruletests.files import test_files as rule_tests
from pipemon.spec.model import Spec
from pipemon.spec.modes import alert_name
from pipemon.spec.signals import DRIFT

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Document = dict[str, Any]


def documents(made: Rules) -> tuple[Document, list[Document]]:
    """The rule file and the files of its tests, as data."""
    tests = [yaml.load(text, LOADER) for text in rule_tests(made).values()]
    return yaml.load(rule_file(made), LOADER), tests


def without_drift(spec: Spec) -> Spec:
    """A spec without its failure modes of drift, whose many rules have tests of their own."""
    return replace(spec, failure_modes=tuple(mode for mode in spec.failure_modes if DRIFT not in mode.signals))


def only(made: Rules, document: Document, modes: set[str]) -> Document:
    """A rule file with what `modes` need and no more, to save promtool's time."""
    alerts = {alert_name(made.spec.pipeline, mode) for mode in modes}

    def needed(rule: Document) -> bool:
        return rule.get("alert") in alerts or bool(set(made.readers.get(rule.get("record", ""), ())) & modes)

    groups = [{**group, "rules": list(filter(needed, group["rules"]))} for group in document["groups"]]
    return {"groups": [group for group in groups if group["rules"]]}


def cases_of(files: Iterable[Document], mode: str) -> list[Document]:
    """The tests of a failure mode, of each file that has some."""
    every = ((file, [t for t in file["tests"] if re.sub(":.*", "", t["name"]) == mode]) for file in files)
    return [{**file, "tests": found} for file, found in every if found]


def failing(folder: Path, document: Document, tests: Document, promtool: str | Path = "promtool") -> str:
    """What promtool says of tests that fail, or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("rules.yml", document), ("tests.yml", {**tests, "rule_files": ["rules.yml"]})):
        (folder / name).write_text(yaml.dump(data, Dumper=DUMPER, sort_keys=False, width=1_000_000))
    command = [promtool, "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr or "failed"


def failing_modes(
    made: Rules, folder: Path, promtool: str | Path = "promtool", every: int = 1, signal: str = ""
) -> dict[str, str]:
    """What promtool says of each failure mode whose tests fail; of each file's tests it gets every so-many-th.

    With `signal` only of failure modes that have it.
    """
    document, files = documents(made)
    files = [{**file, "tests": file["tests"][::every]} for file in files]

    def said(mode: str) -> str:
        own = only(made, document, {mode})
        return "".join(
            failing(folder / f"{mode}-{number}", own, tests, promtool)
            for number, tests in enumerate(cases_of(files, mode))
        )

    modes = [alert.mode.name for alert in made.alerts if not signal or signal in alert.mode.signals]
    with ThreadPoolExecutor(2) as pool:
        return {mode: text for mode, text in zip(modes, pool.map(said, modes), strict=True) if text}
