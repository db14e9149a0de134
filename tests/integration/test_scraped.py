"""A real Prometheus scrapes a guarded server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from prometheus_client import CollectorRegistry
from real_servers import running_prometheus, until

import pipemon

pytestmark = pytest.mark.integration


def test_prometheus_scrapes_over_tls_with_a_password_or_a_token_and_not_without(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    issued.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "token").write_text("t0ken\n")
    registry = CollectorRegistry()
    pipemon.Pipeline("speech", registry=registry).stage("vad")(lambda: 1)()
    server = pipemon.expose(
        port=0,
        addr="127.0.0.1",
        registry=registry,
        certfile=tmp_path / "tls.crt",
        keyfile=tmp_path / "tls.key",
        username="prometheus",
        password_file=tmp_path / "password",
        bearer_token_file=tmp_path / "token",
    )

    def job(name: str, **credentials: Any) -> dict[str, Any]:
        return {
            "job_name": name,
            "scheme": "https",
            "tls_config": {"ca_file": str(tmp_path / "ca.crt")},
            "static_configs": [{"targets": [f"127.0.0.1:{server.port}"]}],
            **credentials,
        }

    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            job("password", basic_auth={"username": "prometheus", "password_file": str(tmp_path / "password")}),
            job("token", authorization={"credentials_file": str(tmp_path / "token")}),
            job("wrong", authorization={"credentials": "wr0ng"}),
            job("nobody"),
        ],
    }
    try:
        with running_prometheus(yaml.safe_dump(config), tmp_path / "prometheus") as prometheus:

            def up() -> dict[str, float]:
                return {sample.labels["job"]: sample.value for sample in prometheus.query("up")}

            expected = {"password": 1, "token": 1, "wrong": 0, "nobody": 0}  # a scrape that took too long is none
            until(lambda: up() == expected, "the two with credentials, and no other")
            calls = prometheus.query("pipemon_stage_calls_total")
            assert {(sample.labels["job"], sample.value) for sample in calls} == {("password", 1), ("token", 1)}
    finally:
        server.close()
