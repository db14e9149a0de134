"""What `prometheus.yml` says to whom reads it."""

from __future__ import annotations

from pathlib import Path

from pipemon.generate.formats.scraping import prometheus_file
from pipemon.spec.load import load

TWO_CLUSTERS = """\
pipeline: rag
select: {namespace: search}
keep: [cluster, namespace]
targets: {job: rag}
stages: {embed: {}}
failure_modes: {gone: {what: Nothing comes, stage: embed, signal: no_calls}}
"""


def head(folder: Path, text: str) -> list[str]:
    (folder / "rag.yaml").write_text(text)
    config = prometheus_file([load(folder / "rag.yaml")], [], "127.0.0.1:9093")
    return [line for line in config.splitlines() if line.startswith("#")]


def test_the_labels_that_targets_must_be_given_are_named(tmp_path: Path) -> None:
    # Without them no series has any, and an absence is told of all clusters or of none.
    assert head(tmp_path, TWO_CLUSTERS)[1:] == [
        "# Those of rag need the label cluster, by which its alerts are told apart."
    ]


def test_nothing_is_asked_for_that_the_file_gives(tmp_path: Path) -> None:
    assert len(head(tmp_path, TWO_CLUSTERS.replace("cluster, ", ""))) == 1
    assert len(head(tmp_path, TWO_CLUSTERS.replace("{job: rag}", "{job: rag, cluster: eu}"))) == 1
