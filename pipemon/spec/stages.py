"""The `stages:` of a file: the topology where no code tells it, or what must agree with the code."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast

from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.reader import Mapping, Node, Scalar, kind
from pipemon.topology import FeatureShape, PipelineShape, StageShape, find_cycle

_KEYS = ("after", "budget", "features", "feedback")
_PLANNED = ("calls", "failures", "duration", "data", "batch", "one_to_one", "schedule", "link")

Declared = tuple[tuple[StageShape, Mapping], ...]


def declared_stages(report: Report, node: Node | None) -> Declared:
    """Return the stages that a file declares, each with its node; `after` must name stages and hold no cycle."""
    if node is None:
        return ()
    if not isinstance(node, Mapping) or not node.entries:
        report.add(node, f"stages: expected a mapping of names to stages, found {kind(node)}", "type")
        return ()
    found: list[tuple[StageShape, Mapping]] = []
    for name, key, value in node:
        fields.name(report, key, "stages")
        body = Mapping((), value.line, value.column) if isinstance(value, Scalar) and value.value is None else value
        if not isinstance(body, Mapping):
            report.add(
                value,
                f"stages: {name}: expected a mapping such as {{budget: 50ms}}, found {kind(value)}",
                "type",
            )
            continue
        where = f"stages: {name}"
        fields.check_keys(report, body, _KEYS, _PLANNED, where)
        after = body.get("after")
        found.append(
            (
                StageShape(
                    name,
                    None
                    if after is None
                    else tuple(word for word, _ in fields.words(report, after, f"{where}: after")),
                    fields.time(report, body.get("budget"), 0.0, f"{where}: budget") or None,
                    _features(report, body.get("features"), where),
                    (),
                    tuple(word for word, _ in fields.words(report, body.get("feedback"), f"{where}: feedback")),
                ),
                body,
            )
        )
    _check_after(report, tuple(found))
    return tuple(found)


def _check_after(report: Report, stages: Declared) -> None:
    names = [stage.name for stage, _ in stages]
    known = True
    for stage, body in stages:
        for upstream, at in fields.words(Report(report.file), body.get("after"), ""):
            if upstream not in names:
                hint = nearest(upstream, names)
                report.add(
                    at,
                    f"stages: {stage.name}: after: there is no stage {upstream!r}{hint}",
                    "unknown-stage",
                )
                known = False
    cycle = find_cycle({stage.name: stage.after or () for stage, _ in stages}) if known else ()
    if cycle:
        body = next(body for stage, body in stages if stage.name == cycle[-1])
        report.add(body.get("after") or body, f"stages: 'after' goes in a circle: {' after '.join(cycle)}", "cycle")


def _features(report: Report, node: Node | None, where: str) -> tuple[FeatureShape, ...]:
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        message = f"{where}: features: expected names with units, such as {{output.words: words}}, found {kind(node)}"
        report.add(node, message, "type")
        return ()
    found = []
    for name, key, unit in node:
        direction, _, feature = name.partition(".")
        if direction not in ("input", "output") or not fields.NAME.fullmatch(feature):
            report.add(key, f"{where}: features: expected input.<name> or output.<name>, found {name!r}", "name")
            continue
        text = unit.text if isinstance(unit, Scalar) else fields.text(report, unit, f"{where}: features")
        found.append(FeatureShape(cast(Literal["input", "output"], direction), feature, feature, text))
    return tuple(found)


def merge(report: Report, code: PipelineShape, declared: Declared) -> PipelineShape:
    """Return the code's shape, filled in where it is silent; reports where the file says otherwise."""
    names = [stage.name for stage in code.stages]
    said = {}
    for stage, body in declared:
        if stage.name not in names:
            hint = nearest(stage.name, names)
            report.add(body, f"stages: the code has no stage {stage.name!r}{hint}", "differs")
        else:
            said[stage.name] = (stage, body)
    stages = []
    for own in code.stages:
        if own.name not in said:
            stages.append(own)
            continue
        other, body = said[own.name]
        for key, mine, theirs in (("budget", own.budget, other.budget), ("after", own.after, other.after)):
            if mine is not None and theirs is not None and mine != theirs:
                node = body.get(key) or body
                message = f"stages: {own.name}: {key}: {_show(theirs)} here and {_show(mine)} in the code; say it once"
                report.add(node, message, "differs")
        stages.append(
            replace(
                own,
                after=other.after if own.after is None else own.after,
                budget=own.budget or other.budget,
                feedback=(
                    *own.feedback,
                    *(signal for signal in other.feedback if signal not in own.feedback),
                ),
            )
        )
    cycle = find_cycle({stage.name: stage.after or () for stage in stages})
    if cycle and declared:
        report.add(declared[0][1], f"stages: 'after' goes in a circle: {' after '.join(cycle)}", "cycle")
    return replace(code, stages=tuple(stages))


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "nothing"
    return f"{value:g}s" if isinstance(value, float) else str(value)
