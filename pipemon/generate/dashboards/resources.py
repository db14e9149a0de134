"""What any pipeline uses, and what pipemon costs and loses: processors, memory, GPUs, its own drops."""

from __future__ import annotations

from pipemon import catalogue as c
from pipemon.catalogue import Metric
from pipemon.generate.dashboards.board import Scraped, any_board, variables
from pipemon.generate.dashboards.charts import Column, lines, table
from pipemon.generate.dashboards.colors import GPU_COLORS
from pipemon.generate.dashboards.layout import Row
from pipemon.generate.dashboards.panels import CORES, Json, Panel
from pipemon.generate.dashboards.series import Choice, chosen, ever
from pipemon.generate.promql import Aggregate, Binary, Call, Expr, select
from pipemon.generate.queries import per

_TARGET = c.TARGET_LABELS
_PROCESS = {metric.name.removeprefix("process_"): metric for metric in c.PROCESS}
_DCGM = {metric.name.removeprefix("DCGM_FI_DEV_"): metric for metric in c.DCGM}
_MIB = 1024.0**2
_NO_PROCESS = "the process's own metrics are not exported, as in multiprocess mode"
_NO_GPU = "no GPU is exported: neither by dcgm-exporter nor by the service"


def resources(scraped: Scraped) -> Json:
    """Return the dashboard of what a chosen pipeline uses."""
    choice = chosen("stage", "instance")
    rows = [
        Row("row/processes", "Processes of the pipeline", (_processes(chosen("instance")),)),
        Row("row/stages", "Stages", (_stages(choice),)),
        Row("row/gpus", "GPUs", (_gpus(chosen("instance")),), collapsed=True),
        Row("row/pipemon", "What pipemon costs and loses", (_own(choice),)),
    ]
    return any_board(
        "resources",
        "Resources",
        "Processors, memory, load and GPUs of a pipeline, and what pipemon itself costs and loses.",
        rows,
        scraped=scraped,
        variables=variables("stage", "instance"),
        about=chosen(),
    )


def _ours(choice: Choice, expr: Expr) -> Binary:
    """What is of the processes that serve the pipeline: others export the same names."""
    targets = select(c.STAGE_CALLS, choice.of(c.STAGE_CALLS), target_labels=_TARGET)
    return Binary("and", expr, targets, on=_TARGET)


def _process(choice: Choice, name: str, rate: bool = False) -> Expr:
    metric = _PROCESS[name]
    series = choice.series(metric, window=choice.window if rate else None)
    return _ours(choice, Call("rate", (series,)) if rate else series)


def _processes(choice: Choice) -> tuple[Panel, ...]:
    files = per(_process(choice, "open_fds"), choice.series(_PROCESS["max_fds"]))
    age = Binary("-", Call("time", ()), _process(choice, "start_time_seconds"))
    found = (
        ("cpu", "Processor", "Cores that the whole process kept busy.",
         _process(choice, "cpu_seconds_total", True), CORES),
        ("memory", "Memory", "Resident memory of the process. A steady rise is a leak; a saw-tooth, restarts.",
         _process(choice, "resident_memory_bytes"), "bytes"),
        ("files", "Open files, of the most", "At 100% connections and files can't be opened any more.",
         files, "percentunit"),
        ("age", "Time since the start", "A line that falls to nothing is a restart: was it a deployment, or a crash?",
         age, "s"),
    )  # fmt: skip
    return tuple(
        lines(f"process/{key}", title, about, [choice.query(expr, "{{instance}}")], unit=unit, empty=_NO_PROCESS)
        for key, title, about, expr, unit in found
    )


