"""Every series that pipemon exports, and those of others that its rules and panels read.

The exporter makes its metrics from this table and the generator its PromQL, so a name is written once.
Only what the running code really exports is listed.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

MetricType = Literal["counter", "gauge", "histogram"]

STAGE_LABELS = ("pipeline", "stage", "version", "track")
FEATURE_LABELS = (*STAGE_LABELS, "direction", "feature")

TRACKS = ("stable", "canary", "shadow")
FEEDBACK_SIGNALS = ("redo", "accepted", "corrected")
"""Exported at zero for every stage from the start; a pipeline may declare more."""
COMPARISON_RESULTS = ("agree", "disagree", "candidate_error")
DECIDERS = ("model", "human")
ANSWERS = ("yes", "no", "unknown")
CONFIDENCE_BINS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 11))
"""Upper bounds of the bins, as the `le` of a histogram has them: 0.1 to 1.0."""
DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of seconds in a queue, and of what takes long and has no budget."""
_HOUR, _DAY = 3600.0, 86_400.0
LABEL_DELAYS = (
    1.0, 10.0, 60.0, 600.0, _HOUR, 6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY,
    90 * _DAY,
)  # fmt: skip
"""Upper bounds of the seconds until a label comes."""
UNATTRIBUTED = ("plain", "garbled", "forged", "unknown")
"""Why a run tells no version: an id alone; cut off or changed; not signed with the key; none of this stage."""

OTHER = "other"
"""The label value for whatever exceeds a bounded label."""
MOST_NAMES = 20
"""How many exception classes or reasons a stage shows beside `other`."""


