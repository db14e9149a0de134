"""One picture of the state, as rich draws it. Colour is never the only difference."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf, isnan

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipemon.units import figure
from pipemon.watch.reading import Alert
from pipemon.watch.state import Numbers, PipelineState, StageState, State

_SHORTEST_NAME = 8
_TITLES = ("Calls/s", "Errors", "Null", "p50", "p99", "Running")
_BAD, _LIT, _WAITS, _GOOD, _DIM = "bold red", "bold reverse red", "yellow", "green", "dim"


def frame(state: State, width: int = 120, height: int | None = None, ascii_only: bool = False) -> RenderableType:
    """Return what to print: each pipeline with what fires and its stages, and where the numbers come from.

    The broken stage, the first along the cascade that is in trouble, has a mark and a background of its own.
    Where it would be more than `height` lines, whose word it is is left out, then stages that are well, the last
    ones first. With
    `ascii_only`, no other characters are drawn than those that every terminal has.
    """
    heads = {pipeline.name: [_title(pipeline, width), *_alerts(pipeline, state.at)] for pipeline in state.pipelines}
    rows = sum(2 + len(pipeline.stages) for pipeline in state.pipelines)
    lines = rows + _lines(width, *heads.values())
    foot = list(_foot(state))
    if height is not None and lines + _lines(width, foot) > height:
        foot = list(_foot(replace(state, judged_by="")))
    spare = lines + _lines(width, foot) - height if height is not None else 0
    parts: list[RenderableType] = []
    for pipeline in state.pipelines:
        stages = _fitting(pipeline.stages, spare)
        spare -= max(0, len(pipeline.stages) - len(stages) - 1)
        parts += heads[pipeline.name]
        if stages:
            parts.append(_table(stages, state.seconds, width, ascii_only))
        if hidden := len(pipeline.stages) - len(stages):
            parts.append(Text(f"  and {hidden} more stages, with nothing wrong", style=_DIM))
        parts.append(Text())
    return Group(*parts, *foot)


def _lines(width: int, *texts: Sequence[Text]) -> int:
    return sum(-(-text.cell_len // max(width, 1)) for each in texts for text in each)


def _foot(state: State) -> Iterator[Text]:
    if not state.pipelines:
        yield Text("There is no pipeline here that pipemon measures.", style=_WAITS)
    shown = time.strftime("%H:%M:%S", time.localtime(state.at))
    if state.trouble:
        yield Text(f"Nothing new since {shown}: {state.trouble}", style=_BAD)
    over = f"over {_seconds(state.seconds)}" if state.seconds else "after one look: rates come with the next"
    yield Text(f"{shown}, {over}, from {state.url}. {state.judged_by}".rstrip(), style=_DIM)


def _fitting(stages: tuple[StageState, ...], spare: int) -> list[StageState]:
    """Leave out so many stages that are well that `spare` lines are won, the line about them included."""
    if spare <= 0:
        return list(stages)
    hidden = [stage.name for stage in stages if stage.well][-(spare + 1) :]
    return [stage for stage in stages if stage.name not in hidden]


def _title(pipeline: PipelineState, width: int) -> Text:
    """Return a pipeline's name and its runs; where there is little room, how many run goes first, then the median."""
    runs = pipeline.runs
    name = Text.assemble((pipeline.name, "bold"), "  ")
    if pipeline.stages and all(stage.gone for stage in pipeline.stages):
        return name + Text("no data", style=_WAITS)
    if isnan(runs.per_second) and isnan(runs.in_progress):
        return name
    words = [
        Text(f"{_number(runs.per_second)} runs/s"),
        Text(f"{_share(runs.error_ratio)} failed", style=_BAD if runs.errors_bad else ""),
        Text(f"p50 {_time(runs.p50)}"),
        Text.assemble("p99 ", (_p99(runs), _BAD if runs.slow else "")),
        *([] if isnan(runs.in_progress) else [Text(f"{runs.in_progress:.0f} running")]),
    ]
    comma = Text(", ")
    for left_out in (4, 2):
        if (name + comma.join(words)).cell_len > width:
            del words[left_out : left_out + 1]
    return name + comma.join(words)


def _table(stages: Sequence[StageState], seconds: float, width: int, ascii_only: bool) -> Table:
    """Return the stages' numbers.

    Where there is little room, columns go one after the other: means, how many run, what a stage comes after where that
    is said, the median and the budget. Only then the names are cut.
    """
    rows = [_cells(stage, seconds) for stage in stages]
    columns: dict[str, Sequence[Text]] = {title: [row[i] for row in rows] for i, title in enumerate(_TITLES)}
    above, names = "", []
    for stage in stages:
        names.append(_name(stage, above, ascii_only))
        above = stage.name
    longest = max(name.cell_len for name in names)
    bare = max(_name(stage, "", ascii_only, alone=True).cell_len for stage in stages)

    def room(for_names: int) -> int:
        each = (max(len(title), *(cell.cell_len for cell in cells)) for title, cells in columns.items())
        return width - for_names - 2 - sum(2 + cells for cells in each)

    if room(longest) < 0:
        del columns["Running"]
    if room(bare) < 0:
        del columns["p50"]
    if room(bare) < 0:
        columns["p99"] = [_of_p99(stage.numbers, alone=True) for stage in stages]
    left = room(longest)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=_DIM, pad_edge=False)
    table.add_column("Stage", no_wrap=True)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    means = [_means(stage, left, ascii_only) for stage in stages]
    if any(means):
        table.add_column("Means", no_wrap=True)
    for name, row, told in zip(names, zip(*columns.values(), strict=True), means, strict=True):
        _cut(name, max(_SHORTEST_NAME, longest + min(0, left)))
        table.add_row(name, *row, *([Text(told, style=_DIM)] if any(means) else []))
    return table


