"""The signal that a failure mode names: `null_ratio`, `{latency: p99}`, or what is nearest to what it names."""

from __future__ import annotations

import re

from pipemon.errors import nearest
from pipemon.spec import fields
from pipemon.spec.arguments import Place
from pipemon.spec.fields import Report
from pipemon.spec.reader import Mapping, Node, Scalar, kind, shown
from pipemon.spec.signals import ALSO, SIGNALS, Signal, signal_in

BESIDE = ("above", "below", "outside", "changes_by", "from", "min_calls", "slice", "against", "hold")


def written_signal(report: Report, node: Node, place: Place) -> tuple[Signal | None, Node | None, Node]:
    """Return the signal, the node of its argument, and where it stands."""
    argument: Node | None = None
    if isinstance(node, Mapping) and node.entries:
        name, at, argument = next(iter(node))
        if isinstance(argument, Scalar) and argument.value is None:
            argument = None
        more = [key for key, _ in node.entries[1:]]
        signals = [key for key in more if key.text in SIGNALS]
        if signals:
            message = f"{place.name}: one signal each, found {name!r} and {signals[0].text!r}; list them in `signals:`"
            report.add(signals[0], message, "comparison")
            return None, None, node
        for key in more:
            hint = "; it stands beside `signal`, not in it" if key.text in BESIDE else nearest(key.text, BESIDE)
            report.add(key, f"{place.name}: unknown key {shown(key.text)}{hint}", "unknown-key")
    elif isinstance(node, Scalar) and isinstance(node.value, str) and node.value.strip():
        name, at = node.value.strip(), node
    else:
        message = f"{place.name}: expected a signal such as null_ratio or {{latency: p99}}, found {kind(node)}"
        report.add(node, message, "type")
        return None, None, node
    if name not in SIGNALS:
        hint = f"; did you mean {ALSO[name.lower()]!r}?" if name.lower() in ALSO else _as_argument(name, argument)
        hint = hint or nearest(name, SIGNALS) or f"; there are {fields.listed([*SIGNALS], 'and')}"
        report.add(at, f"{place.name}: there is no signal {shown(name)}{hint}", "unknown-signal")
    return signal_in(place.spec, name) if name in SIGNALS else None, argument, at


def _as_argument(name: str, argument: Node | None) -> str:
    """Return a hint for `mean output.words`, `p99` and `null_ratio > 5%`, which say in one word what are several."""
    if found := re.fullmatch(r"(\w+)\s*([<>])=?\s*(\S.*)", name):
        end = "above" if found[2] == ">" else "below"
        return f"; did you mean `signal: {found[1]}` with `{end}: {found[3]}`?" if found[1] in SIGNALS else ""
    if found := re.fullmatch(r"(\w+) (?:of )?\s*(\S.*)", name):
        return f"; did you mean {{{found[1]}: {found[2]}}}?" if found[1] in SIGNALS else ""
    if not re.fullmatch(r"p\d+(\.\d+)?", name):
        return ""
    of = shown(argument.text.strip())[1:-1] if isinstance(argument, Scalar) else ""
    return f"; did you mean {{quantile: {name} of {of}}}?" if of else f"; did you mean {{latency: {name}}}?"


def named_signal(argument: Node | None) -> str:
    """Return the signal that `compare` names, or ""."""
    if isinstance(argument, Mapping) and argument.entries:
        return str(argument.entries[0][0].text)
    return argument.text.strip() if isinstance(argument, Scalar) else ""
