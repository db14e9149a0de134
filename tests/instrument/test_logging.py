"""Log records that say where they come from, and a line for each run that went wrong."""

from __future__ import annotations

import io
import logging
import logging.config
import logging.handlers
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pipemon
from pipemon import Pipeline
from pipemon.instrument import logfilter
from pipemon.instrument.runlog import RunLog, logger

FIELDS = ("pipeline", "stage", "version", "track", "run_id")


class Kept(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    app = logging.getLogger("app")
    app.addHandler(handler)
    app.setLevel(logging.INFO)
    yield handler
    app.removeHandler(handler)


@pytest.fixture
def fields(kept: Kept) -> Callable[[], dict[str, Any]]:
    """Log a line from where this is called, and return what the filter added."""
    kept.addFilter(pipemon.LogFilter())

    def fields() -> dict[str, Any]:
        logging.getLogger("app").info("hello")
        return {name: getattr(kept.records[-1], name) for name in FIELDS}

    return fields


def test_a_record_says_the_stage_and_run_that_it_comes_from(
    speech: Pipeline, fields: Callable[[], dict[str, Any]]
) -> None:
    vad = speech.stage("vad", version="3", track="canary")(fields)

    @speech.run
    def answer() -> tuple[dict[str, Any], dict[str, Any], str]:
        run = pipemon.current_run()
        assert run is not None
        return vad(), fields(), run.id

    inside, outside, run_id = answer()
    assert inside == {"pipeline": "speech", "stage": "vad", "version": "3", "track": "canary", "run_id": run_id}
    assert outside == {"pipeline": "speech", "stage": "", "version": "", "track": "", "run_id": run_id}


async def test_so_does_a_record_of_an_async_stage(speech: Pipeline, fields: Callable[[], dict[str, Any]]) -> None:
    @speech.stage
    async def asr() -> dict[str, Any]:
        return fields()

    assert (await asr())["stage"] == "asr"


def test_of_stages_within_each_other_it_is_the_inner_one(
    speech: Pipeline, fields: Callable[[], dict[str, Any]]
) -> None:
    inner = speech.stage("inner")(fields)

    @speech.stage
    def outer() -> tuple[dict[str, Any], dict[str, Any]]:
        return inner(), fields()

    assert [found["stage"] for found in outer()] == ["inner", "outer"]


def test_outside_of_any_stage_and_run_the_fields_are_empty(fields: Callable[[], dict[str, Any]]) -> None:
    assert fields() == dict.fromkeys(FIELDS, "")


def test_what_the_record_already_has_stays(kept: Kept) -> None:
    kept.addFilter(pipemon.LogFilter())
    logging.getLogger("app").info("hello", extra={"stage": "mine"})
    assert kept.records[0].stage == "mine"  # type: ignore[attr-defined]
    assert kept.records[0].pipeline == ""  # type: ignore[attr-defined]


def test_whatever_breaks_in_it_the_record_is_kept(
    fields: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(logfilter, "current_stage", broken)
    assert fields() == dict.fromkeys(FIELDS, "")


def test_with_a_name_it_keeps_that_loggers_records_only_as_any_filter() -> None:
    record = logging.LogRecord("app.vad", logging.INFO, "", 0, "hello", None, None)
    assert pipemon.LogFilter("app").filter(record)
    assert not pipemon.LogFilter("other").filter(record)


def test_dict_config_makes_it_by_its_name(speech: Pipeline) -> None:
    stream = io.StringIO()
    console = {"class": "logging.StreamHandler", "formatter": "line", "filters": ["pipemon"], "stream": stream}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"pipemon": {"()": "pipemon.LogFilter"}},
            "formatters": {"line": {"format": "%(pipeline)s/%(stage)s %(message)s"}},
            "handlers": {"console": console},
            "loggers": {"app.configured": {"handlers": ["console"], "propagate": False}},
        }
    )
    app = logging.getLogger("app.configured")
    speech.stage("vad")(lambda: app.warning("noise"))()
    app.handlers.clear()
    assert stream.getvalue() == "speech/vad noise\n"


def test_before_a_queue_it_still_knows_the_stage_that_the_listeners_thread_can_not(speech: Pipeline) -> None:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = logging.handlers.QueueHandler(waiting)
    handler.addFilter(pipemon.LogFilter())
    app = logging.getLogger("app.queued")
    app.addHandler(handler)
    speech.stage("vad")(lambda: app.warning("noise"))()
    app.removeHandler(handler)
    assert waiting.get_nowait().stage == "vad"


class Run:
    id = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def lines() -> Iterator[Kept]:
    handler = Kept()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def clock(*times: float) -> Callable[[], float]:
    return iter(times).__next__


def test_a_failed_run_is_told_by_stage_and_class_for_people_and_for_machines(lines: Kept) -> None:
    RunLog().ended("speech", Run(), "error", "asr", "TimeoutError", 1.23456)
    (record,) = lines.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "run 0af7651916cd43dd8448eb211c80319c of speech failed in stage asr after 1.235 s: TimeoutError"
    )
    told = {
        "pipeline": "speech",
        "run_id": Run.id,
        "outcome": "error",
        "failed_stage": "asr",
        "exception": "TimeoutError",
        "seconds": 1.23456,
        "suppressed": 0,
    }
    assert told.items() <= vars(record).items()


def test_a_run_that_gave_nothing_usable_is_information(lines: Kept) -> None:
    RunLog().ended("speech", None, "null", None, None, 0.5)
    (record,) = lines.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == "a run of speech gave nothing usable after 0.500 s"


def test_a_flood_is_one_line_a_second_that_says_how_many_it_stands_for(lines: Kept) -> None:
    log = RunLog(clock=clock(0, 0.1, 0.9, 1.0, 1.5, 2.0))
    for _ in range(6):
        log.ended("speech", Run(), "error", "asr", "ValueError", 0.1)
    assert [record.suppressed for record in lines.records] == [0, 2, 1]  # type: ignore[attr-defined]
    assert lines.records[1].getMessage().endswith("ValueError (2 more since the last line)")


def test_other_pipelines_and_outcomes_are_told_beside_it(lines: Kept) -> None:
    log = RunLog(clock=lambda: 0.0)
    for pipeline, outcome in [("speech", "null"), ("speech", "error"), ("other", "error"), ("speech", "error")]:
        log.ended(pipeline, Run(), outcome, None, None, 0.1)
    assert [(r.pipeline, r.outcome) for r in lines.records] == [  # type: ignore[attr-defined]
        ("speech", "null"),
        ("speech", "error"),
        ("other", "error"),
    ]


def test_a_handler_that_raises_and_pipelines_without_end_do_no_harm(
    lines: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunLog(clock=lambda: 0.0)
    for number in range(1100):
        log.ended(f"p{number}", Run(), "error", None, "ValueError", 0.1)
    assert len(lines.records) == 1000

    def broken(record: logging.LogRecord) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(lines, "emit", broken)
    RunLog().ended("speech", Run(), "error", None, "ValueError", 0.1)
