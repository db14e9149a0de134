"""The metrics as a file for node_exporter."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from fetching import Answer, fetch
from prometheus_client import CollectorRegistry, Gauge, Metric, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from real_servers import program, until

import pipemon
from pipemon.demo.processes import children, free_ports, start
from pipemon.features import level_dbfs

ROOT = Path(__file__).resolve().parents[2]

JOB = """
import sys
import pipemon, prometheus_client
pipemon.gpu_metrics()
prometheus_client.Gauge("rows", "A metric of the job's own.").set(1)
pipemon.Pipeline(sys.argv[1]).stage("vad")(lambda: 1)()
assert pipemon.write_textfile(sys.argv[2])
"""


@pytest.mark.integration
@pytest.mark.parametrize("workers", [False, True], ids=["one process", "workers"])
def test_node_exporter_reads_the_files_of_two_jobs_in_one_folder(tmp_path: Path, workers: bool) -> None:
    folder = tmp_path / "textfile"
    folder.mkdir()
    for job in ("speech", "shop"):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        if workers:
            environment["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path / job)
            (tmp_path / job).mkdir()
        subprocess.run(
            [sys.executable, "-c", JOB, job, str(folder / f"{job}.prom")], env=environment, timeout=240, check=True
        )
    assert sorted(file.name for file in folder.iterdir()) == ["shop.prom", "speech.prom"]
    (port,) = free_ports(1)
    command = [
        str(program("prometheus-node-exporter")),
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with children() as started:
        started.append(start("node_exporter", command, tmp_path / "log"))

        def scrape() -> Answer | None:
            try:
                return fetch(f"http://127.0.0.1:{port}/metrics")
            except ConnectionRefusedError:
                return None

        scraped = until(scrape, "node_exporter")
    assert scraped is not None
    assert scraped.status == 200, scraped.body
    assert scraped.value("node_textfile_scrape_error") == 0
    assert scraped.value("process_start_time_seconds") > 1.7e9
    for job in ("speech", "shop"):
        assert scraped.value("pipemon_stage_calls_total", pipeline=job) == 1
        assert scraped.value("node_textfile_mtime_seconds", file=str(folder / f"{job}.prom")) > 1.7e9
    assert "error" not in (tmp_path / "log").read_text().lower()


def test_all_that_is_written_says_of_which_pipeline_it_is(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Gauge("rows", "A metric of the job's own.", registry=registry)
    vad = pipemon.Pipeline("speech", registry=registry).stage("vad", output=level_dbfs())(lambda: [0.5])
    vad()
    assert pipemon.write_textfile(tmp_path / "speech.prom", registry)
    written = list(text_string_to_metric_families((tmp_path / "speech.prom").read_text()))
    assert {sample.labels.get("pipeline") for family in written for sample in family.samples} == {"speech"}
    exported = {
        family.name for family in registry.collect() for sample in family.samples if "pipeline" in sample.labels
    }
    assert {family.name for family in written} == exported


def test_a_name_that_node_exporter_would_not_read_is_refused(tmp_path: Path, registry: CollectorRegistry) -> None:
    with pytest.raises(pipemon.DeclarationError, match=r"'.*speech\.txt' does not end in \.prom"):
        pipemon.write_textfile(tmp_path / "speech.txt", registry)


def test_what_can_not_be_written_is_logged_once_and_leaves_the_old_file(
    tmp_path: Path, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "speech.prom"
    assert pipemon.write_textfile(str(file), registry)
    before = file.read_bytes()

    class Broken:
        def collect(self) -> Iterable[Metric]:
            raise ZeroDivisionError

    registry.register(Broken())
    assert not pipemon.write_textfile(str(file), registry)
    assert not pipemon.write_textfile(str(file), registry)
    assert [path.name for path in tmp_path.iterdir()] == ["speech.prom"]
    assert file.read_bytes() == before
    assert not pipemon.write_textfile(tmp_path / "missing" / "speech.prom", registry)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2


def test_disabled_no_file_is_written(
    tmp_path: Path, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    assert not pipemon.write_textfile(tmp_path / "speech.prom", registry)
    assert not list(tmp_path.iterdir())
