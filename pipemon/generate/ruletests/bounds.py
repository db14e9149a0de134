"""Replicas whose bound went while their histograms stay, as where versions with other bounds roll out."""

from __future__ import annotations

from pipemon.generate.queries import duration
from pipemon.generate.ruletests.places import Replicas, World
from pipemon.generate.ruletests.scenes import kept_labels, own_series
from pipemon.spec.latency import bound_share
from pipemon.spec.model import Condition, FailureMode, Spec
from pipemon.units import le

_MANY = 1e4
"""Calls in a step of such a replica."""
BEHIND = 1
"""How many steps longer than a window it must be since the bound went: then there are no two values of it."""


def bound_until(
    spec: Spec, mode: FailureMode, condition: Condition, last: int, since: int, end: int
) -> list[dict[str, str]]:
    """Return the series of a replica that has the bound of a latency until a step, and many calls since another.

    Nobody sorts these by it, so that they are not slow: what looks back for longer still sees the bound, and takes them
    all for slow. None where a latency is told without a bound, or by the last run.
    """
    share = bound_share(spec, mode.stage, condition)
    if share is None or spec.schedule is not None:
        return []
    stage = {"stage": mode.stage} if mode.stage is not None else {}
    replica: Replicas = (((("version", "1"), ("track", "stable")), "other-bounds", 1.0),)
    world = World({"pipeline": spec.pipeline, **stage}, kept_labels(spec), replica, own=own_series(spec, mode))
    metric = duration(mode.stage)
    of_bound, every = world.names(metric, "_bucket", le=le(share.bound)), world.names(metric, "_count")
    calls = f"5+0x{since - 1} {_MANY:.0f}+{_MANY:.0f}x{end - since}"
    return [
        *({"series": name, "values": f"5+0x{last} stale"} for name in of_bound),
        *({"series": name, "values": calls} for name in every),
    ]
