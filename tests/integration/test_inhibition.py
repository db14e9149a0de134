"""What a real Alertmanager holds back with the generated configuration: effects, and never more than that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent, indent

import pytest
from real_servers import Inbox, Labels, running_alertmanager

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.inhibition import Plan, plan
from pipemon.generate.rules import rules
from pipemon.spec.load import load

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
EVERY_SIGNAL = ROOT / "tests" / "generate" / "every_signal.yaml"
SPEECH = ROOT / "examples" / "speech" / "failure_modes.yaml"

CASCADE = """\
pipeline: chain
owner: team
stages:
  first: {features: {output.share: ratio}}
  second: {after: first, features: {output.score: ratio}}
  third: {after: second}
"""


def chain(folder: Path, modes: str, top: str = "") -> Plan:
    """The plan of a cascade of three stages with these failure modes."""
    path = folder / "chain.yaml"
    path.write_text(f"{CASCADE}{top}\nfailure_modes:\n{indent(dedent(modes), '  ')}")
    return plan(load(path))


def alert(made: Plan, mode: str, **more: str) -> Labels:
    """The labels with which a failure mode's alert reaches Alertmanager; `more` are the kept ones."""
    (rule,) = [rule for rule in rules(made.spec).alerts if rule.mode.name == mode]
    stage = {"stage": rule.mode.stage} if rule.mode.stage else {}
    return {
        "alertname": rule.name,
        "pipeline": made.spec.pipeline,
        **stage,
        **more,
        **rule.labels,
    }


@pytest.fixture
def inbox(made: Plan, tmp_path: Path) -> Iterator[Inbox]:
    with running_alertmanager(alertmanager_file([made], "http://127.0.0.1:1/"), tmp_path / "alertmanager") as running:
        yield running


HERE = {"cluster": "a", "namespace": "prod"}


class TestEverySignal:
    @pytest.fixture
    def made(self) -> Plan:
        return plan(load(EVERY_SIGNAL))

    def test_an_upstream_page_holds_back_its_effects_of_its_own_cluster_and_namespace(
        self, inbox: Inbox, made: Plan
    ) -> None:
        here, there = HERE, {"cluster": "b", "namespace": "prod"}
        firing = {
            "loud here": alert(made, "loud-microphones", **here),
            "gibberish here": alert(made, "gibberish", **here),
            "gibberish in another cluster": alert(made, "gibberish", **there),
            "gibberish in another namespace": alert(made, "gibberish", cluster="a", namespace="test"),
            "gibberish of another pipeline": alert(made, "gibberish", **here) | {"pipeline": "vision"},
            "users here": alert(made, "users-repeat-themselves", **here),
        }
        assert inbox.held_back(firing) == {
            "gibberish here": "loud here",
            "users here": "loud here",
        }

    def test_slowness_holds_back_slowness_but_neither_crashes_nor_what_nobody_calls(
        self, inbox: Inbox, made: Plan
    ) -> None:
        firing = {
            name: alert(made, name, **HERE)
            for name in (
                "slow-asr",
                "answers-late",
                "answers-fail",
                "too-few-pauses",
                "punctuation-stopped",
            )
        }
        assert inbox.held_back(firing) == {"answers-late": "slow-asr"}

    def test_no_alert_at_all_holds_back_an_absence_or_a_written_expression(self, inbox: Inbox, made: Plan) -> None:
        firing = {mode.name: alert(made, mode.name, **HERE) for mode in made.spec.measurable}
        held = inbox.held_back(firing)
        assert held
        assert not {"nobody-calls", "punctuation-stopped", "gateway-overloaded"} & {
            *held,
            *held.values(),
        }


class TestSpeech:
    @pytest.fixture
    def made(self) -> Plan:
        return plan(load(SPEECH))

    def test_a_slow_recogniser_explains_a_late_answer_and_nothing_else(self, inbox: Inbox, made: Plan) -> None:
        names = (
            "slow-asr",
            "answer-too-late",
            "nobody-scores-us",
            "users-repeat-themselves",
            "nobody-calls",
        )
        assert inbox.held_back({name: alert(made, name) for name in names}) == {"answer-too-late": "slow-asr"}

    def test_dead_air_explains_that_no_speech_is_found(self, inbox: Inbox, made: Plan) -> None:
        names = ("dead-air", "vad-cuts-everything", "slow-asr", "flying-blind")
        assert inbox.held_back({name: alert(made, name) for name in names}) == {"vad-cuts-everything": "dead-air"}


