"""The stack for Docker, held to what needs no engine: schemas, real tools, names that agree."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from command_line import pipemon
from grafana_double import VERSIONS as GRAFANA
from grafana_double import read_document
from jsonschema import Draft202012Validator
from openapi_schema_validator import OAS30Validator
from real_servers import program, tool, until
from test_versions import VERSIONS

from pipemon.demo.processes import children, free_ports, start

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "examples" / "stack"
COMPOSE = yaml.safe_load((STACK / "compose.yaml").read_text())
FILES = ("compose.yaml", "grafana-alerting.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
USUAL_PORTS = {"prometheus": 9090, "alertmanager": 9093, "grafana": 3000}
ADDRESS = re.compile(r"(?:http://)?([a-z][a-z0-9-]*):(\d+)\b")


def option(service: str, name: str) -> str:
    """What a service's command says for an option."""
    (value,) = [word.partition("=")[2] for word in SERVICES[service]["command"] if word.startswith(f"--{name}=")]
    return str(value)


def listens(service: str) -> int:
    return USUAL_PORTS.get(service) or int(option(service, "port"))


def mounts(service: str, *further: dict[str, Any]) -> dict[str, str]:
    """What of the stack's folder a service sees, by the path inside."""
    texts = [text for each in (SERVICES[service], *further) for text in each.get("volumes", ())]
    parts = [text.split(":") for text in texts if text.startswith(".")]
    assert all(rest == ["ro"] for _, _, *rest in parts) or service == "generate"
    return {inside: outside for outside, inside, *_ in parts}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in the place of the stack's, after the command of `generate`; a minute of it is three seconds there."""
    folder = tmp_path_factory.mktemp("stack")
    ((inside, outside),) = mounts("generate").items()
    program, *arguments = SERVICES["generate"]["command"]
    assert program == "pipemon"
    told = [text.replace(f"={inside}", f"={folder / outside}") for text in arguments]
    ended = pipemon(*told, "--time-scale=20", cwd=image_folder())
    assert (ended.code, ended.err) == (0, "")
    return folder


def dockerfile() -> list[list[str]]:
    text = (STACK / "Dockerfile").read_text().replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line and not line.startswith("#")]


def image_folder() -> Path:
    """The folder of the repository that is the image's working folder."""
    first, last = (words[1] for words in dockerfile() if words[0] == "WORKDIR")
    return ROOT / Path(last).relative_to(first)


@pytest.mark.parametrize("name", FILES)
def test_the_compose_files_are_valid_by_the_specifications_schema(name: str) -> None:
    schema = get_builtin_schema("vendor.compose-spec")
    document = yaml.safe_load((STACK / name).read_text())
    assert not [error.message for error in Draft202012Validator(schema).iter_errors(document)]


def test_images_are_of_whole_versions_that_other_tests_use() -> None:
    (base,) = [words[1] for words in dockerfile() if words[0] == "FROM"]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", base)
    pinned = {name: body["image"].split(":")[1] for name, body in SERVICES.items() if "build" not in body}
    minor = {name: re.fullmatch(r"v?(\d+\.\d+)\.\d+", tag) for name, tag in pinned.items()}
    assert minor["prometheus"]
    assert minor["prometheus"][1] in {prometheus for prometheus, _ in VERSIONS.values()}
    assert minor["alertmanager"]
    assert minor["alertmanager"][1] in {alertmanager for _, alertmanager in VERSIONS.values()}
    assert pinned["grafana"] in GRAFANA


def test_the_image_has_what_is_copied_into_it_and_what_its_commands_name() -> None:
    copied = [source for words in dockerfile() if words[0] == "COPY" for source in words[1:-1]]
    assert all((ROOT / source).exists() for source in copied)
    project = (ROOT / "pyproject.toml").read_text()
    assert {"README.md", "LICENSE"} <= set(copied)
    assert all(name in copied for name in re.findall(r'^"([\w/]+)" = "pipemon/', project, re.MULTILINE))
    assert (image_folder() / SERVICES["speech"]["command"][1]).is_file()
    for name in ("generate", "speech", "receiver"):
        build = SERVICES[name]["build"]
        assert (STACK / build["context"] / build["dockerfile"]).resolve() == STACK / "Dockerfile"


def test_what_is_mounted_or_named_is_generated_and_waited_for(stack: Path) -> None:
    alerting = yaml.safe_load((STACK / "grafana-alerting.yaml").read_text())["services"]["grafana"]
    readers = {
        name: mounts(name, alerting if name == "grafana" else {}) for name in ("prometheus", "alertmanager", "grafana")
    }
    for name, seen in readers.items():
        assert seen
        assert all(any((stack / outside).rglob("*")) for outside in seen.values())
        assert SERVICES[name]["depends_on"]["generate"]["condition"] == "service_completed_successfully"
    for name in ("prometheus", "alertmanager"):
        ((inside, outside),) = readers[name].items()
        assert (stack / outside / Path(option(name, "config.file")).relative_to(inside)).is_file()
    provider = yaml.safe_load((stack / "generated/grafana/provisioning/dashboards/pipemon.yml").read_text())
    boards = stack / readers["grafana"][provider["providers"][0]["options"]["path"]]
    assert {json.loads(path.read_text())["uid"] for path in boards.rglob("*.json")} >= {
        "pipemon-speech",
        "pipemon_stage",
    }


