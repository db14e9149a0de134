"""What really runs: series as Prometheus holds them, or as one process shows them on its /metrics page."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from pipemon.errors import UnavailableError
from pipemon.generate.promql import Matcher, one_of, quote
from pipemon.prometheus import Prometheus, Sample, read_page
from pipemon.spec.model import Spec


def live_samples(url: str, spec: Spec, names: Iterable[str]) -> list[Sample]:
    """Return the spec's series of these names, the name under `__name__`, whose last sample is fresh.

    An address that ends in /metrics is one process's page, any other a Prometheus. Raises UnavailableError
    if there is no usable answer.
    """
    wanted = tuple(names)
    if not urlsplit(url).path.rstrip("/").endswith("/metrics"):
        own = [one_of("__name__", wanted), Matcher("pipeline", "=", spec.pipeline)]
        own += [Matcher(label, "=", value) for label, value in spec.select]
        return Prometheus(url).query("{" + ",".join(f"{m.label}{m.op}{quote(m.value)}" for m in own) + "}")
    return [
        sample
        for sample in _parsed(url, read_page(url))
        if sample.labels["__name__"] in wanted and sample.labels.get("pipeline") == spec.pipeline
    ]


def _parsed(url: str, page: str) -> list[Sample]:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 not for every command

    try:
        families = list(text_string_to_metric_families(page))
    except (ValueError, KeyError, IndexError):
        raise UnavailableError(f"{url} is no page of metrics; is it the right address?") from None
    return [
        Sample({"__name__": sample.name, **sample.labels}, float(sample.value))
        for family in families
        for sample in family.samples
    ]
