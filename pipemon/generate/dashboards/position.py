"""Where the stages of any pipeline stand, as queries of what their code exported: which comes before which."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.generate.dashboards.series import Choice, either
from pipemon.generate.dashboards.states import END_TO_END
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher

DEEPEST = 12
"""Queries can't walk a cascade to its end: what is further from its beginning stands with the twelfth, by name."""
NEAR = 6
"""How many stages further down an effect is looked for, with nothing that fires in between."""
PLACE = "at"
"""The label of a stage's place. By its name it comes first, so Prometheus sorts the answers along the cascade."""
OPENS = "opens"
"""The label with the stage that a link opens."""
_LESS_SEVERE = 1e10
"""Seconds, some centuries: more than any two alerts began after each other."""
AT_THE_END = "end"
"""The place of what is of no stage: after all digits."""

ORDER = "order"
"""The label of a stage's place and its name: Grafana sorts rows by one."""

_EDGE = ("stage", "upstream")


def placed(choice: Choice, expr: Expr) -> Expr:
    """Return series with the label `at`: from 01 on along the cascade, `end` where nothing of the stage is known.

    What is of no stage is called end to end.
    """
    named = Call("label_replace", (expr, "stage", END_TO_END, "stage", ""))
    counted = Aggregate("count_values", ("stage",), _position(choice), parameter=PLACE)
    two_digits = Call("label_replace", (counted, PLACE, "0$1", PLACE, "(.)"))
    found = Binary("*", named, two_digits, on=("stage",), group_left=True, included=(PLACE,))
    return Binary("or", found, Call("label_replace", (named, PLACE, AT_THE_END, "", "")), ignoring=(PLACE,))


def ordered(expr: Expr) -> Expr:
    """Return series that have a place with the label `order`: what stands in the same place is sorted by name."""
    return Call("label_join", (expr, ORDER, " ", PLACE, "stage"))


def opening(expr: Expr) -> Expr:
    """Return series with the label `opens`: their stage, and all of them for what is of none."""
    own = Call("label_replace", (expr, OPENS, "$1", "stage", "(.*)"))
    return Call("label_replace", (own, OPENS, "All", "stage", END_TO_END))


def _position(choice: Choice) -> Expr:
    """Return 1 for each stage with none before it, and one more than the furthest before it for the others."""
    second = Aggregate("max", ("stage",), Binary("+", choice.lately(c.STAGE_UPSTREAM), 1.0))
    found: Expr = second
    for _ in range(DEEPEST - 2):
        further = Binary("+", edges(choice), _as_upstream("max", found), on=("upstream",), group_left=True)
        found = Binary("or", Aggregate("max", ("stage",), further), second)
    first = Aggregate("max", ("stage",), Binary("+", Binary("*", choice.lately(c.STAGE_CALLS), 0.0), 1.0))
    return Binary("or", found, first)


def edges(choice: Choice) -> Expr:
    """Return 1 for each stage and one before it, also of a process that went down lately."""
    return Aggregate("max", _EDGE, choice.lately(c.STAGE_UPSTREAM))


def after_its_cause(choice: Choice, began: Expr, patience: float) -> Expr:
    """Return since when something fires, of the stages above which something as severe does for as long.

    `began` is that time by stage, as `most_severe_began` tells it. `patience` is how much later a cause may be seen
    than its effect.
    """
    above: Expr | None = None
    for _ in range(NEAR):
        before = _as_upstream("min", began)
        if above is not None:
            # The two differ in a label, or one of them would hide the other.
            own = Call("label_replace", (before, "of", "itself", "", ""))
            before = Aggregate("min", ("upstream",), Binary("or", own, _as_upstream("min", above)))
        joined = Binary("*", edges(choice), before, on=("upstream",), group_left=True)
        above = Aggregate("min", ("stage",), joined)
    assert above is not None
    return Binary(">=", began, Binary("-", above, patience), on=("stage",))


def _as_upstream(op: str, expr: Expr) -> Aggregate:
    return Aggregate(op, ("upstream",), Call("label_replace", (expr, "upstream", "$1", "stage", "(.*)")))


def began(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return since when the conditions of firing alerts hold, in Unix seconds, but of those in their burn-in."""
    told = (Matcher("mode", "!=", "observe"), *more)
    firing = choice.series(c.ALERTS, Matcher("alertstate", "=", "firing"), *told)
    since = Binary("and", choice.series(c.ALERTS_FOR_STATE, *told), firing, ignoring=("alertstate",))
    return Aggregate("min", by, since)


def most_severe_began(choice: Choice, by: tuple[str, ...], *more: Matcher) -> Expr:
    """Return since when the most severe that fires holds, and some centuries later the less severe it is.

    So what is less severe is no cause of what is more, however long it has been firing.
    """
    page, ticket, notice = (began(choice, by, which, *more) for which in choice.by_severity())
    return either(page, Binary("+", ticket, _LESS_SEVERE), Binary("+", notice, 2 * _LESS_SEVERE))
