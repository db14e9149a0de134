"""Which part may import which: a drawing of the project that can't go out of date."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pipemon"
LEAVES = ("catalogue", "errors", "units", "topology", "version")
COMMANDS = ("baseline", "receiver", "demo", "drill", "grafana_push", "watch", "grafana", "cli")
"""What stands behind a command, or is one."""


def commands(*used: str) -> tuple[str, ...]:
    """All of them but those that are used."""
    return tuple(name for name in COMMANDS if name not in used)


SERVICE = ("spec", "generate", "prometheus", *COMMANDS)
FORBIDDEN = {
    "instrument": SERVICE,
    "integrations": SERVICE,
    "features": SERVICE,
    "spec": ("instrument", "generate", *COMMANDS),
    "generate": ("instrument", *COMMANDS),
    "baseline": commands("baseline"),
    "drill": ("instrument", *commands("drill")),
    "grafana": ("instrument", "spec", "generate", "prometheus", *commands("grafana")),
    "grafana_push": ("instrument", "prometheus", *commands("grafana_push", "grafana")),
    "receiver": ("instrument", "generate", "prometheus", *commands("receiver", "grafana")),
    "watch": ("instrument", *commands("watch")),
}
YAML_AND_SERVERS = {"yaml", "click", "pydantic", "aiohttp", "rich"}


def files_of(part: str) -> list[Path]:
    single = PACKAGE / f"{part}.py"
    return [single] if single.exists() else sorted((PACKAGE / part).rglob("*.py"))


def nodes_at_once(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: not the bodies of functions, nor what is for type checkers only."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        for child in ast.iter_child_nodes(node):
            yield from nodes_at_once(child)


def imports_of(file: Path, nodes: Callable[[ast.AST], Iterable[ast.AST]] = ast.walk) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever in it."""
    for node in nodes(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_imports_nothing_of_pipemon(leaf: str) -> None:
    (file,) = files_of(leaf)
    assert not [name for name in imports_of(file) if name.startswith("pipemon")]


@pytest.mark.parametrize("part", FORBIDDEN)
def test_parts_depend_one_way(part: str) -> None:
    files = files_of(part)
    assert files
    for file in files:
        parts = {name.split(".")[1] for name in imports_of(file) if name.startswith("pipemon.")}
        assert not parts & set(FORBIDDEN[part]), file


@pytest.mark.parametrize("part", ["instrument", "features", *LEAVES])
def test_what_runs_in_the_users_service_imports_numpy_and_prometheus_client_only(part: str) -> None:
    for file in files_of(part):
        assert not {name.split(".")[0] for name in imports_of(file, nodes_at_once)} & YAML_AND_SERVERS, file


def test_one_module_speaks_with_grafana() -> None:
    speaking = [f for f in PACKAGE.rglob("*.py") if any(name.startswith("grafana_client") for name in imports_of(f))]
    assert speaking == [PACKAGE / "grafana.py"]


def test_a_model_is_trained_where_there_may_be_no_yaml() -> None:
    ask = "import sys, pipemon; pipemon.learning; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    assert "pipemon.baseline.calls" in loaded
    assert not YAML_AND_SERVERS & set(loaded)


def test_what_a_newcomer_tries_is_there_after_one_import() -> None:
    ask = "import pipemon; print(pipemon.features.words().name, pipemon.testing.__name__)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout == "words pipemon.testing\n"


def test_a_command_loads_nothing_that_only_services_need() -> None:
    ask = "import sys, pipemon.cli, pipemon.generate.output; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    assert "pipemon.cli" in loaded
    assert not {"numpy", "prometheus_client", "pipemon.instrument"} & set(loaded)


def test_no_module_imports_its_own_package() -> None:
    for file in PACKAGE.rglob("*.py"):
        names = set(imports_of(file))
        own = {f"pipemon.{name}" for name in ("Pipeline", "Feature", "expose", "current_run", "__version__")}
        assert not names & (own | {"pipemon"}), file


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not when they are first called either."""
    modules = {".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file for file in PACKAGE.rglob("*.py")}
    imported = {
        name: {found if found in modules else found.rpartition(".")[0] for found in imports_of(file)}
        for name, file in modules.items()
    }
    assert imported["pipemon.cli"] & modules.keys()
    TopologicalSorter(imported).prepare()  # raises CycleError
