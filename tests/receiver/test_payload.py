"""Alertmanager's webhook payload is read into values, or refused with one sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.receiver.lines import line, sentence
from pipemon.receiver.payload import PayloadError, parse

AT = datetime(2025, 1, 31, 8, 15, 30, tzinfo=UTC)


def alert(**changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {
            "alertname": "SpeechNoisyMicrophones",
            "pipeline": "speech",
            "stage": "vad",
            "failure_mode": "noisy-microphones",
            "severity": "warning",
            "kind": "input",
            "owner": "speech-team",
        },
        "annotations": {
            "summary": "A new phone's microphone sends louder audio than we trained on",
            "description": "mean audio_level_dbfs is -41.2 dBFS, outside -30 to -10 dBFS",
            "do": "Collect audio from the new phones, retrain.",
            "runbook_url": "https://wiki.example/speech",
        },
        "startsAt": "2025-01-31T08:15:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "75a9a2a1b1c0d1e2",
    } | changes


def body(*alerts: object, **changes: Any) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "alerts": list(alerts)} | changes).encode()


def said(**changes: Any) -> str:
    return line(parse(body(alert(**changes))).alerts[0], AT)


def test_a_firing_alert_is_one_line_with_stage_failure_mode_value_threshold_and_what_to_do() -> None:
    assert said() == (
        "2025-01-31 08:15:30 FIRING warning speech/vad noisy-microphones: "
        "mean audio_level_dbfs is -41.2 dBFS, outside -30 to -10 dBFS. "
        "Do: Collect audio from the new phones, retrain. Look: https://wiki.example/speech"
    )


def test_a_line_tells_which_cluster_and_which_version_what_fires_upstream_and_where_to_look() -> None:
    found = alert()
    found["labels"] |= {"version": "1.2", "cluster": "eu", "prometheus": "monitoring/k8s"}
    found["annotations"] |= {
        "upstream": "Fires upstream, the earliest first: mic/gain.",
        "origin": "Moved first: the input of vad.",
        "do": "Which phones?",
        "dashboard_url": "https://grafana.example/d/speech",
    }
    assert line(parse(body(found)).alerts[0], AT) == (
        "2025-01-31 08:15:30 FIRING warning speech/vad noisy-microphones (cluster=eu, version=1.2): "
        "mean audio_level_dbfs is -41.2 dBFS, outside -30 to -10 dBFS. Fires upstream, the earliest first: mic/gain. "
        "Moved first: the input of vad. Do: Which phones? Look: https://grafana.example/d/speech"
    )


def test_that_nothing_fires_upstream_is_not_told() -> None:
    notes = {"description": "It cuts", "upstream": "Nothing fires upstream."}
    assert said(annotations=notes).endswith(": It cuts.")


def test_what_is_told_again_says_for_how_long_it_fires() -> None:
    found = parse(body(alert(annotations={"description": "It cuts"}))).alerts[0]
    later = datetime(2025, 1, 31, 12, 15, 0, tzinfo=UTC)
    assert line(found, later, again=True)[20:] == (
        "STILL FIRING warning speech/vad noisy-microphones after 4h: It cuts."
    )


def test_an_action_that_the_alert_asks_for_is_told() -> None:
    notes = {"description": "It cuts", "do": "Roll it back", "then": "rollback vad"}
    assert said(annotations=notes).endswith(": It cuts. Do: Roll it back. Then: rollback vad.")


def test_a_resolved_alert_tells_how_long_it_fired_and_not_its_last_value() -> None:
    assert said(status="resolved", endsAt="2025-01-31T08:18:10.5+00:00") == (
        "2025-01-31 08:15:30 RESOLVED warning speech/vad noisy-microphones after 3m10s"
    )


def test_times_are_compared_across_time_zones() -> None:
    assert said(status="resolved", endsAt="2025-01-31T09:16:00.123456+01:00").endswith(" after 1m")


def test_an_alert_of_the_whole_pipeline_has_no_stage() -> None:
    for labels in ({"stage": ""}, {}):
        found = alert()
        found["labels"].pop("stage")
        found["labels"].update(labels)
        assert " speech noisy-microphones: " in sentence(parse(body(found)).alerts[0])


def test_an_alert_that_pipemon_did_not_make_is_told_by_its_alertname() -> None:
    told = said(
        labels={"alertname": "DiskFull", "severity": "page", "pipeline": "etl"},
        annotations={"summary": "sda"},
    )
    assert told == "2025-01-31 08:15:30 FIRING page DiskFull: sda."


def test_an_alert_without_labels_or_annotations_still_makes_a_line() -> None:
    assert said(labels=None, annotations={}) == "2025-01-31 08:15:30 FIRING an alert without a name"


def test_the_times_of_an_alert_are_read_and_the_year_1_is_no_time() -> None:
    found = parse(body(alert(status="resolved"))).alerts[0]
    assert found.starts_at == datetime(2025, 1, 31, 8, 15, 0, 123456, tzinfo=UTC)
    assert found.ends_at is None


def test_the_number_of_alerts_that_alertmanager_left_out_is_kept() -> None:
    assert parse(body(alert(), alert(), truncatedAlerts=7)).left_out == 7


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"", "the body is not JSON"),
        (b"\xff{", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[]", "the body is not an object"),
        (b"{}", "the body has no alerts"),
        (body(alerts={}), "alerts is not a list"),
        (body(1), "alerts[0] is not an object"),
        (body(alert(), alert(status="pending")), "alerts[1].status is neither firing nor resolved"),
        (body(alert(labels=[1])), "alerts[0].labels is not an object"),
        (body(alert(labels={"a\x1b": 1})), "alerts[0].labels.a\ufffd is not a string"),
        (body(alert(annotations={"do": None})), "alerts[0].annotations.do is not a string"),
        (body(alert(fingerprint=1)), "alerts[0].fingerprint is not a string"),
        (body(alert(startsAt="soon")), "alerts[0].startsAt is not a time such as 2025-01-31T08:15:30Z"),
        (body(alert(startsAt=5)), "alerts[0].startsAt is not a time such as 2025-01-31T08:15:30Z"),
    ],
)
def test_anything_else_is_refused_by_a_sentence_that_says_where(sent: bytes, told: str) -> None:
    with pytest.raises(PayloadError) as raised:
        parse(sent)
    assert str(raised.value) == told


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(alert())) | st.text(), inner),
)


@given(JSON)
def test_any_json_gives_a_notification_or_a_refusal(data: Any) -> None:
    for sent in (json.dumps(data).encode(), body(data), body(alert(labels=data)), body(alert(startsAt=data))):
        try:
            notification = parse(sent)
        except PayloadError as error:
            told = [str(error)]
        else:
            told = [line(found, AT) for found in notification.alerts]
        assert all(told)


@given(st.text())
def test_no_text_of_an_alert_breaks_the_line_or_commands_the_terminal(text: str) -> None:
    found = alert(annotations={"description": text, "do": text})
    found["labels"] |= {"stage": text, "failure_mode": text, "cluster": text, text: "x"}
    assert sentence(parse(body(found)).alerts[0]).isprintable()
    assert "\x1b" not in said(annotations={"do": "\x1b]0;owned\x07 \u202etxt"})
