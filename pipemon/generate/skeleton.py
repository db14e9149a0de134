"""A first failure-mode file from decorated code: rules that suit any stage, and questions to answer."""

from __future__ import annotations

from pipemon.generate.yamltext import comment
from pipemon.topology import PipelineShape, StageShape


def skeleton(shape: PipelineShape, code: str) -> str:
    """Return the YAML of a pipeline at `code` (module:pipeline). It loads as it is."""
    text = comment(
        f"What can go wrong in {shape.name}, in your team's words. Keep, strike and add;\n"
        "then: pipemon generate <this file> --out monitoring"
    )
    text += f"pipeline: {shape.name}\nowner: {shape.name}-team\nscrape_interval: 15s\ncode: {code}\n"
    text += f"baseline: {shape.name}.baseline.json   # written by: pipemon baseline\n"
    text += "\nfailure_modes:\n"
    first = shape.stages[0].name if shape.stages else None
    text += _mode("nobody-calls", "No call comes in, or the process is gone", first, "no_calls", "")
    if shape.budget is not None and shape.has_run:
        text += _mode("answers-late", "Answers take longer than they may", None, "{latency: p95}", "above: budget")
    for stage in shape.stages:
        text += "\n" + _stage(stage)
    return (
        text
        + "\n"
        + comment_block(
            "An idea that nobody can measure yet is worth a line too:\n"
            "users-find-it-rude:\n"
            "  what: Users find the answers rude"
        )
    )


def comment_block(text: str) -> str:
    """Return lines as comments under `failure_modes:`."""
    return "".join(f"  # {line}\n" for line in text.splitlines())


def _mode(name: str, what: str, stage: str | None, signal: str, threshold: str) -> str:
    lines = [f"{name}:", f"  what: {what}"]
    if stage is not None:
        lines.append(f"  stage: {stage}")
    lines.append(f"  signal: {signal}")
    if threshold:
        lines.append(f"  {threshold}")
    return "".join(f"  {line}\n" for line in lines)


def _stage(stage: StageShape) -> str:
    name = stage.name.replace("_", "-").replace(".", "-")
    text = f"  # {stage.name}: is it slow, failing, silent, given bad input, giving worse output?\n"
    text += _mode(f"{name}-fails", f"{stage.name} raises", stage.name, "error_ratio", "above: 5%")
    text += _mode(
        f"{name}-returns-nothing", f"{stage.name} returns nothing usable", stage.name, "null_ratio", "above: 5%"
    )
    if stage.budget is not None:
        text += _mode(
            f"{name}-slow", f"{stage.name} takes more than its budget", stage.name, "{latency: p95}", "above: budget"
        )
    for feature in stage.features:
        title = feature.name.replace("_", "-").replace(".", "-")
        reference = f"{feature.direction}.{feature.name}"
        text += _mode(
            f"{name}-{feature.direction}-{title}-missing",
            f"{stage.name} has no {feature.name}",
            stage.name,
            f"{{missing_ratio: {reference}}}",
            "above: 5%",
        )
        text += _mode(
            f"{name}-{feature.direction}-{title}-shifted",
            f"{feature.name} of {stage.name} is not what it was in the good period",
            stage.name,
            f"{{mean: {reference}}}",
            "changes_by: 1 sd",
        )
    return text
