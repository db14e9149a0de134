"""The command `pipemon expect`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipemon.errors import OptionError, SpecError, nearest
from pipemon.parameters import Moment

if TYPE_CHECKING:
    from pipemon.spec.model import ExpectedChange, Spec

_DAY = 86400.0
_LONGEST = 14 * _DAY
_MOST_NAMED = 10
"""How long a change holds alerts where nobody says: long enough to learn anew, too short to be forgotten."""

ENOUGH = 1000
"""Observations of each feature of a stage that make a baseline: about a hundred in each of ten bins."""


@click.command(short_help="Announce a change that is meant to happen.")
@click.argument("what", required=False)
@click.option("--spec", "file", type=click.Path(path_type=Path), help="The failure-mode file; by default the one here.")
@click.option("--stage", help="Whose input or output will change.")
@click.option("--from", "start", type=Moment(), help="When; now by default.")
@click.option("--to", "end", type=Moment(), help="How long its drift alerts are held; two weeks by default.")
@click.option("--url", help="Root URL of a Prometheus: say whether there is enough for a new baseline.")
def expect(
    what: str | None, file: Path | None, stage: str | None, start: float | None, end: float | None, url: str | None
) -> None:
    """Announce a change, as in: pipemon expect "new screens" --stage crop --from 2026-01-31

    It is marked on the dashboards, and the stage's drift alerts are held, once `pipemon generate` has run. Without
    WHAT, say which changes were announced, and with --url whether there is enough for a new baseline.
    """
    from pipemon.generate.output import write  # noqa: PLC0415
    from pipemon.spec import expected  # noqa: PLC0415
    from pipemon.spec.load import load  # noqa: PLC0415
    from pipemon.spec.model import ExpectedChange  # noqa: PLC0415

    path = file or _only_file()
    spec = load(path)
    if what is None:
        for line in _told(spec, path, url):
            click.echo(line)
        return
    names = [each.name for each in spec.stages]
    if stage not in names:
        found = f"there is no stage {stage!r}{nearest(stage, names)}" if stage else "say whose it is: --stage"
        raise click.UsageError(f"{found} (there are {', '.join(names)})")
    begin = time.time() if start is None else start
    until = begin + _LONGEST if end is None else end
    if begin >= until:
        raise click.UsageError("the change ends before it begins")
    change = ExpectedChange(" ".join(what.split()), stage, float(round(begin)), float(round(until)))
    others = [each for each in spec.expected if (each.what, each.stage) != (change.what, change.stage)]
    at = expected.file_of(path, spec.pipeline)
    try:
        write(at.parent, {at.name: expected.dump(sorted((*others, change), key=lambda each: each.start))})
    except OSError as error:
        raise OptionError(f"cannot write {at}: {error.strerror or error}") from None
    click.echo(f"{change.what}: expected at {stage} from {expected.moment(begin)} to {expected.moment(until)}; in {at}")
    holds = ", ".join(_held(load(path), change)) or "no alert"
    click.echo(f"Next: pipemon generate {path}, which marks it and holds {holds}")


def _only_file() -> Path:
    """Return the one failure-mode file of this folder."""
    from pipemon.spec.reader import read  # noqa: PLC0415

    found = []
    for path in sorted((*Path().glob("*.yaml"), *Path().glob("*.yml"))):
        try:
            if read(path).get("failure_modes") is not None:
                found.append(path)
        except SpecError:
            continue
    if len(found) != 1:
        told = ", ".join(map(str, found[:_MOST_NAMED])) if found else "none"
        told += f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise click.UsageError(f"which failure-mode file? --spec FILE (here: {told})")
    return found[0]


def _held(spec: Spec, change: ExpectedChange) -> list[str]:
    from pipemon.generate.expected import is_held  # noqa: PLC0415

    return [mode.name for mode in spec.measurable if mode.stage == change.stage and is_held(spec, mode)]


def _told(spec: Spec, path: Path, url: str | None) -> Iterator[str]:
    """Yield each announced change, what it holds, and whether it can be taken for the new normal."""
    from pipemon.spec.expected import moment  # noqa: PLC0415

    if not spec.expected:
        yield f"{spec.pipeline}: no change was announced"
    for change in spec.expected:
        yield f"{spec.pipeline}: {change.what} at {change.stage}, {moment(change.start)} to {moment(change.end)}"
        if change.accepted:
            yield "  accepted: the baseline begins after it, and holds nothing any more"
            continue
        yield f"  holds {', '.join(_held(spec, change)) or 'no alert'}"
        if url is not None:
            yield from _offered(spec, path, change, url)


def _offered(spec: Spec, path: Path, change: ExpectedChange, url: str) -> Iterator[str]:
    from pipemon import catalogue as c  # noqa: PLC0415
    from pipemon.generate.own_series import exported_series  # noqa: PLC0415
    from pipemon.generate.promql import Matcher, text  # noqa: PLC0415
    from pipemon.generate.queries import Sums, total  # noqa: PLC0415
    from pipemon.prometheus import Prometheus  # noqa: PLC0415
    from pipemon.spec.expected import moment  # noqa: PLC0415

    since = time.time() - change.start
    if since <= 0:
        return
    of_stage = Matcher("stage", "=", change.stage)
    sums = Sums(spec, ("direction", "feature"), since)
    observed = total(sums, c.FEATURE_OBSERVED, of_stage, function="increase")
    expr = exported_series(spec, observed)
    counts = [sample.value for sample in Prometheus(url, 130.0).query(text(expr))]
    least = min(counts, default=0.0)
    if least < ENOUGH:
        yield f"  {least:,.0f} of the {ENOUGH:,} observations that a new baseline needs"
        return
    yield f"  {least:,.0f} observations since; if this is the new normal, accept it:"
    yield f"    pipemon baseline {path} --url {url} --from {moment(change.start)}"
