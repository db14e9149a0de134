"""A first failure-mode file from decorated code: rules that suit any stage, and a brainstorm's questions to answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from pipemon.generate.formats.yamltext import comment
from pipemon.spec.model import BOUNDS_DIFFER
from pipemon.spec.modes import alert_name
from pipemon.topology import FeatureShape, PipelineShape, StageShape
from pipemon.units import duration

_HEAD = """\
What can go wrong in {name}, in your team's words. Entries behind one # are suggestions: strike the # or
the entry, and add your own; `what:` alone keeps an idea that nobody can measure yet. Then:
  pipemon check <this file>       says what it covers
  pipemon generate <this file> --out monitoring
An editor completes and checks it by what `pipemon schema` prints."""
_SLOW = 1.0


@dataclass(frozen=True)
class _Entry:
    """One failure mode; with `suggested`, it is behind a #."""

    name: str
    what: str
    stage: str | None = None
    signal: str = ""
    threshold: str = ""
    suggested: bool = True


@dataclass
class _Names:
    """Failure modes' names: of the letters that one may have, and no two the same alert."""

    pipeline: str
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.taken.add(alert_name(self.pipeline, BOUNDS_DIFFER))

    def of(self, *parts: str) -> str:
        """Return a name that is not taken yet."""
        title = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(parts)).strip("-")
        title = title if title[:1].isalpha() else f"stage-{title}"
        name, count = title, 1
        while alert_name(self.pipeline, name) in self.taken:
            count += 1
            name = f"{title}-{count}"
        self.taken.add(alert_name(self.pipeline, name))
        return name


def skeleton(shape: PipelineShape, code: str) -> str:
    """Return the YAML of a pipeline at `code` (module:pipeline). It loads as it is, and with any # struck."""
    names = _Names(shape.name)
    text = comment(_HEAD.format(name=shape.name))
    text += f"pipeline: {_scalar(shape.name)}\nowner: {shape.name}-team\nscrape_interval: 15s\ncode: {code}\n"
    text += "# schedule: daily   # of a batch job that pushes its values: each signal is of its last run\n"
    if not shape.baselines:  # the code's own is read as it is
        text += f"baseline: {shape.name}.baseline.json   # written by: pipemon baseline\n"
    text += "\nfailure_modes:\n" + "".join(map(_written, _whole(shape, names)))
    for stage in shape.stages:
        software = "is it slow, failing, overloaded, stuck, called less, called again and again?"
        for title, entries in (
            (f"software: {software}", _software(stage, names)),
            ("input: is it empty, missing, shifted, repeated?", _side(stage, "input", names)),
            ("output: is it empty, missing, shifted, repeated, worse than before?", _output(stage, names)),
        ):
            text += f"\n  ## {stage.name}, {title}\n" + "".join(map(_written, entries))
    return text


def _whole(shape: PipelineShape, names: _Names) -> Iterator[_Entry]:
    first = shape.stages[0].name if shape.stages else None
    signal = "no_calls" if first or shape.has_run else ""
    yield _Entry(names.of("nobody-calls"), "No call comes in, or the process is gone", first, signal, suggested=False)
    if shape.has_run and shape.budget is not None:
        late = "Answers take longer than they may"
        yield _Entry(names.of("answers-late"), late, None, "{latency: p95}", "above: budget", suggested=False)
    if shape.has_run:
        yield _Entry(names.of("answers-fail"), "Whole runs fail", None, "error_ratio", "above: 5%")
    yield _Entry(names.of("answers-worse"), "Answers are worse than those of the version before")
    yield _Entry(names.of("users-complain"), "Users are not content, and say so elsewhere")


def _software(stage: StageShape, names: _Names) -> Iterator[_Entry]:
    own = stage.name
    yield _Entry(names.of(own, "fails"), f"{own} raises", own, "error_ratio", "above: 5%", suggested=False)
    late = f"{own} takes longer than it may"
    if stage.budget is not None:
        yield _Entry(names.of(own, "slow"), late, own, "{latency: p95}", "above: budget", suggested=False)
    else:
        bound = duration(min(_SLOW, stage.duration_bounds[-1]) if stage.duration_bounds else _SLOW)
        yield _Entry(names.of(own, "slow"), late, own, "{latency: p95}", f"above: {bound}")
    yield _Entry(names.of(own, "silent"), f"No call reaches {own}", own, "no_calls")
    fewer = f"Far fewer calls, or items of a batch, than usual reach {own}"
    yield _Entry(names.of(own, "called-less"), fewer, own, "throughput", "below: 0.5x last week")
    load = ("load", "above: 90%") if stage.workers else ("in_progress", "above: 100")
    yield _Entry(names.of(own, "overloaded"), f"{own} has more to do than it can", own, *load)
    if stage.stream:
        late = f"The first item of {own} is late"
        yield _Entry(names.of(own, "begins-late"), late, own, "{first_item: p95}", f"above: {duration(_SLOW)}")
    if stage.queued:
        long = f"The input of {own} waits long in the queue"
        yield _Entry(names.of(own, "waits"), long, own, "{wait: p95}", f"above: {duration(_SLOW)}")
    if stage.trained:
        yield _Entry(names.of(own, "old"), f"The model of {own} is out of date", own, "age", "above: 90d")
    if stage.one_to_one:
        yield _Entry(names.of(own, "loses-items"), f"Items get lost in {own}", own, "unaccounted_ratio", "above: 1%")
    yield _Entry(names.of(own, "called-again"), f"The same call of {own} is made again and again", own)