class TestSeverity:
    @pytest.fixture(params=["", "leads_to: [crash]"], ids=["by topology", "with leads_to"])
    def made(self, request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
        return chain(
            tmp_path,
            f"""\
            odd: {{what: odd, stage: first, signal: null_ratio, severity: ticket, {request.param}}}
            crash: {{what: crash, stage: second, signal: error_ratio, severity: page}}
            silent: {{what: silent, stage: second, signal: null_ratio, severity: ticket}}
            """,
        )

    def test_a_ticket_holds_back_a_ticket_and_never_a_page(self, inbox: Inbox, made: Plan) -> None:
        held = inbox.held_back({name: alert(made, name) for name in ("odd", "crash", "silent")})
        assert "crash" not in held
        assert held["silent"] in ("odd", "crash")

    def test_the_ticket_alone_holds_back_the_ticket(self, inbox: Inbox, made: Plan) -> None:
        assert inbox.held_back({name: alert(made, name) for name in ("odd", "silent")}) == {"silent": "odd"}


class TestPace:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Plan:
        return chain(
            tmp_path,
            """\
            drifts: {what: x, stage: first, signal: null_ratio, pace: gradual, severity: page}
            drops: {what: x, stage: second, signal: null_ratio, severity: page}
            fades: {what: x, stage: second, signal: null_ratio, above: 1%, pace: gradual, severity: page}
            """,
        )

    def test_what_comes_gradually_holds_back_only_what_does_too(self, inbox: Inbox, made: Plan) -> None:
        assert inbox.held_back({name: alert(made, name) for name in ("drifts", "drops", "fades")}) == {
            "fades": "drifts"
        }


class TestNamed:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Plan:
        return chain(
            tmp_path,
            """\
            crash: {what: crash, stage: first, signal: error_ratio, severity: page, leads_to: [idle, full]}
            empty: {what: empty, stage: first, signal: null_ratio, severity: page}
            idle: {what: idle, stage: second, signal: no_calls, severity: page}
            idler: {what: idler, stage: third, signal: no_calls, severity: page}
            full: {what: full, signal: {promql: 'queue > 5'}, severity: page, fires_on: 'queue 9x99'}
            fuller: {what: fuller, signal: {promql: 'queue > 9'}, severity: page, fires_on: 'queue 19x99'}
            """,
        )

    def test_an_absence_or_a_written_expression_is_held_back_only_by_what_names_it(
        self, inbox: Inbox, made: Plan
    ) -> None:
        firing = {mode.name: alert(made, mode.name) for mode in made.spec.measurable}
        assert inbox.held_back(firing) == {"idle": "crash", "full": "crash"}


class TestNamedInManyClusters:
    @pytest.fixture
    def made(self, tmp_path: Path) -> Plan:
        return chain(
            tmp_path,
            """\
            crash: {what: crash, stage: first, signal: error_ratio, severity: page, leads_to: [idle, full]}
            idle: {what: idle, stage: second, signal: no_calls, severity: page, leads_to: [dull]}
            full: {what: full, signal: {promql: 'queue > 5'}, severity: page, fires_on: 'queue 9x99'}
            dull: {what: dull, stage: third, signal: null_ratio, severity: page}
            """,
            top="keep: [cluster]",
        )

    def test_a_cause_holds_back_what_it_names_in_its_own_cluster_and_what_is_of_no_cluster(
        self, inbox: Inbox, made: Plan
    ) -> None:
        firing = {
            "crash in a": alert(made, "crash", cluster="a"),
            "idle in a": alert(made, "idle", cluster="a"),
            "idle in b": alert(made, "idle", cluster="b"),
            "idle everywhere": alert(made, "idle"),
            "full in a": alert(made, "full", cluster="a"),
            "full in b": alert(made, "full", cluster="b"),
            "full": alert(made, "full"),
        }
        assert inbox.held_back(firing) == dict.fromkeys(
            ("idle in a", "idle everywhere", "full in a", "full"), "crash in a"
        )

    def test_a_cause_of_no_cluster_holds_back_its_effects_in_every_one(self, inbox: Inbox, made: Plan) -> None:
        firing = {
            "idle everywhere": alert(made, "idle"),
            "dull in a": alert(made, "dull", cluster="a"),
            "dull in b": alert(made, "dull", cluster="b"),
        }
        assert inbox.held_back(firing) == dict.fromkeys(("dull in a", "dull in b"), "idle everywhere")
