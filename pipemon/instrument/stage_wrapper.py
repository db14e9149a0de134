"""A stage's stand-in: each call becomes one row of numbers in the buffer.

Rows of plain calls are (begun, ended, the wait if it is told, a value for each input feature, then for each
output feature); of streams and batches see `STREAM_COLUMNS` and `BATCH_COLUMNS` in `series`. The signs of the two
times tell how a call ended, so that a usable result costs nothing more: begun is negative of a null output,
ended of an exception, both of a cancelled call, and ended is 0 of a skipped one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import thread_time
from typing import Any

from pipemon.instrument import taking
from pipemon.instrument.batches import count
from pipemon.instrument.calls import remarks
from pipemon.instrument.endings import Declared, Endings
from pipemon.instrument.outcome import PLAIN, is_null
from pipemon.instrument.recorder import Recorder
from pipemon.instrument.run import current
from pipemon.instrument.sampling import looker, metered, sampled, spotted
from pipemon.instrument.wrapping import Parameters, Texts, kind_of, parameters_of, write_wrapper

_BEFORE = """
pm_run = pm_current()
if pm_run is not None:
    if pm_run.pipeline != pm_pipeline:
        pm_run = pm_run.of(pm_pipeline)
{infer_upstream}
pm_begun = pm_clock()
if pm_begun < pm_next_look[0]:
    pm_sample = None
else:
    pm_sample = pm_look(pm_begun)
    pm_begun = pm_clock()
pm_started(None)
"""

_INFER_UPSTREAM = """
    elif pm_run.last_stage not in pm_known_upstreams:
        pm_new_upstream(pm_run.last_stage)
"""

_LAST_STAGE = """
if pm_run is not None:
    pm_run.last_stage = pm_stage
"""

_SERVED = "    pm_run.serve(pm_key)\n"

_RETURNED = """
{rest}
if pm_remarks and pm_declined(pm_begun):
    pm_skipped(pm_begun, ({values}))
else:
{budget}
{null}
{features}
    pm_extend((pm_begun, pm_ended, {row}))
    if pm_sample is not None:
        pm_sampled(pm_recorder, pm_sample, pm_ended - pm_abs(pm_begun), pm_ended)
    if pm_remarks:
        pm_declined(pm_begun)
"""

_NULL = """
if pm_result.__class__ in pm_PLAIN:
    if not pm_result:
        pm_begun = -pm_begun
elif pm_is_null(pm_result):
    pm_begun = -pm_begun
"""

_OVER_BUDGET = """
if pm_ended - pm_begun > pm_budget:
    pm_spotted(pm_recorder, pm_ended - pm_begun)
"""

_ITEM = """
if pm_first is None:
    pm_first = pm_busy
{first}
if pm_is_null(pm_item):
    pm_null += 1
else:
    pm_out += 1
"""

_ITEM_FEATURES = """
{features}
pm_extend_items((pm_begun, {row}))
if pm_at >= pm_next_item_look[0]:
    pm_look_at_items(pm_at)
