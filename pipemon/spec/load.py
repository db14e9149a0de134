"""A failure-mode file to a `Spec`: names resolved, defaults filled in, every fault told at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipemon.catalogue import ALERTS, METRICS
from pipemon.errors import SpecError
from pipemon.spec import baseline as baselines
from pipemon.spec import fields
from pipemon.spec.code import CodeError, shape_of
from pipemon.spec.fields import Report
from pipemon.spec.model import Spec, Timing
from pipemon.spec.modes import Surroundings, failure_modes
from pipemon.spec.reader import Mapping, Node, Scalar, read, shown
from pipemon.spec.stages import check_after, declared_stages, merge
from pipemon.topology import PipelineShape
from pipemon.units import duration

_KEYS = (
    "pipeline", "owner", "runbook", "scrape_interval", "select", "keep", "targets", "code", "budget", "stages",
    "baseline", "failure_modes",
)  # fmt: skip
_PLANNED = ("objective", "defaults", "severities", "labels", "data", "schedule", "link", "hold")

_RESERVED = frozenset(
    {label for metric in (*METRICS.values(), ALERTS) for label in metric.labels} | {"le", "alertname", "alertstate"}
)
_SHORTEST_SCRAPE, _LONGEST_SCRAPE = 5.0, 120.0


def load(path: Path) -> Spec:
    """Return the spec in a file. Imports the module that `code:` names.

    Raises SpecError with every problem of the file.
    """
    root = read(path)
    report = Report(str(path))
    fields.check_keys(report, root, _KEYS, _PLANNED)
    shape = _shape(report, root, path.parent)
    learned, no_baseline = _baseline(report, root, path.parent)
    owner = fields.text(report, root.get("owner"), "owner") or shape.name
    selected = fields.labels(report, root.get("select"), "select", _RESERVED)
    spec = Spec(
        pipeline=shape.name,
        owner=owner,
        runbook=fields.text(report, root.get("runbook"), "runbook"),
        timing=_timing(report, root),
        budget=shape.budget,
        stages=shape.stages,
        failure_modes=(),
        select=selected,
        keep=tuple(dict.fromkeys((*_keep(report, root), *(label for label, _ in selected)))),
        targets=fields.labels(report, root.get("targets"), "targets"),
        duration_bounds=shape.duration_bounds,
        has_run=shape.has_run,
        baseline=fields.text(Report(str(path)), root.get("baseline"), "baseline"),
        code=fields.text(Report(str(path)), root.get("code"), "code"),
        reads_bounds=shape.reads_bounds,
        source=path.name,
    )
    modes = failure_modes(report, root, Surroundings(spec, learned, no_baseline, root.get("code") is not None))
    if report.problems:
        raise SpecError(report.problems)
    return replace(spec, failure_modes=modes)


def _timing(report: Report, root: Mapping) -> Timing:
    node = root.get("scrape_interval")
    interval = fields.time(report, node, Timing.scrape_interval, "scrape_interval")
    if node is not None and not _SHORTEST_SCRAPE <= interval <= _LONGEST_SCRAPE:
        report.add(node, "scrape_interval: expected 5s to 2m; windows and lookback are sized for that", "range")
        interval = Timing.scrape_interval
    return Timing(scrape_interval=interval, long_interval=max(Timing.long_interval, interval))


def _keep(report: Report, root: Mapping) -> tuple[str, ...]:
    found: list[str] = []
    for label, node in fields.words(report, root.get("keep"), "keep"):
        if not fields.LABEL.fullmatch(label):
            report.add(node, f"keep: {shown(label)} is not a label name; use letters, digits and '_'", "name")
        elif label in _RESERVED or label.startswith("__"):
            report.add(node, f"keep: {label!r} is kept already, or belongs to pipemon or Prometheus", "name")
        else:
            found.append(label)
    return tuple(found)


def _shape(report: Report, root: Mapping, folder: Path) -> PipelineShape:
    """Return the topology from `code`, from `stages`, or from both where they agree."""
    name_node = root.get("pipeline")
    name = fields.name(report, name_node, "pipeline")
    if name_node is None:
        report.add(root, "the file does not say which pipeline it is about; begin with `pipeline: <name>`", "missing")
    budget_node = root.get("budget")
    budget = fields.time(report, budget_node, 0.0, "budget") or None
    stages = declared_stages(report, root.get("stages"))
    code = root.get("code")
    if code is None:
        if root.get("stages") is None:
            report.add(
                name_node or root,
                "the stages are not known; give `code: module:pipeline`, or list them under `stages:`",
                "missing",
            )
        shapes = tuple(stage.shape for stage in stages)
        check_after(report, shapes, stages)
        return PipelineShape(name, budget, shapes)
    reference = fields.text(report, code, "code")
    if not reference:
        return PipelineShape(name)
    try:
        shape = shape_of(reference, folder)
    except CodeError as error:
        report.add(code, f"code: {error}", "code")
        # Without the code's stages, whatever refers to them can't be judged.
        return PipelineShape(name, budget)
    if name_node is not None and name and shape.name != name:
        message = f"pipeline: the code's pipeline is called {shape.name!r}, not {name!r}"
        report.add(name_node, message, "differs")
    if budget_node is not None and budget and shape.budget is not None and budget != shape.budget:
        said = f"{duration(budget)} here and {duration(shape.budget)} in the code"
        report.add(budget_node, f"budget: {said}; say it once", "differs")
    merged = merge(report, shape, stages)
    return merged._replace(name=name or shape.name, budget=shape.budget or budget)


def _baseline(report: Report, root: Mapping, folder: Path) -> tuple[baselines.Baseline | None, str]:
    """Return the baseline, or None and why there is none."""
    node: Node | None = root.get("baseline")
    file = fields.text(report, node, "baseline")
    if node is None or not file:
        return None, "and the file names none; add `baseline: <file>.json`"
    absent = f"and {file} is not there yet; `pipemon baseline` learns it"
    try:
        found = baselines.load(folder / file)
    except FileNotFoundError:
        return None, absent
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or "cannot be read"
        report.add(node, f"baseline: {shown(file)}: {reason.lower()}", "baseline")
        return None, absent
    except SpecError as error:
        report.problems.extend(error.problems)
        return None, absent
    name = root.get("pipeline")
    if isinstance(name, Scalar) and found.pipeline != name.text.strip():
        message = f"baseline: {file} is of the pipeline {shown(found.pipeline)}, not {shown(name.text.strip())}"
        report.add(node, message, "differs")
    return found, ""
