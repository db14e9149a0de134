"""What a failure-mode file says once every name is resolved and every default filled in.

Knows nothing of YAML or Prometheus. All times are seconds, all ratios 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeVar, cast

from pipemon.spec.baseline import Baseline
from pipemon.topology import FeatureShape, StageShape, downstream
from pipemon.units import duration

T = TypeVar("T")

Severity = Literal["page", "ticket", "notice"]
Pace = Literal["sudden", "gradual"]
Kind = Literal["software", "input", "output", "drift", "quality", "rollout"]

SEVERITIES: tuple[Severity, ...] = ("page", "ticket", "notice")
"""From the most severe to the least."""

ACTIONS = ("rollback", "retrain")
"""What may be done to a stage when an alert fires."""

ACTION_TAG = "action"
"""The tag of an annotation in Grafana which tells that one was done, beside `pipemon` and the pipeline's name."""

BOUNDS_DIFFER = "bucket-bounds-differ"
"""The failure mode that every pipeline has by itself; no other may have its name."""

SEVERITY_LABELS: dict[Severity, str] = {"page": "critical", "ticket": "warning", "notice": "info"}
"""The alert's label for each severity: words that existing routes know."""


@dataclass(frozen=True)
class Reference:
    """What a value is compared with: itself `offset` seconds ago, or what others have now (0).

    With `hold`, it is the hour before, kept as it was while the alert on it is pending or firing, for that many
    seconds at most: then the change is the new normal. `rhythm` is `daily` or `weekly` where the same hours are meant.
    """

    words: str
    offset: float = 0.0
    hold: float = 0.0
    rhythm: str = ""


STABLE = Reference("stable")
"""What a canary is compared with."""
ALL = Reference("all")
"""What a slice is compared with: all slices together."""
LAST_HOUR = Reference("last hour", hold=6 * 3600.0)
"""What a sudden change is told by."""


@dataclass(frozen=True)
class Threshold:
    """The range that is good: a condition holds below `low` or above `high`; either may be None.

    `words` is the threshold as a person reads it: `above 5%`, `outside 0.5 to 40`. `learned` tells that it
    moves with the baseline. With a `reference` the ends are multiples of that, or what is added to it (`adds`).
    With `auto` both are None, and a backtest is to choose one of them.
    """

    low: float | None
    high: float | None
    words: str
    learned: bool = False
    reference: Reference | None = None
    adds: bool = False
    auto: Literal["", "above", "below"] = ""


@dataclass(frozen=True)
class Objective:
    """The share of calls that must be good over a period, in seconds, and both as written."""

    target: float
    period: float
    words: str


@dataclass(frozen=True)
class Burn:
    """How many times as fast as it lasts the error budget goes, over a long and a short window, in seconds."""

    long: float
    short: float
    factor: float


@dataclass(frozen=True)
class Condition:
    """One signal against its threshold.

    `signal` is a name of the signal table. `argument` is the quantile of `latency` ("p99"), the
    signal of `feedback` ("redo"), the statistic of `drift` or the expression of `promql`. `feature` is set for
    what is about one. `labels` are the values by which it picks its one series of a stage; `slice` is the group
    that it is about, "" for all; `burns` are the burn rates of `budget_burn`. `threshold` is None
    for `no_calls` and `promql`. `min_count` observations and `min_events` bad ones must lie in the window
    before the value means anything. `against` is the past that `drift` is from; None is the baseline.
    `tolerated` is the share of bad events that `cusum` tolerates, 0 for other signals.
    """

    signal: str
    argument: str = ""
    feature: FeatureShape | None = None
    threshold: Threshold | None = None
    min_count: int = 0
    min_events: int = 0
    labels: tuple[tuple[str, str], ...] = ()
    slice: str = ""
    burns: tuple[Burn, ...] = ()
    against: Reference | None = None
    tolerated: float = 0.0

    @property
    def reference(self) -> Reference | None:
        """What the threshold is a multiple of, if it is one."""
        return self.threshold.reference if self.threshold else None


