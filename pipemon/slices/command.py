"""The command `pipemon slices`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.parameters import Moment
from pipemon.units import figure

if TYPE_CHECKING:
    from pipemon.slices.ranking import Interval, Ranked
    from pipemon.slices.reading import Measured
    from pipemon.spec.model import Spec

_DAY = 86400.0
# fmt: off
_LOWER = frozenset({
    "wer", "cer", "ter", "der", "eer", "error", "errors", "loss", "logloss", "nll", "mae", "mse", "rmse", "rmsle",
    "mape", "smape", "brier", "ece", "fid", "distance", "perplexity",
})
_HIGHER = frozenset({
    "accuracy", "acc", "f1", "auc", "auroc", "precision", "recall", "bleu", "rouge", "meteor", "chrf", "mos", "ndcg",
    "mrr", "map", "r2", "iou", "dice", "rating", "similarity",
})
# fmt: on
"""Parts of the names of scores of which less is better, and more, where nobody says."""


@click.command(short_help="Rank slices by where more data would help most.")
@click.argument("specs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--url", required=True, help="Root URL of the Prometheus that has the scores and the feedback.")
@click.option("--days", default=30.0, show_default=True, type=click.FloatRange(0, min_open=True), help="Up to --to.")
@click.option("--to", "end", type=Moment(), help="Where the period ends; now by default.")
@click.option(
    "--good", multiple=True, default=("accepted",), show_default=True, help="Feedback that is good; repeatable."
)
@click.option("--lower-is-better", "lower", multiple=True, metavar="SCORE", help="A score of which less is better.")
@click.option("--higher-is-better", "higher", multiple=True, metavar="SCORE", help="A score of which more is better.")
def slices(
    specs: tuple[Path, ...],
    url: str,
    days: float,
    end: float | None,
    good: tuple[str, ...],
    lower: tuple[str, ...],
    higher: tuple[str, ...],
) -> None:
    """Rank slices by their share times their gap to the best: where more data would help most.

    A slice of fewer than 30 observations tells nothing yet. One whose 95% interval overlaps that of the best of its
    kind may be worse by chance.
    """
    from pipemon.prometheus import Prometheus  # noqa: PLC0415
    from pipemon.slices.reading import feedback, scores  # noqa: PLC0415
    from pipemon.spec.load import load_all  # noqa: PLC0415

    until, window = time.time() if end is None else end, days * _DAY
    prometheus = Prometheus(url, timeout=130.0)
    for spec in load_all(specs):
        found = [
            *scores(spec, prometheus, window, until),
            *feedback(spec, prometheus, window, until, frozenset(good)),
        ]
        head = f"{spec.pipeline}: {days:g} days"
        click.echo(head if found else f"{head}: no score or feedback by slice")
        for measured in found:
            given = True if measured.name in higher else False if measured.name in lower else None
            for line in _table(measured, given if given is not None else is_more_better(spec, measured), good):
                click.echo(line)


def is_more_better(spec: Spec, measured: Measured) -> bool | None:
    """Tell whether more of a score is better: a failure mode that is told by less of it says so, else its name may.

    None where neither does. Feedback, which has no name, is the share of what is bad.
    """
    ends = {
        (limit.low is not None or limit.auto == "below", limit.high is not None or limit.auto == "above")
        for mode in spec.failure_modes
        for condition in (*mode.conditions, *mode.undecided)
        for limit in (condition.threshold,)
        if limit and (mode.stage, condition.signal, condition.argument) == (measured.stage, "quality", measured.name)
    }
    if ends in ({(True, False)}, {(False, True)}):
        return ends == {(True, False)}
    parts = set(measured.name.lower().replace("-", "_").split("_"))
    if not measured.name or parts & _LOWER:
        return False
    return True if parts & _HIGHER else None


def _table(measured: Measured, more: bool | None, good: tuple[str, ...]) -> Iterator[str]:
    from pipemon.slices.ranking import ranked  # noqa: PLC0415
    from pipemon.spec.fields import listed  # noqa: PLC0415

    what = measured.name or "feedback that is not good"
    if not measured.slices:
        told = f"feedback, none of it {listed(good, 'or')}"
        yield f"  {measured.stage}: {told}: --good names what is good of what was told"
        return
    yield f"  {measured.stage}: {what}, {'less' if more is False else 'more'} is better"
    if more is None:
        yield f"    taken to be so: if less is better, say --lower-is-better {measured.name}"
    rows = ranked(measured.slices, higher_is_better=more is not False)
    width = max((len(row.slice.name) for row in rows), default=0)
    yield f"    {'slice':{width}}  {'share':>6}  {'count':>8}  {'value, 95%':26}  {'gap':>7}  share x gap"
    for row in rows:
        yield f"    {_row(row, width)}"
    certain = [row.slice.name for row in rows if row.certain]
    yield f"    collect more of {', '.join(certain[:3])}" if certain else "    no gap is beyond chance"


def _row(row: Ranked, width: int) -> str:
    from pipemon.slices.ranking import FEWEST  # noqa: PLC0415

    gap = f"{figure(row.gap, 3):>7}  {figure(row.weight, 3)}" if row.gap else "   best"
    unsure = "" if row.certain or not row.gap else "  (may be chance)"
    if row.slice.count < FEWEST:
        unsure = f"  (fewer than {FEWEST}: tells nothing yet)"
    return (
        f"{row.slice.name:{width}}  {row.share:6.1%}  {row.slice.count:8,.0f}  "
        f"{_words(row.slice.interval):26}  {gap}{unsure}"
    )


def _words(interval: Interval) -> str:
    return f"{figure(interval.value, 3)} ({figure(interval.low, 3)} to {figure(interval.high, 3)})"
