"""Failure-mode files to a `Spec` for each pipeline: names resolved, defaults filled in, every fault told at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

from pipemon.catalogue import ALERTS, METRICS
from pipemon.errors import Problem, SpecError, nearest
from pipemon.spec import baseline as baselines
from pipemon.spec import expected, fields
from pipemon.spec.arrivals import arrivals
from pipemon.spec.budgets import check_budgets
from pipemon.spec.checks import checks_off
from pipemon.spec.code import CodeError, shape_of
from pipemon.spec.defaults import defaults
from pipemon.spec.fields import Report
from pipemon.spec.link import link
from pipemon.spec.model import (
    BONFERRONI,
    MULTIPLE_TESTING,
    SEVERITIES,
    SEVERITY_LABELS,
    ExpectedChange,
    Severity,
    Spec,
    Timing,
)
from pipemon.spec.modes import Surroundings, failure_modes
from pipemon.spec.objective import objective
from pipemon.spec.own_series import check_canaries
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown
from pipemon.spec.schedule import schedule
from pipemon.spec.sources import Source, sources
from pipemon.spec.stages import check_after, data, declared_slices, declared_stages, merge
from pipemon.topology import PipelineShape
from pipemon.units import duration

KEYS = (
    "pipeline", "owner", "runbook", "scrape_interval", "select", "keep", "targets", "code", "budget", "stages",
    "objective", "slices", "baseline", "severities", "data", "schedule", "link", "multiple_testing", "labels", "checks",
    "failure_modes",
)  # fmt: skip

RESERVED = frozenset(
    {label for metric in (*METRICS.values(), ALERTS) for label in metric.labels} | {"le", "alertname", "alertstate"}
)
RESERVED_ON_ALERTS = RESERVED | {"job", "instance"}
RESERVED_OF_TARGETS = RESERVED | {"baseline", "below", "bin", "change", "of", "part", "series", "side", "size"}
"""Labels that no selected or kept one may be called as: with those of recorded series."""
_SHORTEST_SCRAPE, _LONGEST_SCRAPE = 5.0, 300.0


def load(path: Path) -> Spec:
    """Return the spec in a file. Imports the module that `code:` names.

    Raises SpecError with every problem of the file.
    """
    specs, problems = load_each((path,))
    if problems or len(specs) != 1:
        raise SpecError(problems or [Problem(str(path), 1, 1, "expected one pipeline in this folder", "duplicate")])
    return specs[0]


def load_all(paths: Sequence[Path]) -> tuple[Spec, ...]:
    """Return the spec of each pipeline in files, or in folders of them. Raises SpecError with every problem."""
    specs, problems = load_each(paths)
    if problems:
        raise SpecError(problems)
    return specs


def load_each(paths: Sequence[Path], *, beside: Path | None = None) -> tuple[tuple[Spec, ...], tuple[Problem, ...]]:
    """Return the spec of each pipeline that is without a fault, and the faults of the others.

    `beside` is a second folder for the modules that `code:` names and for baselines, where they are not beside the
    files.
    """
    found, problems = sources(paths)
    faults, specs = list(problems), []
    for source in found:
        spec = _resolved(source, beside)
        if source.report.problems:
            faults += source.report.problems
        else:
            specs.append(spec)
    return tuple(specs), tuple(faults)


def _readable(name: str) -> str:
    """Return a file's name as generated files, which are UTF-8, can have it."""
    return name.encode("utf-8", "backslashreplace").decode()


