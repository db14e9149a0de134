"""Rules that read what their own pipeline's rules record, where the rules of several share a Prometheus.

Names of recorded series are the same for every pipeline that keeps the same labels. A rule that read them all would
record those of the others too: the work of all with every pipeline that is added, and two values at one time where
a rule sets the labels of its place.
"""

from __future__ import annotations

from dataclasses import replace

from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Raw, Recorded, Selector, Subquery
from pipemon.generate.recordings import Recording, own
from pipemon.spec.model import Spec


def of_own(spec: Spec, recording: Recording) -> Recording:
    """Return a recording rule that makes series of its own pipeline and selection only."""
    return replace(recording, expr=restricted(recording.expr, own(spec)))


def restricted(expr: Expr, matchers: tuple[Matcher, ...]) -> Expr:
    """Return an expression with `matchers` on the recorded series that decide which series it has.

    Those are the left side of an operator, since all that it is joined with has the same place, and both sides of
    `or`. Exported series are selected by whoever reads them, and a constant has but the labels that it was given.
    """
    match expr:
        case Recorded():
            said = {matcher.label for matcher in expr.matchers}
            more = (each for each in matchers if each.label in expr.labels and each.label not in said)
            return replace(expr, matchers=(*more, *expr.matchers))
        case Aggregate() | Subquery():
            return replace(expr, expr=restricted(expr.expr, matchers))
        case Call():
            args = (arg if isinstance(arg, int | float | str) else restricted(arg, matchers) for arg in expr.args)
            return replace(expr, args=tuple(args))
        case Binary():
            left, right, decides = expr.left, expr.right, _has_series(expr.left)
            if not isinstance(left, int | float) and decides:
                left = restricted(left, matchers)
            if not isinstance(right, int | float) and (expr.op == "or" or not decides):
                right = restricted(right, matchers)
            return replace(expr, left=left, right=right)
        case _:
            return expr


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
