"""Single values of a spec file: each is checked, and each fault reported where it stands."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from pipemon.errors import Problem, nearest
from pipemon.spec.reader import Items, Mapping, Node, Scalar, kind, shown
from pipemon.units import duration, meant, seconds

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
ADDRESS = re.compile(r"https?://[^\s/]\S*")

_OURS = "belongs to pipemon or Prometheus"
_LONGEST_TIME = 366 * 86400.0
_HOST = re.compile(r"(?!.*\s)(?:[\w-]+\.)+[a-z]{2,}(?:[:/]|$)(?!/)")
_ZERO = re.compile(r"0+(?:\.0*)?\s*[a-z]*")

_MEANT = {
    "threshold": "above", "limit": "above", "max": "above", "min": "below", "description": "what", "summary": "what",
    "title": "what", "action": "do", "fix": "do", "playbook": "do", "team": "owner", "metric": "signal",
    "expr": "signal: {promql: ...}", "causes": "leads_to", "depends_on": "after", "upstream": "after",
    "critical": "page", "warning": "ticket", "info": "notice",
    "service": "pipeline", "slos": "failure_modes", "alerts": "failure_modes", "rules": "failure_modes",
    "disable": "mode: observe", "disabled": "mode: observe", "interval": "scrape_interval", "group_by": "keep",
    "query": "signal: {promql: ...}", "annotations": "do",
}  # fmt: skip
"""Words that other tools use for ours, too far from them for a likeness."""

_AT_THE_TOP = (
    "select", "keep", "targets", "scrape_interval", "code", "stages", "objective", "slices", "severities", "checks",
    "multiple_testing", "failure_modes",
)  # fmt: skip
_WHOLE = "it is of a pipeline as a whole, at the top of its file; what runs otherwise is a pipeline of its own"
_ELSEWHERE = {
    **dict.fromkeys(_AT_THE_TOP, "it stands at the top of the file"),
    **dict.fromkeys(("schedule", "link"), _WHOLE),
    **dict.fromkeys(("batch", "workers", "queued_at"), "the code declares it, beside @stage"),
    "ignore": "a check is switched off, with a reason, by `checks:` at the top of the file",
}
"""Words of ours that are of another place, and of which."""


class Report:
    """The problems of a pipeline's files, collected so that all are told at once.

    `starts` tells, for each of several files, how many lines of others come before it.
    """

    def __init__(self, file: str, starts: Iterable[tuple[int, str]] = ()) -> None:
        self.starts = tuple(starts) or ((0, file),)
        self.problems: list[Problem] = []

    def file(self, node: Node) -> str:
        """Return the file that a node is in."""
        return self._found(node)[1]

    def place(self, node: Node) -> str:
        """Return where a node is: `file:line:column`."""
        before, file = self._found(node)
        return f"{file}:{node.line - before}:{node.column}"

    def _found(self, node: Node) -> tuple[int, str]:
        return self.starts[bisect_left(self.starts, node.line, key=lambda start: start[0]) - 1]

    def add(self, node: Node, message: str, rule: str) -> None:
        """Add a problem at a node."""
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        before, file = self._found(node)
        self.problems.append(Problem(file, node.line - before, node.column, line, rule))


def likely(word: str, valid: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for what other tools call so, or for the nearest valid name, or ""."""
    valid = tuple(valid)
    meant = _MEANT.get(word.lower(), "")
    return f"; did you mean {meant!r}?" if meant.partition(":")[0] in valid else nearest(word, valid)


def listed(words: Sequence[str], last: str = "or") -> str:
    """Return `a, b or c`, and "" of nothing."""
    return f" {last} ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def check_keys(report: Report, mapping: Mapping, known: Iterable[str], where: str = "") -> None:
    """Report every key that is not known, with the place where it belongs or the nearest that is known."""
    known, prefix = tuple(known), f"{where}: " if where else ""
    for name, key, _ in mapping:
        if name not in known:
            place = f"; {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
            hint = place or likely(name, known) or f"; known are {listed(known, 'and')}"
            report.add(key, f"{prefix}unknown key {shown(name)}{hint}", "unknown-key")


def text(report: Report, node: Node | None, where: str) -> str:
    """Return a text with each run of white space as one space, or "" where there is none or it is not one."""
    if node is None:
        return ""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        if node.value.strip():
            return " ".join(node.value.split())
        report.add(node, f"{where}: expected a text, found an empty one", "type")
        return ""
    hint = "; put it in quotes" if isinstance(node, Scalar) and type(node.value) in (int, float) else ""
    report.add(node, f"{where}: expected a text, found {kind(node)}{hint}", "type")
    return ""


def address(report: Report, node: Node | None, where: str) -> str:
    """Return an address of the web."""
    found = text(report, node, where)
    if found and node is not None and not ADDRESS.fullmatch(found):
        message = f"{where}: expected a web address such as https://wiki.example/speech, found {shown(found)}"
        hint = f"; did you mean 'https://{found}'?" if _HOST.match(found) else ""
        report.add(node, f"{message}{hint}", "address")
        return ""
    return found