def _means(stage: StageState, room: int, ascii_only: bool) -> str:
    """Return as many of a stage's means as there is room for: half a number is none."""
    more = ", ..." if ascii_only else ", …"
    found = ""
    for i, mean in enumerate(stage.means):
        longer = f"{found}{', ' if found else ''}{_mean(mean.feature, mean.value, mean.unit)}"
        if cell_len(longer) + (len(more) if i + 1 < len(stage.means) else 0) > room:
            return f"{found}{more}" if found else ""
        found = longer
    return found


def _cells(stage: StageState, seconds: float) -> tuple[Text, ...]:
    numbers = stage.numbers
    silent = "no data" if stage.gone else "no calls" if seconds > 0 and numbers.per_second == 0 else ""
    return (
        Text(silent or _number(numbers.per_second), style=_WAITS if silent else ""),
        Text(_share(numbers.error_ratio), style=_BAD if numbers.errors_bad else ""),
        Text(_share(numbers.null_ratio), style=_BAD if numbers.nulls_bad else ""),
        Text(_time(numbers.p50)),
        _of_p99(numbers),
        Text("-" if isnan(numbers.in_progress) else f"{numbers.in_progress:.0f}"),
    )


def _of_p99(numbers: Numbers, *, alone: bool = False) -> Text:
    return Text(_time(numbers.p99) if alone else _p99(numbers), style=_BAD if numbers.slow else "")


def _name(stage: StageState, above: str, ascii_only: bool, *, alone: bool = False) -> Text:
    """Return a stage's name, indented along the cascade.

    What it comes after is said where it is not right above, and unless it is wanted `alone`.
    """
    mark = (">" if ascii_only else "▶") if stage.broken else "!" if stage.alerts else " "
    bend = ("`-" if ascii_only else "└─") if stage.depth else ""
    style = _LIT if stage.broken else _BAD if any(a.state != "pending" for a in stage.alerts) else ""
    style = style or (_WAITS if stage.alerts else _GOOD if stage.well else "")
    name = Text.assemble((mark, style), " " * (2 * max(0, stage.depth - 1) + 1), (bend, _DIM), (stage.name, style))
    if stage.after and stage.after != (above,) and not alone:
        name.append(f" {'<-' if ascii_only else '←'} {', '.join(stage.after)}", style=_DIM)
    return name


def _cut(name: Text, most: int) -> None:
    """Cut a name to so many characters; of what it comes after nothing is left that says none."""
    name.truncate(most, overflow="ellipsis")
    bare = name.plain.rstrip(" <-←…")
    if name.plain[len(bare) :].strip("…"):
        name.right_crop(len(name.plain) - len(bare))


def _alerts(pipeline: PipelineState, at: float) -> Iterator[Text]:
    for alert in pipeline.alerts:
        where = f"{alert.stage}/" if alert.stage else ""
        since = f" for {_seconds(max(0.0, at - alert.since))}" if alert.since is not None else ""
        yield Text.assemble(
            (f"{_state(alert)} {alert.severity}", _WAITS if alert.state == "pending" else _BAD),
            f" {where}{alert.failure_mode}{since}",
        )
    if not pipeline.alerts and not any(stage.broken for stage in pipeline.stages):
        yield Text("Nothing fires.", style=_GOOD)


def _state(alert: Alert) -> str:
    return {"firing": "FIRING", "pending": "pending", "would fire": "WOULD FIRE"}[alert.state]


def _p99(numbers: Numbers) -> str:
    of = f" of {_time(numbers.budget)}" if numbers.budget is not None else ""
    return f"{_time(numbers.p99)}{of}"


def _time(seconds: float | None) -> str:
    if seconds is None or isnan(seconds):
        return "-"
    if seconds == inf:
        return "very long"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} us"
    return f"{figure(seconds * 1000, 3)} ms" if seconds < 1 else f"{figure(seconds, 3)} s"


def _share(ratio: float) -> str:
    return "-" if isnan(ratio) else f"{figure(ratio * 100, 3)}%"


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _mean(feature: str, value: float, unit: str) -> str:
    if unit == "ratio":
        return f"{feature} {_share(value)}"
    # Words are counted in words: that is said once.
    return f"{feature} {figure(value)}{f' {unit}' if unit and unit != feature else ''}"


def _seconds(value: float) -> str:
    """Return a time in its largest unit or two: 42s, 3m, 2h5m."""
    whole = round(value)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if minutes:
        return f"{minutes}m{whole % 60}s" if whole % 60 and whole < 600 else f"{minutes}m"
    return f"{whole}s"
