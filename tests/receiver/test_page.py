"""The page of the receiver: what fires stands first, and nothing that an alert says is taken for HTML."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from notifications import NOW, firing, resolved, told

from pipemon.receiver.page import page
from pipemon.receiver.queue import Queue

AT = datetime.fromtimestamp(NOW + 120, UTC)


def rows(queue: Queue) -> list[str]:
    return [re.sub("<[^>]+>", "|", row) for row in page(queue, AT).split("<tr")[2:]]


def test_an_empty_one_says_so() -> None:
    assert "No alert has come yet" in page(Queue(), AT)


def test_what_fires_stands_first_with_what_was_done() -> None:
    queue = Queue()
    queue.take(told(firing("over")), NOW, lambda _: [])
    queue.take(told(resolved("over", end=NOW + 60)), NOW, lambda _: [])
    queue.take(told(firing("now", cluster="eu")), NOW, lambda _: [("rollback", "speech/vad")])
    task = queue.begin(["rollback"], NOW + 61)
    assert task is not None
    queue.end(task, "done", "undone", NOW + 62)
    first, second = rows(queue)
    assert "FIRING" in first
    assert "now" in first
    assert "cluster=eu" in first
    assert "null outputs 31%" in first
    assert "\N{CHECK MARK} rollback speech/vad done at" in first
    assert "undone" in first
    assert "RESOLVED" in second
    assert ", for 1m" in second
    assert "rollback vad: no action is set up for it" in second


def test_the_same_of_two_clusters_is_told_apart() -> None:
    queue = Queue()
    queue.take(told(firing(cluster="eu", version="1.2"), firing(cluster="us")), NOW, lambda _: [])
    text = page(queue, AT)
    assert "speech/vad cluster=eu, version=1.2<br>" in text
    assert "speech/vad cluster=us<br>" in text


def test_texts_of_alerts_are_no_html_and_links_go_to_the_web_only() -> None:
    queue = Queue()
    evil = firing("<script>alert(1)</script>")
    evil["annotations"] |= {"do": "<img src=x onerror=y>", "runbook_url": "javascript:alert(1)"}
    queue.take(told(evil), NOW, lambda _: [])
    text = page(queue, AT)
    assert "<script>" not in text
    assert "<img" not in text
    assert "javascript:" not in text
    good = firing()
    good["annotations"] |= {"runbook_url": 'https://wiki.example/a?b="c'}
    queue.take(told(good), NOW, lambda _: [])
    assert '<a href="https://wiki.example/a?b=&quot;c">vad-cuts</a>' in page(queue, AT)
