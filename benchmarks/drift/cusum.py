"""Run lengths of the cumulative sums of bad events: how often by chance, and how soon when more are bad."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from benchmarks.drift.tables import Table
from pipemon.spec.cusum import LIMIT, RUN_LENGTH, STEP, slack

TOLERATED = (0.005, 0.02, 0.1)
BAD = (0.1, 1.0, 3.0, 10.0)
"""Bad events in a step, where as many are bad as is tolerated."""
ODDS = (1.0, 1.5, 2.0, 3.0, 5.0)
_DAY = 86_400 / STEP


def chain(limit: float, steps_down: int, odds: float = 1.0) -> float:
    """Return how many events are bad, on average, before a sum of single events is above its limit.

    As a Markov chain (Brook and Evans, Biometrika 59, 1972), exact where a good event takes 1 / steps_down: where the
    tolerated share is 2^(1 / steps_down) - 1. The odds of a bad event are `odds` times the tolerated ones.
    """
    from scipy.sparse import csc_matrix, identity  # noqa: PLC0415
    from scipy.sparse.linalg import spsolve  # noqa: PLC0415

    tolerated = 2 ** (1 / steps_down) - 1
    share = odds * tolerated / (1 - tolerated + odds * tolerated)
    states = np.arange(round(limit * steps_down) + 1)
    up = states + steps_down - 1
    inside = up < len(states)
    shape = (len(states), len(states))
    down = csc_matrix((np.full(len(states), 1 - share), (states, np.maximum(states - 1, 0))), shape)
    higher = csc_matrix((np.full(inside.sum(), share), (states[inside], up[inside])), shape)
    left = identity(len(states), format="csc") - down - higher
    return float(spsolve(left, np.ones(len(states)))[0] * share)


def run_length(
    random: Generator, tolerated: float, share: float, *, calls: int, limit: float, streams: int, steps: int
) -> tuple[float, float]:
    """Return how many events are bad, on average, before a sum is above its limit, and the standard error of that.

    Of `streams` streams for so many steps of so many calls each, as the rules add them up; a sum that was above its
    limit begins anew. Infinite where none was.
    """
    sums, alarms, bad = np.zeros(streams), 0, 0
    least = slack(tolerated) * calls
    for _ in range(steps):
        more = random.binomial(calls, share, streams)
        sums = np.maximum(sums + more - least, 0.0)
        above = sums > limit
        alarms += int(above.sum())
        bad += int(more.sum())
        sums[above] = 0.0
    return (bad / alarms, bad / alarms / np.sqrt(alarms)) if alarms else (np.inf, np.inf)


def run_lengths(random: Generator, streams: int, most: float) -> Table:
    """Return the run lengths by the tolerated share, traffic and odds; `most` bad events are looked at for each."""
    rows = []
    for tolerated in TOLERATED:
        for bad in BAD:
            calls, cells = round(bad / tolerated), []
            for odds in ODDS:
                share = odds * tolerated / (1 - tolerated + odds * tolerated)
                wanted = most if odds == 1 else most / 10
                steps = round(wanted / (share * calls) / streams)
                found, error = run_length(
                    random, tolerated, share, calls=calls, limit=LIMIT, streams=streams, steps=max(steps, 300)
                )
                told = f"{found:,.0f} ± {error:,.0f}" if np.isfinite(found) else f"over {wanted:,.0f}"
                if odds == 1:
                    days = found / bad / _DAY
                    told += f" ({days:,.0f} days)" if np.isfinite(found) else f" ({wanted / bad / _DAY:,.0f} days)"
                cells.append(told)
            rows.append([f"{100 * tolerated:g}%", f"{bad:g}", *cells])
    about = (
        f"Bad events until a cumulative sum is above its limit of {LIMIT:g}, in the mean with its standard error: how "
        "often by chance where as many are bad as is tolerated (and in days, of steps of "
        f"{STEP / 60:g} minutes), and how soon where their odds are higher. By the arithmetic of the rules, step by "
        f"step. What is said in alerts, {RUN_LENGTH:,}, is of single events, by a Markov chain: "
        f"{chain(LIMIT, 1000):,.0f} where the tolerated share is 0.07%, {chain(LIMIT, 35):,.0f} at 2%, "
        f"{chain(LIMIT, 7):,.0f} at 10%; with twice the odds {chain(LIMIT, 35, 2.0):.0f} at 2%. The more there are "
        "in a step, the more seldom chance makes it: what lies within a step is not looked at."
    )
    head = ["tolerated", "bad in a step", "by chance", *(f"odds x{odds:g}" for odds in ODDS[1:])]
    return Table("Run lengths of cumulative sums of bad events", about, head, rows)
