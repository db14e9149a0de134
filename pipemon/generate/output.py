"""Everything that is generated, as files: written whole or not at all, and the rule tests as they are made."""

from __future__ import annotations

import errno
import filecmp
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.bounds_file import bounds_file
from pipemon.generate.dashboards.board import Scraped, stable_uid
from pipemon.generate.dashboards.generic import generic
from pipemon.generate.dashboards.importing import importable
from pipemon.generate.dashboards.pipeline import dashboard
from pipemon.generate.edge.centre import centre_files
from pipemon.generate.edge.device import Edge, check_labels, device_prometheus, device_rules
from pipemon.generate.edge.units import unit_files
from pipemon.generate.formats import jsontext
from pipemon.generate.formats.grafana_alerting import alerting_files
from pipemon.generate.formats.kubernetes import in_namespace, kubernetes_files
from pipemon.generate.formats.provisioning import DATASOURCE_UID, grafana_provisioning
from pipemon.generate.formats.rulers import RULERS, ruler_files
from pipemon.generate.formats.scraping import prometheus_document, prometheus_file
from pipemon.generate.inhibition import Plan, plan
from pipemon.generate.rules import rule_file, rules
from pipemon.generate.ruletests.files import test_pieces
from pipemon.generate.runbook import runbook
from pipemon.generate.templates import TEMPLATES, templates_file
from pipemon.spec.load import load_all
from pipemon.spec.model import Spec
from pipemon.spec.scale import scaled

DASHBOARDS = "grafana/dashboards"
"""Where the dashboards are, under the output folder."""
IMPORTS = "grafana/import"
"""Where those for the import dialog are: nothing that reads the others must find them."""

Text = str | Iterator[str]
"""A file's text, whole or in pieces that come once."""

_AT_ONCE = 1 << 20
"""Characters that are compared at once."""


@dataclass(frozen=True)
class Options:
    """What the files say of the place they run in.

    `time_scale` divides every duration. `receiver_url` is pipemon's receiver, `alertmanager` is host:port,
    `grafana_url` is the root of Grafana ("" for no links). `targets` are host:port, or job=host:port where
    there are several jobs; by default ports from 9464 on, here. `edge` makes it the set-up of an edge device.
    `formats` adds other forms: `grafana` (its own alerting), `kubernetes`, `mimir`, `thanos`, `victoria`. In
    Kubernetes all is of one `namespace`, unless the spec selects one. `for_import` adds the dashboards for
    Grafana's import dialog. `prometheus_url` is the root of Prometheus as Grafana reaches it; `datasource_uid` is that
    of the data source which Grafana's own alerts read. `receiver_token_file` is where Alertmanager finds the token that
    the receiver wants; in Kubernetes that is in the Secret pipemon-receiver, under the key token. `traces` is where the
    exemplars of graphs lead: an address with `{trace_id}`, or the uid of Grafana's data source of traces; "" for none.
    """

    time_scale: float = 1.0
    receiver_url: str = "http://127.0.0.1:9465/alerts"
    alertmanager: str = "127.0.0.1:9093"
    targets: tuple[str, ...] = ()
    grafana_url: str = ""
    edge: Edge | None = None
    formats: tuple[str, ...] = ()
    namespace: str = ""
    for_import: bool = False
    prometheus_url: str = "http://localhost:9090"
    datasource_uid: str = DATASOURCE_UID
    receiver_token_file: str = ""
    traces: str = ""


@dataclass(frozen=True)
class Generated:
    """The plans behind the files, all paths relative to the output folder, and those that changed.

    `stale` are rule files of earlier runs that this one did not write: Prometheus loads all that are there.
    """

    plans: tuple[Plan, ...]
    paths: tuple[str, ...]
    changed: tuple[str, ...]
    stale: tuple[str, ...] = ()


def files(plans: Sequence[Plan], options: Options) -> dict[str, str]:
    """Return the text of every file by its path in the output folder."""
    return {path: text if isinstance(text, str) else "".join(text) for path, text in texts(plans, options).items()}


def texts(plans: Sequence[Plan], options: Options) -> dict[str, Text]:
    """Return what is in every file, by its path in the output folder; that of rule tests is made as it is read."""
    found: dict[str, str] = {}
    tests: dict[str, Text] = {}
    specs = [made.spec for made in plans]
    for one in plans:
        spec = one.spec
        url = f"{options.grafana_url.rstrip('/')}/d/{stable_uid(spec.pipeline)}" if options.grafana_url else ""
        made = rules(spec, url)
        found[f"rules/{spec.pipeline}.rules.yml"] = rule_file(made)
        tests |= {f"rules/tests/{name}": pieces for name, pieces in test_pieces(made)}
        found[f"{spec.pipeline}.bounds.json"] = bounds_file(spec)
        found |= dashboard_files(spec)
        found[f"runbooks/{spec.pipeline}.md"] = runbook(one, url)
    found |= generic_dashboard_files(specs)
    interval = min(spec.timing.scrape_interval for spec in specs)
    found |= grafana_provisioning(prometheus=options.prometheus_url, scrape_interval=interval, traces=options.traces)
    found["alertmanager/alertmanager.yml"] = alertmanager_file(
        plans, options.receiver_url, token_file=options.receiver_token_file
    )
    found[TEMPLATES] = templates_file()
    found["prometheus.yml"] = prometheus_file(specs, options.targets, options.alertmanager)
    for ruler in RULERS:
        if ruler in options.formats:
            found |= ruler_files(ruler, [spec.pipeline for spec in specs], found)
    if "grafana" in options.formats:
        found |= alerting_files(plans, options.receiver_url, options.grafana_url, options.datasource_uid)
    if options.for_import:
        found |= _import_files(found)
    if "kubernetes" in options.formats:
        found |= kubernetes_files(plans, found, options.receiver_url, options.receiver_token_file)
    if options.edge:
        found |= _edge_files(options.edge, plans, options)
    return {**found, **tests}