@dataclass(frozen=True)
class Action:
    """What is to be done once the alert fires: `name` is one of ACTIONS."""

    name: str
    stage: str

    @property
    def words(self) -> str:
        """The action as the alert's annotation `then` has it: `rollback vad`."""
        return f"{self.name} {self.stage}"


@dataclass(frozen=True)
class FailureMode:
    """One thing that can go wrong.

    `stage` is None for the pipeline as a whole. `conditions` is empty, and `waiting` says why, when
    nothing can be measured yet; such an entry makes no rule. Times are in seconds; `window` is what
    the conditions look back over. `fires_on` and `quiet_on` are test series of a `promql` signal.
    `for_given` tells a written `for` from a default, which may be fitted to that of a cause. `labels` are
    the team's own. With `observe` the alert is recorded and routed nowhere; `observe_since` is the day, if said.
    `undecided` is the condition of one that waits for its threshold. `then` is what its receiver may act on.
    `holds_back` names the effects that its alert keeps quiet, once inhibition is planned.
    """

    name: str
    what: str
    stage: str | None
    kind: Kind
    conditions: tuple[Condition, ...]
    combine: Literal["any", "all"]
    pace: Pace
    severity: Severity
    window: float
    for_: float
    keep_firing_for: float
    owner: str
    do: str
    runbook: str
    leads_to: tuple[str, ...] = ()
    waiting: str = ""
    fires_on: tuple[str, ...] = ()
    quiet_on: tuple[str, ...] = ()
    for_given: bool = False
    labels: tuple[tuple[str, str], ...] = ()
    observe: bool = False
    observe_since: str = ""
    undecided: tuple[Condition, ...] = ()
    then: Action | None = None
    holds_back: tuple[str, ...] = ()

    @cached_property
    def signals(self) -> frozenset[str]:
        """The names of the signals that it is told by."""
        return frozenset(condition.signal for condition in self.conditions)


LONGEST_STEP = 240.0
"""The longest time between two evaluations, in seconds: what rules record is read within the lookback of 5 minutes."""


@dataclass(frozen=True)
class Timing:
    """Scraping, evaluation and notification times, in seconds.

    Rules that look back over `long_window` or more are evaluated every `long_interval` only: they change
    slowly and read much. What a confidence is worth is learned from the labels of the last `calibrated_over`.
    """

    scrape_interval: float = 15.0
    long_window: float = 3600.0
    long_interval: float = 60.0
    calibrated_over: float = 7 * 86_400.0
    group_wait: float = 30.0
    group_interval: float = 300.0
    repeat_interval: float = 4 * 3600.0

    @property
    def evaluation_interval(self) -> float:
        """How often rules are evaluated: as often as is scraped, and no less often than Prometheus looks back."""
        return min(self.scrape_interval, LONGEST_STEP)


@dataclass(frozen=True)
class Schedule:
    """How often a run of a batch pipeline is to end well, and how much later it may, in seconds."""

    period: float
    grace: float

    @property
    def limit(self) -> float:
        """How long ago the last success may be."""
        return self.period + self.grace

    @property
    def remembered(self) -> float:
        """How long a success is remembered that no gateway has any more: a quarter longer, to tell that none came."""
        return 1.25 * self.limit


@dataclass(frozen=True)
class ExpectedChange:
    """A change that was announced at a stage, between two Unix times; `accepted` by a baseline that began after it."""

    what: str
    stage: str
    start: float
    end: float
    accepted: bool = False


BONFERRONI, BENJAMINI_HOCHBERG = "bonferroni", "benjamini-hochberg"
MULTIPLE_TESTING = (BONFERRONI, BENJAMINI_HOCHBERG)


