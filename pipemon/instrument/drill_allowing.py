"""How a service opts in to drills: who may ask for them, where, and how far they may go."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pipemon.errors import DeclarationError, nearest
from pipemon.instrument.drill import Drills, allowed
from pipemon.instrument.drill_endpoint import endpoint
from pipemon.instrument.exposition import server
from pipemon.instrument.exposition.access import Secret, StrPath
from pipemon.instrument.log import logger
from pipemon.instrument.pipeline import Pipeline
from pipemon.instrument.switch import disabled
from pipemon.topology import being_described
from pipemon.units import seconds

PATH = "/-/drill"
"""Where drills are asked for, on every metrics server of `expose` and on a port of their own."""

_SHORTEST_TOKEN = 16


def allow_drills(
    pipeline: Pipeline,
    *,
    token: str | None = None,
    token_file: StrPath | None = None,
    token_env: str | None = None,
    port: int | None = None,
    addr: str = "127.0.0.1",
    longest: str | float = "15m",
    most: float = 0.5,
    null: Mapping[str, Callable[[], object]] | None = None,
) -> Drills | None:
    """Let `pipemon drill` make stages of a running pipeline fail for a while, to see that alerts arrive.

    Asked for at `/-/drill` of every metrics server of `pipemon.expose`, by who shows the token, and on `port` of
    `addr` if that is given. Each effect is counted in `pipemon_drill_effects_total`, and `pipemon_drill_active` is 1
    meanwhile. A drill ends by itself: when its time is over, and 30 seconds after its client was last heard of.

    Args:
        pipeline: whose stages, decorated functions, may be drilled in this process.
        token, token_file, token_env: one of them: at least 16 characters, as text, in a file that is read at each use,
            or in an environment variable; where that is not set, drills stay off.
        port: a port of its own; 0 takes a free one.
        addr: where that listens.
        longest: time that a drill may take.
        most: share of a stage's calls that a drill may change, above 0 to 1.
        null: what a stage gives that returns nothing usable: `{"vad": lambda: Speech(())}`; by default None.

    Returns None where pipemon is disabled, or drills stay off. Raises DeclarationError, and OSError for a taken port.
    """
    secret = _secret(token, token_file, token_env)
    try:
        limit = seconds(longest)
    except ValueError as error:
        raise DeclarationError(f"allow_drills: longest: {error}") from None
    if isinstance(most, bool) or not isinstance(most, int | float) or not 0 < most <= 1:
        raise DeclarationError(f"allow_drills: most is a share of calls, above 0 and at most 1, not {most!r}")
    names = [stage.name for stage in pipeline.describe().stages]
    for name, function in (null or {}).items():
        if name not in names:
            raise DeclarationError(f"allow_drills: null: there is no stage {name!r}{nearest(name, names)}")
        if not callable(function):
            raise DeclarationError(f"allow_drills: null: {name!r} needs a function that gives the value")
    if disabled() or being_described.get() or secret is None:
        return None
    if (before := allowed.get(pipeline.name)) is not None:
        before.close()
    drills = allowed[pipeline.name] = Drills(pipeline, secret, limit, float(most), dict(null or {}))
    server.mounted[PATH] = endpoint
    if port is not None:
        drills.exposition = server.serve_app(endpoint, port, addr)
    return drills


def _secret(token: str | None, token_file: StrPath | None, token_env: str | None) -> Secret | None:
    given = {"token": token, "token_file": token_file, "token_env": token_env}
    if sum(value is not None for value in given.values()) != 1:
        raise DeclarationError(f"allow_drills: give one of {', '.join(given)}")
    if token_env is not None:
        token = os.environ.get(token_env)
        if not token:
            logger().info("drills stay off: %s is not set", token_env)
            return None
    secret = Secret("token", token, None if token_file is None else Path(token_file))
    try:
        length = len(secret.read())
    except (OSError, ValueError) as error:
        raise DeclarationError(f"allow_drills: the token can't be read: {error}") from None
    if length < _SHORTEST_TOKEN:
        raise DeclarationError(f"allow_drills: a token has at least {_SHORTEST_TOKEN} characters, this one {length}")
    return secret
