"""What docs/ways-out.md shows works as it stands."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web
from fetching import fetch
from prometheus_client import REGISTRY
from real_servers import running_pushgateway, tool

import pipemon

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ways-out.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.integration


def block(language: str, part: str) -> str:
    """The one block of code with this text in it."""
    (found,) = (code for code in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if part in code)
    return str(found)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files that the page speaks of, in the working directory; and the default registry as it was."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    issued.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    (tmp_path / "password").write_text("s3cret")
    (tmp_path / "token").write_text("t0ken")
    (tmp_path / "textfile").mkdir()
    monkeypatch.chdir(tmp_path)
    before = set(REGISTRY._collector_to_names)
    yield tmp_path
    for collector in set(REGISTRY._collector_to_names) - before:
        REGISTRY.unregister(collector)


def run(part: str, **replaced: str) -> dict[str, Any]:
    code = block("python", part)
    for old, new in replaced.items():
        assert old in code
        code = code.replace(old, new)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, "docs/ways-out.md", "exec"), names)
    return names


def test_the_servers_serve() -> None:
    plain = run("expose(port=9464)", **{"9464": "0"})["server"]
    guarded = run('certfile="tls.crt"', **{"9464": "0"})["server"]
    try:
        assert fetch(f"http://127.0.0.1:{plain.port}/metrics").status == 200
    finally:
        plain.close()
        guarded.close()


def test_the_frameworks_serve() -> None:
    assert run("Flask(")["app"].test_client().get("/metrics").status_code == 200

    async def of_fastapi() -> int:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/metrics", "query_string": b"", "headers": []}
        await run("FastAPI()")["app"]({**scope, "root_path": ""}, None, send)
        return int(sent[0]["status"])

    async def of_aiohttp() -> int:
        runner = web.AppRunner(run("web.Application()")["app"])
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        answer = await asyncio.to_thread(fetch, f"http://127.0.0.1:{port}/metrics")
        await runner.cleanup()
        return answer.status

    assert asyncio.run(of_fastapi()) == 200
    assert asyncio.run(of_aiohttp()) == 200


def test_the_batch_job_pushes(tmp_path: Path) -> None:
    with running_pushgateway(tmp_path) as gateway:
        run("batch_job", **{"pushgateway:9091": gateway})
        pushed = fetch(f"http://{gateway}/metrics")
    assert pushed.value("pipemon_stage_calls_total", job="nightly", pipeline="speech", stage="asr", version="0") == 1
    assert pushed.value("pipemon_batch_last_success_timestamp_seconds", job="nightly", pipeline="speech") > 0


def test_the_file_is_written(folder: Path) -> None:
    run("write_textfile")
    assert (folder / "textfile" / "nightly.prom").is_file()


def test_prometheus_takes_the_configurations(folder: Path) -> None:
    for part in ("basic_auth", "honor_labels"):
        (folder / "prometheus.yml").write_text(block("yaml", part))
        tool("promtool", "check", "config", str(folder / "prometheus.yml"))


def test_the_alerts_tell_a_late_a_missing_and_a_poor_run_and_no_good_one(folder: Path) -> None:
    (folder / "rules.yml").write_text(block("yaml", "NightlyIsLate"))
    success, calls, null = (
        f'{name}{{job="nightly",pipeline="speech"}}'
        for name in (
            "pipemon_batch_last_success_timestamp_seconds",
            "pipemon_stage_calls_total",
            "pipemon_stage_null_outputs_total",
        )
    )

    def case(series: dict[str, str], at: str, firing: str | None) -> dict[str, Any]:
        alerts = ("NightlyIsLate", "NightlyNeverSucceeded", "NightlyNullOutputs")
        labels = {"NightlyNeverSucceeded": {"job": "nightly"}, "NightlyIsLate": {"pipeline": "speech"}}
        fired = {"exp_labels": labels.get(str(firing), {"job": "nightly", "pipeline": "speech"})}
        return {
            "interval": "10m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [
                {"alertname": alert, "eval_time": at, "exp_alerts": [fired] if alert == firing else []}
                for alert in alerts
            ],
        }

    good = {success: "60x300", calls: "100x300", null: "5x300"}
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "10m",
        "tests": [
            case(good, "26h", None),
            case(good, "26h10m", "NightlyIsLate"),
            case({}, "25h50m", None),
            case({}, "26h", "NightlyNeverSucceeded"),
            case({**good, null: "6x300"}, "1h", "NightlyNullOutputs"),
        ],
    }
    (folder / "tests.yml").write_text(yaml.safe_dump(tests))
    tool("promtool", "test", "rules", str(folder / "tests.yml"))


def test_every_way_out_is_on_the_page() -> None:
    ways = {"expose", "asgi_app", "wsgi_app", "aiohttp_handler", "batch_job", "push", "write_textfile"}
    assert ways <= set(pipemon.__all__)
    assert {name for name in ways if f"pipemon.{name}(" in PAGE} == ways
