"""The shape of a cascade: what the decorated code, or the YAML in its place, says of stages and features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Literal, NamedTuple

being_described: ContextVar[bool] = ContextVar("pipemon_being_described", default=False)
"""True while code is imported only to be asked for its shape: a module that exposes metrics opens no port then."""


class FeatureShape(NamedTuple):
    """A feature of a stage.

    `short` is the extractor's own name, accepted where it is unambiguous: `level_dbfs` for
    `audio_level_dbfs`. `bounds` are the histogram's upper bounds without +Inf; a feature with `categories`
    has no histogram, but a count of each. `own_bounds` tells that the code itself gives the bounds, so that
    no baseline changes them.
    """

    direction: Literal["input", "output"]
    name: str
    short: str
    unit: str = ""
    bounds: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    own_bounds: bool = False


class OwnSeries(NamedTuple):
    """Series that a service exports under names of its own, and what of a stage they are.

    `key` is the word of the file: `calls`, `failures`, `duration`, ... `name` is a histogram's without its suffix.
    `matchers` are labels, operators (`=`, `!=`, `=~`, `!~`) and values; `by_track` the one that tells the series of
    a `track`, where there is a canary. `version` is the label that has the model's version, "" for none. `unit` is a
    histogram's in seconds: 0.001 for milliseconds.
    """

    key: str
    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    track: str = "stable"
    by_track: tuple[tuple[str, str, str], ...] = ()
    version: str = ""
    unit: float = 1.0


class ScoreShape(NamedTuple):
    """A score of a stage's outputs, told later. `bounds` are the histogram's upper bounds without +Inf."""

    name: str
    unit: str = ""
    bounds: tuple[float, ...] = ()


class StageShape(NamedTuple):
    """A stage. `after` is None where the code does not say; `budget` and `duration_bounds` are in seconds.

    With `one_to_one`, each item that comes in must come out, as usable, null, failed or dropped. `workers`
    is how many calls can run at once in a process, None where the code does not say; `stream` that it yields
    its items one by one; `queued` that the time in the queue before it is told; `trained` that its model's
    training time is. `data` is whose data it works on, "" where nobody says. `version` is its model's, "" where
    nobody knows.

    Of what is learned later: `feedback` has the signals beyond the three that every stage has, `candidates` the
    versions that its outputs are compared with; `labels` tells that true values come, with raters' disagreements
    and calibration, `decisions` that a model or a person decides on its outputs.

    `series` are those of a stage that is not decorated, and exports names of its own.
    """

    name: str
    after: tuple[str, ...] | None = None
    budget: float | None = None
    features: tuple[FeatureShape, ...] = ()
    duration_bounds: tuple[float, ...] = ()
    feedback: tuple[str, ...] = ()
    one_to_one: bool = False
    workers: int | None = None
    stream: bool = False
    queued: bool = False
    trained: bool = False
    data: Literal["", "user", "enterprise"] = ""
    version: str = ""
    scores: tuple[ScoreShape, ...] = ()
    candidates: tuple[str, ...] = ()
    labels: bool = False
    decisions: bool = False
    series: tuple[OwnSeries, ...] = ()


class PipelineShape(NamedTuple):
    """A pipeline: its name, budget in seconds, and stages in the order of their declaration.

    `has_run` is false where the code marks no function as the run: then nothing is measured end to end.
    `reads_bounds` tells that the code reads the generated file of budgets and thresholds; while it is being
    described, it does not, so that a file of yesterday has no say in today's. `slices` are those that feedback
    is kept apart by, as their label has them: `age=young`. `version` is that of stages that have none of their own,
    "" where nobody knows. `baselines` are the files of the references, as the code names them.
    """

    name: str
    budget: float | None = None
    stages: tuple[StageShape, ...] = ()
    duration_bounds: tuple[float, ...] = ()
    has_run: bool = True
    reads_bounds: bool = False
    slices: tuple[str, ...] = ()
    version: str = ""
    baselines: tuple[str, ...] = ()


def find_cycle(after: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Return the names along a cycle, the first repeated at the end, or () if there is none."""
    from graphlib import CycleError, TopologicalSorter  # noqa: PLC0415  not while code only declares

    try:
        TopologicalSorter(after).prepare()
    except CycleError as error:
        return tuple(reversed(error.args[1]))
    return ()


def downstream(after: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return, for each name, all that come after it, directly or not. The graph must have no cycle."""
    from graphlib import TopologicalSorter  # noqa: PLC0415

    graph = {name: tuple(before) for name, before in after.items()}
    reach: dict[str, set[str]] = {name: set() for name in graph}
    for name in reversed(tuple(TopologicalSorter(graph).static_order())):
        for upstream in graph.get(name, ()):
            reach.setdefault(upstream, set()).update({name}, reach.get(name, ()))
    return {name: frozenset(after_it) for name, after_it in reach.items()}
