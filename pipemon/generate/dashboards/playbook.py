"""The failure modes on the dashboard: what fired when, what each means and what to do about it."""

from __future__ import annotations

from dataclasses import replace
from textwrap import shorten

from pipemon.generate.dashboards.charts import Column, table
from pipemon.generate.dashboards.panels import Panel, Query, markdown_panel, state_timeline, text_mapping
from pipemon.generate.dashboards.position import PLACE, began
from pipemon.generate.dashboards.series import either, of_spec
from pipemon.generate.dashboards.state import along, order
from pipemon.generate.dashboards.states import MODE_STATES, OBSERVED, SEVERITY_COLORS, alerts, signed
from pipemon.generate.dashboards.text import link, markdown, plain, says
from pipemon.generate.dashboards.topology import by_severity
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, Matcher
from pipemon.spec.model import SEVERITIES, FailureMode, Spec

ROOM = 96
"""Letters."""


def ranked(spec: Spec, modes: tuple[FailureMode, ...]) -> list[FailureMode]:
    """Return failure modes along the cascade, the most severe of a stage first."""
    place = {name: i for i, name in enumerate(order(spec))}
    return sorted(
        modes,
        key=lambda mode: (
            len(place) if mode.stage is None else place[mode.stage],
            SEVERITIES.index(mode.severity),
        ),
    )


def fired(spec: Spec) -> Panel | None:
    """Return the failure modes over time, or None if none can be measured."""
    if not spec.measurable:
        return None
    choice, by = of_spec(spec), ("stage", "failure_mode")

    def most(*which: Matcher) -> Expr:
        return Aggregate("max", by, alerts(spec, *which))

    states = [by_severity(choice, by)]
    if any(mode.observe for mode in spec.measurable):
        observed = most(Matcher("alertstate", "=", "firing"), Matcher("mode", "=", "observe"))
        states.append(Binary("*", observed, float(OBSERVED)))
    states.append(most(Matcher("alertstate", "=", "pending")))
    return state_timeline(
        "alerts/timeline",
        "Failure modes: which came first",
        "A line for each failure mode that was pending or fired, along the cascade. Yellow: its "
        "condition holds, but not yet for long enough. Then its severity's colour while the alert fires, in any "
        "replica or place; grey in its burn-in. What moved first, and furthest up, is the likely cause. Empty: nothing "
        "was pending in this time; but where the cascade above says no data, nothing was looked at either.",
        [Query(along(spec, either(*states)), "{{stage}} · {{failure_mode}}")],
        mappings=MODE_STATES,
        min_step=spec.timing.scrape_interval,
        empty="nothing was pending in this time",
        height=7,
    )


def playbook(spec: Spec) -> Panel:
    """Return every failure mode with what it means and what to do, also those that can't be measured yet."""
    lines = ["| Failure mode | Stage | Severity | Fires on | What it means | What to do |", "|---|---|---|---|---|---|"]
    modes = ranked(spec, spec.failure_modes)
    pixels = 90
    for mode in sorted(modes, key=lambda mode: not mode.conditions):
        does = [markdown(mode.do)] if mode.do else []
        if mode.leads_to:
            does.append(f"Leads to {markdown(', '.join(mode.leads_to))}.")
        measured = bool(mode.conditions)
        words = says(spec, mode) if measured else mode.waiting
        cells = (
            f"**{link(markdown(mode.name), mode.runbook)}**",
            markdown(mode.stage or "-"),
            spec.severity_label(mode.severity) if measured else "-",
            markdown(words) if measured else f"*{markdown(words or 'not yet measurable')}*",
            markdown(mode.what) or "-",
            " ".join(does) or "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
        # The long texts of a line, and about how many letters of each stand side by side.
        columns = ((mode.name, 14), (words, 44), (mode.what, 52), (mode.do, 64))
        pixels += 14 + 21 * max(-(-len(text) // width) for text, width in columns)
    content = "\n".join(lines) if modes else "No failure mode is written down yet."
    return markdown_panel(
        "alerts/playbook",
        "What can go wrong, and what to do",
        "The team's failure modes along the cascade; those that nothing measures yet come last.",
        content,
        height=min(16, max(4, -(-pixels // 38))),
    )


def in_a_cell(text: str) -> str:
    """Return what of a text two lines of a cell have room for on a screen of 1280 pixels, `-` for nothing."""
    line = " ".join(text.split())
    return plain(line if len(line) <= ROOM else shorten(line, ROOM, placeholder=" …")) or "-"


def firing_now(spec: Spec) -> Panel | None:
    """Return a table of what fires now, with what to do, or None if no failure mode can be measured."""
    modes = spec.measurable
    if not modes:
        return None
    by = ("failure_mode", "severity", "stage", *spec.told_apart_by)
    now = along(spec, Binary("*", began(of_spec(spec), by), 1000.0))
    for label in ("what", "do"):
        # The words are not in the series: the column has the failure mode's name, and a mapping shows its words.
        now = Call("label_replace", (now, label, "$1", "failure_mode", "(.*)"))
    labels = [(severity, spec.severity_label(severity)) for severity in SEVERITIES]
    severities = text_mapping([(words, signed(each, words), SEVERITY_COLORS[each]) for each, words in labels])
    columns = (
        Column(PLACE, "#", width=50, whole=True),
        Column("severity", "Severity", states=severities, width=80),
        Column("stage", "Stage", width=90),
        *(Column(label, label) for label in spec.told_apart_by),
        Column("Value", "Since", unit="dateTimeFromNow", width=135),
        Column("failure_mode", "Failure mode", width=180),
        Column(
            "what", "What it means", words=text_mapping([(mode.name, in_a_cell(mode.what), "text") for mode in modes])
        ),
        Column("do", "What to do", words=text_mapping([(mode.name, in_a_cell(mode.do), "text") for mode in modes])),
    )
    made = table(
        "alerts/now",
        "Firing now: what to do",
        "The alerts that fire, along the cascade, with what each means and what the team does about it. Begin at the "
        "top. What ends in … is whole in the list at the end of this page.",
        [Query(now, "", instant=True, form="table")],
        columns,
        empty="nothing fires",
        sort="#",
        descending=False,
        then="Since",
        height=9,
    )
    return replace(made, min_step=spec.timing.scrape_interval)
