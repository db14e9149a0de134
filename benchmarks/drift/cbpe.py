"""Accuracy without labels, on NannyML's car loans: `python -m benchmarks.drift.cbpe [--wheel FILE] [--nannyml PYTHON]`.

The data is in the wheel of nannyml 0.13.1 (Apache-2.0), which is downloaded unless it is given. `--nannyml` names a
Python that has nannyml installed, to run its own CBPE beside. promtool must be on the PATH: the numbers are those of
the generated rules.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.drift.tables import Table, percent
from pipemon.catalogue import CONFIDENCE_BINS
from pipemon.generate.calibration import FEWEST
from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load

RESULTS = Path(__file__).with_name("cbpe.md")
VERSION = "0.13.1"
CHUNK = 5000
STEPS = 32
"""Minutes in which a chunk comes in: the window of the rules. A power of two: steps are exact, and no counter falls."""
TURNED = 0.1
"""Share of the labels of the second half that are turned over, where the meaning is to change."""

Array = NDArray[np.float64]
EDGES = np.array(CONFIDENCE_BINS, dtype=float)

SPEC = f"""
pipeline: loans
stages: {{model: {{features: {{output.confidence: ratio}}}}, labelled: {{}}, turned: {{}}}}
failure_modes:
  worse: {{what: a, stage: model, signal: {{estimated_accuracy: output.confidence}}, below: 92%, window: {STEPS}m}}
  unsure: {{what: b, stage: labelled, signal: calibration, window: {STEPS}m}}
  changed: {{what: c, stage: turned, signal: calibration, window: {STEPS}m}}
"""

PEER = f"""
import warnings; warnings.filterwarnings("ignore")
import nannyml
reference, analysis, _ = nannyml.load_synthetic_car_loan_dataset()
cbpe = nannyml.CBPE(
    y_pred_proba="y_pred_proba", y_pred="y_pred", y_true="repaid", problem_type="classification_binary",
    metrics=["accuracy"], chunk_size={CHUNK},
)
found = cbpe.fit(reference).estimate(analysis).filter(period="analysis").to_df()
print(*found[("accuracy", "value")])
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drift.cbpe", description="Accuracy without labels.")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of nannyml {VERSION}")
    parser.add_argument("--nannyml", help="a Python that has nannyml")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = told.wheel or _downloaded(Path(folder))
        confidence, right = _loans(wheel, "reference")
        live, truth = _loans(wheel, "analysis")
        rows, estimated, errors = _rows(confidence, right, live, truth, told.nannyml)
        _judge(Path(folder), confidence, right, live, truth, estimated, errors)
    head = ["rows of the analysis", "true", "estimated", "by NannyML", "calibration error", "true, turned", "its error"]
    about = (
        f"Chunks of {CHUNK}. The inputs change at row 25,000. Estimated by the generated rules from the labels of the "
        f"reference and the confidences of the chunk; the calibration error needs the chunk's labels. In the last two "
        f"columns {TURNED:.0%} of the labels from row 25,000 on are turned over: same inputs, another meaning, which "
        "no confidence tells."
    )
    text = Table("Accuracy without labels: car loans", about, head, rows).text()
    RESULTS.write_text(
        f"# Accuracy without labels\n\nBy `python -m benchmarks.drift.cbpe`, of nannyml {VERSION}.\n\n{text}"
    )
    print(text)


