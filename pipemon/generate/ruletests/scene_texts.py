"""The scenes of rule tests as text, made once for failure modes that are alike in all but their stage and their words.

A cascade has the same failure mode at many stages, and its series are most of what is generated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from pipemon.generate.formats.yamltext import Written, dump
from pipemon.generate.promql import quote
from pipemon.generate.ruletests.scenes import ANOTHER
from pipemon.spec.model import FailureMode, Spec
from pipemon.spec.signals import OF_DRIFT

_DEPTH = 6
"""How far in the series and the queries of a test stand in its file."""
_KEPT = 1000
"""Scenes of a spec that are kept, of a few kilobytes each."""
_PLAIN_NAME = re.compile(r"[\w.-]+")


Time = TypeVar("Time")


@dataclass(frozen=True)
class Scene(Generic[Time]):
    """When what happens in a scene, its series, and the queries that tell what must be recorded of them."""

    time: Time
    inputs: tuple[Written, ...]
    recorded: tuple[Written, ...]


Entries = list[dict[str, str]]
Queries = list[dict[str, object]]


def scene_of(
    spec: Spec, mode: FailureMode, played: Hashable, make: Callable[[], tuple[Time, Entries, Queries]]
) -> Scene[Time]:
    """Return the scene that `make` makes for a failure mode, or that of one like it at another stage, renamed.

    `played` is all that tells it from the other scenes of the failure mode.
    """
    known: dict[object, tuple[str, Scene[object]]] = spec.derived("scenes", lambda _: {})
    wanted = (_likeness(spec, mode), played)
    if wanted not in known:
        if len(known) >= _KEPT:
            del known[next(iter(known))]
        time, inputs, recorded = make()
        known[wanted] = mode.stage or "", Scene(time, _written(inputs), _written(recorded))
    stage, scene = cast("tuple[str, Scene[Time]]", known[wanted])
    if mode.stage is None or mode.stage == stage:
        return scene
    return Scene(scene.time, *(_at(mode.stage, stage, texts) for texts in (scene.inputs, scene.recorded)))


def _likeness(spec: Spec, mode: FailureMode) -> object:
    """Return what failure modes have in common whose scenes are alike: all that these are made from."""
    told = mode.combine, mode.pace, mode.window, mode.for_, mode.keep_firing_for, mode.conditions
    if mode.stage is None:
        return told
    shapes = spec.derived("stage shapes", _shapes)
    return (*told, mode.stage if mode.signals & OF_DRIFT else shapes[mode.stage])


def _shapes(spec: Spec) -> dict[str, object]:
    """Return what stages are alike in; one whose name others' labels may have too is like itself alone."""
    # Of its features a scene has those that its conditions name.
    first: dict[object, str] = {}
    return {
        stage.name: first.setdefault(stage._replace(name="", after=None, features=()), stage.name)
        if _PLAIN_NAME.fullmatch(stage.name) and stage.name != ANOTHER
        else stage.name
        for stage in spec.stages
    }


def _written(entries: Entries | Queries) -> tuple[Written, ...]:
    return (Written(dump(entries, _DEPTH), _DEPTH),) if entries else ()


def _at(stage: str, other: str, texts: tuple[Written, ...]) -> tuple[Written, ...]:
    """Return texts about another stage as they are about this one."""
    own, others = (f"stage={quote(name)}" for name in (stage, other))
    # Not in a label whose name ends so.
    return tuple(
        Written(each.text.replace(f",{others}", f",{own}").replace(f"{{{others}", f"{{{own}"), each.depth)
        for each in texts
    )
