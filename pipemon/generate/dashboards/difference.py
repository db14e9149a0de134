"""How one dashboard differs from another, panel by panel, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipemon.spec.fields import listed

_OTHERWISE = {
    ("type",): "is another kind of panel",
    ("title",): "has another title",
    ("description",): "is described otherwise",
    ("fieldConfig", "defaults", "unit"): "has another unit",
    ("fieldConfig", "defaults", "noValue"): "says otherwise what no data means",
    ("fieldConfig", "defaults", "mappings"): "has other words for its values",
    ("fieldConfig", "defaults", "links"): "has other links",
    ("fieldConfig", "overrides"): "draws some of its series otherwise",
    ("transformations",): "arranges its data otherwise",
    ("options",): "has other options",
}
"""What a difference in a part of a panel is called, by the keys that lead to it."""


def dashboard_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each panel of `new` that `old` lacks or has otherwise, and for each that only `old` has.

    `old` may be what a person or Grafana wrote: what it has beside what `new` says does not count. Places on the
    board are told where nothing else is: a panel that is new moves all behind it.
    """
    found = list(_differences(old, new))
    yield from found
    if not found and not _has(_places(old), _places(new)):
        yield "panels stand in other places"


def _places(board: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): panel.get("gridPos") for key, (_, panel) in _by_id(board).items()}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
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
        changed = [ref for ref in was if ref in now and not _has(was[ref], now[ref])]
        for ref in dict.fromkeys((*was, *now)):
            if ref not in now:
                yield f"no longer has query {ref}"
            elif ref not in was:
                yield f"has a query {ref} more"
        if changed:
            yield f"asks something else in query {listed(changed, 'and')}"
    was_at, now_at = _thresholds(old), _thresholds(new)
    if was_at != now_at:
        now_words = f"has its threshold at {_listed(now_at)}" if now_at else "has no threshold any more"
        yield f"{now_words} (was {_listed(was_at)})"
    for keys, words in _OTHERWISE.items():
        now = _at(new, keys)
        if now is not None and not _has(_at(old, keys), now):
            yield words
    if not _has(_rest(old), _rest(new)):
        yield "is drawn otherwise"


def _queries(panel: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(target.get("refId")): target for target in _mappings(panel.get("targets"))}


def _thresholds(panel: Mapping[str, Any]) -> tuple[float, ...]:
    steps = _inside(panel, "fieldConfig", "defaults", "thresholds").get("steps")
    values = [step.get("value") for step in _mappings(steps)]
    return tuple(float(value) for value in values if isinstance(value, int | float))


def _at(panel: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return _inside(panel, *keys[:-1]).get(keys[-1])


def _rest(panel: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a panel draws, without what is told apart; of its thresholds, the colours."""
    defaults = _inside(panel, "fieldConfig", "defaults")
    told = {keys[-1] for keys in _OTHERWISE if keys[:-1] == ("fieldConfig", "defaults")}
    rest = {key: value for key, value in defaults.items() if key not in told}
    if thresholds := _inside(defaults, "thresholds"):
        rest["thresholds"] = {**thresholds, "steps": [step.get("color") for step in _mappings(thresholds.get("steps"))]}
    return rest


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
