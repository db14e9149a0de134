"""What a service allows that opts in, and how a drill ends: never later than it said, whoever dies."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client import CollectorRegistry
from real_servers import until

import pipemon
from pipemon.instrument import drill_running
from pipemon.instrument.drill import Drills, allowed
from pipemon.instrument.drill_allowing import PATH
from pipemon.instrument.exposition import server

TOKEN = "correct horse battery staple"
Ask = Callable[..., tuple[int, dict[str, Any]]]


def vad(audio: float) -> list[float]:
    return [audio]


@pytest.fixture
def speech(registry: CollectorRegistry) -> pipemon.Pipeline:
    return pipemon.Pipeline("speech", registry=registry)


@pytest.fixture
def stage(speech: pipemon.Pipeline) -> Callable[[float], list[float] | None]:
    return speech.stage("vad", inputs={"audio": pipemon.Feature("level", float)})(vad)


@pytest.fixture
def drills(speech: pipemon.Pipeline, stage: Any) -> Iterator[Drills]:
    allowed = pipemon.allow_drills(speech, token=TOKEN, most=1.0)
    assert allowed is not None
    yield allowed
    allowed.close()


@pytest.fixture
def ask(drills: Drills, registry: CollectorRegistry) -> Iterator[Ask]:
    """Ask the metrics server for a drill; give the status and the answer."""
    exposed = pipemon.expose(port=0, addr="127.0.0.1", registry=registry)

    def ask(method: str, body: bytes | None = None, token: str = TOKEN, **fields: Any) -> tuple[int, dict[str, Any]]:
        asked = {
            "pipeline": "speech",
            "stage": "vad",
            "track": "stable",
            "seconds": 60,
            "share": 1,
            "effects": ["null"],
        }
        data = body if body is not None else json.dumps(asked | fields).encode()
        request = Request(
            f"http://127.0.0.1:{exposed.port}{PATH}",
            data=None if method == "GET" else data,
            headers={"Authorization": f"Bearer {token}"},
            method=method,
        )
        try:
            with urlopen(request, timeout=120) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)

    yield ask
    exposed.close()


def active(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("pipemon_drill_active", {"pipeline": "speech", "stage": "vad"})


class TestOverHTTP:
    def test_a_drill_begins_and_ends_beside_the_metrics(
        self, ask: Ask, stage: Any, registry: CollectorRegistry
    ) -> None:
        status, begun = ask("POST")
        assert (status, begun["active"], active(registry)) == (200, True, 1.0)
        assert stage(1.0) is None
        assert ask("PUT", name=begun["name"])[1]["active"]
        status, ended = ask("DELETE", name=begun["name"])
        assert (status, ended["active"], ended["effects"], active(registry)) == (200, False, 1, 0.0)
        assert stage(1.0) == [1.0]
        assert ask("GET")[1]["allowed"][0]["drill"]["name"] == begun["name"]

    @pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "ü" * 20])
    def test_nobody_drills_without_the_token(self, ask: Ask, stage: Any, token: str) -> None:
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert ask(method, token=token.encode().decode("latin-1"))[0] == 401
        assert stage(1.0) == [1.0]

    @pytest.mark.parametrize(
        ("fields", "status", "told"),
        [
            ({"pipeline": "vision"}, 404, "no drills of the pipeline 'vision'"),
            ({"stage": "vda"}, 404, "there is no stage 'vda'; did you mean 'vad'?"),
            ({"track": "canary"}, 404, "serves as canary"),
            ({"seconds": 901}, 403, "at most 15m"),
            ({"seconds": 0}, 403, "at most 15m"),
            ({"seconds": float("nan")}, 403, "at most 15m"),
            ({"seconds": "60"}, 400, "seconds is a number"),
            ({"share": 1.01}, 403, "a share of at most 1"),
            ({"share": -1}, 403, "a share of at most 1"),
            ({"effects": []}, 400, "at least one effect"),
            ({"effects": "null"}, 400, "a list of texts"),
            ({"effects": ["nul"]}, 400, "did you mean 'null'?"),
            ({"effects": ["latency"]}, 400, "is no effect"),
            ({"effects": ["shift=input.level:nan"]}, 400, "is no effect"),
            ({"effects": ["missing=input.levle"]}, 404, "did you mean 'input.level'?"),
        ],
    )
    def test_what_is_not_allowed_is_refused_with_a_sentence(
        self, ask: Ask, stage: Any, fields: dict[str, Any], status: int, told: str
    ) -> None:
        found, answer = ask("POST", **fields)
        assert found == status
        assert told in answer["error"]
        assert stage(1.0) == [1.0]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 5000, b'"' + b"x" * 20_000 + b'"', b"\xff"])
    def test_what_is_no_request_is_refused(self, ask: Ask, body: bytes) -> None:
        assert ask("POST", body=body)[0] in (400, 413)

    def test_there_is_one_drill_at_a_time(self, ask: Ask) -> None:
        assert ask("POST")[0] == 200
        assert ask("POST")[0] == 409

    def test_the_metrics_are_still_there(self, ask: Ask, registry: CollectorRegistry) -> None:
        assert server.mounted.keys() == {PATH}


class TestItEndsByItself:
    def test_when_its_time_is_over(self, drills: Drills, stage: Any, registry: CollectorRegistry) -> None:
        begun = drills.begin("vad", ["null"], 0.3, 1.0, "stable", "a test")
        assert stage(1.0) is None
        until(lambda: stage(1.0), "the end")
        until(lambda: active(registry) == 0, "the gauge")
        assert drills.renew(begun["name"])["ended_by"] == "its time is over"

    def test_when_its_client_is_dead(self, drills: Drills, stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drill_running, "LEASE", 0.3)
        begun = drills.begin("vad", ["null"], 60, 1.0, "stable", "a test")
        assert stage(1.0) is None
        until(lambda: not drills.state()["drill"]["active"], "the end")
        assert stage(1.0) == [1.0]
        assert "not heard of" in drills.renew(begun["name"])["ended_by"]

    def test_in_time_even_without_its_thread(self, drills: Drills, stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drill_running.Running, "_watch", lambda _: None)
        drills.begin("vad", ["null"], 0.2, 1.0, "stable", "a test")
        assert stage(1.0) is None
        until(lambda: stage(1.0), "the end")

    def test_a_call_that_is_held_up_goes_on_when_it_ends(self, drills: Drills, stage: Any) -> None:
        drills.begin("vad", ["latency=10m"], 0.3, 1.0, "stable", "a test")
        assert stage(1.0) == [1.0]

    def test_in_a_forked_child_at_once(self, drills: Drills, stage: Any, registry: CollectorRegistry) -> None:
        drills.begin("vad", ["null"], 60, 1.0, "stable", "a test")
        child = os.fork()
        if child == 0:
            os._exit(0 if stage(1.0) == [1.0] and active(registry) == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert stage(1.0) is None

    def test_nothing_of_it_is_left(self, drills: Drills, stage: Any) -> None:
        def state() -> tuple[dict[str, Any], dict[str, Any]]:
            names = dict(stage.__globals__)
            return names, dict(vars(names["pm_recorder"]))

        stage(1.0)
        before, (_, recorder) = state()[0], state()
        effects = ["null", "latency=1ms", "shift=input.level:3", "feedback=redo"]
        begun = drills.begin("vad", effects, 60, 1.0, "stable", "a test")
        assert state()[0] != before
        drills.end(begun["name"])
        assert state()[0] == before
        assert state()[1].keys() == recorder.keys()


def test_beginning_and_end_are_in_the_log(drills: Drills, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pipemon"):
        drills.end(drills.begin("vad", ["null", "latency=2s"], 60, 0.5, "stable", "10.0.0.7")["name"])
    begun, ended = (record.getMessage() for record in caplog.records)
    assert "asked for by 10.0.0.7: null, latency on at most 50% of the calls of speech/vad, for at most 1m" in begun
    assert "has ended: its client ended it; it had 0 effects" in ended


class TestOptingIn:
    def test_who_does_not_has_no_metric_and_no_path(self, stage: Any, registry: CollectorRegistry) -> None:
        assert active(registry) is None
        assert PATH not in server.mounted or not [d for d in _allowed() if d.pipeline.name == "speech"]

    def test_an_unset_variable_leaves_drills_off(
        self, speech: pipemon.Pipeline, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DRILL_TOKEN", raising=False)
        assert pipemon.allow_drills(speech, token_env="DRILL_TOKEN") is None

    def test_a_token_file_is_read_at_each_use(self, speech: pipemon.Pipeline, stage: Any, tmp_path: Path) -> None:
        (tmp_path / "token").write_text(TOKEN + "\n")
        allowed = pipemon.allow_drills(speech, token_file=tmp_path / "token", port=0)
        assert allowed is not None
        try:
            assert allowed.permits(TOKEN)
            (tmp_path / "token").write_text("another one, just as long\n")
            assert not allowed.permits(TOKEN)
            (tmp_path / "token").unlink()
            assert not allowed.permits("")
            assert allowed.exposition is not None
            with pytest.raises(HTTPError, match="401"):
                urlopen(f"http://127.0.0.1:{allowed.exposition.port}{PATH}", timeout=120)
        finally:
            allowed.close()

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({}, "give one of token, token_file, token_env"),
            ({"token": TOKEN, "token_env": "X"}, "give one of"),
            ({"token": "short"}, "at least 16 characters, this one 5"),
            ({"token_file": "/nowhere"}, "can't be read"),
            ({"token": TOKEN, "longest": "soon"}, "not a duration"),
            ({"token": TOKEN, "most": 0}, "above 0 and at most 1"),
            ({"token": TOKEN, "most": 1.5}, "above 0 and at most 1"),
            ({"token": TOKEN, "null": {"vda": list}}, "did you mean 'vad'?"),
            ({"token": TOKEN, "null": {"vad": []}}, "needs a function"),
        ],
    )
    def test_what_is_declared_wrongly_raises(
        self, speech: pipemon.Pipeline, stage: Any, options: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(pipemon.DeclarationError) as raised:
            pipemon.allow_drills(speech, **options)
        assert told in str(raised.value)

    def test_a_disabled_pipemon_allows_nothing(self, speech: pipemon.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIPEMON_DISABLED", "1")
        assert pipemon.allow_drills(speech, token=TOKEN) is None


def _allowed() -> list[Drills]:
    return list(allowed.values())