def _resolved(source: Source, beside: Path | None) -> Spec:
    """Return the spec of a pipeline's files. What is wrong is in the source's report; the spec means nothing then."""
    report, root = source.report, source.root
    fields.check_keys(report, root, KEYS)
    shape = _shape(report, root, beside)
    named = _named_baselines(report, root, shape, beside)
    learned, no_baseline = _baselines(report, root, named)
    owner = fields.text(report, root.get("owner"), "owner") or shape.name
    whose = data(report, root.get("data"), "data")
    batch = schedule(report, root.get("schedule"))
    tolerated = link(report, root.get("link"))
    if batch is not None and tolerated:
        message = "link: a pipeline with a schedule is told absent by its last success; give the schedule a `grace`"
        report.add(root.key("link"), message, "comparison")
    if batch is not None and root.get("targets") is not None:
        message = "targets: absence of a pipeline with a schedule is told by its last success; remove it"
        report.add(root.key("targets"), message, "comparison")
    selected = fields.labels(report, root.get("select"), "select", RESERVED_OF_TARGETS)
    keep = tuple(dict.fromkeys((*_keep(report, root), *(label for label, _ in selected))))
    spec = Spec(
        pipeline=shape.name,
        owner=owner,
        runbook=fields.address(report, root.get("runbook"), "runbook"),
        timing=_timing(report, root),
        budget=shape.budget,
        stages=tuple(stage._replace(data=stage.data or whose) for stage in shape.stages),
        failure_modes=(),
        select=selected,
        keep=keep,
        targets=fields.labels(report, root.get("targets"), "targets"),
        duration_bounds=shape.duration_bounds,
        has_run=shape.has_run,
        baseline=named[0].name if named else "",
        baselines=learned,
        slices=shape.slices,
        objective=objective(report, root.get("objective")),
        code=_written(root, "code"),
        reads_bounds=shape.reads_bounds,
        source=", ".join(_readable(Path(file).name) for file in source.files),
        severity_words=_severities(report, root.get("severities")),
        files=source.files,
        checks_off=checks_off(report, root.get("checks")),
        schedule=batch,
        link=tolerated,
        multiple_testing=fields.choice(
            report, root.get("multiple_testing"), MULTIPLE_TESTING, BONFERRONI, "multiple_testing"
        ),
        labels=arrivals(report, root.get("labels"), keep),
        expected=_expected(report, Path(source.files[0]), shape, learned),
    )
    check_budgets(report, root, spec.budget, spec.stages)
    check_canaries(report, root.get("stages"), keep)
    reserved = RESERVED_ON_ALERTS | {*spec.keep}
    below = {file: defaults(report, node, reserved) for file, node in source.defaults}
    closed = root.get("code") is not None
    around = Surroundings(spec, learned[0] if learned else None, no_baseline, closed, below, frozenset(reserved))
    return replace(spec, failure_modes=failure_modes(report, root, around))


def _expected(
    report: Report, file: Path, shape: PipelineShape, learned: tuple[baselines.Baseline, ...]
) -> tuple[ExpectedChange, ...]:
    """Return the changes that were announced; none before the pipeline has a name."""
    if not shape.name:
        return ()
    try:
        found = expected.load(expected.file_of(file, shape.name), (stage.name for stage in shape.stages))
    except SpecError as error:
        report.problems.extend(error.problems)
        return ()
    return expected.accepted(found, learned)


def _written(root: Mapping, key: str) -> str:
    return fields.text(Report(""), root.get(key), key)


def _severities(report: Report, node: Node | None) -> tuple[tuple[Severity, str], ...]:
    """Return the alert's label for each severity: routes that exist may know other words."""
    words = dict(SEVERITY_LABELS)
    if node is not None and not isinstance(node, Mapping):
        message = f"severities: expected words such as {{page: critical}}, found {kind(node)}"
        report.add(node, message, "type")
    for name, key, value in node if isinstance(node, Mapping) else ():
        severity = next((each for each in SEVERITIES if each == name), None)
        if severity is None:
            hint = nearest(name, SEVERITIES) or f"; there are {fields.listed(SEVERITIES, 'and')}"
            report.add(key, f"severities: there is no severity {shown(name)}{hint}", "unknown-key")
        elif word := fields.name(report, value, f"severities: {name}"):
            words[severity] = word
    if len(set(words.values())) < len(words) and isinstance(node, Mapping):
        report.add(node, "severities: two severities have the same word, so that no route could part them", "duplicate")
    return tuple(words.items())


def _timing(report: Report, root: Mapping) -> Timing:
    node = root.get("scrape_interval")
    interval = fields.time(report, node, Timing.scrape_interval, "scrape_interval")
    if node is not None and not _SHORTEST_SCRAPE <= interval <= _LONGEST_SCRAPE:
        short = "for a trial in seconds, `generate --time-scale` divides every duration"
        long = "Prometheus looks back no further for a sample; scrape more often"
        message = f"scrape_interval: expected 5s to 5m: {short if interval < _SHORTEST_SCRAPE else long}"
        report.add(node, message, "range")
        interval = Timing.scrape_interval
    timing = Timing(scrape_interval=interval)
    return replace(timing, long_interval=max(Timing.long_interval, timing.evaluation_interval))


