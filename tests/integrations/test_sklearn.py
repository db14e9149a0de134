"""scikit-learn's own models, made stages, and still its own models."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
from prometheus_client import CollectorRegistry
from sklearn.base import clone, is_classifier
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import estimator_html_repr
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

import pipemon
from pipemon.integrations.sklearn import instrument, paused

X, Y = load_iris(return_X_y=True)
FLOWERS = np.array(["setosa", "versicolor", "virginica"])[Y]


def iris() -> Pipeline:
    features = FeatureUnion([("pca", PCA(2)), ("all", "passthrough")])
    return Pipeline([("scale", StandardScaler()), ("union", features), ("clf", LogisticRegression())])


def edges(registry: CollectorRegistry) -> set[tuple[str, str]]:
    return {
        (sample.labels["upstream"], sample.labels["stage"])
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "pipemon_stage_upstream_info"
    }


@pytest.fixture
def fitted(pipeline: pipemon.Pipeline) -> Any:
    return instrument(iris().fit(X, FLOWERS), pipeline)


def test_each_step_is_a_stage_whose_rows_are_counted(fitted: Any, read: Any) -> None:
    fitted.predict(X)
    fitted.predict_proba(X[:10])
    for stage in ("scale", "union__pca", "clf"):
        assert read("pipemon_stage_calls_total", stage=stage, version="7") == 2
        assert read("pipemon_stage_items_in_total", stage=stage) == 160
        assert read("pipemon_stage_items_out_total", stage=stage) == 160
        assert read("pipemon_stage_duration_seconds_count", stage=stage) == 2
        assert read("pipemon_feature_value_count", stage=stage, direction="input", feature="share_missing") == 160


def test_the_cascade_is_that_of_the_steps_and_branches_lie_side_by_side(
    pipeline: pipemon.Pipeline, registry: CollectorRegistry
) -> None:
    inner = Pipeline([("pca", PCA(2)), ("again", StandardScaler())])
    union = FeatureUnion([("left", inner), ("right", StandardScaler()), ("none", "drop")])
    pipeline.stage("read")(lambda: None)
    instrument(Pipeline([("union", union), ("clf", SVC())]), pipeline, after="read", name="model")
    assert edges(registry) == {
        ("read", "model__union__left__pca"),
        ("model__union__left__pca", "model__union__left__again"),
        ("read", "model__union__right"),
        ("model__union__left__again", "model__clf"),
        ("model__union__right", "model__clf"),
    }


def test_a_branch_that_passes_its_input_through_is_an_edge_past_the_union(
    fitted: Any, registry: CollectorRegistry
) -> None:
    assert edges(registry) == {("scale", "union__pca"), ("union__pca", "clf"), ("scale", "clf")}


def test_labels_and_confidences_of_a_classifier_are_features(fitted: Any, read: Any) -> None:
    predicted = fitted.predict(X)
    for flower in np.unique(FLOWERS):
        assert read("pipemon_feature_category_total", feature="label", category=flower) == (predicted == flower).sum()
    assert read("pipemon_feature_observed_total", feature="confidence") == 0
    found = fitted.predict_proba(X)
    assert read("pipemon_feature_value_sum", feature="confidence") == pytest.approx(found.max(axis=1).sum())
    assert read("pipemon_feature_observed_total", feature="label") == 300
    fitted.predict_log_proba(X)
    assert read("pipemon_feature_value_sum", feature="confidence") == pytest.approx(2 * found.max(axis=1).sum())
    assert read("pipemon_extractor_errors_total", stage="clf", feature="confidence") == 0


def test_values_of_a_regressor_are_a_feature(pipeline: pipemon.Pipeline, read: Any) -> None:
    model = instrument(LinearRegression(), pipeline, name="price").fit(X[:, :3], X[:, 3])
    total = model.predict(X[:, :3]).sum()
    assert read("pipemon_feature_observed_total", stage="price", feature="value") == 150
    positive, negative = (read("pipemon_feature_sum_total", feature="value", sign=s) for s in ("positive", "negative"))
    assert positive - negative == pytest.approx(total)


def test_clusters_and_outliers_are_labels(pipeline: pipemon.Pipeline, read: Any) -> None:
    clusters = instrument(KMeans(3, n_init=1, random_state=0), pipeline).fit(X).predict(X)
    assert read("pipemon_feature_category_total", stage="kmeans", category="0") == (clusters == 0).sum()
    outliers = instrument(IsolationForest(n_estimators=5, random_state=0), pipeline).fit(X).predict(X)
    assert read("pipemon_feature_category_total", stage="isolationforest", category="-1") == (outliers == -1).sum()


def test_several_outputs_are_counted_and_have_no_labels(pipeline: pipemon.Pipeline, read: Any) -> None:
    model = instrument(MultiOutputClassifier(DecisionTreeClassifier()), pipeline, name="both")
    model.fit(X, np.column_stack([Y, Y > 0]))
    model.predict(X)
    model.predict_proba(X)
    assert read("pipemon_stage_items_out_total", stage="both") == 300
    assert not read("pipemon_feature_category_total", stage="both")


def test_a_class_beyond_those_known_at_first_counts_as_other(pipeline: pipemon.Pipeline, read: Any) -> None:
    model = instrument(KNeighborsClassifier(1), pipeline, name="clf")
    clone(model).fit(X[:100], FLOWERS[:100]).predict(X[:100])
    clone(model).fit(X, FLOWERS).predict(X)
    assert read("pipemon_feature_category_total", stage="clf", category="setosa") == 100
    assert read("pipemon_feature_category_total", stage="clf", category="other") == 50


@pytest.mark.parametrize("rows", ["array", "list", "data frame", "sparse", "texts"])
def test_missing_entries_are_shares_of_rows_however_these_come(
    pipeline: pipemon.Pipeline, read: Any, rows: str
) -> None:
    from scipy.sparse import csr_array

    numbers = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan], [4.0, 5.0]])
    given: Any = {
        "array": numbers,
        "list": numbers.tolist(),
        "data frame": pd.DataFrame({"a": numbers[:, 0], "b": [None, "x", None, "y"]}),
        "sparse": csr_array(numbers),
        "texts": ["a b", "b", "c", "a"],
    }[rows]
    step: Any = SimpleImputer(strategy="most_frequent")
    if rows == "texts":
        step = CountVectorizer(token_pattern="[a-z]")
    model = instrument(step, pipeline, name="first").fit(given)
    model.transform(given)
    assert read("pipemon_stage_items_in_total", stage="first") == 4
    assert read("pipemon_stage_items_out_total", stage="first") == 4
    assert read("pipemon_feature_value_sum", feature="share_missing") == (0 if rows == "texts" else 1.5)
    assert read("pipemon_extractor_errors_total", feature="share_missing") == 0


def test_columns_have_branches_and_the_remainder_is_one(
    pipeline: pipemon.Pipeline, registry: CollectorRegistry, read: Any
) -> None:
    frame = pd.DataFrame({"age": [20.0, 30.0, np.nan], "city": ["Rome", "Oslo", "Rome"], "debt": [1.0, 0.0, 2.0]})
    columns = ColumnTransformer(
        [("age", SimpleImputer(), ["age"]), ("city", OneHotEncoder(), ["city"]), ("gone", "drop", [])],
        remainder=StandardScaler(),
    )
    model = Pipeline([("columns", columns), ("clf", LogisticRegression())]).fit(frame, [0, 1, 0])
    recorded = instrument(model, pipeline)
    assert (recorded.predict_proba(frame) == model.predict_proba(frame)).all()
    assert edges(registry) == {(f"columns__{name}", "clf") for name in ("age", "city", "remainder")}
    for name in ("age", "city", "remainder"):
        assert read("pipemon_stage_items_in_total", stage=f"columns__{name}") == 3
    assert read("pipemon_feature_value_sum", stage="columns__age", feature="share_missing") == 1
    again = instrument(clone(columns), pipeline, name="again").fit(frame)
    again.transform(frame)
    assert read("pipemon_stage_items_in_total", stage="again__remainder") == 3
    assert list(again.get_feature_names_out()) == list(columns.fit(frame).get_feature_names_out())


def test_training_and_scoring_record_nothing(pipeline: pipemon.Pipeline, read: Any) -> None:
    model = instrument(iris(), pipeline)
    model.fit(X, FLOWERS)
    assert model.score(X, FLOWERS) == iris().fit(X, FLOWERS).score(X, FLOWERS)
    model[:-1].fit_transform(X)
    with paused():
        cross_val_score(model, X, FLOWERS, cv=2)
        model.predict(X)
    assert read("pipemon_stage_calls_total", stage="scale") == 0
    assert read("pipemon_stage_calls_total", stage="clf") == 0
    model.predict(X)
    assert read("pipemon_stage_calls_total", stage="clf") == 1


@pytest.mark.parametrize("estimator", [RandomForestClassifier(n_estimators=3), LogisticRegression(max_iter=1000)])
def test_what_an_estimator_asks_itself_is_no_call(pipeline: pipemon.Pipeline, read: Any, estimator: Any) -> None:
    instrument(estimator, pipeline, name="clf").fit(X, Y).predict(X)
    assert read("pipemon_stage_calls_total", stage="clf") == 1


def test_an_error_passes_and_is_the_steps(fitted: Any, pipeline: pipemon.Pipeline, read: Any) -> None:
    serve = pipeline.run(fitted.predict)
    with pytest.raises(ValueError, match="features"):
        serve(X[:, :3])
    assert read("pipemon_stage_failures_total", stage="scale") == 1
    assert read("pipemon_stage_items_failed_total", stage="scale") == 150
    assert read("pipemon_stage_exceptions_total", stage="scale", exception="ValueError") == 1
    assert read("pipemon_pipeline_failures_total", failed_stage="scale") == 1
    assert read("pipemon_stage_calls_total", stage="clf") == 0


def test_the_given_model_is_left_alone_and_shares_what_it_learned(pipeline: pipemon.Pipeline, read: Any) -> None:
    model = iris().fit(X, Y)
    recorded = instrument(model, pipeline)
    model.predict(X)
    assert read("pipemon_stage_calls_total", stage="clf") == 0
    assert type(model["clf"]) is LogisticRegression
    assert recorded["clf"].coef_ is model["clf"].coef_


def test_a_recorded_model_looks_and_answers_like_a_plain_one(fitted: Any) -> None:
    model = iris().fit(X, FLOWERS)
    assert repr(fitted) == repr(model)
    assert "LogisticRegression" in estimator_html_repr(fitted)
    assert fitted.get_params().keys() == model.get_params().keys()
    assert (fitted.predict_proba(X) == model.predict_proba(X)).all()
    assert list(fitted[:-1].get_feature_names_out()) == list(model[:-1].get_feature_names_out())
    assert isinstance(fitted["clf"], LogisticRegression)
    assert is_classifier(fitted)
    check_is_fitted(fitted)


def test_set_output_names_the_columns_of_recorded_steps(pipeline: pipemon.Pipeline, read: Any) -> None:
    model = instrument(iris()[:-1], pipeline).set_output(transform="pandas").fit(X)
    frame = model.transform(X)
    assert list(frame.columns) == list(model.get_feature_names_out())
    assert read("pipemon_stage_items_out_total", stage="scale") == 150


def test_a_method_is_there_only_where_it_is_on_the_plain_model(pipeline: pipemon.Pipeline) -> None:
    hinge = instrument(make_pipeline(StandardScaler(), SVC()), pipeline).fit(X, Y)
    assert not hasattr(hinge, "predict_proba")
    assert not hasattr(hinge["svc"], "predict_proba")
    with pytest.raises(AttributeError, match="has no attribute 'predict_proba'"):
        _ = hinge["svc"].predict_proba
    assert not hasattr(instrument(StandardScaler(), pipeline), "predict")


def pickled(model: Any) -> Any:
    return pickle.loads(pickle.dumps(model))


def cloudpickled(model: Any) -> Any:
    """As joblib sends models to its processes."""
    return pickle.loads(cloudpickle.dumps(model))


@pytest.mark.parametrize("again", [clone, copy.deepcopy, copy.copy, pickled, cloudpickled])
def test_copies_record_at_the_same_place(fitted: Any, read: Any, again: Any) -> None:
    model = again(fitted)
    if again is clone:
        with pytest.raises(NotFittedError):
            check_is_fitted(model)
        model.fit(X, FLOWERS)
    assert (model.predict(X) == fitted.predict(X)).all()
    assert read("pipemon_stage_calls_total", stage="clf") == 2
    assert read("pipemon_stage_calls_total", stage="union__pca") == 2


def test_a_grid_search_is_the_same_and_its_best_model_is_recorded(
    pipeline: pipemon.Pipeline, read: Any, tmp_path: Path
) -> None:
    grid = {"clf": [LogisticRegression(), KNeighborsClassifier()], "scale__with_mean": [True, False]}
    plain = GridSearchCV(iris(), grid, cv=2).fit(X, Y)
    model = instrument(iris(), pipeline).set_params(memory=str(tmp_path))
    with paused():
        search = GridSearchCV(model, grid, cv=2).fit(X, Y)
    assert search.cv_results_["mean_test_score"].tolist() == plain.cv_results_["mean_test_score"].tolist()
    assert read("pipemon_stage_calls_total", stage="clf") == 0
    search.predict(X)  # the classifier was put in by set_params
    assert read("pipemon_stage_calls_total", stage="clf") == 1
    assert read("pipemon_feature_category_total", stage="clf", category="1") == (search.predict(X) == 1).sum()


def test_a_search_can_be_recorded_itself_and_is_silent_while_it_searches(pipeline: pipemon.Pipeline, read: Any) -> None:
    search = instrument(GridSearchCV(iris(), {"clf__C": [0.1, 1]}, cv=2), pipeline).fit(X, Y)
    assert read("pipemon_stage_calls_total", stage="clf") == 0
    search.predict(X)
    assert read("pipemon_stage_calls_total", stage="clf") == 1


def test_instrumenting_again_moves_the_model_to_the_other_pipeline(
    fitted: Any, registry: CollectorRegistry, read: Any
) -> None:
    instrument(fitted, pipemon.Pipeline("other", registry=registry)).predict(X)
    assert read("pipemon_stage_calls_total", pipeline="churn", stage="clf") == 0
    assert read("pipemon_stage_calls_total", pipeline="other", stage="clf") == 1


def test_budgets_and_the_model_are_those_of_the_stages(pipeline: pipemon.Pipeline, read: Any) -> None:
    made_of = pipemon.Model(code="v3", data="2026-06", trained="2026-06-01")
    instrument(iris(), pipeline, model=made_of, budgets={"clf": "20ms"}, track="canary")
    assert read("pipemon_stage_budget_seconds", stage="clf", version="v3-2026-06", track="canary") == 0.02
    assert read("pipemon_stage_info", stage="scale", code="v3") == 1


def test_what_can_not_be_is_told(pipeline: pipemon.Pipeline) -> None:
    with pytest.raises(pipemon.DeclarationError, match="did you mean 'clf'"):
        instrument(iris(), pipeline, budgets={"clv": 1})
    with pytest.raises(pipemon.DeclarationError, match="stage name 'my step'"):
        instrument(Pipeline([("my step", SVC())]), pipeline)
    with pytest.raises(pipemon.DeclarationError, match="no such stage is declared before it"):
        instrument(iris(), pipeline, after="reed")
    with pytest.raises(pipemon.DeclarationError, match="model must be"):
        instrument(iris(), pipeline, model="v3")  # type: ignore[arg-type]


LOADS = """
import sys, joblib, numpy, prometheus_client, pipemon
if sys.argv[2] == "declared":
    churn = pipemon.Pipeline("churn", version="9")