def _side(stage: StageShape, side: str, names: _Names) -> Iterator[_Entry]:
    own = stage.name
    features = [feature for feature in stage.features if feature.direction == side]
    for feature in features:
        yield from _feature(own, feature, names)
    if not features:
        yield _Entry(names.of(own, side, "missing"), f"The {side} of {own} is empty, or parts of it are missing", own)
        yield _Entry(names.of(own, side, "shifted"), f"The {side} of {own} is not what it was", own)
    yield _Entry(names.of(own, side, "repeated"), f"The {side} of {own} is the same again and again", own)


def _feature(own: str, feature: FeatureShape, names: _Names) -> Iterator[_Entry]:
    reference = _scalar(f"{feature.direction}.{feature.name}")
    title = (own, feature.direction, feature.name)
    missing = f"{own} has no {feature.name} in its {feature.direction}"
    yield _Entry(names.of(*title, "missing"), missing, own, f"{{missing_ratio: {reference}}}", "above: 5%")
    shifted = f"{feature.name} in the {feature.direction} of {own} is not what it was in the good period"
    if feature.categories:
        yield _Entry(names.of(*title, "shifted"), shifted, own, f"{{drift: {reference}}}")
        unknown = f"{own} has a {feature.name} in its {feature.direction} that nobody declared"
        yield _Entry(names.of(*title, "unknown"), unknown, own, f"{{new_category: {reference}}}", "above: 1%")
    else:
        yield _Entry(names.of(*title, "shifted"), shifted, own, f"{{mean: {reference}}}", "changes_by: 1 sd")


def _output(stage: StageShape, names: _Names) -> Iterator[_Entry]:
    own = stage.name
    nothing = f"{own} returns nothing usable"
    yield _Entry(names.of(own, "returns-nothing"), nothing, own, "null_ratio", "above: 5%", suggested=False)
    yield from _side(stage, "output", names)
    for word in stage.feedback:
        said = f"Feedback on {own} says {word} more often"
        yield _Entry(names.of(own, "feedback", word), said, own, f"{{feedback: {_scalar(word)}}}", "above: 10%")
    yield from _learned(stage, names)
    yield _Entry(names.of(own, "worse"), f"{own} is worse than the version before", own)


def _learned(stage: StageShape, names: _Names) -> Iterator[_Entry]:
    """Yield the questions of what is told later. Which value of a score is bad, only the team knows: an idea."""
    own = stage.name
    for score in stage.scores:
        yield _Entry(names.of(own, "score", score.name), f"{score.name} of {own} is not what it was", own)
    for candidate in stage.candidates:
        differs = f"{own} answers otherwise than its candidate {candidate}"
        yield _Entry(names.of(own, "candidate", candidate, "differs"), differs, own)
    if stage.labels:
        late = f"True values of the outputs of {own} come late, or no longer"
        yield _Entry(names.of(own, "labels-late"), late, own, "labelled", "below: 50%")
        differ = f"Raters do not agree on the outputs of {own}"
        yield _Entry(names.of(own, "raters-differ"), differ, own, "label_disagreement", "above: 10%")
        yield _Entry(names.of(own, "too-sure"), f"{own} is surer than it is right", own, "calibration", "above: 5%")
    if stage.decisions:
        yield _Entry(names.of(own, "more-to-review"), f"People decide more often instead of {own}", own)
        yield _Entry(names.of(own, "overruled"), f"People decide otherwise than {own}", own)


def _written(entry: _Entry) -> str:
    lines = [f"{entry.name}:", f"  what: {_scalar(entry.what)}"]
    if entry.stage is not None:
        lines.append(f"  stage: {_scalar(entry.stage)}")
    lines += [f"  signal: {entry.signal}"] if entry.signal else []
    lines += [f"  {entry.threshold}"] if entry.threshold else []
    return "".join(f"  {'# ' if entry.suggested else ''}{line}\n" for line in lines)


def _scalar(name: str) -> str:
    """Return a name as YAML reads it back: some words, such as `no`, need quotes."""
    return yaml.safe_dump(name, width=10_000, allow_unicode=True).removesuffix("\n...\n").rstrip("\n")
