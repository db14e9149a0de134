"""The `stages:` of a file: the topology where no code tells it, or what must agree with the code."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

from pipemon.catalogue import OTHER
from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.own_series import STANDS_FOR, VERSIONS, own_series
from pipemon.spec.reader import Items, Mapping, Node, Scalar, kind, shown
from pipemon.topology import FeatureShape, PipelineShape, ScoreShape, StageShape, find_cycle
from pipemon.units import check_unit, duration

KEYS = ("after", "budget", "features", "feedback", "scores", "candidates", "one_to_one", "data", *STANDS_FOR, *VERSIONS)

_CATEGORICAL = ("category", "categories", "categorical", "string", "str", "text", "label", "enum", "bool", "boolean")

Data = Literal["", "user", "enterprise"]
DATA = ("user", "enterprise")


@dataclass(frozen=True)
class Declaration:
    """A stage as a file declares it, with the nodes of its name and its body."""

    shape: StageShape
    key: Scalar
    body: Mapping

    def node(self, name: str, word: str = "") -> Node:
        """Return where a fault of a key is: at `word` of its list, at its value, or at the stage's name."""
        value = self.body.get(name)
        items = value.items if isinstance(value, Items) else ()
        found = [item for item in items if isinstance(item, Scalar) and item.text.strip() == word]
        return found[0] if found else (value or self.key)


Declared = tuple[Declaration, ...]


def declared_stages(report: Report, node: Node | None) -> Declared:
    """Return the stages that a file declares, each with its nodes."""
    if node is None:
        return ()
    if not isinstance(node, Mapping) or not node.entries:
        report.add(node, f"stages: expected stages by their names, such as {{vad: {{}}}}, found {kind(node)}", "type")
        return ()
    found: list[Declaration] = []
    for name, key, value in node:
        if name == OTHER:
            report.add(key, f"stages: {OTHER!r} stands for whatever is outside of any stage", "name")
        else:
            fields.name(report, key, "stages")
        body = Mapping((), value.line, value.column) if isinstance(value, Scalar) and value.value is None else value
        if not isinstance(body, Mapping):
            message = f"stages: {name}: expected a mapping such as {{budget: 50ms}}, found {kind(value)}"
            report.add(value, message, "type")
            body = Mapping((), value.line, value.column)
        where = f"stages: {name}"
        fields.check_keys(report, body, KEYS, where)
        after = body.get("after")
        names = None if after is None else _names(report, after, f"{where}: after")
        budget = fields.time(report, body.get("budget"), 0.0, f"{where}: budget") or None
        feedback = _names(report, body.get("feedback"), f"{where}: feedback")
        features = _features(report, body.get("features"), where)
        one_to_one = fields.flag(report, body.get("one_to_one"), f"{where}: one_to_one")
        whose = data(report, body.get("data"), f"{where}: data")
        scores = _scores(report, body.get("scores"), f"{where}: scores")
        candidates = _candidates(body.get("candidates"))
        series, bounds = own_series(report, body, where)
        shape = StageShape(
            name,
            names,
            budget,
            features if not series else (),
            bounds,
            feedback,
            one_to_one,
            data=whose,
            scores=scores,
            candidates=candidates,
            series=series,
        )
        found.append(Declaration(shape, key, body))
    return tuple(found)


def declared_slices(report: Report, node: Node | None) -> tuple[str, ...]:
    """Return the slices that a file declares, as their label has them: `age=young`."""
    if node is None:
        return ()
    if not isinstance(node, Mapping) or not node.entries:
        message = f"slices: expected groups with their members, such as {{age: [young, old]}}, found {kind(node)}"
        report.add(node, message, "type")
        return ()
    found = []
    for group, key, members in node:
        if fields.name(report, key, "slices"):
            found += [f"{group}={member}" for member, _ in fields.words(report, members, f"slices: {group}")]
    return tuple(found)


def _scores(report: Report, node: Node | None, where: str) -> tuple[ScoreShape, ...]:
    """Return scores: names with their units, or a list of those that are ratios."""
    if isinstance(node, Mapping):
        named = [(name, key, _unit(report, unit, f"{where}: {name}")) for name, key, unit in node]
    else:
        named = [(word, item, "ratio") for word, item in fields.words(report, node, where)]
    return tuple(ScoreShape(name, unit) for name, item, unit in named if fields.name(report, item, where))


def _candidates(node: Node | None) -> tuple[str, ...]:
    items = node.items if isinstance(node, Items) else () if node is None else (node,)
    # A version that looks like a number is one all the same.
    return tuple(item.text.strip() for item in items if isinstance(item, Scalar) and item.text.strip())


def data(report: Report, node: Node | None, where: str) -> Data:
    """Return whose data it is: `user` data drifts slowly, `enterprise` data can shift in a day."""
    return cast(Data, fields.choice(report, node, DATA, "", where))


def _names(report: Report, node: Node | None, where: str) -> tuple[str, ...]:
    words = fields.words(report, node, where)
    return tuple(word for word, item in words if fields.name(report, item, where))


def check_after(report: Report, shapes: tuple[StageShape, ...], stages: Declared) -> None:
    """Report where `after` names none of `shapes`, or goes in a circle."""
    names = [shape.name for shape in shapes]
    known = True
    for stage in stages:
        for upstream in stage.shape.after or ():
            if upstream not in names:
                hint = nearest(upstream, names) or f"; there are {fields.listed(names, 'and')}"
                message = f"stages: {stage.shape.name}: after: there is no stage {shown(upstream)}{hint}"
                report.add(stage.node("after", upstream), message, "unknown-stage")
                known = False
    if known:
        _check_cycle(report, shapes, stages)