model = joblib.load(sys.argv[1])
model.predict(numpy.ones((4, int(sys.argv[3]))))
read = prometheus_client.REGISTRY.get_sample_value
labels = {"pipeline": "churn", "stage": "clf", "version": "7", "track": "stable"}
print(read("pipemon_stage_items_in_total", labels))
if sys.argv[2] == "declared":
    print(*sorted(stage.name for stage in churn.describe().stages))
"""


def test_another_process_records_what_it_unpickles_under_the_models_version(fitted: Any, tmp_path: Path) -> None:
    joblib.dump(fitted, tmp_path / "model.joblib")
    joblib.dump(fitted["clf"], tmp_path / "step.joblib")
    told = []
    for file, process, columns in (("model", "declared", "4"), ("model", "disabled", "4"), ("step", "new", "6")):
        started = subprocess.Popen(
            [sys.executable, "-c", LOADS, str(tmp_path / f"{file}.joblib"), process, columns],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PIPEMON_DISABLED": "1" if process == "disabled" else ""},
        )
        told.append(started)
    declared, disabled, alone = (process.communicate(timeout=240)[0].splitlines() for process in told)
    assert declared == ["4.0", "clf scale union__pca"]
    assert disabled == ["None"]
    assert alone == ["4.0"]  # without the steps before it


def test_disabled_it_only_declares(monkeypatch: pytest.MonkeyPatch, registry: CollectorRegistry) -> None:
    monkeypatch.setenv("PIPEMON_DISABLED", "1")
    pipeline = pipemon.Pipeline("churn", registry=registry)
    model = instrument(iris(), pipeline).fit(X, Y)
    assert (model.predict(X) == iris().fit(X, Y).predict(X)).all()
    assert list(registry.collect()) == []
    assert [stage.name for stage in pipeline.describe().stages] == ["scale", "union__pca", "clf"]


@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks provoke them
@pytest.mark.parametrize("estimator", [StandardScaler(), NearestCentroid()])
def test_scikit_learns_own_checks_of_an_estimator_pass(pipeline: pipemon.Pipeline, estimator: Any) -> None:
    statuses = Counter(each["status"] for each in check_estimator(instrument(estimator, pipeline), on_skip=None))
    assert statuses["passed"] > 40
    assert not statuses["failed"]
