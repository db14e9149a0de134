"""Whether a signal can be told at all: of a stage as it is declared, or exports, and of runs as they are scheduled."""

from __future__ import annotations

from pipemon.spec.arguments import Place
from pipemon.spec.fields import Report
from pipemon.spec.model import STABLE, Reference, Threshold
from pipemon.spec.own_series import lacking, without_canary
from pipemon.spec.reader import Mapping, Node, Scalar
from pipemon.spec.schedule import same_run, unseen
from pipemon.spec.signals import Signal
from pipemon.spec.written_signal import named_signal
from pipemon.topology import StageShape


def is_at_its_place(report: Report, signal: Signal, at: Node, place: Place) -> bool:
    """Tell whether a signal is measured where its failure mode stands."""
    message = ""
    if place.stage is None and not signal.whole_pipeline:
        message = f"{signal.name} is measured at a stage; say which with `stage:`"
    elif place.stage is None and not place.spec.has_run and signal.name != "promql":
        message = f"the code marks no function with @{place.spec.pipeline}.run, so nothing is measured"
        message += " end to end; mark it, or say `stage:`"
    if message:
        report.add(at, f"{place.name}: {message}", "missing")
    return not message


def is_in_a_run(report: Report, signal: Signal, argument: Node | None, at: Node, place: Place) -> bool:
    """Tell whether a signal can be told where there are the values of a last run only, if that is so."""
    why = unseen(signal, named_signal(argument) if signal.argument == "signal" else "") if place.spec.schedule else ""
    if why:
        report.add(at, f"{place.name}: {signal.name}: {why}", "schedule")
    return not why


def is_of_another_run(report: Report, past: Reference | None, beside: Mapping, at: Node, place: Place) -> bool:
    """Tell whether what is compared with is another run, where a pipeline has some."""
    why = same_run(place.spec.schedule, past) if place.spec.schedule and past else ""
    if place.spec.schedule and beside.get("against") is not None:
        why = "drift of a pipeline with a schedule is from its baseline; remove `against`"
    if why:
        where = [node for key in ("against", "above", "below", "changes_by") if (node := beside.get(key)) is not None]
        report.add(where[0] if where else at, f"{place.name}: {why}", "schedule")
    return not why


_MISSING = {
    "one_to_one": "one_to_one=True, so more or less may come out than came in",
    "workers": "workers=..., so nobody knows how many calls can run at once",
    "stream": "a generator, so it has no first item",
    "queued": "queued_at=..., so nobody knows when its input was put in the queue",
    "trained": "a model that tells when it was trained",
    "labels": "labels=True, so no true values are told",
    "decisions": "decisions=True, so nobody tells who decides",
}


def is_declared(report: Report, signal: Signal, at: Node, place: Place, stage: StageShape) -> bool:
    """Tell whether a stage is declared with what a signal needs. Without code only `one_to_one` can be known."""
    if not signal.needs or stage not in place.spec.stages or getattr(stage, signal.needs):
        return True
    if not place.closed and signal.needs != "one_to_one":
        return True
    missing = _MISSING[signal.needs]
    who = "the code" if place.closed else "the file"
    missing = missing if place.closed else missing.replace("=True", ": true")
    report.add(at, f"{place.name}: {signal.name}: {who} declares {stage.name!r} without {missing}", "undeclared")
    return False


def is_exported(report: Report, signal: Signal, argument: Node | None, at: Node, place: Place) -> bool:
    """Tell whether a stage that is not decorated exports what a signal reads."""
    stage = place.stage
    # What burns a budget is failures, where nothing else is named.
    named = argument.text.strip() if isinstance(argument, Scalar) else "error_ratio"
    if stage is None or not stage.series or not (why := lacking(signal, stage, named)):
        return True
    message = f"{place.name}: {signal.name}: {stage.name!r} is not decorated; {why}"
    report.add(at, message, "undeclared")
    return False


def lacks_a_canary(report: Report, threshold: Threshold | None, at: Node, place: Place) -> bool:
    """Tell whether a threshold is for the canary of a stage that is not decorated, where none is told."""
    stage = place.stage
    if stage is None or not stage.series or threshold is None or threshold.reference != STABLE:
        return False
    if not (why := without_canary(stage)):
        return False
    message = f"{place.name}: {stage.name!r} is not decorated; {why}"
    report.add(at, message, "undeclared")
    return True