class Metric(NamedTuple):
    """One metric family: its name as exposed (counters end in `_total`), type, labels, unit and help."""

    name: str
    type: MetricType
    labels: tuple[str, ...]
    help: str
    unit: str = ""

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its samples in Prometheus; a histogram with negative bounds has `_bucket` alone."""
        if self.type == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_count", "_sum"))
        return (self.name,)


def _stage(name: str, type: MetricType, help: str, *more: str, unit: str = "") -> Metric:
    return Metric(f"pipemon_stage_{name}", type, (*STAGE_LABELS, *more), help, unit)


def _feature(name: str, type: MetricType, help: str, *more: str) -> Metric:
    return Metric(f"pipemon_feature_{name}", type, (*FEATURE_LABELS, *more), help)


PIPELINE_RUNS = Metric(
    "pipemon_pipeline_runs_total", "counter", ("pipeline", "version"), "Runs that ended, whatever their outcome."
)
PIPELINE_FAILURES = Metric(
    "pipemon_pipeline_failures_total", "counter", ("pipeline", "version", "failed_stage"),
    "Runs that raised, by the stage that raised first; other: outside any stage.",
)  # fmt: skip
PIPELINE_DURATION = Metric(
    "pipemon_pipeline_duration_seconds", "histogram", ("pipeline", "version"), "End-to-end time of a run.", "seconds"
)
PIPELINE_IN_PROGRESS = Metric(
    "pipemon_pipeline_in_progress", "gauge", ("pipeline", "version"), "Runs that have begun and not ended."
)
PIPELINE_BUDGET = Metric(
    "pipemon_pipeline_budget_seconds", "gauge", ("pipeline", "version"), "Time that a run may take.", "seconds"
)

STAGE_CALLS = _stage("calls_total", "counter", "Calls that ended, whatever their outcome.")
STAGE_FAILURES = _stage("failures_total", "counter", "Calls that raised.")
STAGE_NULL_OUTPUTS = _stage("null_outputs_total", "counter", "Calls that returned nothing usable.")
STAGE_CANCELLED = _stage("cancelled_total", "counter", "Calls that were cancelled.")
STAGE_SKIPPED = _stage("skipped_total", "counter", "Calls that the stage declined.")
STAGE_EXCEPTIONS = _stage(
    "exceptions_total", "counter", "Calls that raised, by exception class; for display, not for alerts.", "exception"
)
STAGE_ITEMS_IN = _stage("items_in_total", "counter", "Items that came in; a call that is no batch is one item.")
STAGE_ITEMS_OUT = _stage("items_out_total", "counter", "Usable items that came out.")
STAGE_ITEMS_NULL = _stage("items_null_total", "counter", "Items that came out and were nothing usable.")
STAGE_ITEMS_FAILED = _stage("items_failed_total", "counter", "Items of calls that raised.")
STAGE_ITEMS_DROPPED = _stage("items_dropped_total", "counter", "Items dropped on purpose, skipped or cancelled.")
STAGE_DROP_REASONS = _stage(
    "drop_reasons_total", "counter", "Items dropped, by reason; for display, not for alerts.", "reason"
)
STAGE_DURATION = _stage(
    "duration_seconds",
    "histogram",
    "Time of a call: ok, null, failed or cancelled; of a stream: the time spent in it.",
    unit="seconds",
)
STAGE_FIRST_ITEM = _stage("first_item_seconds", "histogram", "Time to a stream's first item.", unit="seconds")
STAGE_WAIT = _stage("wait_seconds", "histogram", "Time in the queue before the stage.", unit="seconds")
STAGE_CPU = _stage(
    "cpu_seconds_total", "counter", "Processor time of its threads in calls, sampled and scaled.", unit="seconds"
)
STAGE_IN_PROGRESS = _stage("in_progress", "gauge", "Calls that have begun and not ended.")
STAGE_BUDGET = _stage("budget_seconds", "gauge", "Time that a call may take.", unit="seconds")
STAGE_LAST_CALL = _stage(
    "last_call_timestamp_seconds",
    "gauge",
    "When the last call ended; at first, when the process declared the stage.",
    unit="seconds",
)
STAGE_WORKERS = _stage("workers", "gauge", "Calls that can run at once in a process.")
STAGE_TRAINED = _stage("trained_timestamp_seconds", "gauge", "When its model was trained.", unit="seconds")
STAGE_INFO = _stage("info", "gauge", "1: what the version is made of, where told.", "code", "params", "data")
STAGE_UPSTREAM = _stage("upstream_info", "gauge", "1 for each edge of the cascade.", "upstream")

FEATURE_VALUE = _feature("value", "histogram", "Distribution of a feature's finite values.")
FEATURE_SUM = _feature(
    "sum_total",
    "counter",
    "Sum of the absolute values of a feature, by sign: their difference over the count is the mean.",
    "sign",
)
FEATURE_CATEGORY = _feature(
    "category_total", "counter", "Times that a feature had this value; other: one not declared.", "category"
)
FEATURE_OBSERVED = _feature("observed_total", "counter", "Times that a feature was looked at, missing or not.")
FEATURE_MISSING = _feature("missing_total", "counter", "Times that it was None, empty, absent or not finite.")
FEATURE_INFO = _feature("info", "gauge", "1: the feature's unit and a hash of its histogram's bounds.", "unit", "bins")

FEEDBACK = Metric(
    "pipemon_feedback_total",
    "counter",
    (*STAGE_LABELS, "signal", "slice"),
    "What users did with a stage's output later; slice: a group of them, empty for all.",
)

FEEDBACK_UNATTRIBUTED = Metric(
    "pipemon_feedback_unattributed_total",
    "counter",
    ("pipeline", "reason"),
    "What was told of a run that does not say its versions, and so was put down to those in use now.",
)
QUALITY_SCORE = Metric(
    "pipemon_quality_score",
    "histogram",
    (*STAGE_LABELS, "score", "slice"),
    "Distribution of a score of a stage's outputs, told later; slice: a group of them, empty for all.",
)
QUALITY_SUM = Metric(
    "pipemon_quality_sum_total",
    "counter",
    (*STAGE_LABELS, "score", "slice", "sign"),
    "Sum of the absolute values of a score, by sign: their difference over the count is the mean.",
)


def _learned(name: str, type: MetricType, help: str, *more: str, unit: str = "") -> Metric:
    return Metric(f"pipemon_{name}", type, (*STAGE_LABELS, *more), help, unit)


LABELS_EXPECTED = _learned("labels_expected_total", "counter", "Outputs whose true value is to be told later.")
LABELS_ARRIVED = _learned("labels_arrived_total", "counter", "Outputs whose true value was told, each counted once.")
LABEL_DELAY = _learned(
    "label_delay_seconds", "histogram", "Time from the run until its true value was told.", unit="seconds"
)
LABELS_RATED = _learned("labels_rated_total", "counter", "Items that two raters labelled.", "slice")
LABEL_DISAGREEMENTS = _learned(
    "label_disagreements_total", "counter", "Items that two raters labelled differently.", "slice"
)
CALIBRATION = _learned(
    "calibration_total", "counter", "Outputs by stated confidence and whether they were right.",
    "confidence_bin", "correct",
)  # fmt: skip
CALIBRATION_CONFIDENCE = _learned(
    "calibration_confidence_total", "counter", "Sum of the stated confidences of those outputs.", "confidence_bin"
)
COMPARISONS = _learned(
    "comparisons_total", "counter", "Outputs compared with those of another version.", "candidate", "result"
)
DECISIONS = _learned(
    "decisions_total", "counter", "Decisions by who made them, and whether the other would have made the same.",
    "decided_by", "agreed",
)  # fmt: skip
REVIEW_WAIT = _learned(
    "review_wait_seconds", "histogram", "Time that an output waited for a person's decision.", unit="seconds"
)
ROLLOUT_TRAFFIC = _learned(
    "rollout_traffic_ratio", "gauge", "Share of the traffic that a version is meant to get.", unit="ratio"
)

BATCH_LAST_SUCCESS = Metric(
    "pipemon_batch_last_success_timestamp_seconds",
    "gauge",
    ("pipeline",),
    "When a batch job of the pipeline last ended without an error.",
    "seconds",
)

EXTRACTOR_ERRORS = Metric(
    "pipemon_extractor_errors_total",
    "counter",
    FEATURE_LABELS,
    "Extractors that raised; the pipeline was not disturbed.",
)
EXTRACTOR_SECONDS = Metric(
    "pipemon_extractor_seconds_total",
    "counter",
    STAGE_LABELS,
    "Time that callers waited while their features were taken, sampled and scaled.",
    "seconds",
)
OBSERVATIONS_DROPPED = Metric(
    "pipemon_observations_dropped_total",
    "counter",
    STAGE_LABELS,
    "Calls that went uncounted: the buffer was full, or recording them failed.",
)
FLUSH_SECONDS = Metric(
    "pipemon_flush_seconds_total", "counter", (), "Time spent moving buffered calls into the metrics.", "seconds"
)
BUILD_INFO = Metric("pipemon_build_info", "gauge", ("pipemon", "python"), "1: versions of pipemon and Python.")

METRICS: dict[str, Metric] = {value.name: value for value in list(globals().values()) if isinstance(value, Metric)}


def _gpu(name: str, help: str, *more: str, unit: str = "") -> Metric:
    return Metric(f"pipemon_gpu_{name}", "gauge", ("gpu", *more), help, unit)


GPU_UTILIZATION = _gpu("utilization_ratio", "Share of the last sample's time in which a kernel ran.", unit="ratio")
GPU_MEMORY_USED = _gpu("memory_used_bytes", "Memory in use, by all processes.", unit="bytes")
GPU_MEMORY_TOTAL = _gpu("memory_total_bytes", "Memory that it has.", unit="bytes")
GPU_TEMPERATURE = _gpu("temperature_celsius", "Temperature of the chip.", unit="celsius")
GPU_POWER = _gpu("power_watts", "Power draw.", unit="watts")
GPU_LAST_READ = _gpu("last_read_timestamp_seconds", "When NVML last answered for it.", unit="seconds")
GPU_INFO = _gpu("info", "1: what is behind NVML's index of a GPU.", "uuid", "model")

GPU_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        GPU_UTILIZATION,
        GPU_MEMORY_USED,
        GPU_MEMORY_TOTAL,
        GPU_TEMPERATURE,
        GPU_POWER,
        GPU_LAST_READ,
        GPU_INFO,
    )
}
"""Exported after `gpu_metrics()`, where there are GPUs."""

DRILL_ACTIVE = Metric("pipemon_drill_active", "gauge", ("pipeline", "stage"), "1 while a drill is on.")
DRILL_EFFECTS = Metric(
    "pipemon_drill_effects_total", "counter", ("pipeline", "stage", "effect"), "Effects of drills on calls."
)

DRILL_METRICS: dict[str, Metric] = {metric.name: metric for metric in (DRILL_ACTIVE, DRILL_EFFECTS)}
"""Exported by services that allow drills."""


def _receiver(name: str, type: MetricType, help: str, *labels: str) -> Metric:
    return Metric(f"pipemon_receiver_{name}", type, labels, help)


RECEIVER_RECEIVED = _receiver("alerts_received_total", "counter", "Alerts of notifications that were taken.", "status")
RECEIVER_COMMITTED = _receiver("alerts_committed_total", "counter", "Alerts that are safe on disk, repeats among them.")
RECEIVER_REFUSED = _receiver("notifications_refused_total", "counter", "Notifications that were refused.", "reason")
RECEIVER_ACTIONS = _receiver("actions_total", "counter", "Attempts at actions, by how they ended.", "action", "result")
RECEIVER_QUEUE = _receiver("queue_length", "gauge", "Actions that have not ended.")

RECEIVER_METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (RECEIVER_RECEIVED, RECEIVER_COMMITTED, RECEIVER_REFUSED, RECEIVER_ACTIONS, RECEIVER_QUEUE)
}
"""Exported by `pipemon serve`."""

UP = Metric("up", "gauge", ("job", "instance"), "1 if Prometheus could scrape the target.")
ALERTS = Metric(
    "ALERTS", "gauge",
    ("alertname", "alertstate", "pipeline", "stage", "failure_mode", "kind", "severity", "owner", "mode"),
    "1 for each pending or firing alert.",
)  # fmt: skip
ALERTS_FOR_STATE = Metric(
    "ALERTS_FOR_STATE", "gauge", tuple(label for label in ALERTS.labels if label != "alertstate"),
    "Since when the condition of each pending or firing alert holds, as a Unix time.", "seconds",
)  # fmt: skip

TARGET_LABELS = ("job", "instance")


def _process(name: str, type: MetricType, help: str) -> Metric:
    return Metric(f"process_{name}", type, TARGET_LABELS, help)


PROCESS_MEMORY = _process("resident_memory_bytes", "gauge", "Resident memory size in bytes.")
PROCESS = (
    _process("cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."),
    PROCESS_MEMORY,
    _process("virtual_memory_bytes", "gauge", "Virtual memory size in bytes."),
    _process("start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."),
    _process("open_fds", "gauge", "Number of open file descriptors."),
    _process("max_fds", "gauge", "Maximum number of open file descriptors."),
)
"""prometheus_client's, of a whole process: never of a stage, and absent in multiprocess mode."""


