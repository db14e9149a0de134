"""Generated files do the same in the Prometheus, Alertmanager and vmalert of three Debian releases.

The other tests run those of the oldest, bookworm: Prometheus 2.42 and Alertmanager 0.25. Those of trixie (2.53, 0.28)
and sid (3.5, 0.33), and VictoriaMetrics' vmalert, are unpacked beside them; nothing of the machine is upgraded.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from rule_subsets import failing_modes

from pipemon.demo.programs import debian_packages
from pipemon.errors import UnavailableError
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rules
from pipemon.spec.load import load

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
SPECS = ROOT / "tests" / "generate"
CASES = {
    ROOT / "examples" / "speech" / "failure_modes.yaml": 16,
    SPECS / "every_signal.yaml": 14,
    SPECS / "combined.yaml": 4,
    SPECS / "undecorated.yaml": 8,
    SPECS / "drifting.yaml": 6,
    SPECS / "nightly.yaml": 4,
}
"""Failure-mode files, and of how many of their rule tests one is run."""

VERSIONS = {"trixie": ("2.53", "0.28"), "sid": ("3.5", "0.33")}

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", params=VERSIONS)
def release(request: pytest.FixtureRequest) -> str:
    """The release's name."""
    return str(request.param)


@pytest.fixture(scope="module")
def programs(release: str) -> Path:
    """The folder with a release's programs."""
    packages = ["prometheus-alertmanager", "promtool", "victoria-metrics"]
    try:
        return debian_packages(packages, Path(os.environ["PIPEMON_CACHE"]), release) / "usr" / "bin"
    except UnavailableError as error:
        pytest.skip(f"needs the packages of {release}: {error}")


def run(program: Path, *arguments: str | Path, cwd: Path = ROOT) -> str:
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{program.name} {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def rule_files() -> list[Path]:
    return sorted([*(ROOT / "rules").glob("*.yml"), *GOLDEN.glob("*/rules/*.yml")])


def test_the_programs_are_of_the_versions_that_we_say(release: str, programs: Path) -> None:
    prometheus, alertmanager = VERSIONS[release]
    assert f"version {prometheus}." in run(programs / "promtool", "--version")
    assert f"version {alertmanager}." in run(programs / "amtool", "--version")


def test_rule_files_are_accepted(programs: Path) -> None:
    files = rule_files()
    assert len(files) >= 4
    told = run(programs / "promtool", "check", "rules", *files)
    assert told.count("SUCCESS") == len(files)


def test_rule_files_are_accepted_by_vmalert(programs: Path) -> None:
    run(programs / "vmalert", "-dryRun", *(f"-rule={file}" for file in rule_files()))


def test_prometheus_configurations_are_accepted(programs: Path) -> None:
    for file in GOLDEN.glob("*/prometheus.yml"):
        run(programs / "promtool", "check", "config", "--syntax-only", file)


def test_alertmanager_configurations_are_accepted(programs: Path) -> None:
    files = sorted(GOLDEN.glob("**/alertmanager.yml"))
    assert files
    for file in files:
        run(programs / "amtool", "check-config", file)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rule_tests_pass_as_in_the_oldest_version(programs: Path, path: Path, tmp_path: Path) -> None:
    made = rules(plan(load(path)).spec)
    assert failing_modes(made, tmp_path, programs / "promtool", CASES[path]) == {}


def test_vmalert_fires_where_prometheus_does(programs: Path, tmp_path: Path) -> None:
    """vmalert's own test command takes the same tests of alerts, with all labels and annotations."""
    file = GOLDEN / "combined" / "rules" / "tests" / "shop.tests.yml"
    document = yaml.safe_load(file.read_text())
    document["rule_files"] = [str((file.parent / name).resolve()) for name in document["rule_files"]]
    tests = [
        {name: value for name, value in test.items() if name != "promql_expr_test"}
        for test in document["tests"][::4]
        if test.get("alert_rule_test")
    ]
    assert any(case["exp_alerts"] for test in tests for case in test["alert_rule_test"])
    written = tmp_path / file.name
    written.write_text(yaml.safe_dump({**document, "tests": tests}, sort_keys=False, width=1_000_000))
    told = run(programs / "vmalert-tool", "unittest", "--disableAlertgroupLabel", f"--files={written}")
    assert "SUCCESS" in told
