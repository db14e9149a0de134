"""The checks of an Alertmanager configuration against the alerts that will reach it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipemon.generate.lint.matchers import Alerts, Labels
from pipemon.topology import find_cycle
from pipemon.units import seconds

Found = tuple[str, str, str]


def route_findings(document: Mapping[str, Any], alerts: Sequence[Labels]) -> Iterator[Found]:
    """Yield (check, route or alert, sentence) for each thing that is wrong; `alerts` are the labels of each rule."""
    root = document["route"]
    routes, receivers = root.get("routes", []), [receiver["name"] for receiver in document["receivers"]]
    used = [root["receiver"], *(route["receiver"] for route in routes)]
    for name in dict.fromkeys(used):
        if name not in receivers:
            yield "undefined-receiver", name, "a route names it, and no receiver has the name"
    for name in receivers:
        if name not in used:
            yield "unused-receiver", name, "no route names it"
    seen: list[set[str]] = []
    for route in routes:
        matchers = set(route["matchers"])
        if any(earlier <= matchers for earlier in seen):
            yield "shadowed-route", route["receiver"], "a route before it takes all that it would"
        seen.append(matchers)
        repeat = route.get("repeat_interval", root["repeat_interval"])
        if seconds(repeat) < seconds(route.get("group_interval", root["group_interval"])):
            yield "repeat-before-group", route["receiver"], f"it repeats every {repeat}, under the group's interval"
    index = Alerts(alerts)
    taken = set[int]().union(*(index.meeting(route["matchers"], surely=True) for route in routes))
    for number, alert in enumerate(alerts):
        if number not in taken:
            yield "alert-hits-default-receiver", alert["alertname"], "no route takes it"
    for route in (root, *({**root, **route} for route in routes)):
        if seconds(wait := route.get("group_wait", "30s")) > seconds(route["group_interval"]):
            yield "wait-exceeds-interval", route["receiver"], f"it waits {wait}, over the group's interval"
    yield from _inhibition(document["inhibit_rules"], index)


def _inhibition(rules: Sequence[Mapping[str, Any]], index: Alerts) -> Iterator[Found]:
    read: list[tuple[set[str], set[str]]] = []
    for number, rule in enumerate(rules, 1):
        where = f"inhibit_rules[{number}]"
        sources, targets = (
            {index.alerts[each]["alertname"] for each in index.meeting(rule[f"{side}_matchers"], surely=False)}
            for side in ("source", "target")
        )
        if not rule.get("equal"):
            yield "inhibit-no-equal", where, "it names no label that source and target have in common"
        if not sources or not targets:
            yield "inhibit-unknown-alertname", where, "its source or its target is no alert"
        if set(rule["source_matchers"]) == set(rule["target_matchers"]) or sources & targets:
            yield "inhibit-same-match", where, "an alert is both its source and its target"
        read.append((sources, targets))
    # Of what a source holds back, other sources alone can hold it back in turn.
    causes = set[str]().union(*(sources for sources, _ in read))
    holds: dict[str, set[str]] = {name: set() for name in causes}
    for sources, targets in read:
        among = (targets & causes) - sources
        for source in sources if among else ():
            holds[source] |= among
    if cycle := find_cycle({source: sorted(holds[source]) for source in sorted(holds)}):
        yield "circular-inhibition", cycle[0], f"it holds itself back: {' to '.join(cycle)}"