"""

_STREAM_ENDED = """
pm_stream(pm_begun, pm_busy, pm_nan if pm_first is None else pm_first, pm_out, pm_null, {error}, pm_sample, ({values}))
"""


def wrap_stage(
    function: Callable[..., Any],
    declared: Declared,
    recorder: Recorder,
    *,
    items: Recorder | None = None,
    batch: str | None = None,
    see_upstream: Callable[[str], bool] | None,
) -> Callable[..., Any]:
    """Return a function like `function` whose calls are recorded.

    `items` is the buffer of a generator's output features; `batch` the parameter with a batch of items.
    `see_upstream` is told each stage seen before this one in a run, once, and says whether that is an edge.
    Nothing of a run comes from a shadow stage: neither its failure nor what is upstream of a later stage.
    """
    endings = Endings(declared, recorder, see_upstream)
    parameters = parameters_of(function)
    reads = [parameters.read(taken.parameter) for taken in declared.inputs]
    queued = [] if declared.queued_at is None else [parameters.read(declared.queued_at[0])]
    values = "".join(f"{read}, " for read in queued + reads)
    kind = kind_of(function)
    if kind in ("generator", "async generator"):
        texts = _stream(kind, declared, parameters, values, bool(see_upstream))
    elif batch is not None:
        texts = _batch(kind, declared, parameters, values, parameters.read(batch), bool(see_upstream))
    else:
        texts = _plain(kind, declared, parameters, values, bool(see_upstream))
    names: dict[str, object] = {
        **taking.names((*declared.inputs, *declared.outputs)),
        "pm_key": declared.key,
        "pm_PLAIN": frozenset(PLAIN),
        "pm_pipeline": declared.key.pipeline,
        "pm_stage": declared.key.stage,
        "pm_budget": declared.budget,
        "pm_current": current,
        "pm_thread_time": thread_time,
        "pm_known_upstreams": endings.known_upstreams,
        "pm_new_upstream": endings.new_upstream,
        "pm_is_null": endings.null_rule if declared.null else is_null,
        "pm_extractor_failed": endings.extractor_failed,
        "pm_remarks": remarks,
        "pm_frame": sys._getframe,
        "pm_declined": endings.declined,
        "pm_skipped": endings.skipped,
        "pm_raised": endings.raised,
        "pm_stream": endings.stream,
        "pm_batch": endings.batch,
        "pm_count": count,
        "pm_waited": endings.waited,
        "pm_recorder": recorder,
        "pm_look": looker(recorder),
        "pm_metered": metered,
        "pm_sampled": sampled,
        "pm_spotted": spotted,
    }
    if items is not None:
        names |= {
            "pm_extend_items": items.buffer.extend,
            "pm_next_item_look": items.next_look,
            "pm_look_at_items": items.look,
        }
    title = f"stage {' '.join(declared.key.labels)}"
    return write_wrapper(function, parameters, recorder, texts, title=title, names=names)


def _call(kind: str, parameters: Parameters) -> str:
    call = f"pm_function({parameters.passed})"
    if kind != "async function":
        return call
    return f"await ({call} if pm_sample is None else pm_metered(pm_sample, {call}))"


def _before(infer_upstream: bool) -> str:
    return _BEFORE.format(infer_upstream=_INFER_UPSTREAM.strip("\n") if infer_upstream else "")


def _plain(kind: str, declared: Declared, parameters: Parameters, values: str, infer_upstream: bool) -> Texts:
    sources = [(taken, parameters.read(taken.parameter)) for taken in declared.inputs]
    sources += [(taken, "pm_result") for taken in declared.outputs]
    lines = [taking.text(taken, index, source) for index, (taken, source) in enumerate(sources)]
    row = "".join(f"pm_value_{index}, " for index in range(len(lines)))
    if declared.queued_at is not None:
        lines.insert(0, f"pm_wait = pm_waited(pm_begun, {parameters.read(declared.queued_at[0])})\n")
        row = "pm_wait, " + row
    null = _NULL if declared.null is None else "if pm_is_null(pm_result):\n    pm_begun = -pm_begun\n"
    over = "" if declared.budget is None else _OVER_BUDGET
    deep = {"null": null, "features": "".join(lines), "budget": over}
    rest = "" if kind == "async function" else "if pm_sample is not None:\n    pm_sample.rest()\n"
    returned = _RETURNED.format(
        values=values,
        row=row,
        rest=rest,
        **{name: _deeper(text) for name, text in deep.items()},
    )
    return Texts(
        call=_call(kind, parameters),
        before=_before(infer_upstream),
        returned=_in_run(declared) + returned,
        raised=f"{rest}pm_raised(pm_begun, pm_ended, pm_error, pm_sample, ({values}))",
    )


def _batch(
    kind: str, declared: Declared, parameters: Parameters, values: str, batch: str, infer_upstream: bool
) -> Texts:
    rest = "" if kind == "async function" else "if pm_sample is not None:\n    pm_sample.rest()\n"
    ended = rest + (
        f"pm_batch(pm_begun, pm_ended, pm_came, {{result}}, {{error}}, pm_sample, "
        f"pm_remarks.pop(pm_frame(), None), ({values}))"
    )
    return Texts(
        call=_call(kind, parameters),
        before=f"pm_came = pm_count({batch})\n" + _before(infer_upstream),  # the stage may use its batch up
        returned=_in_run(declared) + ended.format(result="pm_result", error=None),
        raised=ended.format(result=None, error="pm_error"),
    )


def _stream(kind: str, declared: Declared, parameters: Parameters, values: str, infer_upstream: bool) -> Texts:
    lines = [
        taking.text(taken, index, "pm_item") for index, taken in enumerate(declared.outputs, start=len(declared.inputs))
    ]
    row = "".join(f"pm_value_{len(declared.inputs) + index}, " for index in range(len(lines)))
    # A generator that reads another one's items has seen its upstream only by now.
    first = "    if pm_run is not None and pm_run.last_stage not in pm_known_upstreams:\n"
    first += "        pm_new_upstream(pm_run.last_stage)\n"
    item = _ITEM.format(first=first if infer_upstream else "")
    item += _in_run(declared)
    if lines:
        item += _ITEM_FEATURES.format(features="".join(lines), row=row)
    sync = kind == "generator"
    return Texts(
        call=f"pm_function({parameters.passed})",
        before=("" if values else parameters.forget)
        + _before(infer_upstream)
        + "pm_first = None\npm_out = pm_null = 0\n",
        returned=_STREAM_ENDED.format(error=None, values=values),
        raised=_STREAM_ENDED.format(error="pm_error", values=values),
        item=item,
        resuming="if pm_sample is not None:\n    pm_sample.go()\n" if sync else "",
        resting="if pm_sample is not None:\n    pm_sample.rest()\n" if sync else "",
        waiting="{steps}" if sync else "pm_metered(pm_sample, {steps})",
    )


def _in_run(declared: Declared) -> str:
    return "" if declared.shadow else _LAST_STAGE + (_SERVED if declared.beside else "")


def _deeper(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.strip("\n").splitlines()).rstrip("\n")
