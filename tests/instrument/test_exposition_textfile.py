"""The metrics as a file for node_exporter."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import pytest
from fetching import Answer, fetch
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from real_servers import program, until

import pipemon
from pipemon.demo.processes import children, free_ports, start
from pipemon.instrument.exposition import textfile
from pipemon.instrument.log import Quietly


class Stamped:
    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("stamped", "With a time.")
        family.add_metric([], 1, timestamp=1_700_000_000)
        return [family]


@pytest.mark.integration
def test_node_exporter_reads_the_file_and_refuses_one_with_a_timestamp(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    folder = tmp_path / "textfile"
    folder.mkdir()
    vad = pipemon.Pipeline("speech", registry=registry).stage("vad")(lambda: 1)
    vad()
    assert pipemon.write_textfile(folder / "speech.prom", registry)
    assert [file.name for file in folder.iterdir()] == ["speech.prom"]
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

        good = until(scrape, "node_exporter")
        assert good is not None
        assert good.value("node_textfile_scrape_error") == 0
        assert good.value("pipemon_stage_calls_total", stage="vad") == 1
        assert good.value("node_textfile_mtime_seconds", file=str(folder / "speech.prom")) > 1.7e9
        registry.register(Stamped())
        assert pipemon.write_textfile(folder / "speech.prom", registry)
        bad = scrape()
        assert bad is not None
        assert bad.value("node_textfile_scrape_error") == 1
        assert b"pipemon_stage" not in bad.body


def test_a_name_that_node_exporter_would_not_read_is_refused(tmp_path: Path, registry: CollectorRegistry) -> None:
    with pytest.raises(pipemon.DeclarationError, match=r"'.*speech\.txt' does not end in \.prom"):
        pipemon.write_textfile(tmp_path / "speech.txt", registry)


def test_what_can_not_be_written_is_logged_once_and_leaves_the_old_file(
    tmp_path: Path, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(textfile, "log_once", Quietly().warn)
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