def _keep(report: Report, root: Mapping) -> tuple[str, ...]:
    found: list[str] = []
    for label, node in fields.words(report, root.get("keep"), "keep"):
        if not fields.LABEL.fullmatch(label):
            report.add(node, f"keep: {shown(label)} is not a label name; use letters, digits and '_'", "name")
        elif label in RESERVED_OF_TARGETS or label.startswith("__"):
            report.add(node, f"keep: {label!r} is kept already, or belongs to pipemon or Prometheus", "name")
        else:
            found.append(label)
    return tuple(found)


def _shape(report: Report, root: Mapping, beside: Path | None) -> PipelineShape:
    """Return the topology from `code`, from `stages`, or from both where they agree."""
    name_node = root.get("pipeline")
    name = fields.name(report, name_node, "pipeline")
    if name_node is None:
        report.add(root, "the file does not say which pipeline it is about; begin with `pipeline: <name>`", "missing")
    budget_node = root.get("budget")
    budget = fields.time(report, budget_node, 0.0, "budget") or None
    stages = declared_stages(report, root.get("stages"))
    slices = declared_slices(report, root.get("slices"))
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
        return PipelineShape(name, budget, shapes, slices=slices)
    reference = fields.text(report, code, "code")
    if not reference:
        return PipelineShape(name)
    try:
        shape = shape_of(reference, Path(report.file(code)).parent, beside)
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
    if slices and slices != shape.slices:
        said = fields.listed(shape.slices, "and") if shape.slices else "none"
        report.add(cast(Node, root.get("slices")), f"slices: the code declares {said}; say it once, there", "differs")
    return merged._replace(name=name or shape.name, budget=shape.budget or budget)


class _NamedBaseline(NamedTuple):
    """A baseline's file: how it is named, where that stands, and where the file is or would be."""

    name: str
    node: Node
    path: Path


def _named_baselines(report: Report, root: Mapping, shape: PipelineShape, beside: Path | None) -> list[_NamedBaseline]:
    """Return the files that `baseline:` names, else those that the code gives to its pipeline."""
    named: list[tuple[str, Node]] = [*fields.words(report, root.get("baseline"), "baseline")]
    code, elsewhere = root.get("code"), beside
    if not named and code is not None:
        # A service looks in the folder that it runs in: that is often the current one.
        named, elsewhere = [(file, code) for file in shape.baselines], beside or Path.cwd()
    found = []
    for file, node in named:
        path = Path(report.file(node)).parent / file
        if elsewhere is not None and not path.exists() and (elsewhere / file).exists():
            path = elsewhere / file
        found.append(_NamedBaseline(file, node, path))
    return found


def _baselines(
    report: Report, root: Mapping, named: list[_NamedBaseline]
) -> tuple[tuple[baselines.Baseline, ...], str]:
    """Return the baselines, the one that thresholds are learned from first, or none and why there is none."""
    if not named:
        return (), "and the file names none; add `baseline: <file>.json`"
    found: dict[str, baselines.Baseline] = {}
    name = root.get("pipeline")
    for file, node, path in named:
        try:
            one = baselines.load(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or "cannot be read"
            report.add(node, f"baseline: {shown(file)}: {reason.lower()}", "baseline")
            continue
        except SpecError as error:
            report.problems.extend(error.problems)
            continue
        if isinstance(name, Scalar) and one.pipeline != name.text.strip():
            message = f"baseline: {file} is of the pipeline {shown(one.pipeline)}, not {shown(name.text.strip())}"
            report.add(node, message, "differs")
        twin = next((other for other, known in found.items() if _same_versions(known, one)), None)
        if twin is not None:
            which = f"version {shown(one.version)}" if one.version else "no version in particular"
            report.add(node, f"baseline: {file} and {twin} are both of {which}; name one", "duplicate")
        found[file] = one
    absent = [] if found else [file for file, _, _ in named]
    why = f"and {fields.listed(absent)} is not there yet; `pipemon baseline` learns it" if absent else ""
    return tuple(found.values()), why


def _same_versions(one: baselines.Baseline, other: baselines.Baseline) -> bool:
    return (one.version, one.stage_versions) == (other.version, other.stage_versions)
