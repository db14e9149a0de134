"""Stand-ins for the user's functions, written out as source for each of them.

The stand-in has the function's own parameters, and is a coroutine function if the function is one: one text serves
both. No `*args`, loop or helper call stands in a call's way, so a stage costs about half of what closures cost.
`dataclasses` makes its methods in the same way.

All names that begin with `pm_` are pipemon's: `write_wrapper` and its callers say what they are.
"""

from __future__ import annotations

import functools
import inspect
import linecache
import sys
import weakref
from collections.abc import Callable, Mapping
from textwrap import indent
from time import perf_counter
from types import FunctionType
from typing import Any, Literal, NamedTuple

from pipemon.instrument.log import log_once
from pipemon.instrument.recorder import LOST, Recorder

Kind = Literal["function", "async function", "generator", "async generator"]

_FUNCTION = """\
{define} pm_wrapper({parameters}):
{before}
    try:
        pm_result = {call}
    except pm_BaseException as pm_error:
        pm_ended = pm_clock()
        try:
{raised}
        except pm_BaseException as pm_fault:
{lost_12}
        raise
    pm_ended = pm_clock()
    try:
{returned}
    except pm_BaseException as pm_fault:
{lost_8}
    return pm_result
"""

# What `yield from` does, step by step, with a clock around each step; so for async generators, which have no such
# thing. While the consumer has an item, nothing here refers to it.
_GENERATOR = """\
{define} pm_wrapper({parameters}):
    pm_source = {call}
{before}
    pm_busy = 0.0
    pm_sent = pm_thrown = None
    pm_hand = []
    {first}
    while True:
{resuming}
        pm_at = pm_clock()
        try:
            try:
                if pm_thrown is None:
                    pm_item = {send}
                else:
                    pm_cause, pm_thrown = pm_thrown, None
                    pm_item = {throw}
            finally:
                pm_busy += pm_clock() - pm_at
                pm_cause = pm_step = None
{resting}
        except {stop} as pm_error:
            try:
{returned}
            except pm_BaseException as pm_fault:
{lost_16}
            return{value}
        except pm_BaseException as pm_error:
            try:
{raised}
            except pm_BaseException as pm_fault:
{lost_16}
            raise
        try:
{item}
        except pm_BaseException as pm_fault:
{lost_12}
        pm_hand.append(pm_item)
        del pm_item
        try:
            pm_sent = yield pm_hand.pop()
        except pm_BaseException as pm_error:
            pm_thrown = pm_error
"""

# Counted without a call of Python: the stack may be all but full. What is no Exception is the user's.
_LOST = """
pm_count_lost(pm_LOST)
if not pm_isinstance(pm_fault, pm_Exception):
    raise
try:
    pm_not_recorded()
except pm_RecursionError:
    pass
"""

_STEPS = {
    "generator": {
        "first": "pm_step = None",
        "send": "pm_next(pm_source) if pm_sent is None else pm_source.send(pm_sent)",
        "throw": "pm_source.throw(pm_cause)",
        "stop": "pm_StopIteration",
        "value": " pm_error.value",
    },
    "async generator": {
        "first": "pm_step = pm_begin(pm_source)",
        "send": "await (pm_source.asend(pm_sent) if pm_step is None else pm_step)",
        "throw": "await pm_source.athrow(pm_cause)",
        "stop": "pm_StopAsyncIteration",
        "value": "",
    },
}

# By names of pipemon's own: the user's parameters may be called `len` or `float`.
_BUILTINS = {
    f"pm_{name.__name__}": name
    for name in (
        BaseException, Exception, RecursionError, StopAsyncIteration, StopIteration, ValueError,
        abs, float, isinstance, len, next,
    )
}  # fmt: skip


stand_ins: weakref.WeakSet[Any] = weakref.WeakSet()
"""Every stand-in that lives: each has globals of its own."""


class Parameters(NamedTuple):
    """How the stand-in takes its arguments and hands them on.

    `declared` goes into its `def`, `passed` into the call; `defaults` has the values that the texts
    name. `reads` has the expression for a parameter's value; `rest` the name of what takes any keyword.
    `forget` is a statement that lets go of all.
    """

    declared: str
    passed: str
    defaults: Mapping[str, object]
    reads: Mapping[str, str]
    rest: str = ""
    forget: str = ""

    def read(self, name: str) -> str:
        """Return the expression for a parameter's value in a call: its default, else None, if left out."""
        return self.reads.get(name, f"{self.rest}.get({name!r})")


def kind_of(function: object) -> Kind:
    """Tell what calling it gives; an object is what its `__call__` is."""
    function = unwrapped(function)
    called: Any = function if inspect.isroutine(function) else type(function).__call__
    if inspect.isasyncgenfunction(called):
        return "async generator"
    if inspect.isgeneratorfunction(called):
        code = getattr(called, "__code__", None)
        awaited = code is not None and code.co_flags & inspect.CO_ITERABLE_COROUTINE  # by types.coroutine
        return "async function" if awaited else "generator"
    return "async function" if inspect.iscoroutinefunction(called) else "function"


def is_async(function: object) -> bool:
    """Tell whether calling it gives a coroutine."""
    return kind_of(function) == "async function"


