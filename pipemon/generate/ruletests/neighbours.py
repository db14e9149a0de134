"""What neighbours' rules record under the names of ours, which make nothing of it, at whatever stage between.

Rules that read each other are looked at at different times: what one of them would record of a neighbour is seen only
while the neighbour does not record it, and records all that this one reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from types import MappingProxyType

from pipemon.generate.promql import Call, literal, quote
from pipemon.generate.recordings import Recording, is_constant
from pipemon.generate.ruletests.clocks import Clock
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import NEIGHBOUR
from pipemon.spec.model import Spec

_MANY = 1e6
"""What neighbours record: enough for any rule, and beyond any threshold."""
_FIRST, _APART = 2, 2
"""The step at which the first of them pause, and how many steps later the next do."""

Cells = tuple[Mapping[str, str], ...]
"""The labels of some of what a place has several of, such as bins; of the last hardly anything is expected."""

_NONE: Mapping[str, str] = MappingProxyType({})


def neighbours(
    spec: Spec,
    recordings: Iterable[Recording],
    known: Mapping[str, str],
    cells: Cells,
    time: Clock,
    only: Mapping[str, str] = _NONE,
) -> tuple[list[dict[str, str]], list[dict[str, object]]]:
    """Return what neighbours record, and the tests that ours record nothing of it.

    `recordings` stand behind those that they read; `known` are the labels of the place that is judged. A neighbour is
    unlike it in the pipeline, in a label that is selected, or in the failure mode: of the latter a rule that reads it
    makes two series alike. Nor do ours record what has another value of a label of `only`.
    """
    rules = tuple(recordings)
    pauses = _pauses(rules)
    kinds = ("pipeline", *dict(spec.select))
    inputs: dict[str, str] = {}
    for rule in rules:
        for labels, value in _recorded(spec, rule, known, cells):
            for kind in (*kinds, *(["failure_mode"] if "failure_mode" in labels else [])):
                name = series(rule.name, {**labels, kind: NEIGHBOUR})
                inputs[name] = _values(value, pauses.get(rule.name), time)
    place = [f"{label}={quote(value)}" for label, value in {"pipeline": spec.pipeline, **dict(spec.select)}.items()]
    own = ",".join((*place, *(f"{label}=~{quote('|' + literal(value))}" for label, value in only.items())))
    exprs: list[dict[str, object]] = []
    for step in sorted(set(pauses.values())):
        names = "|".join(name for name, pause in pauses.items() if pause == step)
        expr = f"count({{__name__=~{quote(names)}}} unless {{{own}}})"
        exprs.append({"expr": expr, "eval_time": time.at(step), "exp_samples": []})
    return [{"series": name, "values": values} for name, values in inputs.items()], exprs


def _pauses(rules: tuple[Recording, ...]) -> dict[str, int]:
    """Return the step at which neighbours do not record a name, another than those of what its rules read."""
    read: dict[str, set[str]] = {}
    for rule in rules:
        if not is_constant(rule):
            read.setdefault(rule.name, set()).update(part.name for part in rule.parts)
    found: dict[str, int] = {}
    for name, parts in read.items():
        taken = {found.get(part) for part in parts}
        found[name] = next(step for step in count(_FIRST, _APART) if step not in taken)
    return found


def _recorded(
    spec: Spec, rule: Recording, known: Mapping[str, str], cells: Cells
) -> Iterator[tuple[dict[str, str], float]]:
    """Yield the labels, and values, of what is recorded here under a rule's name."""
    static = dict(rule.static)
    if is_constant(rule):
        if not cells or any(all(static.get(label, value) == value for label, value in cell.items()) for cell in cells):
            assert isinstance(rule.expr, Call)
            yield {**static, **dict(spec.select)}, float(str(rule.expr.args[0]))
        return
    labels = tuple(dict.fromkeys((*rule.labels, *static)))
    place = {label: known[label] for label in labels if label in known} | static
    several = [label for label in labels if label not in place]
    for cell in (cells if several else ()) or ({},):
        # Of what is expected in a bin there is hardly anything, and of neighbours' calls hardly any are in time.
        hardly = ("_bin_expected:" in rule.name and cell is cells[-1]) or "_duration_seconds_bucket:" in rule.name
        yield place | {label: cell[label] for label in several if label in cell}, 1.0 if hardly else _MANY


def _values(value: float, pause: int | None, time: Clock) -> str:
    if pause is None:
        return f"{value:g}+0x{time.end}"
    return f"{value:.0f}+0x{pause - 1} stale {value:.0f}+0x{time.end - pause}"