def name(report: Report, node: Node | None, where: str) -> str:
    """Return a name that can be a label's value and part of a file's name."""
    found = text(report, node, where)
    if found and node is not None and not NAME.fullmatch(found):
        message = f"{where}: {shown(found)} is not a name; use letters, digits, '-', '_' and '.', a letter first"
        report.add(node, message, "name")
        return ""
    return found


def words(report: Report, node: Node | None, where: str) -> tuple[tuple[str, Scalar], ...]:
    """Return a list of texts, each once, with their nodes; one text stands for a list of one."""
    if node is None:
        return ()
    items = node.items if isinstance(node, Items) else (node,)
    found: dict[str, Scalar] = {}
    for item in items:
        word = text(report, item, where)
        if word in found:
            report.add(item, f"{where}: {shown(word)} is here twice", "duplicate")
        elif word and isinstance(item, Scalar):
            found[word] = item
    return tuple(found.items())


def choice(report: Report, node: Node | None, allowed: Sequence[str], default: str, where: str) -> str:
    """Return one of `allowed`."""
    if node is None:
        return default
    if isinstance(node, Scalar) and node.value in allowed:
        return str(node.value)
    word = node.text if isinstance(node, Scalar) else ""
    found = shown(word) if word else kind(node)
    report.add(node, f"{where}: expected {listed(allowed)}, found {found}{likely(word, allowed)}", "choice")
    return default


def flag(report: Report, node: Node | None, where: str) -> bool:
    """Return `true` or `false`; false where there is none."""
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    if node is not None:
        report.add(node, f"{where}: expected true or false, found {kind(node)}", "type")
    return False


def time(report: Report, node: Node | None, default: float, where: str) -> float:
    """Return a duration in seconds, above 0 and at most a year; it must have a unit."""
    if node is None:
        return default
    written = node.text.strip() if isinstance(node, Scalar) and node.value is not None else ""
    try:
        value = seconds(written)
    except ValueError:
        if written and _ZERO.fullmatch(written):
            report.add(node, f"{where}: expected more than nothing, found {shown(written)}", "range")
            return default
        found = shown(written) if written else kind(node)
        message = (
            f"{where}: expected a duration with its unit, such as 500ms, 30s or 10m, found {found}{meant(written)}"
        )
        report.add(node, message, "unit")
        return default
    if value > _LONGEST_TIME:
        report.add(node, f"{where}: {shown(written)} is longer than a year", "range")
        return default
    return value


def period(report: Report, node: Node, names: dict[str, float], expected: str, least: float, most: float) -> float:
    """Return a duration in seconds that may have a name, such as `daily`; 0 after a fault.

    `expected` is what a message says of it: `schedule: expected hourly, or a period such as 6h`.
    """
    text = node.text.strip() if isinstance(node, Scalar) else ""
    if text in names:
        return names[text]
    try:
        found = seconds(text)
    except ValueError:
        report.add(node, f"{expected}, found {shown(text) if text else kind(node)}{nearest(text, names)}", "unit")
        return 0.0
    if not least <= found <= most:
        where, _, _ = expected.partition(":")
        report.add(node, f"{where}: expected {duration(least)} to {duration(most)}, found {shown(text)}", "range")
        return 0.0
    return found


def labels(
    report: Report, node: Node | None, where: str, reserved: Iterable[str] = (), whose: str = _OURS
) -> tuple[tuple[str, str], ...]:
    """Return a mapping of label names to values; none may be one of `reserved`, of which `whose` tells why."""
    if node is None:
        return ()
    if not isinstance(node, Mapping):
        report.add(
            node,
            f"{where}: expected labels with their values, such as {{job: x}}, found {kind(node)}",
            "type",
        )
        return ()
    found = []
    for label, key, value in node:
        if not LABEL.fullmatch(label):
            report.add(key, f"{where}: {shown(label)} is not a label name; use letters, digits and '_'", "name")
        elif label in reserved or label.startswith("__"):
            report.add(key, f"{where}: the label {label!r} {whose}", "name")
        elif isinstance(value, Scalar) and value.value is not None and value.text:
            found.append((label, value.text))
        else:
            report.add(value, f"{where}: {label}: expected a label value, found {kind(value)}", "type")
    return tuple(found)


def alert_labels(report: Report, node: Node | None, where: str, reserved: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return labels that every alert of a rule can carry: nothing that would change while it fires."""
    if not isinstance(node, Mapping):
        return labels(report, node, where, reserved)
    for label, _, value in node:
        if isinstance(value, Scalar) and "{{" in value.text:
            message = f"{where}: {label}: a template could change while the alert fires, found {shown(value.text)}"
            report.add(value, f"{message}; write a fixed value", "label")
        elif isinstance(value, Scalar) and not value.text.isprintable():
            report.add(value, f"{where}: {label}: expected one line, found {shown(value.text)}", "label")
    return labels(report, node, where, reserved, f"is kept already, or {_OURS}")
