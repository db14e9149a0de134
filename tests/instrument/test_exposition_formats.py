"""What a scrape is answered, by what it asks for."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import gzip
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from fetching import fetch
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from real_servers import until

import pipemon
from pipemon.instrument.exposition.scrape import Scrapes, _Shared

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.fixture
def url(registry: CollectorRegistry) -> Iterator[str]:
    server = pipemon.expose(0, addr="127.0.0.1", registry=registry)
    yield f"http://127.0.0.1:{server.port}"
    server.close()


@pytest.fixture
def asked(registry: CollectorRegistry) -> None:
    questions = Counter("questions", "Questions.", registry=registry)
    questions.inc(3, exemplar={"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"})


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;version=0.0.4", TEXT),
        (PROMETHEUS_2, f"{OPENMETRICS}; escaping=underscores"),
        (PROMETHEUS_3, f"{OPENMETRICS}; escaping=allow-utf-8"),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", TEXT),
        (f"application/openmetrics-text;version=2.0.0;q=0.9,{PROMETHEUS_2}", f"{OPENMETRICS}; escaping=underscores"),
        ("application/openmetrics-text;version=1.x.0", TEXT),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("text/plain;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5", TEXT),
        ("application/openmetrics-text;q=0.5,text/plain;version=0.0.4;q=0.6", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0, */*", TEXT),
        ("text/plain;q=0, */*;q=0.1", OPENMETRICS),
        ("application/openmetrics-text;q=0", TEXT),
        ("*/*, application/openmetrics-text;q=0.5", TEXT),
        ("text/plain;q=0.2, */*", OPENMETRICS),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", TEXT),
        ("application/*", OPENMETRICS),
        ("text/plain;version=0.0.4, application/openmetrics-text", TEXT),
        ("application/openmetrics-text, text/plain;version=0.0.4", OPENMETRICS),
        ('APPLICATION/OpenMetrics-Text; Version="1.0.0"; Q=1', f"{OPENMETRICS}; escaping=underscores"),
        ('text/html;note="a, b", application/openmetrics-text', OPENMETRICS),
        ("application/openmetrics-text;q=high, text/plain;q=0.9", OPENMETRICS),
        ("application/openmetrics-text;q=nan, text/plain;q=0.9", OPENMETRICS),
    ],
)
def test_the_answer_is_in_the_best_format_that_was_asked_for_and_is_known(
    url: str, asked: None, accept: str, content_type: str
) -> None:
    answer = fetch(f"{url}/metrics", Accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, content_type)
    parse = parse_openmetrics if content_type.startswith("application") else parse_text
    samples = [sample for family in parse(answer.body.decode()) for sample in family.samples]
    assert [sample.value for sample in samples if sample.name == "questions_total"] == [3]


def test_exemplars_are_shown_in_openmetrics_and_left_out_of_text(url: str, asked: None) -> None:
    exemplar = b'# {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 3.0'
    assert exemplar in fetch(f"{url}/metrics", Accept=PROMETHEUS_2).body
    assert b"trace_id" not in fetch(f"{url}/metrics").body


MEDIA_RANGES = st.builds(
    "{};version={}{}".format,
    st.sampled_from(["application/openmetrics-text", "text/plain", "*/*"]),
    st.sampled_from(["1.0.0", "0.0.1", "0.0.4", "2.0.0", "1.1", "1.0.0-rc.0", '"1.0.0"', ""]),
    st.sampled_from(["", ";q=0.5", ";escaping=allow-utf-8", ";escaping=other"]),
)


@given(st.lists(MEDIA_RANGES | st.text(st.characters(codec="latin-1"), max_size=30), max_size=5).map(",".join))
def test_whatever_is_asked_for_what_comes_is_named_right(accept: str) -> None:
    registry = CollectorRegistry()
    Counter("questions", "Questions.", registry=registry)
    answer = Scrapes(registry).answer("GET", "", accept, "")
    kind = answer.headers["Content-Type"]
    assert answer.status == 200
    assert ("version=1.0.0;" in kind) or ("text/plain; version=0.0.4;" in kind)
    assert answer.body.endswith(b"# EOF\n") == kind.startswith("application/openmetrics-text")


def test_gzip_is_used_where_it_is_understood(url: str, asked: None) -> None:
    plain, packed = fetch(f"{url}/metrics"), fetch(f"{url}/metrics", Accept_Encoding="deflate, gzip")
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize(
    ("accept_encoding", "packed"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP;Q=0.1", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000, *", False),
        ("*", True),
        ("*;q=0", False),
        ("br, *;q=0.1", True),
        ("deflate", False),
        ("identity;q=0.5, gzip", True),
        ("identity, gzip;q=0.5", False),
    ],
)
def test_gzip_weighs_what_the_client_says(registry: CollectorRegistry, accept_encoding: str, packed: bool) -> None:
    answer = Scrapes(registry).answer("GET", "", "", accept_encoding)
    assert (answer.headers.get("Content-Encoding") == "gzip") is packed


def test_the_root_shows_the_same_and_names_choose(url: str, registry: CollectorRegistry, asked: None) -> None:
    Counter("answers", "Answers.", registry=registry)
    assert fetch(url).body == fetch(f"{url}/metrics").body
    assert b"answers" in fetch(url).body
    chosen = fetch(f"{url}/metrics?name[]=questions_total").body
    assert b"questions_total 3.0" in chosen
    assert b"answers" not in chosen


def test_metrics_are_only_read(url: str) -> None:
    refused = fetch(f"{url}/metrics", "POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, OPTIONS")
    assert fetch(f"{url}/metrics", "OPTIONS").status == 200


class Custom:
    """A collector of the user's."""

    def __init__(self, work: Callable[[], float]) -> None:
        self.work = work

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        return [CounterMetricFamily("custom", "Custom.", value=self.work())]


def test_a_collector_that_raises_fails_the_scrape_is_logged_and_prints_nothing(
    url: str,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    custom = Custom(lambda: 1 / 0)
    registry.register(custom)
    failed = fetch(f"{url}/metrics")
    assert failed.status == 500
    assert b"ZeroDivisionError" not in failed.body
    assert fetch(f"{url}/metrics").status == 500
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert capfd.readouterr() == ("", "")
    custom.work = lambda: 2.0
    assert b"custom_total 2.0" in fetch(f"{url}/metrics").body


def test_scrapes_that_come_during_one_share_the_next_and_see_all_that_was_before_them(
    registry: CollectorRegistry,
) -> None:
    numbers, begun, go_on = iter(range(1, 100)), Event(), Event()

    def slow() -> float:
        number = next(numbers)
        begun.set()
        assert go_on.wait(30)
        return number

    registry.register(Custom(slow))
    scrapes = Scrapes(registry)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(scrapes.answer, "GET", "", "", "")
        assert begun.wait(30)
        later = [pool.submit(scrapes.answer, "GET", "", "", "") for _ in range(5)]
        until(lambda: in_function(_Shared.get) == 6, "six scrapes")
        go_on.set()
        assert b"custom_total 1.0\n" in first.result().body
        assert all(b"custom_total 2.0\n" in answer.result().body for answer in later)
    assert b"custom_total 3.0\n" in scrapes.answer("GET", "", "", "").body


def in_function(function: Callable[..., object]) -> int:
    """How many threads wait in it."""
    found = 0
    for frame in sys._current_frames().values():
        top = frame
        while top is not None and top.f_code is not function.__code__:
            top = top.f_back  # type: ignore[assignment]
        found += top is not None
    return found
