"""The record of drills: a JSON file beside the failure modes, with when each was last brought about."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pipemon.drill.effects import ByHandError, request
from pipemon.errors import OptionError
from pipemon.generate.promql import text
from pipemon.generate.rules import rules
from pipemon.spec.model import Spec
from pipemon.units import duration


@dataclass(frozen=True)
class Drilled:
    """A drill: when it began (ISO 8601, UTC), what came of it, and how long each step took, in seconds.

    `outcome` is `notified`, `fired` (where no Alertmanager was asked), `held back`, `not notified` or `not fired`.
    `rule` is a hash of the alert's rule, by which a later one is told from it.
    """

    at: str
    outcome: str
    effects: tuple[str, ...]
    rule: str
    pending: float | None = None
    firing: float | None = None
    notified: float | None = None
    resolved: float | None = None
    held_back_by: str = ""


def rule_hashes(spec: Spec) -> dict[str, str]:
    """Return eight hex digits for each failure mode's alert: its expression, and how long that must hold."""
    told = {rule.mode.name: f"{text(rule.expr)} for {duration(rule.mode.for_)}" for rule in rules(spec).alerts}
    return {name: hashlib.sha256(words.encode()).hexdigest()[:8] for name, words in told.items()}


def record_of(spec: Path) -> Path:
    """Return where the record of a failure-mode file is."""
    return spec.with_suffix(".drills.json")


def read(path: Path) -> dict[str, Drilled]:
    """Return the drills by failure mode; none where there is no file. Raises OptionError for what is no record."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {name: Drilled(**entry | {"effects": tuple(entry["effects"])}) for name, entry in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise OptionError(f"{path} can't be read as a record of drills: {error}") from None


def dump(drills: dict[str, Drilled]) -> str:
    """Return the text of a record; the same for the same drills."""
    return json.dumps({name: asdict(drills[name]) for name in sorted(drills)}, indent=2) + "\n"


def report(spec: Spec, drills: dict[str, Drilled]) -> list[str]:
    """Return a line for each failure mode that has an alert, and one for all."""
    hashes, lines, never = rule_hashes(spec), [], 0
    for mode in spec.measurable:
        found = drills.get(mode.name)
        if found is None or found.outcome == "not fired":
            never += 1
            words = "never drilled" if found is None else f"never fired; drilled {found.at[:10]} in vain"
            try:
                request(spec, mode, 1.0, lambda *_: None)
            except ByHandError as error:
                words += f" ({str(error).partition(': ')[2]})"
        else:
            words = f"{found.outcome} {found.at[:10]}{_steps(found)}"
            words += "" if found.rule == hashes[mode.name] else ", but its alert has changed since"
        lines.append(f"  {mode.name}: {words}")
    count = len(spec.measurable)
    return [f"{spec.source}: {count} failure modes with an alert, {never} of them never seen to fire", *lines]


def _steps(found: Drilled) -> str:
    times = {"pending": found.pending, "firing": found.firing, "notified": found.notified}
    told = [f"{name} after {_short(seconds)}" for name, seconds in times.items() if seconds is not None]
    told += [f"resolved {_short(found.resolved)} after its end"] if found.resolved is not None else []
    told += [f"by {found.held_back_by}"] if found.held_back_by else []
    return f", {', '.join(told)}" if told else ""


def _short(seconds: float) -> str:
    return duration(max(0.1, round(seconds, 1 if seconds < 10 else 0)))