def _downloaded(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", f"nannyml=={VERSION}", "--no-deps", "-d", str(folder)]
    subprocess.run(command, check=True)
    return next(folder.glob("nannyml-*.whl"))


def _loans(wheel: Path, period: str) -> tuple[Array, NDArray[np.bool_]]:
    """Return the probability of the class that was chosen, and whether it was right, of each row."""
    with zipfile.ZipFile(wheel) as archive:

        def read(name: str) -> Iterator[dict[str, str]]:
            with archive.open(f"nannyml/datasets/data/synthetic_car_loan_{name}.csv") as file:
                yield from csv.DictReader(io.TextIOWrapper(file, "utf-8"))

        rows = list(read(period))
        targets = rows if period == "reference" else list(read(f"{period}_target"))
    probability, chosen = (np.array([float(row[name]) for row in rows]) for name in ("y_pred_proba", "y_pred"))
    repaid = np.array([float(row["repaid"]) for row in targets])
    return np.where(chosen == 1, probability, 1 - probability), chosen == repaid


def _bins(confidence: Array) -> NDArray[np.int64]:
    return np.searchsorted(EDGES, np.round(confidence, 12))


def _error(confidence: Array, right: NDArray[np.bool_]) -> float:
    gaps = np.bincount(_bins(confidence), confidence - right, len(EDGES))
    return float(np.abs(gaps).sum() / len(confidence))


def _turned(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    flips = np.random.default_rng(1).random(len(truth)) < TURNED
    return truth ^ (flips & (np.arange(len(truth)) >= len(truth) // 2))


def _rows(
    confidence: Array, right: NDArray[np.bool_], live: Array, truth: NDArray[np.bool_], peer: str | None
) -> tuple[list[list[str]], list[float], list[list[float]]]:
    """Return the table, the estimates, and the calibration errors with the labels as they are and turned over."""
    labelled = np.bincount(_bins(confidence), minlength=len(EDGES))
    known = labelled >= FEWEST
    worth = np.bincount(_bins(confidence), right, len(EDGES)) / np.maximum(labelled, 1)
    command = [peer or "", "-c", PEER]
    theirs = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() if peer else []
    turned = _turned(truth)
    rows, estimates, errors = [], [], []
    for number, begin in enumerate(range(0, len(live), CHUNK)):
        now = slice(begin, begin + CHUNK)
        bins = _bins(live[now])
        estimates.append(float(worth[bins[known[bins]]].mean()))
        errors.append([_error(live[now], each[now]) for each in (truth, turned)])
        told = [float(truth[now].mean()), estimates[-1]]
        their = percent(float(theirs[number])) if peer else ""
        rows.append(
            [f"{begin:,} to {begin + CHUNK:,}", *map(percent, told), their]
            + [percent(value) for value in (errors[-1][0], float(turned[now].mean()), errors[-1][1])]
        )
    return rows, estimates, errors


def _judge(
    folder: Path,
    confidence: Array,
    right: NDArray[np.bool_],
    live: Array,
    truth: NDArray[np.bool_],
    estimates: list[float],
    errors: list[list[float]],
) -> None:
    """Let promtool evaluate the generated rules on these chunks, one window each; raise where it says otherwise."""
    series: dict[str, list[float]] = {}

    def rise(name: str, place: str, labels: str, amounts: list[float]) -> None:
        series[f'{name}{{pipeline="loans",{place},version="1",track="stable",{labels}}}'] = amounts

    chunks = [live[begin : begin + CHUNK] for begin in range(0, len(live), CHUNK)]
    for bin, edge in enumerate(CONFIDENCE_BINS):
        for correct, wanted in (("yes", right), ("no", ~right)):
            labels = f'confidence_bin="{edge}",correct="{correct}"'
            known = float(((_bins(confidence) == bin) & wanted).sum())
            rise("pipemon_calibration_total", 'stage="model"', labels, [known, *[0.0] * len(chunks)])
        for stage, outcomes in (("labelled", truth), ("turned", _turned(truth))):
            told = np.split(outcomes, len(chunks))
            inside = [_bins(chunk) == bin for chunk in chunks]
            place = f'stage="{stage}"'
            for correct, answer in (("yes", True), ("no", False)):
                labels = f'confidence_bin="{edge}",correct="{correct}"'
                amounts = [float((here & (each == answer)).sum()) for here, each in zip(inside, told, strict=True)]
                rise("pipemon_calibration_total", place, labels, [0.0, *amounts])
            stated = [float(chunk[here].sum()) for chunk, here in zip(chunks, inside, strict=True)]
            rise("pipemon_calibration_confidence_total", place, f'confidence_bin="{edge}"', [0.0, *stated])
    for edge in (*CONFIDENCE_BINS, "+Inf"):
        within = [float((_bins(chunk) <= np.searchsorted(EDGES, float(edge))).sum()) for chunk in chunks]
        where = 'stage="model",direction="output",feature="confidence"'
        rise("pipemon_feature_value_bucket", where, f'le="{edge}"', [0.0, *within])
    checks = []
    for number, (estimate, (own, turned)) in enumerate(zip(estimates, errors, strict=True)):
        accuracy = f"pipeline_stage_direction_feature:pipemon_feature_value_accuracy:estimate_increase{STEPS}m"
        error = f"pipeline_stage:pipemon_calibration_error:ratio_increase{STEPS}m"
        for expr, value in (
            (accuracy, estimate),
            (f'{error}{{stage="labelled"}}', own),
            (f'{error}{{stage="turned"}}', turned),
        ):
            asked = f"count(abs({expr} - {value!r}) < 1e-9)"
            samples = [{"labels": "{}", "value": 1}]
            checks.append({"expr": asked, "eval_time": f"{(number + 2) * STEPS}m", "exp_samples": samples})
    (folder / "loans.yaml").write_text(SPEC)
    (folder / "rules.yml").write_text(rule_file(rules(plan(load(folder / "loans.yaml")).spec)))
    inputs = [{"series": name, "values": _values(amounts)} for name, amounts in series.items()]
    tests = [{"interval": "1m", "input_series": inputs, "promql_expr_test": checks}]
    (folder / "tests.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": tests}))
    subprocess.run(["promtool", "test", "rules", "tests.yml"], cwd=folder, check=True)


def _values(amounts: list[float]) -> str:
    """Return a counter that rises by each amount in turn, as promtool writes it."""
    found, total = ["0"], 0.0
    for amount in amounts:
        step = amount / STEPS
        found.append(f"{total + step!r}+{step!r}x{STEPS - 1}")
        total += amount
    return " ".join(found)


if __name__ == "__main__":
    main()
