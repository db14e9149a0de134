"""Whether the series that failure modes read are there, with the labels that are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipemon.catalogue import EXTERNAL, METRICS
from pipemon.errors import nearest
from pipemon.generate.live.counters import met
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Selector, Subquery, quote
from pipemon.spec.fields import listed
from pipemon.spec.model import Spec

EXPORTED = "exported_"
"""What Prometheus puts before a label of ours where the target has one of the same name."""

_OWN = tuple(dict.fromkeys(label for metric in METRICS.values() for label in metric.labels))
_MOST = 5


@dataclass(frozen=True)
class Lack:
    """Why a series is not there; a `fault` where it ought to be."""

    words: str
    fault: bool = True


def asked_labels(spec: Spec, read: Iterable[Selector]) -> tuple[str, ...]:
    """Return the labels by which series are told apart: those that are read, and theirs under other names."""
    own = [matcher.label for each in read for matcher in each.matchers if matcher.label != "le"]
    return tuple(dict.fromkeys((*own, "job", *spec.keep, *(f"{EXPORTED}{label}" for label in _OWN))))


@dataclass(frozen=True)
class There:
    """The series of a spec that are there, each as its labels with `__name__`.

    `others` gives the names of all series, or the values of a label. `external` are labels that alerts get on their way
    to Alertmanager, and no series has.
    """

    spec: Spec
    rows: Sequence[Mapping[str, str]]
    others: Callable[[str], Sequence[str]]
    external: frozenset[str] = frozenset()
    _by_name: dict[str, list[Mapping[str, str]]] = field(default_factory=dict, init=False)
    _names: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            self._by_name.setdefault(row["__name__"], []).append(row)

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs that scrape the pipeline."""
        # A process's series are of any job there.
        return tuple(sorted({row["job"] for row in self.rows if "job" in row and row["__name__"] not in EXTERNAL}))

    def names(self) -> Sequence[str]:
        """Return the names of all series that are there, of whatever pipeline."""
        if not self._names:
            self._names.extend(self.others("__name__"))
        return self._names

    def hidden(self) -> tuple[str, ...]:
        """Return the labels of ours that arrive as `exported_...`, a label of the target being in their place."""
        known = dict(self.spec.labels)
        return tuple(label for label in _OWN if label not in known and any(_hides(row, label) for row in self.rows))

    def clash(self) -> str:
        """Return a sentence on labels that a target label hides, and what to do, or ""."""
        labels = self.hidden()
        if not labels:
            return ""
        jobs = f" of the job {listed([quote(job) for job in self.jobs], 'and')}" if self.jobs else ""
        those = listed(list(labels), "and")
        there = listed([f"{EXPORTED}{label}" for label in labels], "and")
        if len(labels) == 1:
            words = f"a target label {those} hides pipemon's own, which arrives as {there}"
        else:
            words = f"target labels {those} hide pipemon's own, which arrive as {there}"
        told = ", ".join(f"{label}: {EXPORTED}{label}" for label in labels)
        how = f"set `honor_labels: true` in the scrape config{jobs}, rename the target's, or say `labels: {{{told}}}`"
        return f"{words}: {how}"

    def lacking(self, expr: Expr | float | str) -> Iterator[Lack]:
        """Yield why what an expression reads is not there; of `a or b` one side is enough."""
        match expr:
            case Selector():
                if found := self.lack(expr):
                    yield found
            case Subquery() | Aggregate():
                yield from self.lacking(expr.expr)
            case Call(function) if function != "absent":
                for arg in expr.args:
                    yield from self.lacking(arg)
            case Binary(op="or"):
                lacks = list(self.lacking(expr.left))
                if any(self.lacking(expr.right)):
                    yield from lacks
            case Binary():
                yield from self.lacking(expr.left)
                if expr.op != "unless":
                    yield from self.lacking(expr.right)
            case _:
                return

    def lack(self, series: Selector) -> Lack | None:
        """Return why there is no such series, or none with the labels that are kept; None where all is well."""
        name = series.metric.name + series.suffix
        if all(row["__name__"] in EXTERNAL for row in self.rows):
            close = nearest(self.spec.pipeline, self.others("pipeline"))
            asked = f"is it scraped?{is_there(close).replace('; the', ' The')}"
            return Lack(f"no series of the pipeline {self.spec.pipeline!r} there; {asked}")
        left = self._by_name.get(name, [])
        if not left:
            return Lack(f"no series of {name} there{is_there(nearest(name, self.names()))}")
        for matcher in series.matchers:
            if matcher.label == "le":
                continue
            fitting = [row for row in left if met(dict(row), (matcher,))]
            if not fitting:
                return self._without(name, left, matcher)
            left = fitting
        for label in self.spec.told_apart_by:
            if label not in self.external and not any(row.get(label) for row in left):
                return Lack(f"the label {label} is not on {name} there; add it to the target, or take it out of `keep`")
        return None

    def _without(self, name: str, rows: Sequence[Mapping[str, str]], matcher: Matcher) -> Lack:
        label, wanted = matcher.label, f"{matcher.label}{matcher.op}{quote(matcher.value)}"
        if any(_hides(row, label) for row in rows):
            return Lack(f"the label {label} of {name} arrives as {EXPORTED}{label}")
        if label == "track" and matcher.value == "canary":
            return Lack("no canary runs there", fault=False)
        there = sorted({row[label] for row in rows if row.get(label)})
        if not there:
            return Lack(f"the label {label} is not on {name} there{self._how(label)}")
        some = listed([quote(each) for each in there[:_MOST]], "and")
        more = f", and {len(there) - _MOST} more" if len(there) > _MOST else ""
        return Lack(f"no series of {name} with {wanted} there, but with {some}{more}")

    def _how(self, label: str) -> str:
        """Return what to do about a label that is selected and on no series, or ""."""
        if label not in dict(self.spec.select):
            return ""
        if label in self.external:
            return "; it is an external label, which no rule sees: take it out of `select`, and `keep` it"
        return "; add it to the target, or take it out of `select`"


def _hides(row: Mapping[str, str], label: str) -> bool:
    """Tell whether a target label of another value is in the place of ours."""
    return row.get(f"{EXPORTED}{label}", "") not in ("", row.get(label))


def is_there(close: str) -> str:
    """Return `; the nearest there is 'x'` of `; did you mean 'x'?`."""
    return close.replace("did you mean", "the nearest there is").removesuffix("?")
