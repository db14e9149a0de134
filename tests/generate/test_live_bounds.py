"""What really runs is asked for its bucket bounds: one process's page, or Prometheus with several replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import pipemon as command
from prometheus_client import CollectorRegistry, start_http_server
from real_servers import running_prometheus, until

import pipemon
from pipemon.errors import UnavailableError
from pipemon.generate.live.bounds import SERIES, bounds_findings
from pipemon.generate.live.running import live_samples
from pipemon.spec.load import load
from pipemon.spec.model import Spec

SPEC = """
pipeline: shop
budget: 500ms
stages: {classify: {budget: 300ms}}
failure_modes:
  slow: {what: Slow, stage: classify, signal: {latency: p95}, above: LIMIT}
"""
LEVEL = pipemon.Feature("level", len, unit="dB")
FINER = pipemon.Feature("level", len, unit="dB", bounds=[1, 2, 3])


def service(budget: str = "300ms", level: pipemon.Feature = LEVEL) -> tuple[pipemon.Pipeline, CollectorRegistry]:
    registry = CollectorRegistry()
    shop = pipemon.Pipeline("shop", version="1", budget="500ms", registry=registry)

    @shop.stage("classify", inputs={"image": [level]}, budget=budget)
    def classify(image: str) -> str:
        return image

    return shop, registry


@contextmanager
def served(registry: CollectorRegistry) -> Iterator[str]:
    """Serve /metrics on a free port, and return host:port."""
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def spec(tmp_path: Path) -> Callable[[str], Path]:
    def write(limit: str) -> Path:
        path = tmp_path / "shop.yaml"
        path.write_text(SPEC.replace("LIMIT", limit))
        return path

    return write


def findings(spec: Spec, *registries: CollectorRegistry) -> list[str]:
    with ExitStack() as stack:
        samples = []
        for registry in registries:
            address = stack.enter_context(served(registry))
            for sample in live_samples(f"http://{address}/metrics", spec, SERIES):
                samples.append(replace(sample, labels={**sample.labels, "instance": address}))
    return bounds_findings(spec, samples)


def test_check_says_which_threshold_is_no_bound_of_what_runs(spec: Callable[[str], Path]) -> None:
    with served(service()[1]) as address:
        told = command("check", str(spec("350ms")), "--url", f"http://{address}/metrics")
        fine = command("check", str(spec("budget")), "--url", f"http://{address}/metrics")
    assert told.code == 1
    assert "slow: whether 350ms is a bucket bound of classify is not known without `code:`" in told.out
    assert "version 1 of classify has no bucket bound at 0.35s, which the failure modes read" in told.out
    assert (fine.code, fine.err) == (0, "")
    assert "bound" not in fine.out


def test_replicas_that_are_alike_are_fine(spec: Callable[[str], Path]) -> None:
    assert findings(load(spec("budget")), service()[1], service()[1]) == []


def test_replicas_with_other_bounds_of_a_feature_are_found(spec: Callable[[str], Path]) -> None:
    found = findings(load(spec("budget")), service()[1], service(level=FINER)[1])
    assert found == ["replicas of version 1 of classify have different bucket bounds of input.level"]


def test_what_runs_with_other_bounds_than_the_code_is_found(spec: Callable[[str], Path]) -> None:
    def of(code: pipemon.Pipeline) -> Spec:
        shape = code.describe()
        return replace(load(spec("budget")), stages=shape.stages, duration_bounds=shape.duration_bounds, code="shop")

    shop, registry = service()
    assert findings(of(shop), registry) == []
    slower, faster = findings(of(shop), service(budget="350ms", level=FINER)[1])
    assert slower.startswith("version 1 of classify runs with other bucket bounds than the code's: it has 0.035s")
    assert faster == "version 1 of classify runs with other bucket bounds of input.level than the code's"


def test_a_service_that_reads_the_file_and_was_not_restarted_is_found(spec: Callable[[str], Path]) -> None:
    reading = replace(load(spec("350ms")), reads_bounds=True)
    (found,) = findings(reading, service()[1])
    assert found.endswith(
        "no bucket bound at 0.35s, which the failure modes read; roll out shop.bounds.json and restart it"
    )


def test_a_page_without_the_pipeline_says_so(spec: Callable[[str], Path]) -> None:
    assert findings(load(spec("budget")), CollectorRegistry()) == ["there are no durations of stages of shop there"]


def test_an_address_where_nobody_answers_is_said_in_one_sentence(spec: Callable[[str], Path]) -> None:
    with pytest.raises(UnavailableError, match="can't be reached"):
        live_samples("http://127.0.0.1:1/metrics", load(spec("budget")), SERIES)


@pytest.mark.integration
def test_prometheus_is_asked_for_all_replicas(spec: Callable[[str], Path], tmp_path: Path) -> None:
    shop = load(spec("500ms"))
    with served(service()[1]) as one, served(service(budget="400ms")[1]) as other:
        jobs = f"scrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{one}', '{other}']}}]}}]"
        config = f"global: {{scrape_interval: 1s}}\n{jobs}\n"
        with running_prometheus(config, tmp_path / "prometheus") as prometheus:
            until(lambda: len(prometheus.query("up == 1")) == 2, "both scraped")
            found = bounds_findings(shop, live_samples(prometheus.url, shop, SERIES))
    assert any(
        line.startswith("replicas of version 1 of classify have different bucket bounds: only") for line in found
    )