def _stages(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage",)
    progress = Aggregate("sum", by, choice.series(c.STAGE_IN_PROGRESS))
    load = per(progress, Aggregate("sum", by, choice.series(c.STAGE_WORKERS)))
    return (
        lines(
            "stages/cpu",
            "Processor, by stage",
            "Cores that each stage's own threads kept busy, sampled. More for as many calls: look at its input's size.",
            [choice.query(choice.rate(c.STAGE_CPU, by), "{{stage}}")],
            unit=CORES,
            empty="no calls, or processor time is not measured",
        ),
        lines(
            "stages/progress",
            "In progress, by stage",
            "Calls that have begun and not ended. If it rises while calls do not, each takes longer.",
            [choice.query(progress, "{{stage}}")],
            unit="short",
            empty="nothing of this pipeline",
            at_least=1.0,
        ),
        lines(
            "stages/load",
            "Load, by stage",
            "Share of the workers that were busy. Near 100% calls begin to wait: add workers, or send fewer calls.",
            [choice.query(load, "{{stage}}")],
            unit="percentunit",
            empty="no stage says how many calls can run at once",
        ),
    )


def _gpus(choice: Choice) -> tuple[Panel, ...]:
    """Those of dcgm-exporter by host, since it is another target than the service; and the service's own reading."""

    def dcgm(name: str) -> Expr:
        return Aggregate("max", ("Hostname", "gpu"), select(_DCGM[name], ()))

    def own(metric: Metric) -> Expr:
        return Aggregate("max", ("instance", "gpu"), select(metric, choice.of(metric), target_labels=_TARGET))

    def both(key: str, title: str, about: str, theirs: Expr, ours: Expr | None, unit: str) -> Panel:
        queries = [choice.query(theirs, "{{Hostname}} GPU {{gpu}}")]
        if ours is not None:
            queries.append(choice.query(ours, "{{instance}} GPU {{gpu}}"))
        return lines(f"gpu/{key}", title, about, queries, unit=unit, empty=_NO_GPU, colors=GPU_COLORS, at_least=1.0)

    used = Binary("*", dcgm("FB_USED"), _MIB)
    return (
        both("use", "GPU in use", "Share of the time in which a kernel ran; not how much of the chip it used.",
             Binary("/", dcgm("GPU_UTIL"), 100.0), own(c.GPU_UTILIZATION), "percentunit"),
        both("memory", "GPU memory", "Memory in use, by all processes.", used, own(c.GPU_MEMORY_USED), "bytes"),
        both("temperature", "GPU temperature", "Above its limit a chip slows itself down.",
             dcgm("GPU_TEMP"), own(c.GPU_TEMPERATURE), "celsius"),
        both("power", "GPU power", "Power draw.", dcgm("POWER_USAGE"), own(c.GPU_POWER), "watt"),
        both("clock", "GPU clock", "Clock of the processors; lower under load is throttling.",
             Binary("*", dcgm("SM_CLOCK"), 1e6), None, "hertz"),
        both("xid", "GPU errors", "Number of the last XID error: anything but 0 is in NVIDIA's list of them.",
             dcgm("XID_ERRORS"), None, "short"),
    )  # fmt: skip


def _own(choice: Choice) -> tuple[Panel, ...]:
    by = ("stage",)
    target = chosen("instance")
    calls = choice.rate(c.STAGE_CALLS, by)
    flush = Call(
        "rate", (select(c.FLUSH_SECONDS, target.of(c.FLUSH_SECONDS), window=target.window, target_labels=_TARGET),)
    )
    builds = select(c.BUILD_INFO, target.of(c.BUILD_INFO), target_labels=_TARGET)
    columns = (Column("pipemon", "pipemon"), Column("python", "Python"), Column("Value", "Processes", width=110))
    return (
        lines(
            "own/waited",
            "Time that a call waits for its features",
            "Mean time that a call's caller waited while features were taken, sampled.",
            [choice.query(per(choice.rate(c.EXTRACTOR_SECONDS, by), calls), "{{stage}}")],
            unit="s",
        ),
        lines(
            "own/flush",
            "Processor for counting",
            "Share of a core that moving buffered calls into the metrics takes, by process.",
            [choice.query(_ours(target, flush), "{{instance}}")],
            unit="percentunit",
            empty="nothing of this pipeline",
        ),
        lines(
            "own/dropped",
            "Calls that went uncounted",
            "Calls a second that could not be counted: a buffer was full. All other numbers are too low by these.",
            [choice.query(ever(choice, c.OBSERVATIONS_DROPPED, by), "{{stage}}")],
            unit="cps",
            empty="no call went uncounted since the start",
        ),
        lines(
            "own/errors",
            "Features that could not be taken",
            "Errors of extractors a second. Alerts on these features sleep; the service's log has the traceback.",
            [choice.query(ever(choice, c.EXTRACTOR_ERRORS, by), "{{stage}}")],
            unit="cps",
            empty="every feature was taken since the start",
        ),
        table(
            "own/builds",
            "pipemon and Python",
            "Which versions run, in how many processes. Two during a deployment are right; later they are not.",
            [choice.rows(Aggregate("count", ("pipemon", "python"), _ours(target, builds)))],
            columns,
            empty="nothing of this pipeline",
        ),
    )
