"""How one dashboard differs from another, panel by panel, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_OTHERWISE = {
    "is drawn otherwise": ("fieldConfig", "options", "type", "transformations"),
    "is described otherwise": ("title", "description"),
}


def dashboard_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each panel of `new` that `old` lacks or has otherwise, and for each that only `old` has.

    `old` may be what a person or Grafana wrote: what it has beside what `new` says does not count, and places
    on the board do not.
    """
    before, after = _by_id(old), _by_id(new)
    for key, (place, panel) in after.items():
        if key not in before:
            yield f"panel {place}: new"
        elif found := list(_panel(before[key][1], panel)):
            yield f"panel {place}: {', '.join(found)}"
    for key, (place, _) in before.items():
        if key not in after:
            yield f"panel {place}: gone"
    for part in ("title", "tags", "templating", "annotations", "links", "refresh", "time"):
        if part in new and not _has(old.get(part), new[part]):
            yield f"the dashboard's {_PARTS.get(part, part)} {'change' if part in _MANY else 'changes'}"


_PARTS = {"templating": "variables", "refresh": "refresh interval", "time": "time range"}
_MANY = ("tags", "templating", "annotations", "links")


def _by_id(board: Mapping[str, Any]) -> dict[object, tuple[str, Mapping[str, Any]]]:
    """Return the panels by their ids, each with its row and title; an id stays whatever is added around it."""
    found: dict[object, tuple[str, Mapping[str, Any]]] = {}
    row = ""
    for panel in _mappings(board.get("panels")):
        row = str(panel.get("title") or "") if panel.get("type") == "row" else row
        for each in (panel, *_mappings(panel.get("panels"))):
            if each.get("type") != "row":
                title = each.get("title") or each.get("type")
                found[each.get("id")] = (f"{row!r} / {title!r}" if row else repr(title), each)
    return found


def _panel(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if not _has(old.get("targets"), new.get("targets")):
        was, now = _queries(old), _queries(new)
        for ref in dict.fromkeys((*was, *now)):
            if ref not in now:
                yield f"no longer has query {ref}"
            elif ref not in was:
                yield f"has a query {ref} more"
            elif not _has(was[ref], now[ref]):
                yield f"asks something else in query {ref}"
    was_at, now_at = _thresholds(old), _thresholds(new)
    if was_at != now_at:
        now_words = f"has its threshold at {_listed(now_at)}" if now_at else "has no threshold any more"
        yield f"{now_words} (was {_listed(was_at)})"
    for words, keys in _OTHERWISE.items():
        if any(key in new and not _has(_without_steps(old.get(key)), _without_steps(new[key])) for key in keys):
            yield words


def _queries(panel: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(target.get("refId")): target for target in _mappings(panel.get("targets"))}


def _thresholds(panel: Mapping[str, Any]) -> tuple[float, ...]:
    steps = _inside(panel, "fieldConfig", "defaults", "thresholds").get("steps")
    values = [step.get("value") for step in _mappings(steps)]
    return tuple(float(value) for value in values if isinstance(value, int | float))


def _without_steps(value: Any) -> Any:
    """Return a field configuration without the values of its thresholds, which are told apart."""
    if not isinstance(value, Mapping) or not (thresholds := _inside(value, "defaults", "thresholds")):
        return value
    colors = [step.get("color") for step in _mappings(thresholds.get("steps"))]
    return {**value, "defaults": {**value["defaults"], "thresholds": {**thresholds, "steps": colors}}}


def _inside(value: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _has(old: Any, new: Any) -> bool:
    """Tell whether `old` says all that `new` says; Grafana adds its defaults when a person saves."""
    if isinstance(new, Mapping):
        return isinstance(old, Mapping) and all(_has(old.get(key), value) for key, value in new.items())
    if isinstance(new, list | tuple):
        return (
            isinstance(old, list | tuple)
            and len(old) == len(new)
            and all(_has(a, b) for a, b in zip(old, new, strict=True))
        )
    return bool(old == new)


def _listed(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "none"
