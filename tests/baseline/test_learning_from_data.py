"""Arrays, data frames and files whose columns are features."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry

from pipemon import Category, Feature, Pipeline
from pipemon.baseline import learn
from pipemon.baseline.command import baseline
from pipemon.errors import OptionError, PipemonError
from pipemon.spec.baseline import load

DRAW = np.random.default_rng(23)
AMOUNTS = DRAW.lognormal(3, 1, 2000)
COUNTRIES = DRAW.choice(["de", "fr", "xx"], 2000, p=[0.5, 0.3, 0.2]).tolist()
TABLE = {"score.input.amount": AMOUNTS, "country": COUNTRIES}


def fraud() -> Pipeline:
    pipeline = Pipeline("fraud", "3", registry=CollectorRegistry())
    pipeline.stage(
        "score",
        inputs={
            "row": [
                Feature("amount", lambda row: row[0], unit="eur"),
                Category("country", str, categories=("de", "fr")),
            ]
        },
        output=Feature("score", float, unit="ratio"),
    )(lambda row: 0.5)
    pipeline.stage("book", output=Feature("score", float))(lambda: 0.5)
    return pipeline


@pytest.mark.parametrize(
    "table",
    [
        dict,
        pd.DataFrame,
        pl.DataFrame,
        lambda columns: pd.DataFrame(columns).to_records(index=False),
        lambda columns: pd.DataFrame(columns).convert_dtypes(),
    ],
    ids=["arrays", "pandas", "polars", "structured", "nullable"],
)
def test_columns_of_any_kind_of_table_are_features(table: Callable[[Any], Any]) -> None:
    found = learn(fraud(), table(TABLE))
    amount, country = found.features["score.input.amount"], found.features["score.input.country"]
    assert (amount.mean, amount.sd) == pytest.approx((AMOUNTS.mean(), AMOUNTS.std()), rel=1e-5)
    assert (amount.unit, len(amount.bounds)) == ("eur", 11)
    shares = {name: COUNTRIES.count(name) / 2000 for name in ("de", "fr")}
    assert country.categories == pytest.approx({**shares, "other": COUNTRIES.count("xx") / 2000})
    assert (found.pipeline, found.version, found.rows) == ("fraud", "3", 2000)


@pytest.mark.parametrize(
    "column",
    [
        [1.0, None, 3.0, float("nan")],
        pd.Series([1, None, 3, None], dtype="Int64"),
        pl.Series([1, None, 3, None]),
        np.array([1, np.nan, 3, np.inf]),
        np.ma.array([1, 2, 3, 4], mask=[False, True, False, True]),
        ["1", None, "3.0", "n/a"],
        [1, pd.NaT, 3, 10**400],
    ],
    ids=["list", "pandas", "polars", "numpy", "masked", "texts", "objects"],
)
def test_what_is_no_number_is_missing(column: Any) -> None:
    feature = learn(fraud(), {"amount": column}).features["score.input.amount"]
    assert (feature.count, feature.mean, feature.missing) == (2, 2.0, 0.5)


def test_truth_values_are_1_and_0_as_texts_too() -> None:
    for column in ([True, False, None, True], ["True", "false", "", "TRUE"]):
        feature = learn(fraud(), {"amount": column}).features["score.input.amount"]
        assert (feature.count, feature.missing) == (3, 0.25)
        assert feature.mean == pytest.approx(2 / 3, abs=1e-6)


@pytest.mark.parametrize(("centre", "sd"), [(1.7e9, 40.0), (101_325.0, 0.3), (-48.85, 1e-4), (3e-9, 1e-15), (2.0, 1e3)])
def test_a_mean_is_written_to_a_thousandth_of_the_spread(centre: float, sd: float) -> None:
    # What moved first is told by how many standard errors a mean is from this one.
    amounts = np.random.default_rng(23).normal(centre, sd, 5000)
    found = learn(fraud(), {"amount": amounts}).features["score.input.amount"]
    assert abs(found.mean - amounts.mean()) < 0.001 * sd
    assert abs(found.quantiles["p75"] - np.quantile(amounts, 0.75)) < 0.001 * sd


@pytest.mark.parametrize("constant", [0.1, 7.123456789, 1e-12, 1_700_000_000.3])
def test_what_never_varies_has_no_spread(constant: float) -> None:
    # Added up and divided again, 0.1 comes out a little different.
    found = learn(fraud(), {"amount": np.full(4637, constant)}).features["score.input.amount"]
    assert (found.mean, found.sd) == (constant, 0.0)
    assert found.effect_on_spread == 1


def test_a_missing_category_is_missing_and_an_undeclared_one_is_other() -> None:
    feature = learn(fraud(), {"country": ["de", None, "", "at"]}).features["score.input.country"]
    assert (feature.categories, feature.missing) == ({"de": 0.5, "fr": 0.0, "other": 0.5}, 0.5)


def test_columns_with_other_names_are_told() -> None:
    found = learn(fraud(), {"eur": AMOUNTS, "noise": AMOUNTS}, columns={"eur": "input.amount"})
    assert [*found.features] == ["score.input.amount"]


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ({"amuont": [1.0]}, {}, "no column is a feature of fraud: there are amuont"),
        ({"score": [1.0]}, {}, "no column is a feature"),  # of two stages
        ({"a": [1.0]}, {"a": "score"}, "could be score.output.score or book.output.score"),
        ({"a": [1.0]}, {"a": "score.input.amuont"}, "did you mean 'score.input.amount'"),
        ({"a": [1.0]}, {"b": "score.input.amount"}, "there is no column 'b'"),
        ({"amount": ["low", "high"]}, {}, "holds no numbers but values such as 'low'"),
        ({"amount": ["1", "NA", "1,5"]}, {}, "holds values such as '1,5' among numbers; leave missing ones empty"),
        ({"amount": pd.to_datetime(["2026-01-31", None])}, {}, "holds dates; make numbers such as seconds of them"),
        ({"amount": pl.Series([timedelta(1)])}, {}, "holds lengths of time"),
        ({"amount": [1.0, timedelta(1)]}, {}, r"holds values such as datetime.timedelta\(days=1\) among numbers"),
        ({"amount": np.array([1j])}, {}, "holds complex numbers"),
        ({"amount": np.zeros((9, 2))}, {}, "holds several values in a row"),
        ({"amount": [[1.0], [1.0, 2.0]]}, {}, "holds several values in a row"),
        ({"amount": [1.0], "country": ["de", "fr"]}, {}, "column 'country' has 2 rows, others have 1"),
        ({"amount": ["NA", "", None]}, {}, "no feature of fraud has a value in the data"),
        ({"amount": [None, None]}, {}, "no feature of fraud has a value in the data"),
        ([1.0, 2.0], {}, "expected columns by their names, or run="),
    ],
)
def test_what_can_not_be_learned_is_told(table: Any, columns: dict[str, str], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        learn(fraud(), table, columns=columns)


def test_rows_are_put_in_the_order_of_their_time() -> None:
    draw = np.random.default_rng(23)
    runs = np.repeat(draw.normal(size=500), 10)
    days = pd.date_range("2026-01-01", periods=5000, freq="min").to_numpy()
    shuffled = draw.permutation(5000)
    table = {"amount": runs[shuffled], "day": days[shuffled]}
    in_order = learn(fraud(), table, time="day")
    assert in_order.features["score.input.amount"].design_effect > 5
    assert learn(fraud(), {"amount": table["amount"]}).features["score.input.amount"].design_effect < 1.5
    assert (in_order.start, in_order.end) == (1767225600, 1767225600 + 4999 * 60)


def test_rows_with_times_tell_a_rhythm_of_days_from_dependence_and_rows_without_do_not() -> None:
    hours = np.arange(14 * 24 * 20) / 20
    amounts = 1 + np.sin(2 * np.pi * hours / 24) + np.random.default_rng(23).normal(size=len(hours))
    # What is missing has a time, too.
    amounts[::7] = np.nan
    table = {"amount": amounts, "country": np.where(hours % 24 < 12, "de", "fr"), "when": 1767225600 + 3600 * hours}
    timed = learn(fraud(), table, time="when").features
    for name, known in timed.items():
        assert known.design_effect > 5, name
        assert known.seasonal_design_effects["daily"] < 1.3, name
        assert known.seasonal_design_effects["weekly"] < 1.3, name
    blind = learn(fraud(), {name: table[name] for name in ("amount", "country")}).features
    assert not any(known.seasonal_design_effects for known in blind.values())
    few = learn(fraud(), table, time="when", max_values=1000).features["score.input.amount"]
    assert not few.seasonal_design_effects


@pytest.mark.parametrize(
    ("first", "second"),
    [("1767225600", "1767225660.5"), ("20260101", "20260102"), ("2026-01-01T00:00", "2026-01-01T00:01")],
)
def test_times_are_unix_seconds_or_dates_though_a_file_has_only_texts(first: str, second: str) -> None:
    found = learn(fraud(), {"amount": [2.0, 1.0], "day": [second, first]}, time="day")
    lasts = {"1767225660.5": 60.5, "20260102": 86400, "2026-01-01T00:01": 60}[second]
    assert (found.start, found.end) == (1767225600, 1767225600 + lasts)


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (["1767225600", "noon"], "holds no times"),
        (["1767225600", "nan"], "holds no times"),
        (["", ""], "holds no times"),
        ([pd.NaT, pd.NaT], "holds no times"),
        (pl.Series([datetime(2026, 1, 1), None]), "holds no times"),
        ([1767225600000, 1767225660000], "holds 1.76723e.12, which is no time in Unix seconds; are they milliseconds"),
    ],
)
def test_what_is_no_time_is_refused(days: Any, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        learn(fraud(), {"amount": [2.0, 1.0], "day": np.asarray(days)}, time="day")


def test_each_row_has_a_time() -> None:
    with pytest.raises(OptionError, match="column 'amount' has 1 rows, the times are 2"):
        learn(fraud(), {"amount": [2.0], "day": [1767225600, 1767225660]}, time="day")


def test_items_can_go_through_the_stages_instead() -> None:
    pipeline = Pipeline("fraud", registry=CollectorRegistry())
    score = pipeline.stage("score", inputs={"amount": Feature("amount", float)})(lambda amount: amount)
    found = learn(pipeline, AMOUNTS.tolist(), run=score, source="train")
    assert found.features["score.input.amount"].mean == pytest.approx(AMOUNTS.mean(), rel=1e-5)
    assert found.source == "train"


CODE = """\
import pipemon
fraud = pipemon.Pipeline("fraud", "3")
@fraud.stage("score", inputs={"row": [
    pipemon.Feature("amount", float, unit="eur"), pipemon.Category("country", str, categories=("de", "fr"))]})
