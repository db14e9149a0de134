"""How often drift is seen where there is none."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import yaml
from numpy.random import Generator

from benchmarks.drift.emulation import Array, counts, evidence, learned
from benchmarks.drift.tables import Table, percent
from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.distribution import distribution
from pipemon.generate.drift.statistics import drift
from pipemon.generate.promql import block
from pipemon.generate.recordings import in_order
from pipemon.generate.synthetic import series
from pipemon.spec.model import Spec, Timing
from pipemon.spec.signals import STATISTICS
from pipemon.units import fingerprint, le

BINS = (5, 10, 20)
PUBLISHED = {
    50: ("64.3", "98.2", "100"),
    100: ("29.5", "85.1", "100"),
    200: ("4.1", "37.0", "96.0"),
    500: ("0", "0.3", "17.6"),
    1000: ("0", "0", "0"),
}
"""iyipada 0.1.0 (PyPI): psi > 0.1 without drift, by n = m and 5, 10, 20 bins."""
_FLOOR = 1e-4
PLACE = {"pipeline": "bench", "stage": "hear", "version": "1", "track": "stable", "direction": "input"}


def rule_of_thumb(random: Generator, baselines: int) -> Table:
    rows = []
    for n, published in PUBLISHED.items():
        cells = [str(n)]
        for bins, told in zip(BINS, published, strict=True):
            hits = []
            for _ in range(baselines):
                values = random.normal(size=n)
                bounds = np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1])
                p, q = (
                    np.maximum(counts(each, bounds) / n, _FLOOR)
                    for each in (values[None, :], random.normal(size=(10, n)))
                )
                hits.append(float((((q - p) * np.log(q / p)).sum(1) > 0.1).mean()))
            cells += [f"{100 * np.mean(hits):.1f}%", f"{told}%"]
        rows.append(cells)
    head = ["n = N"] + [f"{bins} bins{which}" for bins in BINS for which in ("", ", published")]
    return Table(
        "The rule of thumb, psi > 0.1, without drift",
        "Bins of equal mass, without tails; an empty bin counts as a ten-thousandth.",
        head,
        rows,
    )


def emulated(random: Generator, baselines: int) -> Table:
    rows = []
    for bins in BINS:
        for size in (1000, 10_000, 100_000):
            for n in (300, 1000, 10_000):
                hits: dict[str, list[float]] = {name: [] for name in STATISTICS}
                for _ in range(baselines):
                    each = Reference("hear", "input", "level", learned(random.normal(size=size), bins))
                    live = random.multinomial(n, _true(each), size=10).astype(float)
                    for name, found in hits.items():
                        found.append(float((evidence(each, live, name) > 1).mean()))
                rows.append([str(bins), str(size), str(n), *(percent(float(np.mean(each))) for each in hits.values())])
    about = (
        "At a nominal 1%, in numpy: the rules' own formulas, held to promtool by a test. Normal values; the baseline "
        f"is learned from N of them, {baselines} times anew, with two tails; 10 live windows of n for each."
    )
    return Table("False alarms of what is shipped", about, ["bins", "N", "n", *STATISTICS], rows)


def _true(reference: Reference) -> Array:
    from scipy.stats import norm  # noqa: PLC0415

    return np.diff(norm.cdf([-np.inf, *reference.baseline.bounds, np.inf]))


def by_promtool(random: Generator, runs: int, baselines: int, windows: int) -> Table:
    """Let promtool judge `baselines` x `windows` streams at once: a run of it takes 10,000 samples at most."""
    rows = []
    for bins in BINS:
        for n in (300, 1000):
            found = known = 0
            for _ in range(runs):
                references = tuple(
                    Reference("hear", "input", f"f{i}", learned(random.normal(size=10_000), bins), "1")
                    for i in range(baselines)
                )
                live = [random.multinomial(n, _true(each), size=windows).astype(float) for each in references]
                alarms, streams = _judged(references, live)
                found, known = found + alarms, known + streams
            rows.append([str(bins), str(n), str(known), str(found), percent(found / known)])
    about = (
        "At a nominal 1%, psi, by `promtool test rules`; baselines of N = 10,000. In each run promtool judges "
        f"{baselines * windows} streams in parallel, all their buckets at once."
    )
    head = ["bins", "n", "streams", "alarms", "false alarms"]
    return Table("False alarms of the generated rules in Prometheus", about, head, rows)


def _judged(references: tuple[Reference, ...], live: list[Array]) -> tuple[int, int]:
    spec = Spec("bench", "team", "", Timing(scrape_interval=300.0), None, (), (), keep=("cluster",))
    made = drift(distribution(spec, 600.0, references), references, "psi")
    rules = [
        {"record": each.name, "expr": block(each.expr)} | ({"labels": dict(each.static)} if each.static else {})
        for each in in_order(made.significant)
    ]
    inputs = []
    for each, windows in zip(references, live, strict=True):
        upper = (*map(le, each.baseline.bounds), "+Inf")
        for index, row in enumerate(windows):
            place = {**PLACE, "feature": each.feature, "cluster": f"c{index}"}
            for bound, count in zip(upper, np.cumsum(row).tolist(), strict=True):
                name = series("pipemon_feature_value_bucket", {**place, "le": bound})
                inputs.append({"series": name, "values": f"0+{count / 2:g}x2"})
            info = series("pipemon_feature_info", {**place, "bins": fingerprint(each.baseline.bounds)})
            inputs.append({"series": info, "values": "1x2"})
    # What is asked for is never so: promtool then prints what is.
    asked = [f"sum({made.significant.name} > bool 0)", f"count({made.significant.name})"]
    exprs = [{"expr": each, "eval_time": "10m", "exp_samples": [{"labels": "{}", "value": -1}]} for each in asked]
    test = {"interval": "5m", "input_series": inputs, "promql_expr_test": exprs}
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "10m", "tests": [test]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        (folder / "rules.yml").write_text(yaml.dump({"groups": [{"name": "drift", "rules": rules}]}, Dumper=dumper))
        (folder / "tests.yml").write_text(yaml.dump(document, Dumper=dumper))
        command = ["promtool", "test", "rules", "tests.yml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    found, known = (int(float(value)) for value in re.findall(r"got: {} (\S+)", done.stdout + done.stderr))
    return found, known


def autocorrelated(random: Generator, baselines: int) -> Table:
    rows = []
    for rho in (0.0, 0.3, 0.6, 0.9):
        hits: dict[bool, list[float]] = {True: [], False: []}
        effects = []
        for _ in range(baselines):
            values = _stream(random, rho, 1, 50_000)[0]
            windows = _stream(random, rho, 20, 8000)
            for effect, found in hits.items():
                each = Reference("hear", "input", "level", learned(values, 10, effect=effect))
                live = counts(windows, np.asarray(each.baseline.bounds))
                found.append(float((evidence(each, live, "psi") > 1).mean()))
                if effect:
                    effects.append(each.baseline.design_effect)
        shares = (percent(float(np.mean(hits[effect]))) for effect in (False, True))
        rows.append([f"{rho:g}", *shares, f"{np.mean(effects):.1f}"])
    about = "AR(1), windows of n = 8,000, baselines of N = 50,000 and 10 bins, psi at a nominal 1%."
    head = ["rho", "as if independent", "with the measured design effect", "design effect"]
    return Table("False alarms of autocorrelated streams", about, head, rows)


def _stream(random: Generator, rho: float, rows: int, length: int) -> Array:
    from scipy.signal import lfilter  # noqa: PLC0415

    noise = random.normal(size=(rows, length + 200)) * np.sqrt(1 - rho * rho)
    return np.asarray(lfilter([1.0], [1.0, -rho], noise, axis=1)[:, 200:])