def _check_cycle(report: Report, shapes: tuple[StageShape, ...], stages: Declared) -> None:
    """Report a circle of `after`, at the first of its edges that the file declares."""
    cycle = find_cycle({shape.name: shape.after or () for shape in shapes})
    for name, upstream in pairwise(cycle):
        for stage in stages:
            if stage.shape.name == name and stage.shape.after:
                message = f"stages: 'after' goes in a circle: {' after '.join(cycle)}"
                report.add(stage.node("after", upstream), message, "cycle")
                return


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
            report.add(key, f"{where}: features: expected input.<name> or output.<name>, found {shown(name)}", "name")
            continue
        side = cast(Literal["input", "output"], direction)
        if isinstance(unit, Items):
            members = tuple(word for word, _ in fields.words(report, unit, f"{where}: features: {name}"))
            found.append(FeatureShape(side, feature, feature, categories=members))
            continue
        if isinstance(unit, Scalar) and unit.text.strip().lower() in _CATEGORICAL:
            message = f"{where}: features: {name}: expected the list of its categories, such as [de, en]"
            report.add(unit, f"{message}, found {shown(unit.text.strip())}", "type")
            continue
        unknown = isinstance(unit, Scalar) and unit.value is None
        text = "" if unknown else _unit(report, unit, f"{where}: features: {name}")
        found.append(FeatureShape(side, feature, feature, text))
    return tuple(found)


def _unit(report: Report, node: Node, where: str) -> str:
    """Return a unit that the code could declare, or ""."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value.strip():
        found = "an empty text" if isinstance(node, Scalar) and node.value == node.text.strip() == "" else kind(node)
        message = f"{where}: expected a unit such as seconds or ratio, or count where it has none, found {found}"
        report.add(node, message, "type")
        return ""
    try:
        return check_unit(" ".join(node.value.split()))
    except ValueError as error:
        report.add(node, f"{where}: {error}", "unit")
        return ""


def merge(report: Report, code: PipelineShape, declared: Declared) -> PipelineShape:
    """Return the code's shape, filled in where it is silent; reports where the file says otherwise.

    Stages that are not decorated come in before the first that the file puts after them, or last.
    """
    names = [stage.name for stage in code.stages]
    undecorated = [stage.shape for stage in declared if stage.shape.series and stage.shape.name not in names]
    elsewhere = {shape.name for shape in undecorated}
    for stage in declared:
        if stage.shape.name not in (*names, *elsewhere):
            there = f"; there are {fields.listed(names, 'and')}, and one that is not decorated needs `calls:`"
            hint = nearest(stage.shape.name, names) or there
            report.add(stage.key, f"stages: the code has no stage {shown(stage.shape.name)}{hint}", "differs")
    said = {stage.shape.name: stage for stage in declared}
    stages = [_agreed(report, own, said.get(own.name), elsewhere) for own in code.stages]
    for shape in undecorated:
        behind = (index for index, stage in enumerate(stages) if shape.name in (stage.after or ()))
        stages.insert(next(behind, len(stages)), shape)
    check_after(report, tuple(stages), declared)
    return code._replace(stages=tuple(stages))


def _agreed(report: Report, own: StageShape, declared: Declaration | None, elsewhere: set[str]) -> StageShape:
    if declared is None:
        return own
    other = declared.shape
    if other.series:
        key = other.series[0].key
        message = f"stages: {own.name}: {key}: the code decorates it, and exports pipemon's own series; remove it"
        report.add(declared.body.key(key), message, "differs")
    # The code can't say that it comes after what is not decorated.
    if other.after and elsewhere & {*other.after}:
        own = own._replace(after=None)
    after = (own.after and set(own.after), other.after and set(other.after))
    for key, mine, theirs, differ in (
        ("budget", own.budget, other.budget, own.budget != other.budget),
        ("after", own.after, other.after, after[0] != after[1]),
    ):
        if mine is not None and theirs is not None and differ:
            message = f"stages: {own.name}: {key}: {_show(theirs)} here and {_show(mine)} in the code; say it once"
            report.add(declared.node(key), message, "differs")
    if other.one_to_one and not own.one_to_one:
        message = f"stages: {own.name}: one_to_one: true here and not in the code; say it there"
        report.add(declared.node("one_to_one"), message, "differs")
    features = {(feature.direction, feature.name): feature for feature in own.features}
    for feature in other.features:
        name = f"{feature.direction}.{feature.name}"
        node = cast(Mapping, declared.body.get("features")).key(name)
        mine_of = features.get((feature.direction, feature.name))
        where = f"stages: {own.name}: features"
        if mine_of is None:
            names = [f"{each.direction}.{each.name}" for each in own.features]
            hint = nearest(name, names) or (f"; there are {fields.listed(names, 'and')}" if names else "")
            report.add(node, f"{where}: the code takes no {name!r}{hint}", "differs")
        elif feature.unit and feature.unit != mine_of.unit:
            unit = repr(mine_of.unit) if mine_of.unit else "none"
            message = f"{where}: {name}: the unit is {feature.unit!r} here and {unit} in the code; say it once"
            report.add(node, message, "differs")
    return own._replace(
        after=other.after if own.after is None else own.after,
        budget=own.budget or other.budget,
        feedback=tuple(dict.fromkeys((*own.feedback, *other.feedback))),
        data=own.data or other.data,
    )


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "nothing"
    return duration(value) if isinstance(value, float) else str(value)
