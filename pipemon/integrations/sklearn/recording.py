"""Estimators whose calls are recorded: each class has a subclass for it, which is otherwise the same.

A subclass, so that what asks for the estimator's class, parameters, attributes or signatures gets the same
answers; a wrapper around it would have to answer for them all. What is pickled or cloned is the plain
estimator with its place beside it, so that neither knows of the subclass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from inspect import getattr_static, isfunction
from typing import Any

from sklearn.base import clone
from sklearn.utils.metaestimators import available_if

from pipemon.errors import DeclarationError
from pipemon.instrument.block import Call
from pipemon.instrument.log import log_once
from pipemon.integrations.sklearn.batches import Input, Output
from pipemon.integrations.sklearn.composites import COMPOSITES, Ends, visited
from pipemon.integrations.sklearn.places import Place, stage_at, with_known_upstream

RECORDED = ("transform", "predict", "predict_proba", "predict_log_proba", "decision_function")
SILENT = ("fit", "partial_fit", "fit_transform", "fit_predict", "score")
"""Training and evaluation: what is transformed and predicted in there is no traffic."""

_silent: ContextVar[bool] = ContextVar("pipemon_sklearn_silent", default=False)


@contextmanager
def paused() -> Iterator[None]:
    """Record nothing of what estimators do in this block: `with paused(): cross_val_score(model, X, y)`.

    Holds for this thread or task; threads and processes that the block starts know nothing of it.
    """
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


class Recorded:
    """The base of all estimators whose calls are recorded, or those of whose steps are."""

    _pipemon: Place | None = None
    _pipemon_class: type

    def __reduce_ex__(self, protocol: Any) -> Any:
        return unpickled, (plain(self), self._pipemon)

    def __sklearn_clone__(self) -> Any:
        return at_place(clone(plain(self)), self._pipemon)


def plain(estimator: Any) -> Any:
    """Return an estimator as it was before; it shares its attributes."""
    if not isinstance(estimator, Recorded):
        return estimator
    found = _same(estimator, estimator._pipemon_class)
    vars(found).pop("_pipemon", None)
    return found


def at_place(estimator: Any, place: Place | None) -> Any:
    """Return an estimator whose calls are recorded there; it shares its attributes.

    Raises DeclarationError for an object without attributes, such as one of an extension type.
    """
    if not hasattr(estimator, "__dict__"):
        raise DeclarationError(f"a {type(estimator).__name__} has no attributes that could be copied")
    base: Any = type(plain(estimator))
    found = _same(estimator, _class_of(base))
    found._pipemon = place
    return found


def _same(estimator: Any, kind: type) -> Any:
    found: Any = object.__new__(kind)
    vars(found).update(vars(estimator))
    return found


def arranged(estimator: Any, place: Place) -> tuple[Any, Ends]:
    """Return an estimator that is recorded, with all of its steps, and the stages that it ends with.

    What is recorded at that place already stays the same object. Raises DeclarationError as `stage_at` does.
    """
    if isinstance(estimator, COMPOSITES):
        found, ends = visited(estimator, place, arranged)
        own = vars(estimator)
        if isinstance(estimator, Recorded) and estimator._pipemon == place and _all_same(found, own):
            return estimator, ends
        new = at_place(estimator, place)
        vars(new).update(found)
        return new, ends
    stage_at(place, estimator)
    ends = (place.stage_name(estimator),)
    if isinstance(estimator, Recorded) and estimator._pipemon == place:
        return estimator, ends
    return at_place(estimator, place), ends


def _all_same(found: dict[str, Any], own: dict[str, Any]) -> bool:
    """Tell whether attributes have the very steps that they had."""
    for name, new in found.items():
        old = own[name]
        if isinstance(new, list) and isinstance(old, list | tuple):
            if any(one[1] is not other[1] for one, other in zip(new, old, strict=True)):
                return False
        elif new is not old:
            return False
    return True


def unpickled(estimator: Any, place: Place | None) -> Any:
    """Return an unpickled estimator, recorded in this process; never raises."""
    if place is not None:
        try:
            place = with_known_upstream(place)
            if not isinstance(estimator, COMPOSITES):
                stage_at(place, estimator)
        except Exception:  # noqa: BLE001  a model that can't be watched must still serve
            log_once(("sklearn", place.path), "step %s can't be recorded", place.path, exc=True)
    return at_place(estimator, place)


def _call(estimator: Any, args: Any, kwargs: Any) -> Call | None:
    """Return the stage's call for a method's call, None where it is not to be recorded; never raises."""
    place = estimator._pipemon
    if place is None or _silent.get():
        return None
    try:
        rows = args[0] if args else next(iter(kwargs.values()))
        return stage_at(place, estimator).call(X=Input(rows))
    except Exception:  # noqa: BLE001
        log_once(("sklearn", place.path), "step %s can't be recorded", place.path, exc=True)
        return None


def _recorded(base: type, name: str) -> Callable[..., Any]:
    inherited: Any = getattr_static(base, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = inherited.__get__(self, type(self))
        call = _call(self, args, kwargs)
        if call is None:
            return bound(*args, **kwargs)
        # What an estimator asks itself meanwhile, or has been made of, is part of this call.
        token = _silent.set(True)
        try:
            with call:
                result = bound(*args, **kwargs)
                call.output(Output(name, self, result))
            return result
        finally:
            _silent.reset(token)

    return method


def _in_silence(base: type, name: str) -> Callable[..., Any]:
    inherited: Any = getattr_static(base, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        with paused():
            return inherited.__get__(self, type(self))(*args, **kwargs)

    return method


def _set_params(base: type, name: str) -> Callable[..., Any]:
    inherited: Any = getattr_static(base, name)

    def method(self: Any, **params: Any) -> Any:
        """Set parameters; a step that is replaced is recorded as the one before it was."""
        inherited.__get__(self, type(self))(**params)
        if self._pipemon is not None:
            try:
                found, _ = arranged(self, self._pipemon)
                vars(self).update(vars(found))
            except Exception:  # noqa: BLE001
                log_once(("sklearn", self._pipemon.path), "steps that were set are not recorded", exc=True)
        return self

    return method


@cache
def _class_of(base: type) -> type:
    """Return the subclass of an estimator's class that is recorded."""
    told = {"__module__": base.__module__, "__qualname__": base.__qualname__, "__doc__": base.__doc__}
    made = type(base)(base.__name__, (Recorded, base), {**told, "_pipemon_class": base})
    whole = issubclass(base, COMPOSITES)
    made_by = dict.fromkeys(SILENT, _in_silence) | dict.fromkeys(() if whole else RECORDED, _recorded)
    made_by |= {"set_params": _set_params} if whole else {}
    for name, make in made_by.items():
        inherited = getattr_static(base, name, None)
        # Set after the class is made: scikit-learn wraps what a class defines, and the inherited one is wrapped.
        if isfunction(inherited):
            setattr(made, name, wraps(inherited)(make(base, name)))
        elif inherited is not None:  # there for some instances only, such as predict_proba
            setattr(made, name, available_if(_has(inherited))(wraps(getattr(base, name))(make(base, name))))
    return made


def _has(inherited: Any) -> Callable[[Any], bool]:
    def has(self: Any) -> bool:
        inherited.__get__(self, type(self))  # raises AttributeError where it is not
        return True

    return has
