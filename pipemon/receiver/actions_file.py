"""The file that says how a stage is rolled back or retrained: read, with what is wrong in it told where it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipemon.addresses import web_address
from pipemon.errors import SpecError
from pipemon.receiver.actions import Action, Actions, Asked
from pipemon.spec import fields
from pipemon.spec.model import ACTIONS, Spec
from pipemon.spec.reader import Items, Node, Scalar, kind, read, shown
from pipemon.spec.reader import Mapping as Entries
from pipemon.units import duration

_KEYS = ("command", "url", "token_file", "timeout", "every", "by", "attempts")
_MOST_ATTEMPTS = 20


def read_actions(path: Path) -> Actions:
    """Return the actions in a YAML file. Raises SpecError for whatever is wrong in it, all at once.

    The file names a pipeline, the action, the stage, and how it is done:

        speech:
          rollback:
            vad: {command: [kubectl, rollout, undo, deployment/vad]}
          retrain:
            asr: {url: "https://ci.example/retrain", token_file: /run/secrets/ci}
    """
    report = fields.Report(str(path))
    found: dict[Asked, Action] = {}
    for pipeline, _, body in read(path, "a mapping of pipelines to their actions"):
        for name, key, stages in _entries(report, body, pipeline):
            if name not in ACTIONS:
                hint = fields.likely(name, ACTIONS) or f"; there are {fields.listed(ACTIONS, 'and')}"
                report.add(key, f"{pipeline}: there is no action {shown(name)}{hint}", "unknown-key")
                continue
            for stage, _, how in _entries(report, stages, f"{pipeline}: {name}"):
                where = f"{pipeline}: {name} {stage}"
                if action := _action(report, how, where):
                    found[Asked(pipeline, name, stage)] = action
    if report.problems:
        raise SpecError(report.problems)
    return found


def unmatched(specs: Sequence[Spec], known: Actions, file: Path) -> Iterator[str]:
    """Yield a line for each action that failure modes ask for and its file does not know, and the other way round."""
    asked = {
        Asked(spec.pipeline, mode.then.name, mode.then.stage): mode.name
        for spec in specs
        for mode in reversed(spec.measurable)
        if mode.then
    }
    for each, mode in asked.items():
        if each not in known:
            yield f"{mode}: asks to {each.name} {each.stage}, and {file} does not say how that is done"
    for each in known:
        if each.pipeline in {spec.pipeline for spec in specs} and each not in asked:
            yield f"{file}: no failure mode of {each.pipeline} asks to {each.name} {each.stage}"


def done_once(specs: Iterable[Spec], known: Actions, file: Path) -> Iterator[str]:
    """Yield a line for each rollback in one cluster, or whatever is kept, after which there is none in another.

    That may be meant, where one deployment serves them all.
    """
    for spec in specs:
        for asked, action in known.items():
            apart = [label for label in spec.told_apart_by if label not in action.by]
            if asked.pipeline == spec.pipeline and asked.name == "rollback" and apart and action.every:
                yield (
                    f"{file}: rollback {asked.stage} is done once in {duration(action.every)} whatever the {apart[0]}; "
                    f"where each has its own, say by: [{', '.join((*action.by, *apart))}]"
                )


def _entries(report: fields.Report, node: Node, where: str) -> Iterable[tuple[str, Scalar, Node]]:
    if isinstance(node, Entries) and node.entries:
        return node
    report.add(node, f"{where}: expected a mapping, found {kind(node)}", "type")
    return ()


def _action(report: fields.Report, node: Node, where: str) -> Action | None:
    if not isinstance(node, Entries):
        report.add(node, f"{where}: expected `command:` or `url:`, found {kind(node)}", "type")
        return None
    before = len(report.problems)
    fields.check_keys(report, node, _KEYS, where)
    command = _command(report, node.get("command"), where)
    url = _url(report, node.get("url"), where)
    if (node.get("command") is None) == (node.get("url") is None):
        both = "`command:` or `url:`, not both" if node.get("url") is not None else "`command:` or `url:`"
        report.add(node, f"{where}: say how it is done: {both}", "type")
    token = fields.text(report, node.get("token_file"), f"{where}: token_file")
    if token and not url:
        report.add(node.key("token_file"), f"{where}: token_file is for a url", "type")
    by = tuple(word for word, _ in fields.words(report, node.get("by"), f"{where}: by"))
    timeout = fields.time(report, node.get("timeout"), Action.timeout, f"{where}: timeout")
    every = fields.time(report, node.get("every"), Action.every, f"{where}: every")
    attempts = _attempts(report, node.get("attempts"), where, 3 if url else 1)
    if len(report.problems) > before:
        return None
    return Action(command, url, Path(token) if token else None, timeout, every, by, attempts)


def _command(report: fields.Report, node: Node | None, where: str) -> tuple[str, ...]:
    if node is None:
        return ()
    words = node.items if isinstance(node, Items) else ()
    texts = tuple(word.text for word in words if isinstance(word, Scalar) and word.value is not None)
    if texts and len(texts) == len(words):
        return texts
    hint = "; no shell reads it, so each word stands by itself" if isinstance(node, Scalar) else ""
    report.add(
        node, f"{where}: command: expected a list of words, such as [kubectl, get], found {kind(node)}{hint}", "type"
    )
    return ()


def _url(report: fields.Report, node: Node | None, where: str) -> str:
    text = fields.text(report, node, f"{where}: url")
    if text and node is not None and web_address(text) is None:
        report.add(node, f"{where}: url: {shown(text)} is no URL; write https://host/path", "type")
        return ""
    return text


def _attempts(report: fields.Report, node: Node | None, where: str, default: int) -> int:
    if node is None:
        return default
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_ATTEMPTS:
        return value
    report.add(node, f"{where}: attempts: expected 1 to {_MOST_ATTEMPTS}, found {kind(node)}", "type")
    return default
