"""promtool tests of how long an alert waits whose other tests take steps longer than that: by its recorded value."""

from __future__ import annotations

from pipemon.generate.recordings import Measure
from pipemon.generate.rules import Alert
from pipemon.generate.ruletests.expectations import firing_at, place_of
from pipemon.generate.ruletests.places import series
from pipemon.generate.ruletests.scenes import labels_of
from pipemon.spec.model import Spec
from pipemon.units import duration

_BEYOND = 1e6
"""A value beyond any threshold."""


def wait_case(spec: Spec, alert: Alert, found: Measure) -> tuple[float, tuple[str, str, dict[str, object]]]:
    """Return the step of a case, and the case with its failure mode's name: half of what it waits for, it is quiet."""
    step = alert.mode.for_ / 2
    recorded = [(found.value, found.matchers)]
    if found.count is not None:
        recorded.append((found.count, found.count_matchers))
    names = [series(each.name, labels_of(spec, each.labels, matchers)) for each, matchers in recorded]
    fires = [{**place_of(spec, alert.mode), **alert.labels}]
    return step, (
        alert.mode.name,
        f"fires once it has waited for {duration(alert.mode.for_)}",
        {
            "interval": duration(step),
            "input_series": [{"series": name, "values": f"_ {_BEYOND:.0f}x2"} for name in names],
            "promql_expr_test": [
                firing_at(alert, duration(2 * step), []),
                firing_at(alert, duration(3 * step), fires),
            ],
        },
    )
