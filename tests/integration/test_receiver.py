"""From a real Alertmanager, with the generated configuration, to a rollback that is done once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from grafana_double import EDITOR, VERSIONS, GrafanaDouble, opened, serving
from real_servers import Labels, running_alertmanager, tool, until

from pipemon.demo.processes import free_ports
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, generate
from pipemon.generate.rules import rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

SPEECH = """\
pipeline: speech
owner: speech-team
scrape_interval: 5s
stages: {vad: {}, asr: {after: vad}}
failure_modes:
  vad-cuts: {what: It returns nothing, stage: vad, signal: null_ratio, severity: page, then: {rollback: vad}}
"""


@contextmanager
def serving_alerts(folder: Path, port: int, grafana: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `pipemon serve` as a process of its own, killed at the end of the block."""
    options = ["--token-file", "token", "--actions", "actions.yaml", "--grafana-url", grafana]
    command = [sys.executable, "-m", "pipemon", "serve", "--port", str(port), *options]
    command += ["--grafana-token-file", "grafana-token"]
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        until(lambda: answers(port), "pipemon serve ready")
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def post(url: str, labels: Labels, annotations: Labels, starts: float, ends: float | None = None) -> None:
    times = {"startsAt": moment(starts)} | ({"endsAt": moment(ends)} if ends else {})
    body = json.dumps([{"labels": labels, "annotations": annotations, **times}]).encode()
    urlopen(
        Request(f"{url}/api/v2/alerts", data=body, headers={"Content-Type": "application/json"}), timeout=120
    ).close()


def copy(port: int, labels: Labels, annotations: Labels, starts: float) -> None:
    """Send what the other Alertmanager of a pair would."""
    alert = {"status": "firing", "labels": labels, "annotations": annotations, "startsAt": moment(starts + 1)}
    request = Request(
        f"http://127.0.0.1:{port}/alerts",
        data=json.dumps({"alerts": [alert | {"fingerprint": fingerprint(labels)}]}).encode(),
        headers={"Authorization": "Bearer a-token-of-sixteen"},
    )
    urlopen(request, timeout=120).close()


def fingerprint(labels: Labels) -> str:
    """The one that Alertmanager makes: FNV-1a over the sorted names and values, each ended by 0xff."""
    found = 0xCBF29CE484222325
    for byte in b"".join(part.encode() + b"\xff" for pair in sorted(labels.items()) for part in pair):
        found = (found ^ byte) * 0x100000001B3 % 2**64
    return f"{found:016x}"


def moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()


def test_a_rollback_is_done_once_through_retries_and_a_crash_and_marked_in_grafana(tmp_path: Path) -> None:
    (tmp_path / "speech.yaml").write_text(SPEECH)
    (tmp_path / "token").write_text("a-token-of-sixteen")
    (tmp_path / "grafana-token").write_text(EDITOR)
    undo = f"echo $PIPEMON_STAGE >> {tmp_path / 'undone'}; echo deployment.apps/vad rolled back"
    (tmp_path / "actions.yaml").write_text(
        json.dumps({"speech": {"rollback": {"vad": {"command": ["sh", "-c", undo]}}}})
    )
    (port,) = free_ports(1)
    # The shortest waits that the generator gives, so that a group is told again within seconds.
    options = Options(
        time_scale=60, receiver_url=f"http://127.0.0.1:{port}/alerts", receiver_token_file=str(tmp_path / "token")
    )
    generate([tmp_path / "speech.yaml"], tmp_path / "out", options)
    tool("amtool", "check-config", str(tmp_path / "out" / "alertmanager" / "alertmanager.yml"))
    config = (tmp_path / "out" / "alertmanager" / "alertmanager.yml").read_text().replace("pipemon.tmpl", "none-*")
    (rule,) = [rule for rule in rules(plan(load(tmp_path / "speech.yaml")).spec).alerts if rule.mode.name == "vad-cuts"]
    labels = {"alertname": rule.name, "pipeline": "speech", "stage": "vad", **rule.labels}
    told = {"description": "null outputs 31%", "then": str(rule.annotations["then"])}
    start = time.time() - 5

    def undone() -> str:
        path = tmp_path / "undone"
        return path.read_text() if path.exists() else ""

    def log() -> str:
        return (tmp_path / "serve.log").read_text()

    with (
        serving(GrafanaDouble(VERSIONS[0], opened(VERSIONS[0]))) as grafana,
        running_alertmanager(config, tmp_path / "alertmanager") as inbox,
    ):
        # Nobody listens yet: Alertmanager tries again until somebody does.
        post(inbox.url, labels, told, start)
        with serving_alerts(tmp_path, port, grafana.url):
            until(undone, "the rollback")
            until(lambda: len(grafana.annotations) == 2, "the marks of the alert and the rollback")
            assert "ROLLBACK speech/vad for vad-cuts: done: deployment.apps/vad rolled back" in log()
        # It was killed, not stopped. The next one knows what was done.
        seen = log().count("FIRING critical speech/vad vad-cuts")
        with serving_alerts(tmp_path, port, grafana.url):
            copy(port, labels, told, start)
            assert log().count("FIRING critical speech/vad vad-cuts") > seen
            post(inbox.url, labels, told, start, ends=time.time())
            until(lambda: any("timeEnd" in mark for mark in grafana.annotations), "the end of the mark")
    assert undone() == "vad\n"
    assert [mark["tags"][:2] for mark in grafana.annotations] == [["pipemon", "speech"]] * 2
    assert sorted("action" in mark["tags"] for mark in grafana.annotations) == [False, True]
