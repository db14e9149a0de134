"""Rules that read what their own pipeline's rules record, where the rules of several share a Prometheus.

Names of recorded series are the same for every pipeline that keeps the same labels. A rule that read them all would
record those of the others too: the work of all with every pipeline that is added, and two values at one time where
a rule sets the labels of its place. Staging and production may be of one pipeline, and have baselines of their own.
"""

from __future__ import annotations

from dataclasses import replace

from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Raw, Recorded, Selector, Subquery
from pipemon.generate.recordings import CONSTANT, Recording, is_constant, own
from pipemon.spec.model import Spec


def of_own(spec: Spec, recording: Recording) -> Recording:
    """Return a recording rule that makes series of its own pipeline and selection only, of its own constants."""
    if is_constant(recording):
        return replace(recording, static=(*recording.static, *spec.select))
    return replace(recording, expr=restricted(spec, recording.expr))


def restricted(spec: Spec, expr: Expr, *, decides: bool = True) -> Expr:
    """Return an expression with matchers on the recorded series that decide which series it has, and on constants.

    The former are the left side of an operator, since all that it is joined with has the same place, and both sides
    of `or`. A constant is joined by its pipeline, and not by what is selected. Exported series are selected by whoever
    reads them.
    """
    match expr:
        case Recorded() if expr.name.startswith(CONSTANT):
            return _with(expr, own(spec)[1:])
        case Recorded() if decides:
            return _with(expr, tuple(matcher for matcher in own(spec) if matcher.label in expr.labels))
        case Aggregate() | Subquery():
            return replace(expr, expr=restricted(spec, expr.expr, decides=decides))
        case Call():
            args = (
                arg if isinstance(arg, int | float | str) else restricted(spec, arg, decides=decides)
                for arg in expr.args
            )
            return replace(expr, args=tuple(args))
        case Binary():
            left, right, of_left = expr.left, expr.right, _has_series(expr.left)
            if not isinstance(left, int | float):
                left = restricted(spec, left, decides=decides and of_left)
            if not isinstance(right, int | float):
                right = restricted(spec, right, decides=decides and (expr.op == "or" or not of_left))
            return replace(expr, left=left, right=right)
        case _:
            return expr


def _with(expr: Recorded, matchers: tuple[Matcher, ...]) -> Recorded:
    said = {matcher.label for matcher in expr.matchers}
    return replace(expr, matchers=(*(each for each in matchers if each.label not in said), *expr.matchers))


def _has_series(expr: Expr | float | str) -> bool:
    """Tell whether an expression is of series, and no number such as time()."""
    match expr:
        case Selector() | Recorded() | Raw():
            return True
        case Aggregate() | Subquery():
            return _has_series(expr.expr)
        case Binary():
            return _has_series(expr.left) or _has_series(expr.right)
        case Call():
            return any(map(_has_series, expr.args))
        case _:
            return False