def score(row): ...
"""
SPEC = """\
pipeline: fraud
code: beside_fraud:fraud
baseline: fraud.baseline.json
failure_modes: {a: {what: b}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "beside_fraud.py").write_text(CODE)
    (tmp_path / "fraud.yaml").write_text(SPEC)
    frame = pl.DataFrame({"amount": AMOUNTS, "country": COUNTRIES})
    frame.write_parquet(tmp_path / "train.parquet")
    frame.write_csv(tmp_path / "train.csv")
    np.savez(tmp_path / "train.npz", amount=AMOUNTS, country=np.array(COUNTRIES))
    rows = np.array(list(zip(AMOUNTS, COUNTRIES, strict=True)), dtype=[("amount", "f8"), ("country", "U2")])
    np.save(tmp_path / "train.npy", rows)
    return tmp_path


def ended(*arguments: str) -> tuple[int, str]:
    """The exit code and what is said, without the time that a process of its own takes."""
    done = CliRunner().invoke(baseline, ["learn", *arguments])
    if isinstance(done.exception, PipemonError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, done.output


def test_files_of_every_kind_make_the_same_baseline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    made = {}
    for kind in ("parquet", "csv", "npz", "npy"):
        told = ended("fraud.yaml", "--from-data", f"train.{kind}")
        assert told == (0, "Learned 2 features from 2,000 rows; wrote fraud.baseline.json\n")
        made[kind] = json.loads((folder / "fraud.baseline.json").read_text())
        assert made[kind].pop("source") == f"train.{kind}"
    assert made["parquet"] == made["csv"] == made["npz"] == made["npy"]
    assert load(folder / "fraud.baseline.json").version == "3"


def test_what_is_left_out_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "twin_fraud.py").write_text(
        "import pipemon\n"
        'fraud = pipemon.Pipeline("fraud")\n'
        'named = [pipemon.Feature(name, float) for name in ("amount", "empty", "sure")]\n'
        'named.append(pipemon.Feature("absent", float))\n'
        'fraud.stage("score", inputs={"row": named}, output=named[2])(lambda row: row)\n'
    )
    (folder / "odd.csv").write_text("amount,empty,sure,region\n1,,0.5,north\n")
    assert ended("--code", "twin_fraud:fraud", "--from-data", "odd.csv", "--out", "odd.json")[1].splitlines() == [
        "  column 'sure' could be score.input.sure or score.output.sure: say which, as --column sure=score.input.sure",
        "  without a value: score.input.empty",
        "  without a column: score.input.absent",
        "  columns of no feature: region",
        "Learned 1 feature from 1 row; wrote odd.json",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fraud.yaml", "--from-data", "none.csv"), "none.csv"),
        (("fraud.yaml", "--from-data", "fraud.yaml"), "expected a file that ends in .parquet, .csv, .npz, .npy"),
        (("fraud.yaml", "--from-data", "broken.csv"), "broken.csv:3: expected 2 fields, found 1"),
        (("fraud.yaml", "--from-data", "other.csv"), "other.csv: expected commas between fields, found ';'"),
        (("fraud.yaml", "--from-data", "train.csv", *2 * ("--column", "amount=amount")), "amount is given twice"),
        (("fraud.yaml", "--from-data", "twice.csv"), "twice.csv: there are two columns 'amount'"),
        (("fraud.yaml", "--from-data", "broken.npz"), "cannot read broken.npz"),
        (("fraud.yaml", "--from-data", "broken.parquet"), "cannot read broken.parquet"),
        (("fraud.yaml", "--from-data", "train.csv", "--column", "amount"), "expected NAME=FEATURE, found amount"),
        (("fraud.yaml", "--from-data", "train.csv", "--time", "when"), "there is no column 'when'"),
        (("fraud.yaml", "--from-data", "train.csv", "--time", "country"), "column 'country' holds no times"),
        (("fraud.yaml", "--from-data", "train.csv", "--url", "http://h:1"), "--url of a Prometheus, or --from-data"),
        (("--from-data", "train.csv"), "SPECS, or --code module:pipeline"),
        (("--code", "beside_fraud:fraud", "--from-data", "train.csv"), "give --out"),
        (("--code", "beside_fraud:frued", "--from-data", "train.csv"), "did you mean 'fraud'"),
    ],
)
def test_wrong_usage_ends_with_2_and_writes_nothing(
    folder: Path, arguments: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "broken.csv").write_text("amount,country\n1,de\n2\n")
    (folder / "twice.csv").write_text("amount,amount\n1,2\n")
    (folder / "other.csv").write_text("amount;country\n1,5;de\n")
    for name in ("broken.npz", "broken.parquet"):
        (folder / name).write_text("no such thing")
    code, said = ended(*arguments)
    assert code == 2
    assert told in " ".join(said.split())
    assert not (folder / "fraud.baseline.json").exists()
