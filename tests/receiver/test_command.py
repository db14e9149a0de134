"""The options of `pipemon serve`: what does not fit together is told before anything listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipemon.receiver import server
from pipemon.receiver.actions import Asked
from pipemon.receiver.command import serve
from pipemon.receiver.worker import Settings

ACTIONS = "speech: {rollback: {vad: {command: [undo]}}}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRAFANA_TOKEN", raising=False)
    (tmp_path / "actions.yaml").write_text(ACTIONS)
    (tmp_path / "token").write_text("a-token-of-sixteen\n")
    (tmp_path / "short").write_text("secret")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--actions actions.yaml", "whoever can send alerts could roll back: give --token-file, too, or --dry-run"),
        ("--dry-run", "--dry-run is about the actions of --actions"),
        ("--token-file short", "the token in short has fewer than 16 characters"),
        ("--token-file gone", "the token can't be read from gone: no such file or directory"),
        ("--grafana-url http://g:3000", "Grafana wants a service account's token: set GRAFANA_TOKEN, or give"),
        ("--key-file token", "--key-file is of a certificate: give --cert-file, too"),
        ("--cert-file token", "the certificate can't be used: "),
        ("--grafana-token-file token", "say where Grafana is: --grafana-url"),
    ],
)
def test_what_does_not_fit_together_is_told(here: Path, arguments: str, message: str) -> None:
    ended = CliRunner().invoke(serve, arguments.split())
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert not list(here.glob("*.sqlite"))


@pytest.mark.parametrize(
    ("arguments", "queue"),
    [
        ("", None),
        ("--actions actions.yaml --token-file token", "pipemon-receiver.sqlite"),
        ("--actions actions.yaml --dry-run", "pipemon-receiver.sqlite"),
        ("--queue mine", "mine"),
    ],
)
def test_a_queue_is_on_disk_where_there_is_anything_to_do(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, queue: str | None
) -> None:
    got: list[Settings] = []

    def listen(port: int, host: str, **more: Any) -> None:
        assert (port, host) == (9465, "127.0.0.1")
        got.append(more["settings"])

    monkeypatch.setattr(server, "serve", listen)
    ended = CliRunner().invoke(serve, arguments.split())
    assert (ended.exit_code, ended.output) == (0, "")
    (settings,) = got
    assert settings.queue == (Path(queue) if queue else None)
    assert set(settings.actions) == ({Asked("speech", "rollback", "vad")} if "actions" in arguments else set())
    assert settings.token == ("a-token-of-sixteen" if "token" in arguments else "")
