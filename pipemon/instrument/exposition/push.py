"""Batch jobs, which end before anybody could scrape them: their metrics go to a Pushgateway."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY, CollectorRegistry, push_to_gateway, pushadd_to_gateway
from prometheus_client.exposition import default_handler

from pipemon import catalogue
from pipemon.errors import DeclarationError
from pipemon.instrument.exporter import exporter_for
from pipemon.instrument.exposition.source import source
from pipemon.instrument.log import log_once
from pipemon.instrument.metrics import multiprocess
from pipemon.instrument.names import check_name
from pipemon.instrument.switch import disabled
from pipemon.topology import being_described

if TYPE_CHECKING:
    from pipemon.instrument.pipeline import Pipeline

Handler = Callable[..., Callable[[], None]]
"""One of prometheus_client.exposition's, such as `partial(basic_auth_handler, username=..., password=...)`."""

_REFUSED = "the metrics could not be pushed to %s"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OWN_LABELS = {label for metric in catalogue.METRICS.values() for label in metric.labels} | {"job", "le"}


def push(
    gateway: str,
    job: str,
    *,
    pipeline: Pipeline | str | None = None,
    grouping_key: Mapping[str, str] | None = None,
    registry: CollectorRegistry | None = None,
    timeout: float = 10.0,
    handler: Handler = default_handler,
) -> bool:
    """Push the metrics of a batch job that ended well to a Pushgateway, in place of those of its last run.

    With `pipeline` its `pipemon_batch_last_success_timestamp_seconds` is set to now. What was pushed stays
    until it is pushed anew or deleted: alert on the age of that timestamp. A counter there is what one run
    counted, and `rate()` of it means nothing: compare the values themselves.

    Args:
        gateway: `host:9091`, or a URL with http or https.
        job: the job's name, the label `job`.
        pipeline: whose success this is.
        grouping_key: further labels of the job, such as `{"instance": "shard-3"}`: jobs that run side by side
            and have the same replace each other's metrics.
        registry: whose metrics, by default prometheus_client's.
        timeout: seconds after which it gives up.
        handler: how requests are sent, for authentication or TLS.

    Returns False, and logs why once, where the gateway did not take them; and where PIPEMON_DISABLED is set or
    a command imports the module to learn its stages. Raises DeclarationError for a bad argument.
    """
    return _Destination(gateway, job, pipeline, grouping_key, registry, timeout, handler).push(succeeded=True)


def batch_job(
    job: str,
    *,
    gateway: str,
    pipeline: Pipeline | str | None = None,
    grouping_key: Mapping[str, str] | None = None,
    registry: CollectorRegistry | None = None,
    timeout: float = 10.0,
    handler: Handler = default_handler,
) -> AbstractContextManager[None]:
    """Push when the block ends: `with pipemon.batch_job("nightly", gateway="host:9091", pipeline=speech): ...`.

    As `push` where the block ends well; `sys.exit()` is well, too. Where it raises, the metrics are pushed but
    the time of the last success stays, and the exception goes on. The gateway never fails the job.

    Raises DeclarationError for a bad argument, before the block begins.
    """
    return _batch(_Destination(gateway, job, pipeline, grouping_key, registry, timeout, handler))


@contextmanager
def _batch(destination: _Destination) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        destination.push(succeeded=isinstance(error, SystemExit) and error.code in (None, 0))
        raise
    destination.push(succeeded=True)


class _Destination:
    """A job at a gateway."""

    def __init__(
        self,
        gateway: str,
        job: str,
        pipeline: Pipeline | str | None,
        grouping_key: Mapping[str, str] | None,
        registry: CollectorRegistry | None,
        timeout: float,
        handler: Handler,
    ) -> None:
        for what, text in (("gateway", gateway), ("job", job)):
            if not isinstance(text, str) or not text:
                raise DeclarationError(f"push: {what} {text!r} is not a name")
        for label in grouping_key or ():
            if not _LABEL.fullmatch(label):
                raise DeclarationError(f"push: grouping_key has {label!r}, which can't be a label's name")
            if label in _OWN_LABELS:
                raise DeclarationError(f"push: grouping_key has {label!r}, which is a label of the metrics themselves")
        if not timeout > 0:
            raise DeclarationError(f"push: timeout {timeout!r} is not a positive number of seconds")
        self._target: dict[str, Any] = {
            "gateway": gateway,
            "job": job,
            "grouping_key": {label: str(value) for label, value in (grouping_key or {}).items()},
            "timeout": timeout,
            "handler": handler,
        }
        name = getattr(pipeline, "name", pipeline)
        self._pipeline = None if name is None else check_name("pipeline", name)
        self._registry = registry
        self._taken = False

    def push(self, *, succeeded: bool) -> bool:
        """Push within the time-out, and tell whether the gateway took it."""
        if disabled() or being_described.get():
            return False
        self._taken = False
        gateway, timeout = self._target["gateway"], self._target["timeout"]
        thread = Thread(target=self._push, args=(succeeded,), name="pipemon-push", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # at exit
            self._push(succeeded)
        else:
            # The time-out of a socket is for each step, and none is for looking up a name.
            thread.join(timeout)
            if thread.is_alive():
                log_once(("push", gateway), "%s did not take the metrics in %g s", gateway, timeout)
                return False
        return self._taken

    def _push(self, succeeded: bool) -> None:
        try:
            if succeeded and self._pipeline is not None:
                mark_success(self._pipeline, self._registry)
            # After a failure what is not pushed stays at the gateway: the time of the last success.
            send = push_to_gateway if succeeded else pushadd_to_gateway
            send(registry=source(self._registry), **self._target)
            self._taken = True
        except OSError as error:
            gateway = self._target["gateway"]
            cause = getattr(error, "reason", error) if not hasattr(error, "code") else error
            log_once(("push", gateway), f"{_REFUSED}: %s", gateway, cause)
        except Exception:  # noqa: BLE001  the job has done its work
            gateway = self._target["gateway"]
            log_once(("push", gateway), _REFUSED, gateway, exc=True)


def mark_success(pipeline: str, registry: CollectorRegistry | None) -> None:
    """Note that a batch job of the pipeline ended well just now."""
    # In multiprocess mode every registry writes to the same files.
    families = exporter_for(REGISTRY if registry is None or multiprocess() else registry).families
    families[catalogue.BATCH_LAST_SUCCESS.name].labels(pipeline).set_to_current_time()
