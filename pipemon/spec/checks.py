"""The checks that pipemon makes of its own output, by the names that other linters print, and those switched off."""

from __future__ import annotations

from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.fields import Report
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown

CHECKS = {
    "alerts/comparison": "An alert without a condition fires whenever it has data.",
    "alerts/for": "A `for` of less than two evaluations is no wait.",
    "alerts/template": "A label that changes with the value makes a new alert each time.",
    "alert-name-camelcase": "Alerts are named in CamelCase.",
    "alert-severity-rule": "The severity is one of the words that routes know.",
    "alert-summary-missing-rule": "An alert without a summary says nothing.",
    "alert-description-missing-rule": "An alert without a description does not say how bad it is.",
    "annotationIsValidURL": "A link that does not open is worse than none.",
    "nonEmptyLabels": "Prometheus drops a label without a value.",
    "alert-summary-style": "A summary is a sentence: a capital first, a full stop last.",
    "alert-description-templating": "A description without the value does not say how bad it is.",
    "alert-summary-templating": "A summary is one sentence for all of an alert's notifications.",
    "rule/label": "What routes, inhibition and messages read is on every alert.",
    "group/interval": "Beyond the lookback of 5m, rules have gaps.",
    "promql/rate": "A rate over less than four scrapes is lost with one of them.",
    "expressionDoesNotUseRangeShorterThan": "A range of one point may be empty: Prometheus 3 leaves its left end out.",
    "validFunctionsOnCounters": "A counter's own value is that of the last restart; a gauge has no rate.",
    "promql/nan": "What is divided by nothing is NaN, which is never told, or Inf, which always is.",
    "promql/aggregate": "A kept label that a sum drops is missing where routes and joins need it.",
    "promql/selector": "Series of every pipeline are more than those of this one.",
    "promql/regexp": "A pattern without one is an equality, which is faster and says so.",
    "expressionWithNoMetricName": "A selector without a name reads every series that there is.",
    "promql/fragile": "topk and irate make alerts flap.",
    "promql/functions": "A function that a supported Prometheus has not fails there.",
    "rateBeforeAggregation": "A rate of a sum takes a restart for a fall.",
    "rule/name": "A recorded name says its level, its metric and what was done with it.",
    "annotationIsValidPromQL": "What a message asks Prometheus for it gets, or says nothing.",
    "rule/duplicate": "Two rules of one name and labels fight each other.",
    "rule/dependency": "A rule reads what is recorded before it, and nothing that no rule records.",
    "alert-hits-default-receiver": "What no route takes reaches nobody in particular.",
    "circular-inhibition": "Alerts that hold each other back are all silent.",
    "inhibit-no-equal": "What is held back everywhere is held back in the wrong place too.",
    "inhibit-same-match": "An alert can't hold itself back.",
    "inhibit-unknown-alertname": "Who holds back nobody, or is nobody, is a mistake.",
    "shadowed-route": "A route behind one with the same matchers is never reached.",
    "wait-exceeds-interval": "A group that waits longer than its interval tells late what it has.",
    "repeat-before-group": "A repetition sooner than the group's interval does not come.",
    "undefined-receiver": "A route to a receiver that is not there.",
    "unused-receiver": "A receiver that no route names.",
}
"""Each check's name, and why it is made."""


def checks_off(report: Report, node: Node | None) -> tuple[tuple[str, str], ...]:
    """Return the checks that `checks:` switches off, each with its reason: without one it stays on."""
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        report.add(
            node, f"checks: expected a mapping such as {{promql/rate: {{off: why}}}}, found {kind(node)}", "type"
        )
        return ()
    found = []
    for name, key, body in node:
        if name not in CHECKS:
            report.add(key, f"checks: there is no check {shown(name)}{nearest(name, CHECKS)}", "unknown-key")
        elif not isinstance(body, Mapping):
            message = f"checks: {name}: say why it is off: {{off: the reason}}, found {kind(body)}"
            report.add(body, message, "type")
        else:
            fields.check_keys(report, body, ("off",), f"checks: {name}")
            why = body.get("off")
            if why is None or (isinstance(why, Scalar) and isinstance(why.value, str) and not why.value.strip()):
                report.add(why or key, f"checks: {name}: say why it is off: {{off: the reason}}", "missing")
            elif reason := fields.text(report, why, f"checks: {name}: off"):
                found.append((name, reason))
    return tuple(found)
