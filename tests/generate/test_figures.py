"""The numbers of alerts are as people read them: what Prometheus prints, and what commands and rule tests say of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipemon.generate.annotations import printed, template

pytestmark = pytest.mark.integration

VALUES = (0.0001, 0.0123456, -12.3456, 9999.4, 9999.7, -9999.7, 44123.4, -44123.4, 1013250.3, 123456789.0)


def test_prometheus_prints_numbers_as_commands_do_and_none_with_an_exponent(tmp_path: Path) -> None:
    asked = template(". | first | value", "pascals")
    annotations = {"own": template("$value", "pascals"), "asked": f"{{{{ with query `x` }}}}{asked}{{{{ end }}}}"}
    rule = {"alert": "Far", "expr": "x", "annotations": annotations}
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "x", "rules": [rule]}]}))
    tests = []
    for value in VALUES:
        told = printed(value, "pascals")
        assert "e" not in told
        alert = {"exp_labels": {}, "exp_annotations": dict.fromkeys(annotations, told)}
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": "x", "values": f"{value!r}"}],
                "alert_rule_test": [{"eval_time": "0m", "alertname": "Far", "exp_alerts": [alert]}],
            }
        )
    (tmp_path / "tests.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": tests}))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