def unwrapped(function: object) -> object:
    """Return what partials are made of."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """Return a plain function's own parameters; for any other callable, `*args, **kwargs`."""
    told = vars(function) if isinstance(function, FunctionType) else ("__wrapped__",)
    if "__wrapped__" in told or "__signature__" in told:  # what it says of itself is not what it takes
        return _any_parameters(function)
    found = list(inspect.signature(function, follow_wrapped=False).parameters.values())
    if any(p.name.startswith("pm_") or not p.name.isidentifier() for p in found):
        return _any_parameters(function)
    declared, passed, defaults = [], [], {}
    rest = ""
    for index, p in enumerate(found):
        before = found[index - 1].kind if index else None
        if before is p.POSITIONAL_ONLY and p.kind is not p.POSITIONAL_ONLY:
            declared.append("/")
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            starred = f"{'*' if p.kind is p.VAR_POSITIONAL else '**'}{p.name}"
            declared.append(starred)
            passed.append(starred)
            rest = p.name if p.kind is p.VAR_KEYWORD else rest
            continue
        if p.kind is p.KEYWORD_ONLY and before not in (p.KEYWORD_ONLY, p.VAR_POSITIONAL):
            declared.append("*")
        if p.default is p.empty:
            declared.append(p.name)
        else:
            defaults[f"pm_default_{index}"] = p.default
            declared.append(f"{p.name}=pm_default_{index}")
        passed.append(f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else p.name)
    if found and found[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
        declared.append("/")
    forget = f"del {', '.join(p.name for p in found)}\n" if found else ""
    return Parameters(", ".join(declared), ", ".join(passed), defaults, {p.name: p.name for p in found}, rest, forget)


def _any_parameters(function: Callable[..., Any]) -> Parameters:
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions don't tell
        found = []
    reads, defaults = {}, {}
    for index, p in enumerate(found):
        defaults[f"pm_default_{index}"] = None if p.default is p.empty else p.default
        reads[p.name] = f"pm_kwargs.get({p.name!r}, pm_default_{index})"
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            reads[p.name] = f"(pm_args[{index}] if pm_len(pm_args) > {index} else {reads[p.name]})"
    passed = "*pm_args, **pm_kwargs"
    return Parameters(passed, passed, defaults, reads, "pm_kwargs", "del pm_args, pm_kwargs\n")


class Texts(NamedTuple):
    """What stands between the clock reads; each text may use what the one before it made.

    `before` runs first, in no `try`: it must not raise. `call` is the expression for the call itself. No Exception of
    the others gets out.

    After a function's call comes `returned` with pm_result, or `raised` with pm_error, either with pm_ended.

    Before and after each step of a generator come `resuming` and `resting`, and for each item `item` with pm_item. At
    its end comes `returned`, or `raised` with pm_error: a GeneratorExit where it was closed. pm_busy has the seconds
    spent in it. `waiting` is what an async generator awaits, made of {steps}.
    """

    call: str
    before: str
    returned: str
    raised: str
    item: str = ""
    resuming: str = ""
    resting: str = ""
    waiting: str = "{steps}"


def write_wrapper(
    function: Callable[..., Any],
    parameters: Parameters,
    recorder: Recorder,
    texts: Texts,
    *,
    title: str,
    names: Mapping[str, object],
) -> Callable[..., Any]:
    """Return the stand-in for `function`, of its kind; `title` stands for its file in tracebacks.

    What the function returns, yields or raises passes untouched, and so does what is sent or thrown into it.
    """
    kind = kind_of(function)
    deep = {"before": 4, "returned": 8, "raised": 12}
    skeleton, steps = _FUNCTION, {}
    if kind in _STEPS:
        deep = {"before": 4, "resuming": 8, "resting": 16, "returned": 16, "raised": 16, "item": 12}
        skeleton, steps = _GENERATOR, {name: _waiting(text, texts.waiting) for name, text in _STEPS[kind].items()}
    source = skeleton.format(
        define="async def" if kind.startswith("async") else "def",
        parameters=parameters.declared,
        call=texts.call,
        **{f"lost_{by}": indent(_LOST.strip("\n"), " " * by) for by in (8, 12, 16)},
        **steps,
        **{name: indent((getattr(texts, name) or "pass").strip("\n"), " " * by) for name, by in deep.items()},
    )
    file = f"<pipemon {title}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # tracebacks show the lines
    namespace = {
        **_BUILTINS,
        "pm_clock": perf_counter,
        "pm_function": function,
        "pm_count_lost": recorder.notes.append,
        "pm_LOST": LOST,
        "pm_not_recorded": _not_recorded,
        "pm_begin": _begin,
        "pm_started": recorder.started.append,
        "pm_extend": recorder.buffer.extend,
        "pm_next_look": recorder.next_look,
        **parameters.defaults,
        **names,
    }
    exec(compile(source, file, "exec"), namespace)
    wrapper: Any = functools.update_wrapper(namespace["pm_wrapper"], function)  # type: ignore[arg-type]
    if not hasattr(function, "__name__"):  # a partial, an object
        wrapper.__name__ = wrapper.__qualname__ = getattr(unwrapped(function), "__name__", type(function).__name__)
    for name in ("cache_info", "cache_clear", "cache_parameters"):  # of functools.lru_cache, which has no dict of them
        if hasattr(function, name):
            setattr(wrapper, name, getattr(function, name))
    stand_ins.add(wrapper)
    return wrapper  # type: ignore[no-any-return]


def _not_recorded() -> None:
    log_once("record", "a call could not be recorded", where=True)


def _begin(source: Any) -> Any:
    """Return an async generator's first step. The loop that closes all at its end is to close the stand-in only."""
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return source.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


def _waiting(text: str, waiting: str) -> str:
    awaits, steps = text[:6] == "await ", text[6:]
    return f"await {waiting.format(steps=steps)}" if awaits else text
