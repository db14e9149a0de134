"""What pipemon gives to the tests of those who use it, and the switch that turns it off."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipemon import DeclarationError, Pipeline
from pipemon.features import length
from pipemon.testing import declarations_undone, samples, since

ROOT = Path(__file__).resolve().parents[2]


def run_python(*arguments: str, **environment: str) -> str:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_series_is_read_with_every_call_that_ended(speech: Pipeline, registry: CollectorRegistry) -> None:
    vad = speech.stage("vad", output=length())(lambda audio: audio)
    vad("abc")
    vad("")
    assert samples("pipemon_stage_calls_total", registry=registry, stage="vad") == 2
    assert samples("pipemon_stage_null_outputs_total", registry=registry, pipeline="speech") == 1
    assert samples("pipemon_feature_value_bucket", registry=registry, feature="length", le="3.0") == 2


def test_of_several_series_it_is_the_sum_and_of_none_yet_it_is_zero(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    for version in ("1", "2"):
        speech.stage("vad", version=version)(lambda: 1)()
    assert samples("pipemon_stage_calls_total", registry=registry, stage="vad") == 2
    assert samples("pipemon_stage_calls_total", registry=registry, stage="vad", version="2") == 1
    assert samples("pipemon_stage_exceptions_total", registry=registry, exception="ValueError") == 0


@pytest.mark.parametrize(
    ("name", "labels", "told"),
    [
        ("pipemon_stage_call_total", {}, "exports no series .*did you mean 'pipemon_stage_calls_total'"),
        ("pipemon_stage_calls_total", {"stag": "vad"}, "has no label 'stag', only .*did you mean 'stage'"),
        ("pipemon_stage_calls_total", {"stage": "vda"}, "knows no stage 'vda'; there is vad; did you mean 'vad'"),
        ("pipemon_stage_calls_total", {"pipeline": "video"}, "knows no pipeline 'video'; there is speech"),
        ("pipemon_feature_observed_total", {"feature": "words"}, "knows no feature 'words'; nothing is declared there"),
        ("pipemon_quality_score_count", {"score": "wer"}, "knows no score 'wer'; nothing is declared there"),
    ],
)
def test_a_misspelt_name_is_never_zero(
    speech: Pipeline, registry: CollectorRegistry, name: str, labels: dict[str, str], told: str
) -> None:
    speech.stage("vad")(lambda: 1)
    with pytest.raises(LookupError, match=told):
        samples(name, registry=registry, **labels)


def test_since_counts_what_came_later_and_reads_gauges_as_they_are(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    vad = speech.stage("vad", budget="50ms")(lambda: 1)
    vad()
    counted = since(registry)
    vad()
    vad()
    assert counted("pipemon_stage_calls_total", stage="vad") == 2
    assert counted("pipemon_stage_duration_seconds_count", stage="vad") == 2
    assert counted("pipemon_stage_budget_seconds", stage="vad") == 0.05


def test_each_test_may_decorate_its_own_function_as_the_same_stage(
    speech: Pipeline, registry: CollectorRegistry
) -> None:
    def first() -> int:
        return 1

    def second() -> int:
        return 2

    for function in (first, second):
        with declarations_undone(registry):
            speech.stage("vad")(function)()
    assert samples("pipemon_stage_calls_total", registry=registry, stage="vad") == 2
    speech.stage("vad")(first)
    with pytest.raises(DeclarationError, match="declared twice"):
        speech.stage("vad")(second)


def test_the_fixtures_count_each_test_for_itself(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('import pipemon.testing\npytest_plugins = ["pipemon.pytest_plugin"]\n')
    (tmp_path / "test_speech.py").write_text(
        """
import pipemon, pytest
speech = pipemon.Pipeline("speech")

@pytest.mark.parametrize("time", [1, 2])
def test_a(pipemon_samples, time):
    @speech.stage
    def vad(): return 1
    vad()
    assert pipemon_samples("pipemon_stage_calls_total", stage="vad") == 1

def test_b(pipemon_samples):
    @speech.stage
    def vad(): return 1
    assert pipemon_samples("pipemon_stage_calls_total", stage="vad") == 0

def test_c(pipemon_registry):
    own = pipemon.Pipeline("speech", registry=pipemon_registry)
    own.stage("vad")(lambda: 1)()
    assert pipemon.testing.samples("pipemon_stage_calls_total", registry=pipemon_registry, stage="vad") == 1
"""
    )
    assert "4 passed" in run_python(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )


def test_the_functions_need_no_pytest() -> None:
    run_python("-c", "import sys; sys.modules['pytest'] = None; import pipemon.testing")


def test_disabled_every_decorator_gives_back_the_function_and_nothing_is_counted() -> None:
    code = """
import asyncio, logging, pipemon, prometheus_client, threading
from pipemon.features import length
from pipemon.testing import declarations_undone, samples, since
speech = pipemon.Pipeline('speech', budget='1s')
def plain(audio): return audio
async def coroutine(audio): return audio
def generator(audio): yield audio
async def stream(audio): yield audio
for function in (plain, coroutine, generator, stream):
    assert speech.stage(function) is function
    assert speech.stage(function.__name__, inputs={'audio': length()}, budget='1s')(function) is function
    assert speech.run(function) is function
assert speech.stage('batch', batch=True, one_to_one=True, workers=2)(plain) is plain
assert speech.stage('model', model=pipemon.Model(code='v1'))(plain) is plain
method = staticmethod(plain)
assert speech.stage('static')(method).__func__ is plain
block = speech.stage('block', inputs={'audio': length()})
with block.call(audio='abc') as call:
    call.output('abc')
    call.skip('short')
    call.drop('noise', 2)
async def blocks():
    async with block.call(audio='abc') as call:
        call.output('abc')
asyncio.run(blocks())
assert pipemon.skip('short', 5) == 5
pipemon.drop('noise')
speech.feedback('redo', stage='nobody')
assert (pipemon.current_run().id, pipemon.current_run().headers()) == ('', {})
assert pipemon.gpu_metrics() is False
pipemon.expose(1).close()
record = logging.makeLogRecord({})
assert pipemon.LogFilter().filter(record) and record.stage == ''
with declarations_undone():
    counted = since()
for read in (samples, counted):
    assert read('pipemon_stage_calls_total') == 0
    try:
        read('pipemon_stage_calls_total', stage='plain')
    except LookupError as error:
        assert 'PIPEMON_DISABLED is set' in str(error)
    else:
        raise AssertionError
assert b'pipemon' not in prometheus_client.generate_latest()
assert threading.active_count() == 1
print([stage.name for stage in speech.describe().stages])
"""
    names = ["plain", "coroutine", "generator", "stream", "batch", "model", "static", "block"]
    assert run_python("-c", code, PIPEMON_DISABLED="1") == f"{names}\n"
