"""What is declared wrongly fails at decoration, with the nearest valid name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from pipemon import DeclarationError, Feature, Pipeline
from pipemon.features import length, words

Declare = Callable[[Pipeline], object]


def vad(audio: list[int]) -> list[int]:
    return audio


def items(audio: list[int]) -> Iterator[int]:
    yield from audio


async def items_later(audio: list[int]) -> AsyncIterator[int]:
    yield 1


async def judge(result: object) -> bool:
    return True


WRONG: list[tuple[Declare, str]] = [
    (
        lambda p: p.stage("vad", inputs={"audoi": length()})(vad),
        r"vad\(\) has no parameter 'audoi'; did you mean 'audio'\?",
    ),
    (lambda p: p.stage("vad", inputs={"args": length()})(lambda *args: 1), "no parameter 'args'"),
    (lambda p: p.stage("vad", inputs=[length()])(vad), "inputs are features by parameter"),  # type: ignore[call-overload]
    (lambda p: p.stage("asr", after="sourcee")(vad), r"after 'sourcee': .* did you mean 'source'\?"),
    (lambda p: p.stage("asr", after=["source", "asr"])(vad), "after 'asr'"),
    (lambda p: p.stage("source")(lambda: 1), "'source' of pipeline 'speech' is declared twice"),
    (lambda p: p.stage("a stage")(vad), "name 'a stage': use letters"),
    (lambda p: p.stage("other")(vad), "outside of any stage"),
    (lambda p: p.stage("9")(vad), "name '9'"),
    (lambda p: p.stage()(lambda: 1), "name '<lambda>'"),
    (lambda p: p.stage("vad", budget="fast")(vad), "budget: 'fast' is not a duration"),
    (lambda p: p.stage("vad", budget=0)(vad), "not a positive duration"),
    (lambda p: p.stage("vad", track="canery")(vad), r"did you mean 'canary'\?"),
    (lambda p: p.stage("vad", version="")(vad), "version"),
    (lambda p: p.stage("vad", feedback=["re do"])(vad), "'re do'"),
    (lambda p: p.stage("vad", null="empty")(vad), "null must be a function"),  # type: ignore[call-overload]
    (lambda p: p.stage("vad", null=judge)(vad), "null must be a function of the result and not async"),
    (lambda p: p.stage("vad", output=judge)(vad), "extractor must not be async"),
    (lambda p: p.stage("vad", output=Feature("score", len, unit=None))(vad), "unit None"),  # type: ignore[arg-type]
    (lambda p: p.stage("vad", output=Feature("score", len, unit="\udcff"))(vad), "unit .* is not a text"),
    (lambda p: p.stage("vad", inputs={"a": length()})(max), r"max\(\) doesn't tell its parameters"),
    (
        lambda p: p.stage("vad", output=words)(vad),
        r"write words\(\.\.\.\), not words",
    ),
    (lambda p: p.stage("vad", batch=True)(items), "a generator's items are counted one by one"),
    (lambda p: p.stage("vad", batch="sounds")(vad), "no parameter 'sounds'"),
    (lambda p: p.stage("vad", batch=True)(lambda: 1), "has no parameter"),
    (lambda p: p.stage("vad", one_to_one=True)(items_later), "one call of a generator makes many items"),
    (lambda p: p.stage("vad", model="v2")(vad), r"pipemon\.Model"),  # type: ignore[call-overload]
    (lambda p: p.stage("vad", queued_at={"adio": len})(vad), "no parameter 'adio'; did you mean 'audio'"),
    (lambda p: p.stage("vad", queued_at=len)(vad), "queued_at is one parameter and the function"),  # type: ignore[call-overload]
    (lambda p: p.stage("vad", workers=0)(vad), "workers is a number of calls"),
    (lambda p: Pipeline("p", slices={"age": "young"}), "list its values"),
    (lambda p: Pipeline("p", slices=["age"]), "slices are named, each with its values"),  # type: ignore[arg-type]
    (lambda p: p.stage("asr", after=vad)(vad), "after has the names of stages"),  # type: ignore[call-overload]
    (lambda p: p.stage("asr", candidates=2)(vad), "candidates are versions"),  # type: ignore[call-overload]
    (lambda p: Pipeline("p", slices={"age": [str(n) for n in range(51)]}), "at most 50"),
    (lambda p: p.stage("vad", output=3)(vad), "neither a Feature nor a function"),  # type: ignore[call-overload]
    (lambda p: p.stage("vad", output=lambda r: 1)(vad), "no name"),
    (lambda p: p.stage("vad", output=[length(), length()])(vad), "two output features are called 'length'"),
    (lambda p: p.stage("vad", output=Feature("a-b c", len))(vad), "feature name"),
    (lambda p: p.stage(3), "decorate a function"),  # type: ignore[call-overload]
    (lambda p: p.stage("vad")(int), "decorate a function"),
    (lambda p: p.stage("vad")(3), "decorate a function"),  # type: ignore[type-var]
    (lambda p: Pipeline("a pipeline"), "pipeline name"),
    (lambda p: Pipeline("p", budget="-1s"), "budget"),
    (lambda p: Pipeline("p", track="live"), "track 'live'"),
    (lambda p: Pipeline("p", version=1), "version 1"),  # type: ignore[arg-type]
    (lambda p: Pipeline("p", version="\udcff"), "version .* is not a text"),
]


@pytest.mark.parametrize(("declare", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_declaration_is_refused(speech: Pipeline, declare: Declare, message: str) -> None:
    speech.stage("source", after=None)(vad)
    with pytest.raises(DeclarationError, match=message):
        declare(speech)


def test_a_refused_stage_leaves_no_series(speech: Pipeline, registry: CollectorRegistry) -> None:
    with pytest.raises(DeclarationError):
        speech.stage("vad", output=length(), budget="1 parsec")(vad)
    assert not [s for metric in registry.collect() for s in metric.samples if s.labels.get("stage") == "vad"]
    assert speech.describe().stages == ()


def load(registry: CollectorRegistry, features: Any = None) -> Callable[[str], str]:
    """What a module does each time it is loaded."""
    pipeline = Pipeline("speech", registry=registry)

    @pipeline.stage("asr", output=features)
    def asr(text: str) -> str:
        return text

    return asr


def test_loading_a_module_again_goes_on_counting(
    registry: CollectorRegistry, read: Callable[..., float | None]
) -> None:
    old, new = load(registry), load(registry)
    old("a")
    new("b")
    assert read("pipemon_stage_calls_total", stage="asr") == 2


def test_loading_a_changed_module_goes_on_counting(
    registry: CollectorRegistry, read: Callable[..., float | None]
) -> None:
    old, new = load(registry), load(registry, [length()])
    old("a")
    new("b")
    assert read("pipemon_stage_calls_total", stage="asr") == 2
    assert read("pipemon_feature_observed_total", feature="length") == 1
    assert read("pipemon_stage_in_progress", stage="asr") == 0


def test_calls_in_progress_of_the_old_and_the_new_function_add_up(
    registry: CollectorRegistry, read: Callable[..., float | None]
) -> None:
    seen = []
    new: Callable[[str], str]

    def ask(text: str) -> str:
        seen.append(read("pipemon_stage_in_progress", stage="asr"))
        return new(text) if len(seen) < 2 else text

    old = Pipeline("speech", registry=registry).stage("asr", output=length())(ask)
    new = Pipeline("speech", registry=registry).stage("asr")(ask)
    old("a")
    assert seen == [1, 2]


def test_a_stage_of_a_pipeline_that_is_gone_can_be_declared_anew(registry: CollectorRegistry) -> None:
    for function in (vad, lambda audio: 1):
        Pipeline("speech", registry=registry).stage("vad")(function)


def test_two_living_pipelines_of_one_name_cannot_both_have_a_stage(registry: CollectorRegistry) -> None:
    first, second = Pipeline("speech", registry=registry), Pipeline("speech", registry=registry)
    first.stage("vad")(vad)
    with pytest.raises(DeclarationError, match="declared twice"):
        second.stage("vad")(lambda audio: 1)


def test_declaring_a_stage_again_in_the_same_pipeline_replaces_it(speech: Pipeline) -> None:
    for budget in ("1s", "2s"):
        speech.stage("vad", budget=budget)(vad)
    assert [(stage.name, stage.budget) for stage in speech.describe().stages] == [("vad", 2.0)]


def test_several_pipelines_share_a_registry(registry: CollectorRegistry, read: Callable[..., float | None]) -> None:
    for name in ("one", "two"):
        Pipeline(name, registry=registry).stage("vad")(vad)([1])
    assert read("pipemon_stage_calls_total", pipeline="one") == 1
    assert read("pipemon_stage_calls_total", pipeline="two") == 1


def test_describe_is_what_the_code_says(registry: CollectorRegistry) -> None:
    pipeline = Pipeline("speech", budget="500ms", registry=registry, feedback=["angry"])
    pipeline.stage("source", after=None)(lambda: 1)
    pipeline.stage("vad", inputs={"audio": length()}, output=length("segments"), budget="50ms")(vad)
    pipeline.stage("asr", after=["source", "vad"], feedback=["angry", "typo"])(lambda: 1)
    shape = pipeline.describe()
    assert (shape.name, shape.budget) == ("speech", 0.5)
    assert [(s.name, s.after, s.budget, s.feedback) for s in shape.stages] == [
        ("source", (), None, ("angry",)),
        ("vad", None, 0.05, ("angry",)),
        ("asr", ("source", "vad"), None, ("angry", "typo")),
    ]
    features = [(f.direction, f.name, f.short, f.unit) for f in shape.stages[1].features]
    assert features == [("input", "audio_length", "length", "items"), ("output", "segments", "segments", "segments")]


@pytest.mark.parametrize("budget", ["1ms", "50ms", "0.7s", "1.3s", "2h", 1 / 3])
def test_the_budget_is_a_bound_among_rising_ones(registry: CollectorRegistry, budget: str | float) -> None:
    pipeline = Pipeline("speech", budget=budget, registry=registry)
    bounds = pipeline.describe().duration_bounds
    assert pipeline.budget in bounds
    assert list(bounds) == sorted(set(bounds))
    assert len(bounds) <= 25
