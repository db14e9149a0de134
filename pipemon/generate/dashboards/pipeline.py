"""The dashboard of one pipeline: its cascade with its failure modes, their thresholds drawn."""

from __future__ import annotations

from pipemon.generate.dashboards.board import board, constant, kept_mark, mark, marks, stable_uid
from pipemon.generate.dashboards.last_run import of_last_run
from pipemon.generate.dashboards.layout import RECENT, Placed, Row, place
from pipemon.generate.dashboards.level_row import level_row
from pipemon.generate.dashboards.panels import Json, Line, Panel
from pipemon.generate.dashboards.playbook import fired, firing_now, playbook
from pipemon.generate.dashboards.series import of_spec
from pipemon.generate.dashboards.state import cascade_state, order, topology_words, vital_signs
from pipemon.generate.dashboards.text import plain
from pipemon.generate.dashboards.topology import node_graph, waterfall
from pipemon.generate.expected import NAME as EXPECTED
from pipemon.generate.promql import Matcher, Recorded
from pipemon.spec.model import ACTION_TAG, Spec

OPEN_ROWS = 6
"""A longer cascade's rows are closed at first, and queried when somebody opens them."""

FEW_STAGES = 12
"""More have one query together where fewer have one each, in the cascade's order."""


def dashboard(spec: Spec) -> Json:
    """Return the dashboard of a pipeline: first its state, then what fired, then a row for each stage.

    The same spec gives the same value. Its panels read recordings only where a failure mode makes them.
    """
    return board(
        stable_uid(spec.pipeline),
        plain(f"{spec.pipeline}: cascade"),
        f"{topology_words(spec)}. Generated from the pipeline's failure modes: change those, not this.",
        _placed(spec).panels,
        scrape_interval=spec.timing.scrape_interval,
        variables=[constant("pipeline", plain(spec.pipeline))],
        annotations=[*marks(of_spec(spec), spec.timing.scrape_interval), *_announced(spec), *_acted(spec)],
        runbook=spec.runbook,
    )


def _announced(spec: Spec) -> list[Json]:
    """Return the mark of each change that was announced, where there are some; its series ends where it is over."""
    found = []
    for change in spec.expected:
        which = (("pipeline", spec.pipeline), ("stage", change.stage), ("change", change.what))
        series = Recorded(EXPECTED, (), tuple(Matcher(label, "=", value) for label, value in which))
        found.append(mark(of_spec(spec), plain(f"{change.stage}: {change.what}"), "blue", series))
    return found


def _acted(spec: Spec) -> list[Json]:
    """Return the marks of what `pipemon serve` has done, where it may be asked for anything."""
    if not any(mode.then for mode in spec.measurable):
        return []
    return [kept_mark("Rollbacks and retraining", "purple", ("pipemon", spec.pipeline, ACTION_TAG))]


def panel_ids(spec: Spec) -> dict[str, int]:
    """Return the id of the panel of each failure mode that has one, for links to it."""
    return _placed(spec).of_modes


def _placed(spec: Spec) -> Placed:
    return spec.derived("dashboard", _place)


def _place(spec: Spec) -> Placed:
    names = order(spec)
    overview = [(cascade_state(spec),)] if names else []
    if acting := firing_now(spec):
        overview.append((acting,))
    timeline = fired(spec)
    rows = [
        Row("row/cascade", "", (*overview, vital_signs(spec))),
        Row("row/alerts", "", ((timeline,),) if timeline else ()),
        Row("row/shape", "", (_shape(spec, names),) if names else ()),
    ]
    rows += [
        level_row(spec, name, _title(spec, name, i, len(names)), collapsed=len(names) > OPEN_ROWS)
        for i, name in enumerate(names, 1)
    ]
    if spec.budget is not None or None in spec.measurable_at:
        rows.append(level_row(spec, None, "End to end"))
    rows.append(Row("row/playbook", "All failure modes", ((playbook(spec),),)))
    rows = [of_last_run(row, spec) for row in rows] if spec.schedule is not None else rows
    return place(rows, spec.timing.scrape_interval, spec.labels)


def _shape(spec: Spec, names: tuple[str, ...]) -> tuple[Panel, ...]:
    choice = of_spec(spec)
    step = (RECENT - 1) * spec.timing.scrape_interval
    budgets = {stage.name: stage.budget for stage in spec.stages}
    stages = [(name, Line(budgets[name] or 0.0, "red") if budgets[name] else None) for name in names]
    graph = node_graph(choice, "cascade/graph", step)
    times = waterfall(
        choice,
        "cascade/waterfall",
        step,
        stages if len(names) <= FEW_STAGES else (),
        budget=Line(spec.budget, "red") if spec.budget else None,
        min_step=spec.timing.scrape_interval,
    )
    return (graph, *times)


def _title(spec: Spec, stage: str, position: int, total: int) -> str:
    after = spec.stage(stage).after
    upstream = f" (after {', '.join(after)})" if after else " (first)" if after == () or position == 1 else ""
    return f"{position}/{total} {stage}{upstream}"
