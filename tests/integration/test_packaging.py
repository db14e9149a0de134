"""What is published: the wheel, the source archive, and a core that needs numpy and prometheus-client only."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ("numpy", "prometheus_client")
LIBRARIES = {
    "click": "click",
    "promql-parser": "promql_parser",
    "PyYAML": "yaml",
    "aiohttp": "aiohttp",
    "grafana-client": "grafana_client",
    "rich": "rich",
    "polars": "polars",
}
"""What extras bring, and the name that it is imported by."""


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program that finds only what is installed."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=alone, capture_output=True, text=True, check=False, timeout=120
    )


def build(source: Path, target: str, folder: Path) -> Path:
    """Build the wheel or the source archive of a folder with the environment's own build backend."""
    done = run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", folder, cwd=source)
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive as a package registry's users do."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder := tmp_path_factory.mktemp("source"), filter="data")
    (source,) = folder.iterdir()
    return build(source, "wheel", tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_typed_package_and_the_example_that_the_demo_plays(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {"pipemon/py.typed", "pipemon/cli.py"}
    expected |= {
        f"pipemon/demo/speech/{path.name}" for path in (ROOT / "examples" / "speech").iterdir() if path.is_file()
    }
    assert expected <= names
    assert "pipemon/demo/speech/failure_modes.yaml" in expected


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"pipemon", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}
    kinds = {Path(name).suffix for name in names if name.startswith("pipemon/")}
    assert kinds == {".py", ".typed", ".yaml", ".json", ".md"}
    assert not [name for name in names if "/test_" in name or "/tests/" in name or "__pycache__" in name]


def test_the_source_archive_holds_what_people_change_and_no_leftovers(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "Makefile", "tests/conftest.py"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert not tops & {".venv", ".cache", ".git", ".ci", "build", "dist"}
    assert not [name for name in names if name.endswith((".pyc", ".wav", ".log"))]


def test_the_wheel_names_its_extras_and_two_dependencies(wheel: Path) -> None:
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA"))
    lines = zipfile.ZipFile(wheel).read(metadata).decode().splitlines()
    needed = [line.split()[1] for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert [name.partition("<")[0].partition(">")[0] for name in needed] == ["numpy", "prometheus-client"]
    extras = {line.split()[1] for line in lines if line.startswith("Provides-Extra:")}
    assert extras == {
        "generate",
        "serve",
        "grafana",
        "watch",
        "data",
        "demo",
        "gpu",
        "sklearn",
        "fastapi",
        "dev",
        "all",
    }


@pytest.fixture(scope="module")
def core(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of an environment with the wheel, numpy and prometheus-client, and nothing else."""
    folder = tmp_path_factory.mktemp("core")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in CORE:
        home = Path(str(importlib.metadata.distribution(name).locate_file("")))
        for part in home.glob(f"{name}*"):
            (packages / part.name).symlink_to(part)
    python = folder / "bin" / "python"
    done = run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_the_core_serves_a_pipeline_without_any_other_package(core: Path, tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "import pipemon, prometheus_client\n"
        "shop = pipemon.Pipeline('shop')\n"
        "@shop.stage\n"
        "def find(query): return query.split()\n"
        "find('a b')\n"
        "print(prometheus_client.generate_latest().decode())\n"
    )
    done = run(core / "python", "-W", "error", "service.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'pipemon_stage_calls_total{pipeline="shop",stage="find",track="stable",version="0"} 1.0' in done.stdout
    where = run(core / "python", "-c", "import pipemon; print(pipemon.__file__)", cwd=tmp_path).stdout
    assert where.startswith(str(core.parent))


@pytest.mark.parametrize("arguments", [(), ("--help",), ("generate", "speech.yaml")])
def test_the_command_says_what_to_install_where_its_libraries_are_not_there(
    core: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run(core / "pipemon", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "pipemon: click is not installed; the commands come with: pip install 'pipemon[generate]'\n",
    )


def test_the_demo_finds_its_example_in_an_installation(core: Path, tmp_path: Path) -> None:
    code = "from pathlib import Path; from pipemon.demo.example import copy_example; "
    code += "print(copy_example(Path.cwd(), Path('cache')).spec.read_text()[:30])"
    done = run(core / "python", "-c", code, cwd=tmp_path)
    assert done.stdout.startswith("# What can go wrong"), done.stderr


@pytest.mark.parametrize(
    ("extra", "command", "said"),
    [
        ("serve", ("serve", "--host", "192.0.2.1"), "192.0.2.1"),
        ("watch", ("watch", "http://127.0.0.1:1"), "can't be reached at http://127.0.0.1:1"),
        ("generate", ("check", "examples/speech/failure_modes.yaml"), "failure modes"),
    ],
    ids=["serve", "watch", "check"],
)
def test_a_command_needs_no_more_than_its_extra_brings(extra: str, command: tuple[str, ...], said: str) -> None:
    given = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"][extra]
    hidden = dict.fromkeys({*LIBRARIES.values()} - {LIBRARIES[each.partition(">")[0]] for each in given})
    alone = f"import sys; sys.modules.update({hidden}); from pipemon.__main__ import main; main()"
    command = (sys.executable, "-c", alone, *command)
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "is not installed" not in done.stderr
    assert said in done.stdout + done.stderr
