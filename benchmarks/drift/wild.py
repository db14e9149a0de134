"""Shifts of the spread where calm and wild stretches alternate: `python -m benchmarks.drift.wild`.

Values are normal, times e^(h / 2), h autocorrelated; nothing ever shifts. Prints how often the sums of a spread are
above their limit by the design effect of means, and by the spread's own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.signal import lfilter

from benchmarks.drift.emulation import Array, learned, until_shifted
from pipemon.baseline import design_effect

_BASELINES, _STREAMS, _STEPS, _EACH = 12, 6, 300, 2400
_LEARNED = 20_000


def values(random: np.random.Generator, rho: float, streams: int, length: int) -> Array:
    """Return streams of values, shape (streams, length)."""
    noise = random.normal(size=(streams, length)) * np.sqrt(1 - rho**2)
    noise[:, 0] = random.normal(size=streams)
    wildness = lfilter([1.0], [1.0, -rho], noise, axis=1)
    return np.asarray(random.normal(size=(streams, length)) * np.exp(wildness / 2))


def main() -> None:
    """Print a line for each autocorrelation."""
    random = np.random.default_rng(5)
    for rho in (0.98, 0.995):
        effects, told = [], {"means": (0, 0.0), "the spread": (0, 0.0)}
        for _ in range(_BASELINES):
            reference = values(random, rho, 1, _LEARNED)[0]
            base = learned(reference, 10, effect=True)
            bounds, size = np.asarray(base.bounds), len(base.bounds) + 1
            spread = design_effect.of_values(np.searchsorted(bounds, reference), size, design_effect.of_spread)
            live = np.searchsorted(bounds, values(random, rho, _STREAMS, _STEPS * _EACH))
            live = live.reshape(_STREAMS, _STEPS, _EACH)
            steps = np.stack([(live == number).sum(2) for number in range(size)], -1).transpose(1, 0, 2).astype(float)
            own = max(spread, base.effect_on_sums)
            for name, effect in (("means", base.effect_on_sums), ("the spread", own)):
                found = until_shifted(replace(base, cumulative_design_effect=effect), "spread", steps)
                alerts, seen = told[name]
                told[name] = (alerts + int(np.isfinite(found).sum()), seen + float(np.minimum(found, _STEPS).sum()))
            effects.append((base.effect_on_sums, own))
        of_means, of_spread = np.median(effects, axis=0)
        counts = "; ".join(
            f"by that of {name} {alerts} alerts in {seen:,.0f} steps" for name, (alerts, seen) in told.items()
        )
        print(f"{rho}: design effect of means {of_means:.3g}, of the spread {of_spread:.3g}; {counts}")


if __name__ == "__main__":
    main()
