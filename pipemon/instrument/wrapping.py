"""Stand-ins for the user's functions, written out as source for each of them.

The stand-in has the function's own parameters and is a coroutine function if the function is one, so there
is one text for both instead of two copies, and no `*args`, loop or helper call stands in a call's way: a
stage costs about half of what closures cost. `dataclasses` makes its methods in the same way.

All names that begin with `pm_` are pipemon's: `write_wrapper` and its callers say what they are.
"""

from __future__ import annotations

import functools
import inspect
import linecache
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from textwrap import indent
from time import perf_counter
from types import FunctionType
from typing import Any

from pipemon.instrument.recorder import Recorder

_SKELETON = """\
{define} pm_wrapper({parameters}):
{before}
    try:
        pm_result = {call}
    except pm_BaseException as pm_error:
        pm_ended = pm_clock()
        try:
{raised}
        except pm_Exception:
            pm_not_recorded()
        raise
    pm_ended = pm_clock()
    try:
{returned}
    except pm_Exception:
        pm_not_recorded()
    return pm_result
"""

LEAVE = """
try:
    pm_leave()
except pm_IndexError:
    pass  # a forked child ends the calls that its parent began
"""

RECORD = """
pm_extend(({row}))
if pm_len(pm_buffer) >= pm_limit[0]:
    pm_full()
"""

# By names of pipemon's own: the user's parameters may be called `len` or `float`.
_BUILTINS = {f"pm_{name.__name__}": name for name in (BaseException, Exception, IndexError, ValueError, float, len)}


@dataclass(frozen=True)
class Parameters:
    """How the stand-in takes its arguments and hands them on.

    `declared` goes into its `def`, `passed` into the call; `defaults` has the values that the texts
    name. `reads` has the expression for a parameter's value.
    """

    declared: str
    passed: str
    defaults: Mapping[str, object]
    reads: Mapping[str, str]

    def read(self, name: str) -> str:
        """Return the expression for a parameter's value in a call: its default, else None, if left out."""
        return self.reads.get(name, f"pm_kwargs.get({name!r})")


def is_async(function: object) -> bool:
    """Tell whether calling it gives a coroutine; an object with an async `__call__` counts."""
    function = unwrapped(function)
    if inspect.isroutine(function):
        return inspect.iscoroutinefunction(function)
    return inspect.iscoroutinefunction(type(function).__call__)


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
    special = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    if any(p.name.startswith("pm_") or not p.name.isidentifier() or p.kind in special for p in found):
        return _any_parameters(function)
    declared, passed, defaults = [], [], {}
    for index, p in enumerate(found):
        before = found[index - 1].kind if index else None
        if before is p.POSITIONAL_ONLY and p.kind is not p.POSITIONAL_ONLY:
            declared.append("/")
        if p.kind is p.KEYWORD_ONLY and before is not p.KEYWORD_ONLY:
            declared.append("*")
        if p.default is p.empty:
            declared.append(p.name)
        else:
            defaults[f"pm_default_{index}"] = p.default
            declared.append(f"{p.name}=pm_default_{index}")
        passed.append(f"{p.name}={p.name}" if p.kind is p.KEYWORD_ONLY else p.name)
    if found and found[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
        declared.append("/")
    return Parameters(", ".join(declared), ", ".join(passed), defaults, {p.name: p.name for p in found})


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
    return Parameters("*pm_args, **pm_kwargs", "*pm_args, **pm_kwargs", defaults, reads)


def write_wrapper(
    function: Callable[..., Any],
    parameters: Parameters,
    recorder: Recorder,
    *,
    title: str,
    before: str,
    returned: str,
    raised: str,
    names: Mapping[str, object],
) -> Callable[..., Any]:
    """Return the stand-in for `function`; `title` stands for its file in tracebacks.

    `before` runs first; then `returned` with pm_result, or `raised` with pm_error, either with pm_ended.
    What the function returns or raises passes untouched, and no Exception of the three texts gets out.
    """
    awaits = is_async(function)
    source = _SKELETON.format(
        define="async def" if awaits else "def",
        parameters=parameters.declared,
        before=indent(before.strip("\n"), " " * 4),
        call=f"{'await ' if awaits else ''}pm_function({parameters.passed})",
        returned=indent(returned.strip("\n"), " " * 8),
        raised=indent(raised.strip("\n"), " " * 12),
    )
    file = f"<pipemon {title}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)  # tracebacks show the lines
    namespace = {
        **_BUILTINS,
        "pm_clock": perf_counter,
        "pm_function": function,
        "pm_not_recorded": recorder.lose,
        "pm_enter": recorder.running.append,
        "pm_leave": recorder.running.pop,
        "pm_extend": recorder.buffer.extend,
        "pm_buffer": recorder.buffer,
        "pm_limit": recorder.limit,
        "pm_full": recorder.full,
        **parameters.defaults,
        **names,
    }
    exec(compile(source, file, "exec"), namespace)
    return functools.update_wrapper(namespace["pm_wrapper"], function)  # type: ignore[arg-type]
