"""Deletes the dashboards of pipelines that are gone: those that nobody has saved since a push did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipemon.generate.dashboards.board import stable_uid
from pipemon.grafana_push.decide import moved, not_ours, pushed, who

if TYPE_CHECKING:
    from pipemon.grafana import Grafana, Stored


def prune(grafana: Grafana, pipelines: Sequence[str], folder: str, dry_run: bool) -> Iterator[tuple[str, bool]]:
    """Delete each pipeline's dashboard in a folder; yield a line to print, and whether all is as asked for.

    One that Grafana does not have is. Raises UnavailableError.
    """
    for pipeline in dict.fromkeys(pipelines):
        uid = stable_uid(pipeline)
        stored = grafana.dashboard(uid)
        if stored is None:
            yield f"gone {uid}: Grafana has no such dashboard", True
            continue
        name = f"{uid} ({stored.content.get('title') or 'without a title'})"
        if why := _kept(grafana, uid, stored, folder):
            yield f"{'would keep' if dry_run else 'kept'} {name}: {why}", False
        elif dry_run:
            yield f"would delete {name}", False
        else:
            grafana.delete(uid)
            yield f"deleted {name}", True


def _kept(grafana: Grafana, uid: str, stored: Stored, folder: str) -> str:
    """Return why a dashboard stays, "" where it may go. No force changes that: Grafana keeps no version of it then."""
    if why := not_ours(stored) or moved(stored, folder):
        return why
    save = grafana.last_save(uid)
    return "" if pushed(stored, save) else who(save)
