"""The receiver's page: what fires, what to do, and what was done about it."""

from __future__ import annotations

from datetime import datetime
from html import escape

from pipemon.receiver.payload import Alert
from pipemon.receiver.queue import Queue, Task
from pipemon.spec.model import ACTIONS
from pipemon.units import duration

_MOST = 100
_MARKS = {"done": "✓", "failed": "✗", "skipped": "-", "waiting": "…", "running": "…"}
_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="15">
<meta name="viewport" content="width=device-width">
<title>pipemon</title>
<style>
  :root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }
  body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
  table { border-collapse: collapse; width: 100% }
  th, td { text-align: left; vertical-align: top; padding: .5rem .8rem .5rem 0; border-top: 1px solid #8885 }
  tr.resolved { opacity: .65 }
  b.firing { color: light-dark(#b3261e, #ff8a80) }
  small { opacity: .75 }
</style>
"""


def page(queue: Queue, now: datetime) -> str:
    """Return the page as HTML: the last hundred alerts, those that fire first."""
    rows = [_row(alert, ended, tasks, now) for alert, ended, tasks in queue.latest(_MOST)]
    table = "<tr><th>alert<th>what is wrong<th>what to do<th>what was done\n" + "".join(rows)
    body = f"<table>\n{table}</table>\n" if rows else "<p>No alert has come yet.</p>\n"
    where = str(queue.path) if queue.path else "memory: a restart forgets it"
    kept = f"{now:%Y-%m-%d %H:%M:%S %Z}; kept in {where}"
    return f"{_HEAD}<h1>pipemon</h1>\n{body}<p><small>{escape(kept)}</small></p>\n"


def _row(alert: Alert, ended: float | None, tasks: list[Task], now: datetime) -> str:
    status = "firing" if ended is None else "resolved"
    place = " ".join(filter(None, (alert.place, alert.where)))
    name = escape(alert.title)
    if alert.runbook_url.startswith(("http://", "https://")):
        name = f'<a href="{escape(alert.runbook_url)}">{name}</a>'
    since = f" since {alert.starts_at.astimezone(now.tzinfo):%Y-%m-%d %H:%M:%S}" if alert.starts_at else ""
    lasted = ""
    if ended is not None and alert.starts_at is not None and ended - alert.starts_at.timestamp() >= 1:
        lasted = f", for {duration(round(ended - alert.starts_at.timestamp()))}"
    first = (
        f'<b class="{status}">{status.upper()}</b> {escape(alert.severity)} {escape(place)}<br>{name}'
        f"<br><small>{escape((since + lasted).strip())}</small>"
    )
    done = "<br>".join(_done(task, now) for task in tasks if task.kind in ACTIONS or task.state == "failed")
    if alert.then and not any(task.kind in ACTIONS for task in tasks):
        done = "<br>".join(filter(None, (f"{escape(alert.then)}: no action is set up for it", done)))
    cells = (first, escape(alert.description or alert.summary), escape(alert.do), done)
    return f'<tr class="{status}">' + "".join(f"<td>{cell}" for cell in cells) + "\n"


def _done(task: Task, now: datetime) -> str:
    at = f" at {datetime.fromtimestamp(task.began, now.tzinfo):%H:%M:%S}" if task.began else ""
    what = f"{task.kind.replace('_', ' ')} {task.place}".strip()
    told = f": {task.result}" if task.result else ""
    return f"{_MARKS[task.state]} {escape(f'{what} {task.state}{at}{told}')}"
