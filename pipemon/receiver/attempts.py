"""One attempt at an action: a command or a POST, and how it ended in words."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from pipemon.receiver.actions import Action, asked_for
from pipemon.receiver.payload import Alert, one_line
from pipemon.units import duration

_MOST_OUTPUT = 64 * 1024
_MOST_SHOWN = 300
_AGAIN = (408, 425, 429)
"""What a server answers that wants the request another time, beside 5xx."""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `again` tells that another one may end better."""

    done: bool
    words: str
    again: bool = False


def facts(alert: Alert, key: str) -> dict[str, str]:
    """Return what an action is told of its alert; `key` is the same for each attempt."""
    asked = asked_for(alert)
    labels = dict(alert.labels)
    return {
        "key": key,
        "action": asked.name if asked else "",
        "pipeline": alert.pipeline,
        "stage": asked.stage if asked else alert.stage,
        "version": labels.get("version", ""),
        "track": labels.get("track", ""),
        "failure_mode": alert.failure_mode,
        "alertname": alert.name,
        "severity": alert.severity,
        "description": alert.description,
        "started": alert.starts_at.isoformat() if alert.starts_at else "",
    }


async def attempt(action: Action, alert: Alert, key: str) -> Outcome:
    """Do an action once. Never raises for what the other side does."""
    try:
        async with asyncio.timeout(action.timeout):
            return await (_post(action, alert, key) if action.url else _run(action, alert, key))
    except TimeoutError:
        return Outcome(False, f"it took longer than {duration(action.timeout)}", again=True)


async def _run(action: Action, alert: Alert, key: str) -> Outcome:
    """Run a command. What the alert says is in its environment as PIPEMON_*, never among its words."""
    told = {f"PIPEMON_{name.upper()}": text.replace("\0", "") for name, text in facts(alert, key).items()}
    told |= {f"PIPEMON_LABEL_{name.upper()}": text.replace("\0", "") for name, text in alert.labels}
    try:
        # A group of its own, so that what it starts ends with it.
        process = await asyncio.create_subprocess_exec(
            *action.command,
            env=os.environ | told,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Outcome(False, f"cannot run {action.command[0]}: {getattr(error, 'strerror', None) or error}")
    assert process.stdout is not None
    said = b""
    try:
        while block := await process.stdout.read(_MOST_OUTPUT):
            said = (said + block)[-_MOST_OUTPUT:]
        status = await process.wait()
    finally:
        if process.returncode is None:
            _kill(process.pid)
            await asyncio.shield(process.wait())
    last = _last_line(said)
    if status == 0:
        return Outcome(True, last)
    ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
    return Outcome(False, f"{ended}: {last}" if last else ended, again=True)


async def _post(action: Action, alert: Alert, key: str) -> Outcome:
    headers = {"Idempotency-Key": key}
    if action.token_file is not None:
        try:
            headers["Authorization"] = f"Bearer {action.token_file.read_text(encoding='utf-8').strip()}"
        except (OSError, ValueError) as error:
            return Outcome(False, f"cannot read {action.token_file}: {getattr(error, 'strerror', None) or error}", True)
    body: dict[str, Any] = {**facts(alert, key), "labels": dict(alert.labels)}
    try:
        async with (
            aiohttp.ClientSession(trust_env=True) as session,
            # A redirected POST would come as a GET, which asks something else.
            session.post(action.url, json=body, headers=headers, allow_redirects=False) as answer,
        ):
            said = _last_line(await answer.content.read(_MOST_OUTPUT))
            status = answer.status
    except aiohttp.ClientResponseError as error:
        return Outcome(False, one_line(error.message)[:_MOST_SHOWN], again=True)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Outcome(False, one_line(str(error) or type(error).__name__)[:_MOST_SHOWN], again=True)
    words = f"{status}: {said}" if said else str(status)
    return Outcome(200 <= status < 300, words, again=status >= 500 or status in _AGAIN)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return one_line(lines[-1])[:_MOST_SHOWN] if lines else ""
