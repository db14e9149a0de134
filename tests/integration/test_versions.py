"""Generated files do the same in the Prometheus, Alertmanager and vmalert of three Debian releases.

The other tests run those of the oldest, bookworm: Prometheus 2.42 and Alertmanager 0.25. Those of trixie (2.53, 0.28)
and sid (3.5, 0.33), and VictoriaMetrics' vmalert, are unpacked beside them; nothing of the machine is upgraded.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipemon.demo.programs import debian_packages
from pipemon.errors import UnavailableError

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
TESTS = {
    "speech": ROOT / "rules" / "tests" / "speech.tests.yml",
    "every_signal": GOLDEN / "every_signal" / "rules" / "tests" / "speech.tests.yml",
    "combined": GOLDEN / "combined" / "rules" / "tests" / "shop.tests.yml",
    "drifting": GOLDEN / "drifting" / "rules" / "tests" / "kitchen.long.drift-30m.tests.yml",
}
SAMPLED = {"speech": 16, "every_signal": 14, "combined": 4, "drifting": 4}
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


def sampled(case: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write every so-many-th of a case's rule tests to a folder; they name the rules by their whole path."""
    file, every = TESTS[case], SAMPLED[case]
    document = yaml.safe_load(file.read_text())
    document["rule_files"] = [str((file.parent / name).resolve()) for name in document["rule_files"]]
    document["tests"] = document["tests"][::every]
    written = folder / file.name
    written.write_text(yaml.safe_dump(document, sort_keys=False, width=1_000_000))
    return written, document


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


@pytest.mark.parametrize("case", TESTS)
def test_rule_tests_pass_as_in_the_oldest_version(programs: Path, case: str, tmp_path: Path) -> None:
    written, document = sampled(case, tmp_path)
    assert len(document["tests"]) >= 3
    run(programs / "promtool", "test", "rules", written)


def test_vmalert_fires_where_prometheus_does(programs: Path, tmp_path: Path) -> None:
    """vmalert's own test command takes the same tests of alerts, with all labels and annotations."""
    written, document = sampled("combined", tmp_path)
    tests = [
        {name: value for name, value in test.items() if name != "promql_expr_test"}
        for test in document["tests"]
        if test.get("alert_rule_test")
    ]
    assert any(case["exp_alerts"] for test in tests for case in test["alert_rule_test"])
    written.write_text(yaml.safe_dump({**document, "tests": tests}, sort_keys=False, width=1_000_000))
    told = run(programs / "vmalert-tool", "unittest", "--disableAlertgroupLabel", f"--files={written}")
    assert "SUCCESS" in told
