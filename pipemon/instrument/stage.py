"""Stage: what `pipeline.stage(...)` returns, a decorator and a maker of blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pipemon.instrument.block import Call
from pipemon.instrument.declaring import Given, name_of
from pipemon.instrument.endings import Endings

if TYPE_CHECKING:
    from pipemon.instrument.model import Model
    from pipemon.instrument.scores import Score

F = TypeVar("F", bound=Callable[..., Any])


class Options(NamedTuple):
    """What a stage was told: the arguments of `Pipeline.stage`."""

    after: str | Sequence[str] | None
    after_is_told: bool
    inputs: Mapping[str, Given | Sequence[Given]] | None
    output: Given | Sequence[Given] | None
    null: Callable[[Any], object] | None
    budget: str | float | None
    version: str | None
    model: Model | None
    track: str | None
    feedback: Sequence[str]
    batch: bool | str
    one_to_one: bool
    queued_at: Mapping[str, Callable[[Any], object]] | None
    workers: int | None
    scores: str | Score | Sequence[str | Score] = ()
    candidates: str | Sequence[str] = ()
    labels: bool = False
    decisions: bool = False


class Home(Protocol):
    """The pipeline that a stage belongs to."""

    def declare(self, name: str, options: Options) -> None:
        """Take a stage whose function may still come, or never does."""

    def wrap(self, name: str, options: Options, function: F) -> F:
        """Return the function's stand-in."""

    def open(self, name: str, options: Options, function: None) -> Endings | None:
        """Return where blocks record their calls, None where pipemon is disabled."""


class Stage:
    """A stage that is declared: decorate a function with it, or measure blocks of code.

    ```python
    asr = speech.stage("asr", after="vad", inputs={"audio": level_dbfs()}, output=words())

    with asr.call(audio=chunk) as call:
        call.output(engine.transcribe(chunk))
    ```
    """

    def __init__(self, home: Home, name: str | None, options: Options) -> None:
        self._home = home
        self._name = name
        self._options = options
        self._endings: Endings | None = None
        self._opened = False
        if name is not None:
            home.declare(name, options)

    def __call__(self, function: F) -> F:
        """Return the function as a stage, of the same kind, signature and behaviour.

        Raises DeclarationError for whatever is declared wrongly.
        """
        if isinstance(function, staticmethod | classmethod):
            return type(function)(self(function.__func__))
        return self._home.wrap(name_of(function) if self._name is None else self._name, self._options, function)

    def call(self, /, **values: Any) -> Call:
        """Return one call of the stage, to be entered: `with stage.call(audio=chunk) as call:`, or `async with`.

        `values` are what the input features are taken from, by the names that `inputs` has; of a batch stage
        its items, by the name given as `batch`, else the first. Needs a stage with a name.
        """
        if not self._opened:
            if self._name is not None:
                self._endings = self._home.open(self._name, self._options, None)
            self._opened = True  # only now: other threads' first calls count, too
        batch = self._options.batch
        return Call(self._endings, values, next(iter(values), "") if batch is True else batch or None)