@pytest.mark.integration
def test_prometheus_and_alertmanager_take_their_configurations(stack: Path) -> None:
    assert "1 rule files found" in tool("promtool", "check", "config", str(stack / "generated" / "prometheus.yml"))
    tool("amtool", "check-config", str(stack / "generated" / "alertmanager" / "alertmanager.yml"))


@pytest.mark.integration
def test_an_alert_comes_from_prometheus_by_alertmanager_to_the_receiver(stack: Path, tmp_path: Path) -> None:
    """By the services' own commands and generated files, but for the places: that nobody calls, since nobody does."""
    names = ("prometheus", "alertmanager", "receiver", "speech")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    inside = {"/monitoring": tmp_path / "generated", "/prometheus": tmp_path / "tsdb", "/alertmanager": tmp_path / "am"}
    shutil.copytree(stack / "generated", tmp_path / "generated")
    for path in (tmp_path / "generated").rglob("*.yml"):
        path.write_text(ADDRESS.sub(lambda found: found[0].replace(*moved(found, ports)), path.read_text()))

    def placed(word: str) -> str:
        option, _, value = word.partition("=")
        top = next((folder for folder in inside if value.startswith(folder)), None)
        return word if top is None else f"{option}={inside[top]}{value.removeprefix(top)}"

    commands = {
        name: [
            str(program(name, f"prometheus-{name}")),
            *map(placed, SERVICES[name]["command"]),
            f"--web.listen-address=127.0.0.1:{ports[name]}",
        ]
        for name in ("alertmanager", "prometheus")
    }
    receive = [word for word in SERVICES["receiver"]["command"][1:] if not word.startswith(("--host", "--port"))]
    commands["receiver"] = [sys.executable, "-m", "pipemon", *receive, f"--port={ports['receiver']}"]
    with children() as started:
        # Prometheus finds its Alertmanager within five seconds, and what nobody took it sends again after a minute.
        for name in ("receiver", "alertmanager", "prometheus"):
            started.append(start(name, commands[name], tmp_path / f"{name}.log", cwd=tmp_path))
            until(lambda port=ports[name]: _listens(port), f"{name} listens")  # type: ignore[misc]
        (line,) = until(lambda: re.findall(".*nobody-calls.*", (tmp_path / "receiver.log").read_text()), "the alert")
    assert "FIRING critical speech nobody-calls" in line
    assert "Do: Place a test call" in line


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def moved(found: re.Match[str], ports: dict[str, int]) -> tuple[str, str]:
    """Where a service listens in Docker, and where it does here; what is no service's stays."""
    there = f"{found[1]}:{found[2]}"
    return there, f"127.0.0.1:{ports[found[1]]}" if found[1] in ports else there


def test_provisioning_is_what_grafana_takes(stack: Path) -> None:
    provisioning = stack / "generated" / "grafana" / "provisioning"
    components = read_document("12.1.0")["components"]

    def against(schema: str, document: Any) -> list[str]:
        whole = {"$ref": f"#/components/schemas/{schema}", "components": components}
        return [f"{list(error.path)} {error.message[:200]}" for error in OAS30Validator(whole).iter_errors(document)]

    for path in (provisioning / "alerting").iterdir():
        assert against("AlertingFileExport", yaml.safe_load(path.read_text())) == [], path.name
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    del source["editable"]  # a file's own
    assert against("AddDataSourceCommand", source) == []


def test_every_host_and_port_is_that_of_a_service_that_listens_there(stack: Path) -> None:
    published = {}
    for name, body in SERVICES.items():
        for text in body.get("ports", ()):
            address, outside, inside = text.split(":")
            assert (address, int(inside)) == ("127.0.0.1", listens(name))
            published[int(outside)] = name
    told = [" ".join(body.get("command", ())) for body in SERVICES.values()]
    told += [path.read_text() for path in (stack / "generated").rglob("*.yml") if "tests" not in path.parts]
    told.append((STACK / "README.md").read_text())
    found = {(host, int(port)) for text in told for host, port in ADDRESS.findall(text)}
    inside = {(host, port) for host, port in found if host != "localhost"}
    assert inside == {(name, listens(name)) for name in ("speech", "receiver", "prometheus", "alertmanager")}
    assert {port for host, port in found if host == "localhost"} == set(published)
    assert (option("speech", "address"), option("receiver", "host")) == ("0.0.0.0", "0.0.0.0")


def test_grafanas_provider_and_the_readme_name_the_pipelines_own_dashboard(stack: Path) -> None:
    board = json.loads((stack / "generated" / "grafana" / "dashboards" / "speech.json").read_text())
    assert f"http://localhost:3000/d/{board['uid']}>" in (STACK / "README.md").read_text()
    rules = (stack / "generated" / "rules" / "speech.rules.yml").read_text()
    assert f"http://localhost:3000/d/{board['uid']}?viewPanel=" in rules
