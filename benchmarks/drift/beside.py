"""pipemon beside its peers on the same streams: how late each is, how noisy, and what it costs the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from scipy.stats import binomtest

from benchmarks.drift.datasets import loans
from benchmarks.drift.emulation import Array, ShiftSums, counts, learned, standard_scores
from benchmarks.drift.promtool import answers
from benchmarks.drift.tables import Table, percent
from pipemon.demo.programs import default_cache
from pipemon.generate.drift.constants import ALPHA, LOOK, Reference, looks
from pipemon.generate.drift.distribution import distribution
from pipemon.generate.drift.statistics import drift
from pipemon.generate.ruletests.places import series
from pipemon.spec.baseline import FeatureBaseline
from pipemon.spec.model import Spec, Timing
from pipemon.spec.shift import LIMIT, Of
from pipemon.spec.signals import STATISTICS, Statistic
from pipemon.units import duration, fingerprint, le

PEERS = Path(__file__).with_name("peers.txt")
SIZE, BEFORE, AFTER = 10_000, 10_000, 10_000
MINUTE, WINDOW = 100, 10
"""Values that come in each minute, in which rules are evaluated once; minutes of a window, of 1,000 values then."""
TOGETHER = 40
"""Streams in one run of promtool."""
PLACE = {"pipeline": "bench", "stage": "hear", "version": "1", "track": "stable", "direction": "input"}
Streams = Mapping[str, tuple[Array, Array]]
Alarms = Mapping[str, list[int]]
"""By stream the positions at which it was alarmed, from 1."""

SHIFTED: Mapping[str, Callable[[Generator, int], Array]] = {
    "mean +0.1 sd": lambda random, n: random.normal(0.1, 1, n),
    "mean +0.25 sd": lambda random, n: random.normal(0.25, 1, n),
    "mean +0.5 sd": lambda random, n: random.normal(0.5, 1, n),
    "mean +1 sd": lambda random, n: random.normal(1, 1, n),
    "mean to +0.5 sd over 5,000": lambda random, n: random.normal(np.minimum(np.arange(n) / 10_000, 0.5), 1),
    "sd x1.2": lambda random, n: random.normal(0, 1.2, n),
    "sd x1.5": lambda random, n: random.normal(0, 1.5, n),
    "10% at +2 sd": lambda random, n: random.normal(size=n) + 2.0 * (random.random(n) < 0.1),
    "2% at +6 sd": lambda random, n: random.normal(size=n) + 6.0 * (random.random(n) < 0.02),
}
LOANS = ("car_value", "loan_length", "y_pred_proba")
PIPEMON: Mapping[str, tuple[Statistic, float]] = {
    "pipemon: psi": ("psi", STATISTICS["psi"]),
    "pipemon: wasserstein": ("wasserstein", STATISTICS["wasserstein"]),
    "pipemon: wasserstein above 0.1": ("wasserstein", 0.1),
    "pipemon: psi above 0": ("psi", 0.0),
    "pipemon: wasserstein above 0": ("wasserstein", 0.0),
    "pipemon: ks": ("ks", STATISTICS["ks"]),
    "pipemon: js": ("js", STATISTICS["js"]),
}

SHIFTS: Mapping[str, tuple[Of, float, int]] = {
    "pipemon: shift, 30 values a step": ("level", LIMIT, 30),
    "pipemon: shift above 9, 30 values a step": ("level", 9.0, 30),
    "pipemon: shift, 100 values a step": ("level", LIMIT, 100),
    "pipemon: shift, 400 values a step": ("level", LIMIT, 400),
    "pipemon: shift of the spread, 30 values a step": ("spread", LIMIT, 30),
    "pipemon: shift of the spread above 9, 30 values a step": ("spread", 9.0, 30),
    "pipemon: shift of the spread, 100 values a step": ("spread", LIMIT, 100),
    "pipemon: shift of the spread, 400 values a step": ("spread", LIMIT, 400),
}
"""What has shifted, the limit, and values in a step."""
MEANS = ("mean +0.1 sd", "mean +0.25 sd", "mean +0.5 sd", "mean +1 sd")
BESIDE_ADWIN = ("pipemon: shift, 30 values a step", "pipemon: shift above 9, 30 values a step")


def streams(random: Generator, times: int, still: int) -> Streams:
    """Return a reference and a live stream by name; those that drift do so at BEFORE, those named `still` never."""
    found = dict(_normal(random, times, still, tuple(SHIFTED)))
    trained, served = loans("reference"), loans("analysis")
    for name in LOANS:
        found[f"{name} 0"] = trained[name][:SIZE].astype(float), served[name][15_000:35_000].astype(float)
    return found


def _normal(
    random: Generator, times: int, still: int, kinds: tuple[str, ...]
) -> Iterator[tuple[str, tuple[Array, Array]]]:
    references = [random.normal(size=SIZE) for _ in range(times)]
    for index in range(still):
        yield f"still {index}", (references[index % times], random.normal(size=BEFORE + AFTER))
    for name in kinds:
        for index in range(times):
            live = np.concatenate([random.normal(size=BEFORE), SHIFTED[name](random, AFTER)])
            yield f"{name} {index}", (references[index], live)


def means(random: Generator, times: int, still: int) -> Table:
    """Return the delays of shifted means by `shift` and by ADWIN, with how sure they are."""
    made = dict(_normal(random, times, still, MEANS))
    alarms = {name: by_sums(made, *SHIFTS[name]) for name in BESIDE_ADWIN}
    adwin = "river: ADWIN"
    alarms[adwin] = by_peers(made, ("river",))[adwin]["alarms"]
    rows = []
    for name, alarm in alarms.items():
        false = sum(bool(alarm[stream]) for stream in made if stream.startswith("still"))
        low, high = binomtest(false, still).proportion_ci()
        spread = [np.quantile(_delays(alarm, made, kind), (0.25, 0.5, 0.75)) for kind in MEANS]
        cells = [f"{middle:,.0f} ({first:,.0f} to {third:,.0f})" for first, middle, third in spread]
        rows.append([name, f"{percent(false / still)} ({percent(low)} to {percent(high)})", *cells])
    about = (
        f"The means of the table above, of {times} streams and as many references each, and {still:,} streams without "
        "drift: the share of these with any alarm, with its 95% interval, and the median delay in values, with the "
        "quartiles."
    )
    return Table("Means, beside ADWIN", about, ["", "false alarms", *MEANS], rows)


def beside(random: Generator, times: int, still: int) -> Table:
    made = streams(random, times, still)
    alarms = by_rules(made)
    alarms |= {name: by_sums(made, *how) for name, how in SHIFTS.items()}
    alarms |= {name: told["alarms"] for name, told in by_peers(made).items()}
    rows = [[name, *_told(alarm, made)] for name, alarm in alarms.items()]
    about = (
        f"Delay in values from the change to the first alarm, the median of {times} streams, after {BEFORE:,} values "
        f"without drift; false alarms: of {still} streams of {BEFORE + AFTER:,} values without drift, in how many "
        f"there is any. {times} references of {SIZE:,} values. Peers as they come, in batches of 1,000 or value by "
        "value; pipemon by the generated rules in promtool, with a window of 1,000 values and an evaluation each "
        f"{MINUTE}: ten minutes, which share the 1% of {LOOK} hours. `shift` by its rules' arithmetic in numpy, of so "
        "many values in a step, which is four minutes, or 16 scrapes. A delay means nothing where alarms are raised "
        "anyhow."
    )
    return Table("Beside its peers", about, ["", "false alarms", *SHIFTED, *LOANS], rows)


def by_sums(made: Streams, of: Of, above: float, values: int) -> Alarms:
    """Return when `shift` alerts, by the rules' own arithmetic, which a test holds to promtool."""
    bases: dict[int, FeatureBaseline] = {}
    found = {}
    for name, (reference, live) in made.items():
        if id(reference) not in bases:
            bases[id(reference)] = learned(reference, 10, effect=True)
        base = bases[id(reference)]
        found[name] = list(_shifted(base, live, of, above, values))
    return found