def dashboard_files(spec: Spec) -> dict[str, str]:
    """Return the texts of a spec's dashboards by their paths."""
    return {f"{DASHBOARDS}/{spec.pipeline}.json": jsontext.dump(dashboard(spec))}


def generic_dashboard_files(specs: Sequence[Spec]) -> dict[str, str]:
    """Return the texts of the dashboards that suit any pipeline by their paths: no pipeline is called so.

    They read labels as they arrive where they do alike of all specs: see `labels_differ`.
    """
    labels = () if labels_differ(specs) else specs[0].labels
    made = generic(Scraped(min(spec.timing.scrape_interval for spec in specs), labels))
    return {f"{DASHBOARDS}/any/{name}.json": jsontext.dump(board) for name, board in made.items()}


def labels_differ(specs: Sequence[Spec]) -> bool:
    """Tell whether pipemon's labels arrive under other names for one pipeline than for another."""
    return len({frozenset(spec.labels) for spec in specs}) > 1


def _import_files(made: Mapping[str, str]) -> dict[str, str]:
    boards = {name: json.loads(text) for name, text in made.items() if name.startswith(f"{DASHBOARDS}/")}
    return {f"{IMPORTS}{name.removeprefix(DASHBOARDS)}": jsontext.dump(importable(b)) for name, b in boards.items()}


def _edge_files(edge: Edge, plans: Sequence[Plan], options: Options) -> dict[str, str]:
    specs = [made.spec for made in plans]
    check_labels(edge, specs)
    found = {
        "prometheus.yml": device_prometheus(edge, prometheus_document(specs, options.targets, options.alertmanager))
    }
    if not edge.agent:
        found["rules/edge.rules.yml"] = device_rules(min(spec.timing.evaluation_interval for spec in specs))
    found |= unit_files(edge, options.alertmanager, options.receiver_url)
    return found | centre_files(edge, plans, options.alertmanager, options.receiver_url, options.receiver_token_file)


def generate(paths: Sequence[Path], out: Path, options: Options | None = None) -> Generated:
    """Write all that the spec files at `paths` ask for into `out`.

    Raises SpecError or OptionError before anything is written. Files that would not change are left alone.
    """
    options = options or Options()
    specs = [scaled(spec, options.time_scale) for spec in load_all(paths)]
    if "kubernetes" in options.formats:
        specs = [in_namespace(spec, options.namespace) for spec in specs]
    plans = tuple(map(plan, specs))
    made = texts(plans, options)
    return Generated(plans, tuple(made), write(out, made), tuple(_stale(out, made)))


def _stale(out: Path, made: Iterable[str]) -> Iterator[str]:
    for path in sorted((out / "rules").glob("*.yml")):
        name = f"rules/{path.name}"
        if name not in made and "generated by pipemon" in _first_line(path):
            yield name


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.readline(1000)
    except OSError:
        return ""


def write(out: Path, made: Mapping[str, Text]) -> tuple[str, ...]:
    """Write files whose text differs, each first beside its place and then renamed; return their paths.

    A text in pieces is written as they come. Raises OSError, with the path that can't be written; all files are then
    as they were.
    """
    waiting: list[tuple[str, Path, str]] = []
    new: list[Path] = []
    try:
        for path, text in made.items():
            target = out / path
            if isinstance(text, str) and _holds(target, text):
                continue
            new += [folder for folder in reversed(target.parents) if not folder.exists() and folder not in new]
            handle, temporary = _draft(target)
            waiting.append((temporary, target, path))
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.writelines([text] if isinstance(text, str) else text)
            Path(temporary).chmod(0o644)
        changed = [each for each in waiting if not _same(each[0], each[1])]
        for temporary, target, _ in changed:
            Path(temporary).replace(target)
    finally:
        for temporary, _, _ in waiting:
            Path(temporary).unlink(missing_ok=True)
        for folder in reversed(new):
            # Those that nothing could be written to; others have files.
            with suppress(OSError):
                folder.rmdir()
    return tuple(path for _, _, path in changed)


def _same(draft: str, target: Path) -> bool:
    try:
        return filecmp.cmp(draft, target, shallow=False)
    except OSError:
        return False


def _draft(target: Path) -> tuple[int, str]:
    """Open a new file beside `target`. Raises OSError with the path that is in the way, not with the draft's."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target.parent)) from None
    if target.is_dir():
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    try:
        return tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from None


def _holds(path: Path, text: str) -> bool:
    """Tell whether a file is there and has this text: looked at part by part, so that memory has it once."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            parts = (text[start : start + _AT_ONCE] for start in range(0, len(text), _AT_ONCE))
            return all(file.read(_AT_ONCE) == part for part in parts) and not file.read(1)
    except (OSError, UnicodeDecodeError):
        return False
