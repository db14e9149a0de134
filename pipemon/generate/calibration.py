"""What stated confidences are worth: how far off they are where labels came, and what they say where none did."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from itertools import pairwise

from pipemon import catalogue as c
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher, Subquery, one_of, select
from pipemon.generate.queries import ALL_VALUES, live, per, total
from pipemon.generate.recordings import Measure, Part, Recording, Scope, own, picked
from pipemon.spec import reads as r
from pipemon.spec.model import Condition

_BIN = "confidence_bin"
_RIGHT = Matcher("correct", "=", "yes")
FEWEST = 10.0
"""Labels without which nobody knows what the confidences of a bin are worth."""
_KNOWN = 0.95
"""Share of the outputs whose bins must be known, for the others not to matter."""


def calibration_error(scope: Scope, reads: r.Calibration) -> Measure:
    """Return the expected calibration error: the sum, over the bins, of share x |mean confidence - share right|.

    With the bins' sums of both, that is the sum of |confidence - right| over the count of all. Source: Naeini et al.,
    Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015; Guo et al., On Calibration of Modern Neural
    Networks, 2017. Its bins are ten of equal width.
    """
    by, place = scope.by, scope.place
    stem = reads.outcomes.name.removesuffix("_total")
    stated = total(scope.also_by(_BIN), reads.confidence, function="increase")
    right = select(reads.outcomes, (*live(scope.spec), _RIGHT), window=scope.window)
    gaps = Binary("-", stated, Aggregate("sum", (*by, _BIN), Call("increase", (right,))))
    count = scope.counted(reads.outcomes)
    name = scope.name(f"{stem}_error", "ratio_increase")
    value = Recording(name, per(Aggregate("sum", by, Call("abs", (gaps,))), count.series()), by, (count,))
    return Measure(value, place, count, place, (Part(count, place, "count"),))


def estimated_accuracy(scope: Scope, reads: r.Estimated, condition: Condition) -> Measure:
    """Return the accuracy that confidences let expect: over the bins, the sum of share now x share right when labelled.

    Each version by its own labels: a new one says nothing until it has some. Source: the confidence-based performance
    estimation (CBPE) of NannyML, with histogram binning (Zadrozny and Elkan 2001) as its calibration.
    """
    by, which = (*scope.by, *reads.labels), (*scope.place, *picked(condition, reads.labels))
    count = scope.counted(reads.confidences, ALL_VALUES, more=reads.labels, suffix="_bucket")
    stated, known = _stated(scope, reads), _known(scope, reads)
    on = known.labels
    right = Binary("*", stated.series(*own(scope.spec)), known.series(), on=on, group_left=True)
    told = Aggregate("sum", by, Binary("and", stated.series(), known.series(), on=on))
    covered = Binary(">=", told, Binary("*", _KNOWN, Binary(">", count.series(), 0.0)))
    name = scope.name(f"{reads.confidences.name}_accuracy", "estimate_increase", *reads.labels)
    value = Recording(name, Binary("/", Aggregate("sum", by, right), covered), by, (known, stated, count))
    here = (*which, Matcher(_BIN, "=", c.CONFIDENCE_BINS[-1]))
    parts = (Part(count, which, "count"), Part(stated, here, "among"), Part(known, here, "among"))
    return Measure(value, which, count, which, parts)


def _known(scope: Scope, reads: r.Estimated) -> Recording:
    """Return the rule of the share that was right in each bin, as labels told for some days, of each version.

    The days are added up of hours, as the windows of burn rates are: counters of a week are every sample of every
    replica. The last full hour ends the days, so a version that is too new to have enough labels in them is known by
    those of its last hour: no canary waits for an hour to be full.
    """
    timing, more = scope.spec.timing, ("version", _BIN)
    learned = replace(scope, window=timing.calibrated_over)
    hourly = learned if scope.spec.schedule is not None else replace(scope, window=timing.long_window)
    stem = reads.outcomes.name.removesuffix("_total")
    right = hourly.counted(reads.outcomes, _RIGHT, more=more, called=f"{stem}_right")
    labelled = hourly.counted(reads.outcomes, more=more)
    hours = right.series(*own(scope.spec)), labelled.series()
    expr = _of_enough(*hours)
    if hourly is not learned:
        # What a gateway keeps of a run is there in each hour after it.
        days = (Call("sum_over_time", (Subquery(each, learned.window, hourly.window),)) for each in hours)
        expr = Binary("or", _of_enough(*days), expr)
    return Recording(learned.name(f"{stem}_right", "ratio_increase", *more), expr, right.labels, (right, labelled))


def _of_enough(right: Expr, labelled: Expr) -> Expr:
    return Binary("/", right, Binary(">=", labelled, FEWEST))


def _stated(scope: Scope, reads: r.Estimated) -> Recording:
    """Return the rule that counts, bin by bin, what was stated: what is up to its bound and not up to the one below."""
    labels = ("version", *reads.labels)
    by = (*scope.by, *labels)
    tenths = one_of("le", c.CONFIDENCE_BINS)
    name = scope.name(f"{reads.confidences.name}_tenths", "increase", *labels, "le")
    counts = total(scope.also_by(*labels, "le"), reads.confidences, tenths, function="increase", suffix="_bucket")
    cumulative = Recording(name, counts, (*by, "le"))
    up_to: Expr = Call("label_replace", (cumulative.series(*own(scope.spec)), _BIN, "$1", "le", "(.+)"))
    start: Expr = cumulative.series()
    below: Expr = reduce(
        lambda found, bins: Call("label_replace", (found, _BIN, bins[1], "le", bins[0])),
        pairwise(c.CONFIDENCE_BINS),
        start,
    )
    # One series each, without its bound. Below the lowest there is nothing.
    up_to, below = (Aggregate("max", (*by, _BIN), each) for each in (up_to, below))
    name = scope.name(f"{reads.confidences.name}_confidences", "increase", *labels, _BIN)
    return Recording(name, Binary("or", Binary("-", up_to, below), up_to), (*by, _BIN), (cumulative,))