def _shifted(base: FeatureBaseline, live: Array, of: Of, above: float, values: int) -> Iterator[int]:
    steps = counts(live[: len(live) // values * values].reshape(-1, values), np.asarray(base.bounds))
    sums, beyond = ShiftSums(base, 1), False
    for index, (z, error) in enumerate(zip(*standard_scores(base, of, steps), strict=True), 1):
        was, beyond = beyond, bool(sums.add(z[None], error[None])[0] > above)
        if beyond and not was:
            yield index * values


def _told(alarm: Mapping[str, list[int]], made: Streams) -> list[str]:
    """Return on how many quiet streams there is an alarm, and the median delay on each kind of the others."""
    quiet = [alarm[stream] for stream in made if stream.startswith("still")]
    cells = [f"{sum(bool(each) for each in quiet)}"]
    for kind in (*SHIFTED, *LOANS):
        middle = float(np.median(_delays(alarm, made, kind)))
        cells.append("never" if middle == np.inf else f"{middle:,.0f}")
    return cells


def _delays(alarm: Mapping[str, list[int]], made: Streams, kind: str) -> list[float]:
    those = [alarm[stream] for stream in made if stream.rpartition(" ")[0] == kind]
    return [min((float(at - BEFORE) for at in each if at > BEFORE), default=np.inf) for each in those]


def costs(random: Generator) -> Table:
    """Return what each costs the service for a million values."""
    told = by_peers(streams(random, 1, 2))
    own = _serving()
    in_batches = own["pipemon: calls of 1,000 values"]["seconds"]  # as the peers' are
    rows = [
        [name, f"{each['seconds']:.3f}", f"{each['seconds'] / in_batches:.1f}", f"{each['megabytes']:.0f}"]
        for name, each in {**own, **told}.items()
    ]
    about = (
        "Processor seconds of a million values of one feature, without what is done once (imports, a reference that is "
        "fitted), and by how much the resident memory has grown since before the tool's import; pipemon's since after "
        "it. Of pipemon it is all that a decorated stage does, what it counts of calls and seconds included: drift is "
        "computed by Prometheus. The peers compute it where they run."
    )
    return Table("What it costs the service", about, ["", "CPU s", "times pipemon's in batches of 1,000", "MB"], rows)


def by_rules(made: Streams) -> dict[str, Alarms]:
    """Return when each of PIPEMON is above its threshold, by the generated rules in promtool.

    Only the first alarm is told, of each of the two halves.
    """
    names = list(made)
    found: dict[str, dict[str, list[int]]] = {how: {name: [] for name in names} for how in PIPEMON}
    for begin in range(0, len(names), TOGETHER):
        some = names[begin : begin + TOGETHER]
        for how, name, at in _by_rules({name: made[name] for name in some}):
            found[how][name].append(at)
    return dict(found)


def _by_rules(made: Streams) -> Iterator[tuple[str, str, int]]:
    spec = Spec("bench", "team", "", Timing(scrape_interval=60.0), None, (), (), keep=("cluster",))
    references: dict[int, Reference] = {}
    inputs = []
    for cluster, (reference, live) in made.items():
        if id(reference) not in references:
            base = learned(reference, 10, effect=True)
            name, alpha = f"f{len(references)}", ALPHA / looks(spec, WINDOW * 60.0)
            shorter = duration(WINDOW * 60.0)
            references[id(reference)] = Reference("hear", "input", name, base, "1", alpha=alpha, shorter=shorter)
        each = references[id(reference)]
        bounds = np.asarray(each.baseline.bounds)
        rows = np.cumsum(np.cumsum(counts(live.reshape(-1, MINUTE), bounds), axis=1), axis=0)
        place = {**PLACE, "feature": each.feature, "cluster": cluster}
        for bound, row in zip((*map(le, bounds), "+Inf"), rows.T, strict=True):
            name = series("pipemon_feature_value_bucket", {**place, "le": bound})
            inputs.append({"series": name, "values": " ".join(["0", *(f"{value:g}" for value in row)])})
        info = series("pipemon_feature_info", {**place, "bins": fingerprint(each.baseline.bounds)})
        inputs.append({"series": info, "values": f"1x{len(rows)}"})
    those = tuple(references.values())
    live_rules = distribution(spec, WINDOW * 60.0, those)
    rules = {
        name: drift(live_rules, those, name).significant for name in {statistic for statistic, _ in PIPEMON.values()}
    }
    halves = [(BEFORE // MINUTE, BEFORE // MINUTE - 1), ((BEFORE + AFTER) // MINUTE, AFTER // MINUTE - 1)]
    asked = [
        (f"{at}m", f"min by (cluster) (min_over_time(timestamp({rules[statistic].name} > {above})[{long}m:1m]))")
        for statistic, above in PIPEMON.values()
        for at, long in halves
    ]
    told = answers(list(rules.values()), inputs, "1m", "1m", asked)
    for how, first, second in zip(PIPEMON, told[::2], told[1::2], strict=True):
        for sample in (*first, *second):
            yield how, sample.labels["cluster"], round(sample.value / 60) * MINUTE


def by_peers(made: Streams, tools: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """Let each peer, or those of `tools`, watch the streams in the Python that has it."""
    environment = os.environ | {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
    environment.pop("PYTHONPATH", None)
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "streams.npz"
        arrays: dict[str, Any] = {}
        for name, (reference, live) in made.items():
            arrays |= {f"{name}/reference": reference, f"{name}/live": live}
        np.savez(path, **arrays)
        for line in PEERS.read_text().splitlines():
            tool = line.partition("==")[0]
            if tools and tool not in tools:
                continue
            command = [
                str(_python(line)),
                str(Path(__file__).with_name("watching.py")),
                tool.replace("-", "_"),
                str(path),
            ]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            found |= json.loads(done.stdout.splitlines()[-1])
    return found


def _python(line: str) -> Path:
    """Return the Python of an environment in the cache that has these packages, and make it if there is none."""
    folder = default_cache() / "peers" / line.replace("==", "-").replace("<", "-").replace(" ", "_")
    python, done = folder / "bin" / "python", folder / "done"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *line.split()], check=True)
        done.touch()
    return python


def _serving() -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "benchmarks.drift.serving"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(told))
