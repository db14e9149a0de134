"""The signals: what each reads, needs, takes and assumes where a failure mode does not say, and how it is drawn.

A new signal is an entry here. Rules, rule tests, texts and panels follow from what it reads (`pipemon.spec.reads`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipemon import catalogue as c
from pipemon.spec import reads as r
from pipemon.spec.model import Kind, Severity, Spec

Argument = Literal[
    "none", "quantile", "feature", "feature_quantile", "category", "feature_category",
    "feedback", "score", "candidate", "promql", "signal", "burned", "confidence",
    "statistic", "summed", "shifted",
]  # fmt: skip
"""What stands after a signal's name. A category is written `input.language=fr`; of a `feature_category`, only the
feature is named; of a `statistic`, `ks of input.level_dbfs`; of what has `shifted`,
`spread of input.level_dbfs`; of what is `summed`, `feedback redo`."""
Against = Literal["past", "stable", "baseline"]
Unit = Literal["ratio", "seconds", "feature", "score", "none", "calls/s", "calls", "items", "cores", "bytes"]
Need = Literal["", "one_to_one", "workers", "stream", "queued", "trained", "labels", "decisions"]


Statistic = Literal["psi", "js", "hellinger", "chi2", "ks", "wasserstein"]
DRIFT = "drift"
CUSUM = "cusum"
TOGETHER = "features_moved"
SHIFT = "shift"
OF_DRIFT = frozenset({DRIFT, SHIFT, TOGETHER})
"""Signals that only what the rules of drift record can tell."""
STATISTICS: Mapping[Statistic, float] = {
    "psi": 0.1,
    "js": 0.13,
    "hellinger": 0.11,
    "chi2": 0.1,
    "ks": 0.12,
    "wasserstein": 0.25,
}
"""The statistics of drift, and from where on each is far, where nobody says."""
OF_NUMBERS: tuple[Statistic, ...] = ("ks", "wasserstein")
"""Those that take an order of the values, which categories have not."""
AT_MOST_ONE: tuple[Statistic, ...] = ("js", "hellinger", "ks")


class Drawn(NamedTuple):
    """A panel: its title, in which `{calls}` is Calls or Runs, the legend of its series, and what it tells."""

    title: str
    legend: str
    about: str


@dataclass(frozen=True, kw_only=True)
class Signal:
    """One entry of the table.

    `words` is how a person says the signal. `default` is the threshold where none is written ("" if one
    must be), with the first of `comparisons`, which are those that make sense; `against` is what they may be
    multiples of: the same in the past, or the stable version's beside a canary's. `for_` is in seconds: causes
    (software, input) are told sooner than their effects (output, quality), so that they are there to hold them back.
    With `by_calls` it is a statement about calls, which a few of them can't make. `needs` is what the stage
    must be declared with for its series to be there. With `for_window`, `for` is at least the window: what is
    extrapolated of a counter that just began, or of replicas that just went, must have left it. `panel` is None
    for what every stage's row shows anyhow. `slow` tells that what it reads comes in slowly, so that it is gradual
    unless a failure mode says otherwise. `also` are words that others use for it, too far from it for a likeness.
    `of_run` is the signal as it is of a batch pipeline's last run, where that is another: see `signal_in`.
    """

    name: str
    words: str
    reads: r.Reads
    argument: Argument = "none"
    unit: Unit = "ratio"
    kind: Kind | None = "software"
    severity: Severity = "ticket"
    default: str = ""
    comparisons: tuple[str, ...] = ("above",)
    against: tuple[Against, ...] = ()
    for_: float = 120
    whole_pipeline: bool = False
    by_calls: bool = True
    needs: Need = ""
    for_window: bool = False
    in_slice: r.Reads | None = None
    explains: bool = False
    explained: bool = True
    panel: Drawn | None = None
    slow: bool = False
    also: tuple[str, ...] = ()
    of_run: Signal | None = None


_ENDS = ("above", "below", "outside")
_RANGE = (*_ENDS, "changes_by")
_BOTH: tuple[Against, ...] = ("past", "stable")
_OF_FEATURE = ("direction", "feature")
_CATEGORIES = r.Share(c.FEATURE_CATEGORY, c.FEATURE_CATEGORY, labels=_OF_FEATURE, events_labels=("category",))
_SCORES = r.Mean(c.QUALITY_SCORE, ("score", "slice"), signed=c.QUALITY_SUM)
_RATED = r.Share(c.LABEL_DISAGREEMENTS, c.LABELS_RATED, labels=("slice",))

_SIGNALS = (
    Signal(
        name="latency",
        words="duration",
        reads=r.Quantile(c.STAGE_DURATION, whole=c.PIPELINE_DURATION),
        argument="quantile",
        unit="seconds",
        default="budget",
        explains=True,
        against=_BOTH,
        whole_pipeline=True,
        also=("duration", "response_time"),
    ),
    Signal(
        name="first_item",
        words="time to the first item",
        reads=r.Quantile(c.STAGE_FIRST_ITEM),
        argument="quantile",
        unit="seconds",
        against=_BOTH,
        needs="stream",
        panel=Drawn(
            "Time to the first item",
            "quantile",
            "Time from the call of a stream to its first item, which the given share stayed under, interpolated.",
        ),
        also=("time_to_first_token", "ttft", "first_token"),
    ),
    Signal(
        name="wait",
        words="time in the queue",
        reads=r.Quantile(c.STAGE_WAIT, bounds=c.DURATIONS),
        argument="quantile",
        unit="seconds",
        against=_BOTH,
        needs="queued",
        explained=False,
        panel=Drawn(
            "Time in the queue",
            "quantile",
            "Time before the call in which its input waited, which the given share stayed under, interpolated. If it "
            "rises, more comes in than the workers take out.",
        ),
        also=("queue_time", "queue_wait", "queued", "queue"),
    ),
    Signal(
        name="error_ratio",
        words="failures",
        reads=r.Share(c.STAGE_FAILURES, whole=c.PIPELINE_FAILURES, whole_labels=("failed_stage",)),
        severity="page",
        default="5%",
        explains=True,
        against=_BOTH,
        whole_pipeline=True,
        also=("errors", "error_rate", "failure_ratio", "failures"),
    ),
    Signal(
        name="null_ratio",
        words="null outputs",
        reads=r.Share(c.STAGE_NULL_OUTPUTS),
        kind="output",
        severity="page",
        default="5%",
        comparisons=_ENDS,
        explains=True,
        against=_BOTH,
        also=("nulls",),
    ),
    Signal(
        name="missing_ratio",
        words="missing values",
        reads=r.Share(c.FEATURE_MISSING, c.FEATURE_OBSERVED, labels=_OF_FEATURE),
        argument="feature",
        kind=None,
        default="5%",
        against=_BOTH,
        also=("missing",),
    ),
    Signal(
        name="no_calls",
        words="no calls",
        explained=False,
        reads=r.Silence(c.STAGE_CALLS, c.PIPELINE_RUNS),
        unit="none",
        severity="page",
        comparisons=(),
        whole_pipeline=True,
        also=("absent", "down"),
    ),
    Signal(
        name="mean",
        words="mean",
        reads=r.Mean(c.FEATURE_VALUE, _OF_FEATURE, signed=c.FEATURE_SUM),
        argument="feature",
        unit="feature",
        kind=None,
        comparisons=_RANGE,
        against=(*_BOTH, "baseline"),
        also=("average", "avg"),
    ),
    Signal(
        name="quantile",
        words="quantile",
        reads=r.Quantile(c.FEATURE_VALUE, _OF_FEATURE),
        argument="feature_quantile",
        unit="feature",
        kind=None,
        comparisons=_ENDS,
        against=_BOTH,
        panel=Drawn("Quantile", "quantile", "The value that the given share of calls stayed under, interpolated."),
        also=("percentile",),
    ),
    Signal(
        name="share",
        words="share",
        reads=_CATEGORIES,
        argument="category",
        kind=None,
        comparisons=_ENDS,
        against=_BOTH,
        panel=Drawn("Share of a category", "share", "How many of the values that there were had this category."),
        also=("category", "proportion"),
    ),
    Signal(
        name="new_category",
        words="values that nobody declared",
        reads=_CATEGORIES,
        argument="feature_category",
        kind=None,
        default="1%",
        against=_BOTH,
        panel=Drawn(
            "Values that nobody declared",
            "not declared",
            "How many of the values that there were had none of the declared categories: something new comes in.",
        ),
        also=("unseen", "unknown_category"),
    ),
    Signal(
        name=DRIFT,
        words="drift",
        reads=r.Distance(c.FEATURE_VALUE, c.FEATURE_CATEGORY, c.FEATURE_INFO),
        argument="statistic",
        unit="none",
        kind="drift",
        slow=True,
        default=f"{STATISTICS['psi']}",
        panel=Drawn(
            "Drift",
            "drift by",
            "How far the values are from the baseline's distribution, of the version that is furthest from its own, or "
            "from that of the past; 0 where chance explains it. No line: too few values then or now, or other bins.",
        ),
        also=("psi", "data_drift", "distribution"),
    ),
    # The steps follow from how often is scraped.
    Signal(
        name=SHIFT,
        words="shift in",
        reads=r.Shifted(),
        argument="shifted",
        unit="none",
        kind="drift",
        default="11",
        by_calls=False,
        panel=Drawn(
            "Shift",
            "sum",
            "By how much likelier the values of each step make it that their level or spread has shifted than that it "
            "has not: logarithms, added up and never below nothing. Mostly near nothing. Above the line: it has "
            "shifted and stays so. No line: too few values in a step, or other bins than the baseline has.",
        ),
        also=("mean_shift", "level_shift", "change_point", "adwin"),
    ),
    # How many are watched, and over which window, follows from the failure modes of drift.
    Signal(
        name=TOGETHER,
        words="drifted features",
        reads=r.Together(),
        unit="none",
        kind="drift",
        slow=True,
        default="1",
        by_calls=False,
        panel=Drawn(
            "Drifted features",
            "drifted",
            "How many of the stage's watched features have drifted from the baseline by more than chance, beyond a "
            "threshold or not. One is a broken sensor, all are another world.",
        ),
        also=("drifted_features", "multivariate_drift", "dataset_drift"),
    ),
    Signal(
        name="feedback",
        words="feedback",
        # Feedback is counted once for all, and once more in each slice that it belongs to.
        reads=r.Share(c.FEEDBACK, events_labels=("signal",), only=(("slice", ""),)),
        argument="feedback",
        kind="quality",
        comparisons=_ENDS,
        against=_BOTH,
        for_=300,
        # Calls are not counted by slice: there it is a share of all the feedback of the slice.
        in_slice=r.Share(c.FEEDBACK, c.FEEDBACK, labels=("slice",), events_labels=("signal",)),
    ),
    Signal(
        name="quality",
        words="mean",
        reads=_SCORES,
        argument="score",
        unit="score",
        kind="quality",
        comparisons=_RANGE,
        against=_BOTH,
        for_=300,
        in_slice=_SCORES,
        panel=Drawn("Score", "mean", "Mean of a score of its outputs, as far as it has been told by now."),
        also=("score", "accuracy"),
    ),
    Signal(
        name="agreement",
        words="agreement with the candidate",
        explained=False,
        reads=r.Share(c.COMPARISONS, c.COMPARISONS, labels=("candidate",), only=(("result", "agree"),)),
        argument="candidate",
        kind="rollout",
        default="95%",
        comparisons=("below", "above", "outside"),
        for_=300,
        panel=Drawn(
            "Agreement with the candidate",
            "agree",
            "How many of the outputs compared were the same as the candidate's; one on which it failed is not.",
        ),
        also=("shadow", "concordance"),
    ),
    Signal(
        name="automation",
        words="decisions left to the model",
        explained=False,
        reads=r.Share(c.DECISIONS, c.DECISIONS, only=(("decided_by", "model"),)),
        kind="quality",
        comparisons=_ENDS,
        against=("past",),
        for_=300,
        needs="decisions",
        panel=Drawn(
            "Decisions left to the model",
            "by the model",
            "How many decisions the model made by itself. If fewer, people have more to review.",
        ),
        also=("automation_ratio", "autonomy"),
    ),
    Signal(
        name="label_disagreement",
        words="labels on which raters disagree",
        explained=False,
        reads=_RATED,
        kind="quality",
        default="10%",
        against=("past",),
        for_=300,
        needs="labels",
        slow=True,
        in_slice=_RATED,
        panel=Drawn(
            "Labels on which raters disagree",
            "disagree",
            "How many of the items that two raters labelled have two labels: how far labels can be trusted.",
        ),
        also=("rater_agreement", "disagreement"),
    ),
    Signal(
        name="labelled",
        words="share labelled",
        explained=False,
        reads=r.Share(c.LABELS_ARRIVED, c.LABELS_EXPECTED),
        kind="quality",
        default="50%",
        comparisons=("below", "above", "outside"),
        against=("past",),
        for_=300,
        needs="labels",
        slow=True,
        panel=Drawn(
            "Labelled",
            "labelled",
            "True values that came, for each that was to come in the same time. Down to none: nobody labels any more.",
        ),
        also=("labeled", "label_coverage", "coverage"),
    ),
    Signal(
        name="label_delay",
        words="time to a label",
        explained=False,
        reads=r.Quantile(c.LABEL_DELAY, bounds=c.LABEL_DELAYS),
        argument="quantile",
        unit="seconds",
        kind="quality",
        against=("past",),
        for_=300,
        needs="labels",
        slow=True,
        panel=Drawn(
            "Time to a label",
            "quantile",
            "Time from the run until its true value was told, which the given share stayed under, interpolated.",
        ),
        also=("label_latency", "label_lag"),
    ),
    Signal(
        name="calibration",
        words="calibration error",
        explained=False,
        reads=r.Calibration(c.CALIBRATION, c.CALIBRATION_CONFIDENCE),
        kind="quality",
        default="5%",
        for_=300,
        needs="labels",
        slow=True,
        panel=Drawn(
            "Calibration error",
            "expected calibration error",
            "How far the stated confidence is from the share that was right, on average over ten bins of confidence.",
        ),
        also=("calibration_error", "ece", "miscalibration"),
    ),
    Signal(
        name="wrong_ratio",
        words="wrong outputs",
        explained=False,
        reads=r.Share(c.CALIBRATION, c.CALIBRATION, only=(("correct", "no"),)),
        kind="quality",
        against=("past",),
        for_=300,
        needs="labels",
        slow=True,
        panel=Drawn(
            "Wrong outputs",
            "wrong",
            "How many of the outputs that were labelled were wrong: the error rate, as far as labels have come.",
        ),
        also=("error_rate_of_labels", "misclassified", "inaccuracy"),
    ),
    Signal(
        name="estimated_accuracy",
        words="accuracy estimated from",
        explained=False,
        reads=r.Estimated(c.FEATURE_VALUE, _OF_FEATURE, c.CALIBRATION),
        argument="confidence",
        kind="quality",
        comparisons=("below",),
        for_=300,
        needs="labels",
        slow=True,
        panel=Drawn(
            "Accuracy, estimated",
            "by confidence",
            "The share that is right as the confidences of now let expect, each as its like were right when labels "
            "came. It sees harder inputs; it can't see that the same input now means something else.",
        ),
        also=("cbpe", "expected_accuracy", "estimated_performance"),
    ),
    # The canary's value of another signal, as a multiple of the stable version's: it is read as that one is.
    Signal(
        name="compare",
        words="",
        reads=r.Written(),
        argument="signal",
        kind="rollout",
        default="1.5x stable",
        against=("stable",),
    ),
    # The windows and rates follow from the objective and the severity.
    Signal(
        name="budget_burn",
        words="burn of the error budget",
        explained=False,
        reads=r.Burned(),
        argument="burned",
        severity="page",
        comparisons=(),
        whole_pipeline=True,
        panel=Drawn(
            "Error budget",
            "bad",
            "Share of bad calls over the longest window that pages look at. Above the line the budget of the "
            "objective will be gone long before its period is over.",
        ),
        also=("slo", "burn_rate", "error_budget"),
    ),
    # The steps and the limit of the sum follow from the share that is tolerated.
    Signal(
        name=CUSUM,
        words="cumulative sum of",
        explained=False,
        reads=r.Summed(),
        argument="summed",
        unit="none",
        kind=None,
        panel=Drawn(
            "Cumulative sum",
            "sum of",
            "Bad ones, less 1.4 times what is tolerated, added up and never below nothing. Mostly near nothing: no "
            "more of them than that. Above the line: more, and not by chance.",
        ),
        also=("page_hinkley", "cumulative_sum", "change_detection"),
    ),
    # Extrapolation may treat a counter that just began unlike the others: no longer than the usual window.
    Signal(
        name="unaccounted_ratio",
        words="items unaccounted for",
        reads=r.Unaccounted(),
        default="1%",
        for_=300,
        needs="one_to_one",
        for_window=True,
        panel=Drawn(
            "Items unaccounted for",
            "unaccounted for",
            "Share of the items that came in and came out in no way, or came out and never in. Look at what its code "
            "does with a batch.",
        ),
        also=("lost", "conservation"),
    ),
    Signal(
        name="throughput",
        words="calls per second",
        reads=r.Rate(c.STAGE_CALLS, whole=c.PIPELINE_RUNS),
        unit="calls/s",
        comparisons=_ENDS,
        against=("past",),
        whole_pipeline=True,
        by_calls=False,
        panel=Drawn(
            "{calls}/s",
            "all",
            "How many end a second, whatever their outcome. Fewer than usual: look at what calls it.",
        ),
        also=("rate", "rps", "qps", "volume", "row_count", "batch_size"),
        # A run of a batch job is over when its values come: what went through in it is a number of items.
        of_run=Signal(
            name="throughput",
            words="items",
            reads=r.Counted(c.STAGE_ITEMS_IN, undecorated=c.STAGE_CALLS),
            unit="items",
            kind="input",
            comparisons=_ENDS,
            against=("past",),
            by_calls=False,
            panel=Drawn(
                "Items of the last run",
                "items",
                "How many items came in, whatever became of them; a call that is no batch is one. Fewer than usual: "
                "look at what the stage before, or the source of the data, sent.",
            ),
        ),
    ),
    Signal(
        name="in_progress",
        words="calls in progress",
        reads=r.Gauge(c.STAGE_IN_PROGRESS, whole=c.PIPELINE_IN_PROGRESS),
        unit="calls",
        whole_pipeline=True,
        by_calls=False,
        panel=Drawn(
            "{calls} in progress",
            "in progress",
            "How many have begun and not ended, on average. If it rises while calls/s does not, each takes longer.",
        ),
    ),
    Signal(
        name="load",
        words="load",
        reads=r.Busy(c.STAGE_DURATION, c.STAGE_WORKERS),
        default="90%",
        for_=300,
        by_calls=False,
        needs="workers",
        for_window=True,
        panel=Drawn(
            "Load",
            "busy",
            "Share of the workers that were busy. Near 100% calls begin to wait: add workers, or send fewer calls.",
        ),
        also=("utilization", "busy"),
    ),
    Signal(
        name="cpu",
        words="processor cores used",
        reads=r.Rate(c.STAGE_CPU),
        unit="cores",
        for_=300,
        by_calls=False,
        panel=Drawn(
            "Processor",
            "cores",
            "Processor cores that the stage's own threads kept busy. More for as many calls: look at its input's size.",
        ),
    ),
    Signal(
        name="memory",
        words="memory of the largest process",
        explained=False,
        reads=r.Largest(c.PROCESS_MEMORY, c.STAGE_IN_PROGRESS, c.PIPELINE_IN_PROGRESS),
        unit="bytes",
        for_=300,
        whole_pipeline=True,
        by_calls=False,
        panel=Drawn(
            "Memory of the largest process",
            "resident",
            "Resident memory of the process that has most of it, whatever else runs in it. Up and up: it leaks.",
        ),
        also=("ram", "rss"),
    ),
    Signal(
        name="age",
        words="age of the model",
        explained=False,
        reads=r.Age(c.STAGE_TRAINED),
        unit="seconds",
        kind="quality",
        for_=300,
        by_calls=False,
        needs="trained",
        panel=Drawn(
            "Age of the model",
            "oldest version called",
            "Time since the oldest model that is still called was trained.",
        ),
        also=("staleness",),
    ),
    Signal(
        name="promql",
        words="expression",
        explained=False,
        reads=r.Written(),
        argument="promql",
        unit="none",
        comparisons=(),
        whole_pipeline=True,
        also=("expr", "query"),
    ),
)

SIGNALS: dict[str, Signal] = {signal.name: signal for signal in _SIGNALS}
ALSO: dict[str, str] = {word: signal.name for signal in _SIGNALS for word in signal.also}
"""Signals by the words that others use for them."""


def signal_in(spec: Spec, name: str) -> Signal:
    """Return the signal of a name as it is in a pipeline: of one with a schedule, that of its last run."""
    signal = SIGNALS[name]
    return signal.of_run or signal if spec.schedule is not None else signal


def kind(signal: Signal, direction: str | None) -> Kind:
    """Return the kind of alert: that of the signal, or of the side of the stage that its feature is on."""
    return signal.kind or ("input" if direction == "input" else "output")


def for_seconds(signal: Signal, direction: str | None) -> float:
    """Return the default `for`: longer for a worse output, which is an effect more often than a cause."""
    return max(signal.for_, 300.0) if isinstance(signal.reads, r.Mean) and direction == "output" else signal.for_
