"""What a thousand failure modes' rules take in a real Prometheus that scrapes three replicas and knows their past."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.history import REPLICAS, Series, read_series, write_history
from benchmarks.many_modes import PIPELINE, STAGES, features, write_spec
from benchmarks.measure import Effort, Row
from pipemon.demo.processes import children, free_ports, start
from pipemon.demo.programs import default_cache, program
from pipemon.demo.servers import prometheus_command
from pipemon.generate.output import generate
from pipemon.prometheus import Prometheus, read_page

MODES = 1_000
FEW = 100
_PATIENCE = 120.0


@dataclass(frozen=True)
class _Seen:
    """Seconds of each evaluation by group and time, the groups' intervals, and how much there was to look at."""

    durations: dict[str, dict[float, float]]
    intervals: dict[str, float]
    rules: int
    series: int


def rows(effort: Effort) -> list[Row]:
    full = effort.many > MODES
    count, interval = (MODES, 15.0) if full else (FEW, 5.0)
    # Until scrapes fill the usual window, and two evaluations of each group beyond; else until there is a number.
    seen = _evaluated(count, interval, settling=300.0 if full else 0.0, lasting=150.0 if full else 2 * interval)
    each = {group: statistics.median(times.values()) for group, times in seen.durations.items()}
    slowest = max(each, key=lambda group: each[group] / seen.intervals[group])
    modes = f"{count:,} failure modes over {STAGES} stages"
    groups = ", ".join(f"{took * 1000:.0f} ms every {seen.intervals[group]:g} s" for group, took in each.items())
    return [
        Row(
            f"One evaluation of all rules of {modes}, against the scrape interval",
            100 * sum(each.values()) / interval,
            "%",
            at_most=10,
            detail=f"{seen.rules:,} rules on {seen.series:,} series of {len(REPLICAS)} replicas: {groups}",
        ),
        Row(
            f"Slowest evaluation of any of their groups, against its own interval: {modes}",
            100 * max(seen.durations[slowest].values()) / seen.intervals[slowest],
            "%",
            at_most=10,
        ),
    ]


def _evaluated(count: int, interval: float, settling: float, lasting: float) -> _Seen:
    cache = default_cache()
    prometheus, promtool = (program((name,), "prometheus", cache) for name in ("prometheus", "promtool"))
    with TemporaryDirectory() as name, children() as started, ExitStack() as stack:
        folder = Path(name)
        generate([write_spec(folder / "spec", count, interval)], folder / "out")
        rules = folder / "out" / "rules" / f"{PIPELINE}.rules.yml"
        groups = yaml.load(rules.read_text(), Loader=yaml.CSafeLoader)["groups"]
        found = read_series([rule["expr"] for group in groups for rule in group["rules"]], features(count))
        own, *ports = free_ports(1 + len(REPLICAS))
        instances, begun = tuple(f"127.0.0.1:{port}" for port in ports), time.time()
        with (folder / "history.txt").open("w") as file:
            write_history(file, found, instances, begun, interval)
        backfill = [str(promtool), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        subprocess.run([*backfill, str(folder / "history.txt"), str(folder / "data")], check=True)
        for replica, port in enumerate(ports):
            stack.enter_context(_exposed([each for each in found if each.replica == replica], port, begun))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(_config(rules, instances, interval)))
        command = prometheus_command(prometheus, folder / "prometheus.yml", folder / "data", own)
        child = start("prometheus", command, folder / "prometheus.log")
        started.append(child)
        client = Prometheus(f"http://127.0.0.1:{own}")
        durations = _watched(client, child.check, interval / 3, settling, lasting)
        loaded = client.rules()
        assert all(rule.health == "ok" for rule in loaded if settling), "a rule could not be evaluated"
        (recorded,) = client.query("count({__name__=~'.+:pipemon_.+'})")
        assert recorded.value > STAGES, "the rules recorded next to nothing"
        intervals = _by_group(client, "interval_seconds")
        return _Seen(durations, intervals, len(loaded), len(found))


def _config(rules: Path, instances: tuple[str, ...], interval: float) -> dict[str, object]:
    return {
        "global": {"scrape_interval": f"{interval:g}s", "evaluation_interval": f"{interval:g}s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": PIPELINE, "static_configs": [{"targets": list(instances)}]}],
    }


@contextmanager
def _exposed(found: list[Series], port: int, begun: float) -> Iterator[None]:
    """Serve a replica's series as they are at the time of each scrape."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            passed = time.time() - begun
            text = "".join(f"{each.printed()} {each.since(passed)}\n" for each in found)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _watched(
    client: Prometheus, check: Callable[[], None], pause: float, settling: float, lasting: float
) -> dict[str, dict[float, float]]:
    """Return the seconds of each group's evaluations after `settling`, by their times."""
    deadline = time.monotonic() + _PATIENCE
    while not client.ready():
        check()
        assert time.monotonic() < deadline, "Prometheus is not ready"
        time.sleep(0.1)
    time.sleep(settling)
    found: dict[str, dict[float, float]] = {}
    end = time.monotonic() + lasting
    while time.monotonic() < end or not found:
        check()
        took, at = (_by_group(client, f"last_{what}_seconds") for what in ("duration", "evaluation_timestamp"))
        for group, seconds in took.items():
            if at[group] > 0:
                found.setdefault(group, {})[at[group]] = seconds
        time.sleep(pause)
    return found


def _by_group(client: Prometheus, what: str) -> dict[str, float]:
    """Return what Prometheus tells of its rule groups."""
    name = f"prometheus_rule_group_{what}"
    families = text_string_to_metric_families(read_page(f"{client.url}/metrics"))
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return {sample.labels["rule_group"].rpartition(";")[2]: float(sample.value) for sample in samples}
