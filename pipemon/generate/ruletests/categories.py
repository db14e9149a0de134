"""promtool tests of drift in a category that comes and goes: it is there always, and 0 where nobody counts it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipemon.generate.drift.constants import BASELINE, PLACE, Reference
from pipemon.generate.recordings import Recording
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import ANOTHER, NEIGHBOUR
from pipemon.spec.model import Spec
from pipemon.units import duration

_STEPS = 3
"""Steps for which one category is counted, then, as soon as nobody counts it, another."""
_COUNT = 100.0
_NEW = "by hand"
"""A category that the baseline does not know."""


def uncounted_case(
    spec: Spec, reference: Reference, rules: Iterable[Recording], known: Mapping[str, str], step: float
) -> dict[str, object]:
    """Return the case of what rules make of one category's recorded counts: what the baseline has besides is 0.

    `known` are the labels of the place, and one that the baseline does not know is counted there, too. In others,
    unlike it in one label, all are counted, which is no matter, and a baseline of some knows the category that this
    one does not.
    """
    counted = next(each for each in rules if each.labels[-2:] == ("category", "baseline"))
    bins = next(each for each in rules if each.labels[-2:] == ("bin", "part") and not each.static)
    shares = next(each for each in rules if "_category_baseline:" in each.name)
    first, second = reference.bins[:2]
    begins, always = f"{_COUNT:g}+0x{_STEPS - 1} stale", f"{_COUNT:g}+0x{2 * _STEPS}"
    inputs: dict[str, str] = {}

    def count(name: str, values: str, **unlike: str) -> None:
        inputs[series(counted.name, {**known, **unlike, "category": name})] = values

    for name, values in ((first, begins), (second, f"_x{_STEPS} {begins}")):
        count(name, values)
    for name in reference.bins:
        for label in known:
            count(name, always, **{label: ANOTHER})
        for label in ("pipeline", *dict(spec.select)):
            count(name, always, **{label: NEIGHBOUR})
    count(_NEW, always)
    for label in ("stage", "baseline", "direction", "feature"):
        count(_NEW, always, **{label: ANOTHER})
        there = {name: known[name] for name in PLACE} | {label: ANOTHER, "bin": _NEW, "part": "core"}
        inputs[series(f"{BASELINE}ratio", {**there, **dict(spec.select)})] = always
    place = {label: known[label] for label in ("stage", "direction", "feature", "baseline", "version", "track")}
    exprs = []
    for at, heard in ((_STEPS - 1, first), (_STEPS, second)):
        samples = [
            {
                "labels": series(bins.name, {**known, "bin": name, "part": part}),
                "value": _COUNT * (name in (heard, _NEW)),
            }
            for name, part in (*zip(reference.bins, reference.parts, strict=True), (_NEW, "rare"))
        ]
        exprs.append({"expr": series(bins.name, place), "eval_time": duration(at * step), "exp_samples": samples})
    expected = {label: value for label, value in known.items() if label in shares.labels}
    which = {label: value for label, value in place.items() if label in shares.labels}
    samples = [{"labels": series("", {**expected, "bin": name}), "value": 1.0} for name in (*reference.bins, _NEW)]
    known_of_all = f"sgn({series(shares.name, which)})"
    exprs.append({"expr": known_of_all, "eval_time": duration((_STEPS - 1) * step), "exp_samples": samples})
    return {
        "interval": duration(step),
        "input_series": [{"series": name, "values": values} for name, values in inputs.items()],
        "promql_expr_test": exprs,
    }
