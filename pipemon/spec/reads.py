"""What a signal reads of the catalogue, and how a value is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from pipemon.catalogue import Metric

Labels = tuple[tuple[str, str], ...]
"""Label values, by the label's name."""


@dataclass(frozen=True)
class Share:
    """Events, as a share of what they could have happened to: both counters.

    `of` is None for the calls that a stage did not decline, or the runs where there is no stage. `labels` are
    those of both counters that a failure mode picks one series by, `events_labels` those of the events alone;
    where both are one counter, events with other values of those are the rest of the whole.
    `only` are label values of the events that are always the same. `whole` are the events of the pipeline as a
    whole, over its runs; `whole_labels` are labels that part those further, and are summed over.
    """

    events: Metric
    of: Metric | None = None
    labels: tuple[str, ...] = ()
    events_labels: tuple[str, ...] = ()
    only: Labels = ()
    whole: Metric | None = None
    whole_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unaccounted:
    """A share that is no counter's: items that came in and came out in no way, or came out and never in."""


@dataclass(frozen=True)
class Mean:
    """The mean of what a histogram counts.

    `labels` pick the one series. With `signed`, the sum is two counters, of the positive and of the negative
    values: a falling sum would read as a reset.
    """

    histogram: Metric
    labels: tuple[str, ...]
    signed: Metric | None = None


@dataclass(frozen=True)
class Quantile:
    """A quantile of what a histogram counts; of durations, the share over a bucket bound where it is one.

    `whole` is the histogram of the pipeline as a whole: durations alone have one. `bounds` are the bucket bounds
    where they are always the same.
    """

    histogram: Metric
    labels: tuple[str, ...] = ()
    whole: Metric | None = None
    bounds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Calibration:
    """How far stated confidences are from the share that was right, over the bins of both counters.

    `outcomes` counts outputs by bin and whether they were right, `confidence` sums what they had stated.
    """

    outcomes: Metric
    confidence: Metric


@dataclass(frozen=True)
class Estimated:
    """The share that is right, as confidences of late let expect: each counts as its bin was right by `outcomes`.

    `confidences` is the histogram of what is stated, labelled or not, of which `labels` pick the one series.
    """

    confidences: Metric
    labels: tuple[str, ...]
    outcomes: Metric


@dataclass(frozen=True)
class Distance:
    """How far a feature's distribution is from its baseline's or the past's, where that is more than chance: else 0.

    `numbers` is the histogram, `categories` the counter, and `info` tells which bins a version has.
    """

    numbers: Metric
    categories: Metric
    info: Metric


@dataclass(frozen=True)
class Shifted:
    """How sure it is that a number's level or spread has left its baseline's, by a cumulative sum over steps."""


@dataclass(frozen=True)
class Together:
    """How many features of a stage have drifted at once, of those that failure modes watch."""


@dataclass(frozen=True)
class Rate:
    """How often something happens, or how much of something a second is used."""

    counter: Metric
    whole: Metric | None = None


@dataclass(frozen=True)
class Counted:
    """How many the last run of a batch pipeline counted.

    `undecorated` is what a stage that is not decorated has of it: a call there is one.
    """

    counter: Metric
    undecorated: Metric


@dataclass(frozen=True)
class Gauge:
    """What gauges sum to over all replicas, on average over the window."""

    gauge: Metric
    whole: Metric | None = None


@dataclass(frozen=True)
class Largest:
    """The largest of a gauge of the processes that export a stage, or the pipeline: others' gauge, by target."""

    gauge: Metric
    stage: Metric
    whole: Metric


@dataclass(frozen=True)
class Busy:
    """Time spent in calls, as a share of the time that the workers had."""

    durations: Metric
    workers: Metric


@dataclass(frozen=True)
class Age:
    """How long ago something was, of the oldest version that is still called."""

    timestamp: Metric


@dataclass(frozen=True)
class Silence:
    """Whether a counter stopped, or its series are gone."""

    counter: Metric
    whole: Metric


@dataclass(frozen=True)
class Burned:
    """Another signal's share, over the windows of burn rates."""


@dataclass(frozen=True)
class Summed:
    """Another signal's bad events, less what is tolerated of them, added up step by step."""


@dataclass(frozen=True)
class Written:
    """An expression that a person wrote."""


Reads = (
    Share | Unaccounted | Mean | Quantile | Calibration | Estimated | Distance | Shifted | Together | Rate | Counted
    | Gauge | Largest | Busy | Age | Silence | Burned | Summed | Written
)  # fmt: skip