def _dcgm(name: str, type: MetricType, help: str) -> Metric:
    labels = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname")
    return Metric(f"DCGM_FI_DEV_{name}", type, (*TARGET_LABELS, *labels), help)


DCGM = (
    _dcgm("GPU_UTIL", "gauge", "GPU utilization (in %)."),
    _dcgm("MEM_COPY_UTIL", "gauge", "Memory utilization (in %)."),
    _dcgm("FB_USED", "gauge", "Framebuffer memory used (in MiB)."),
    _dcgm("FB_FREE", "gauge", "Framebuffer memory free (in MiB)."),
    _dcgm("GPU_TEMP", "gauge", "GPU temperature (in C)."),
    _dcgm("MEMORY_TEMP", "gauge", "Memory temperature (in C)."),
    _dcgm("SM_CLOCK", "gauge", "SM clock frequency (in MHz)."),
    _dcgm("MEM_CLOCK", "gauge", "Memory clock frequency (in MHz)."),
    _dcgm("POWER_USAGE", "gauge", "Power draw (in W)."),
    _dcgm("TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ)."),
    _dcgm("XID_ERRORS", "gauge", "Value of the last XID error encountered."),
)
"""Of dcgm-exporter's default-counters.csv; in Kubernetes there are the labels namespace, pod and container too."""

EXTERNAL: dict[str, Metric] = {metric.name: metric for metric in (UP, ALERTS, ALERTS_FOR_STATE, *PROCESS, *DCGM)}
"""Series that rules and panels read but Prometheus or others export."""