@dataclass(frozen=True)
class Spec:
    """A pipeline's failure modes with everything that rules, routes and panels need.

    `select` goes into every selector; `keep` labels, the selected among them, survive every aggregation;
    `targets` are the labels of the scrape targets. `has_run` tells whether the pipeline is measured end
    to end. `baseline` is the baseline's file, the first where there are several, relative to the spec's own,
    whose name is `source`; `baselines` are all that were found, in the order of the file; `files` are all of the
    spec's files as they were given. `severity_words` are the alert's label for each severity. `code` is
    the pipeline's place, if it is known, and `reads_bounds` that the code makes bucket bounds of thresholds.
    `objective` is what `budget_burn` burns. `slices` are the declared groups, as their label has them: `age=young`.
    `checks_off` are checks of the generated files that the team switched off, each with its reason.
    `expected` are the changes that were announced, the earliest first. With a `schedule` it is a batch pipeline,
    of which the values of the last run are there. `link` is how long nothing may be heard of its devices, in seconds,
    0 where they are always connected. `multiple_testing` is how a stage's features share its false alarms of drift.
    `labels` are those of pipemon's series that arrive under another name, each with that.
    """

    pipeline: str
    owner: str
    runbook: str
    timing: Timing
    budget: float | None
    stages: tuple[StageShape, ...]
    failure_modes: tuple[FailureMode, ...]
    select: tuple[tuple[str, str], ...] = ()
    keep: tuple[str, ...] = ()
    targets: tuple[tuple[str, str], ...] = ()
    duration_bounds: tuple[float, ...] = ()
    has_run: bool = True
    baseline: str = ""
    baselines: tuple[Baseline, ...] = ()
    slices: tuple[str, ...] = ()
    objective: Objective | None = None
    code: str = ""
    reads_bounds: bool = False
    source: str = field(default="", compare=False)
    severity_words: tuple[tuple[Severity, str], ...] = tuple(SEVERITY_LABELS.items())
    files: tuple[str, ...] = field(default=(), compare=False)
    checks_off: tuple[tuple[str, str], ...] = ()
    expected: tuple[ExpectedChange, ...] = ()
    schedule: Schedule | None = None
    link: float = 0.0
    multiple_testing: str = BONFERRONI
    labels: tuple[tuple[str, str], ...] = ()

    def derived(self, name: Hashable, make: Callable[[Spec], T]) -> T:
        """Return what `make` derives from this spec, made once."""
        known: dict[Hashable, object] = self.__dict__.setdefault("_derived", {})
        if name not in known:
            known[name] = make(self)
        return cast("T", known[name])

    def severity_label(self, severity: Severity) -> str:
        """Return the alert's label for a severity."""
        return dict(self.severity_words)[severity]

    @cached_property
    def upstream(self) -> dict[str, tuple[str, ...]]:
        """The stages right before each stage; none where nothing is known."""
        return {stage.name: stage.after or () for stage in self.stages}

    @cached_property
    def downstream(self) -> dict[str, frozenset[str]]:
        """All stages behind each stage, directly or not."""
        return downstream(self.upstream)

    @cached_property
    def told_apart_by(self) -> tuple[str, ...]:
        """The kept labels of which there can be several values: those that are selected have one."""
        selected = dict(self.select)
        return tuple(label for label in self.keep if label not in selected)

    @cached_property
    def measurable(self) -> tuple[FailureMode, ...]:
        """The failure modes that make a rule."""
        return tuple(mode for mode in self.failure_modes if mode.conditions)

    @cached_property
    def measurable_at(self) -> dict[str | None, tuple[FailureMode, ...]]:
        """The failure modes that make a rule, of each stage that has some, and of the pipeline as a whole (None)."""
        found: dict[str | None, list[FailureMode]] = {}
        for mode in self.measurable:
            found.setdefault(mode.stage, []).append(mode)
        return {stage: tuple(modes) for stage, modes in found.items()}

    def over(self, mode: FailureMode) -> str:
        """Return what a failure mode's values are of, in words: `over 5m`."""
        if mode.signals == {"age"}:
            # Of whatever window, it is that of this moment.
            return "now"
        return "in the last run" if self.schedule is not None else f"over {duration(mode.window)}"

    def interval(self, mode: FailureMode) -> float:
        """Return how often a failure mode's rules are evaluated, in seconds."""
        if any(condition.tolerated or condition.signal == "shift" for condition in mode.conditions):
            # Each step is added once.
            return mode.window
        return self.timing.long_interval if mode.window >= self.timing.long_window else self.timing.evaluation_interval

    def stage(self, name: str) -> StageShape:
        """Return the stage called `name`; raises KeyError if there is none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, StageShape]:
        return {stage.name: stage for stage in reversed(self.stages)}
