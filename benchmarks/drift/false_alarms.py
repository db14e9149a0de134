"""How often drift is seen where there is none."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from benchmarks.drift.emulation import Array, counts, evidence, learned
from benchmarks.drift.promtool import answers
from benchmarks.drift.tables import Table, percent
from pipemon.generate.drift.constants import Reference
from pipemon.generate.drift.distribution import distribution
from pipemon.generate.drift.statistics import drift
from pipemon.generate.ruletests.places import series
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
RULE = "psi > 0.1"
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
        "At a nominal 1%, which windows of six hours have, "
        "in numpy: the rules' own formulas, held to promtool by a test. Normal values; the baseline "
        f"is learned from N of them, {baselines} times anew, with two tails; 10 live windows of n for each."
    )
    return Table("False alarms of what is shipped", about, ["bins", "N", "n", *STATISTICS], rows)


def few(random: Generator, baselines: int) -> Table:
    """Return the same for as few values as anything is said of."""
    rows = []
    for bins in BINS:
        for n in (50, 75, 120, 200):
            hits: dict[str, list[float]] = {name: [] for name in STATISTICS}
            for _ in range(baselines):
                each = Reference("hear", "input", "level", learned(random.normal(size=5000), bins))
                if n >= each.least:
                    live = random.multinomial(n, _true(each), size=100).astype(float)
                    for name, found in hits.items():
                        found.append(float((evidence(each, live, name) > 1).mean()))
            known = len(hits["psi"])
            cells = (percent(float(np.mean(each))) if each else "unknown" for each in hits.values())
            rows.append([str(bins), str(n), f"{known / baselines:.0%}", *cells])
    about = (
        "At a nominal 1%, which windows of six hours have, "
        "in numpy, baselines of 5,000 normal values. Nothing is said under 50 independent values, or "
        "under five expected in the rarest bin of the core: of which share of the baselines n is enough."
    )
    return Table("False alarms of few values", about, ["bins", "n", "known", *STATISTICS], rows)


def _true(reference: Reference) -> Array:
    from scipy.stats import norm  # noqa: PLC0415

    return np.diff(norm.cdf([-np.inf, *reference.baseline.bounds, np.inf]))


def by_promtool(random: Generator, streams: int) -> Table:
    """Let promtool judge `streams` streams for each size, in runs of as many as its 10,000 samples are enough for."""
    rows = []
    for bins in BINS:
        baselines, windows = 4, max(1, 1200 // (bins + 3) // 4)
        for n in (300, 1000, 10_000):
            found = dict.fromkeys((RULE, *STATISTICS), 0)
            known = 0
            while known < streams:
                references = tuple(
                    Reference("hear", "input", f"f{i}", learned(random.normal(size=10_000), bins), "1")
                    for i in range(baselines)
                )
                live = [random.multinomial(n, _true(each), size=windows).astype(float) for each in references]
                for name, alarms in _judged(references, live).items():
                    found[name] += alarms
                known += baselines * windows
            rows.append([str(bins), str(n), str(known), *(percent(each / known) for each in found.values())])
    error = percent(float(np.sqrt(0.01 * 0.99 / streams)))
    about = (
        "At a nominal 1%, which windows of six hours have, "
        "by `promtool test rules`: what the generated rules call significant, and beside it the "
        "rule of thumb on the same bins. Baselines of N = 10,000 normal values, each with its own bins and two tails; "
        f"a run judges four of them, {baselines * windows} streams or more in parallel, as promtool takes 10,000 "
        f"samples at most. The standard error of 1% is {error}, and more where a baseline's own chance weighs."
    )
    head = ["bins", "n", "streams", RULE, *STATISTICS]
    return Table("False alarms of the generated rules in Prometheus", about, head, rows)


def _judged(references: tuple[Reference, ...], live: list[Array]) -> dict[str, int]:
    """Return by statistic in how many of the streams, which are rows of counts, promtool finds significant drift."""
    spec = Spec("bench", "team", "", Timing(scrape_interval=300.0), None, (), (), keep=("cluster",))
    distributed = distribution(spec, 600.0, references)
    made = {name: drift(distributed, references, name) for name in STATISTICS}
    shown = {RULE: (made["psi"].value, 0.1)} | {name: (each.significant, 0.0) for name, each in made.items()}
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
    asked = [("10m", f"{op}({each.name} > bool {above})") for each, above in shown.values() for op in ("sum", "count")]
    rules = [each for each, _ in shown.values()]
    found = [int(one[0].value) for one in answers(rules, inputs, "5m", "10m", asked)]
    assert all(count == sum(map(len, live)) for count in found[1::2])
    return dict(zip(shown, found[::2], strict=True))


def autocorrelated(random: Generator, baselines: int) -> Table:
    rows = []
    for rho in (0.0, 0.3, 0.6, 0.9):
        hits: dict[tuple[str, bool], list[float]] = {
            (statistic, effect): [] for statistic in ("psi", "wasserstein") for effect in (False, True)
        }
        effects = []
        for _ in range(baselines):
            values = _stream(random, rho, 1, 50_000)[0]
            windows = _stream(random, rho, 20, 8000)
            for effect in (False, True):
                each = Reference("hear", "input", "level", learned(values, 10, effect=effect))
                live = counts(windows, np.asarray(each.baseline.bounds))
                for statistic in ("psi", "wasserstein"):
                    hits[statistic, effect].append(float((evidence(each, live, statistic) > 1).mean()))
                if effect:
                    effects.append((each.baseline.design_effect, each.baseline.effect_on_sums))
        shares, sums = np.mean(effects, axis=0)
        found = (percent(float(np.mean(each))) for each in hits.values())
        rows.append([f"{rho:g}", *found, f"{shares:.1f}", f"{sums:.1f}"])
    about = (
        "AR(1), windows of n = 8,000, baselines of N = 50,000 and 10 bins, at a nominal 1%. `wasserstein` has the "
        "design effect of cumulative shares, which slow swings move further than single ones."
    )
    head = [
        "rho",
        "psi, as if independent",
        "psi, with the measured design effect",
        "wasserstein, as if independent",
        "wasserstein, with its own",
        "design effect",
        "of sums",
    ]
    return Table("False alarms of autocorrelated streams", about, head, rows)


def _stream(random: Generator, rho: float, rows: int, length: int) -> Array:
    from scipy.signal import lfilter  # noqa: PLC0415

    noise = random.normal(size=(rows, length + 200)) * np.sqrt(1 - rho * rho)
    return np.asarray(lfilter([1.0], [1.0, -rho], noise, axis=1)[:, 200:])
