"""`pipemon push`: idempotent, keeps what people changed in Grafana, says in words what it does and why it can't."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from command_line import pipemon
from grafana_double import ANNA, EDITOR, VERSIONS, VIEWER, GrafanaDouble, Refusal, opened, serving

from pipemon.cli import run
from pipemon.errors import UnavailableError
from pipemon.generate.output import generate
from pipemon.grafana import Grafana
from pipemon.grafana_push.dashboards import of_folder, of_specs

SPEC = """\
pipeline: speech
owner: speech-team
stages:
  vad: {budget: 50ms}
failure_modes:
  vad-cuts: {what: The VAD returns nothing, stage: vad, signal: null_ratio, above: 5%, severity: page}
"""
UID = "pipemon-speech"


class Ended(NamedTuple):
    """How a command ended and what it printed."""

    code: object
    out: str
    err: str


class Desk:
    """Where a person sits: a failure-mode file, a Grafana, a token."""

    def __init__(self, folder: Path, double: GrafanaDouble, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.double, self._capsys, self._monkeypatch = folder, double, capsys, monkeypatch
        self.spec = folder / "speech.yaml"
        self.spec.write_text(SPEC)
        self.token(EDITOR)
        # One dashboard tells all there is to tell; that the others come too has a test of its own.
        monkeypatch.setattr("pipemon.grafana_push.dashboards.generic_dashboard_files", lambda specs: {})

    def token(self, token: str) -> None:
        self._monkeypatch.setenv("GRAFANA_TOKEN", token)

    def write(self, good: str, other: str) -> None:
        assert good in self.spec.read_text()
        self.spec.write_text(self.spec.read_text().replace(good, other))

    def other(self, pipeline: str) -> str:
        """The file of another pipeline, alike but for its name."""
        path = self.folder / f"{pipeline}.yaml"
        path.write_text(SPEC.replace("pipeline: speech", f"pipeline: {pipeline}"))
        return str(path)

    def push(self, *arguments: str, url: str = "", what: tuple[str, ...] = ()) -> Ended:
        command = ["pipemon", "push", *(what or (str(self.spec),)), "--url", url or self.double.url, *arguments]
        self._monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            run()
        said = self._capsys.readouterr()
        assert "glsa_" not in said.out + said.err
        assert "Traceback" not in said.err
        return Ended(ended.value.code, said.out, said.err)


@pytest.fixture(scope="session", params=VERSIONS)
def documents(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, opened(request.param)


newest = pytest.mark.parametrize("documents", VERSIONS[:1], indirect=True)
"""For what has nothing to do with Grafana's version."""


@pytest.fixture
def double(documents: tuple[str, Any]) -> Iterator[GrafanaDouble]:
    with serving(GrafanaDouble(*documents)) as found:
        yield found


@pytest.fixture
def desk(
    tmp_path: Path,
    double: GrafanaDouble,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    return Desk(tmp_path, double, capsys, monkeypatch)


def saves(desk: Desk) -> list[str]:
    return [asked for asked in desk.double.asked if asked.startswith("POST")]


def added_by_anna(board: dict[str, Any]) -> None:
    board["panels"].append({"id": 99, "type": "text", "title": "Anna's notes", "gridPos": {}})


def test_the_first_push_makes_the_folder_and_adds_the_dashboard(desk: Desk) -> None:
    assert desk.push() == (0, f"made the folder pipemon\nadded {UID} (speech: cascade)\n", "")
    assert desk.double.folders == {"pipemon": "pipemon"}
    (save,) = desk.double.dashboards[UID]
    assert (save.folder, save.content["title"]) == ("pipemon", "speech: cascade")


def test_the_second_push_saves_nothing(desk: Desk) -> None:
    desk.push()
    before = saves(desk)
    assert desk.push() == (0, f"same {UID} (speech: cascade)\n", "")
    assert saves(desk) == before


def test_a_change_of_the_failure_modes_is_pushed_and_told_in_words(desk: Desk) -> None:
    desk.push()
    desk.write("above: 5%", "above: 7%")
    ended = desk.push()
    assert ended.code == 0
    assert ended.out.startswith(f"changed {UID} (speech: cascade)\n")
    assert "has its threshold at 0.07 (was 0.05)" in ended.out
    assert len(desk.double.dashboards[UID]) == 2
    assert desk.push().out == f"same {UID} (speech: cascade)\n"


@newest
def test_a_new_stage_is_told_by_its_panels(desk: Desk) -> None:
    desk.push()
    desk.write("budget: 50ms}", "budget: 50ms}\n  asr: {after: vad}")
    lines = desk.push().out.splitlines()
    assert any(line.startswith("  panel ") and "asr" in line and line.endswith(": new") for line in lines)
    assert any("asks something else in query A" in line or "has a query" in line for line in lines)
    assert not any(line.endswith(": gone") for line in lines)


def test_a_dry_run_says_what_would_change_and_saves_nothing(desk: Desk) -> None:
    ended = desk.push("--dry-run")
    assert ended == (1, f"would make the folder pipemon\nwould add {UID} (speech: cascade)\n", "")
    desk.push()
    before = saves(desk)
    assert desk.push("--dry-run") == (0, f"same {UID} (speech: cascade)\n", "")
    desk.write("above: 5%", "above: 7%")
    ended = desk.push("--dry-run")
    assert (ended.code, ended.out.splitlines()[0]) == (1, f"would change {UID} (speech: cascade)")
    assert saves(desk) == before


def test_what_a_person_changed_is_kept_and_said(desk: Desk) -> None:
    desk.push()
    desk.double.edit(UID, added_by_anna, message="my notes")
    ended = desk.push()
    assert ended.code == 1
    assert f"kept {UID} (speech: cascade): {ANNA} saved it last, as version 2" in ended.out
    assert "“my notes”" in ended.out
    assert '"Anna\'s notes": gone' in ended.out
    assert "--force makes these changes" in ended.out
    assert len(desk.double.dashboards[UID]) == 2


def test_force_overwrites_it_and_it_stays_in_the_history(desk: Desk) -> None:
    desk.push()
    desk.double.edit(UID, added_by_anna)
    ended = desk.push("--force")
    assert ended.code == 0
    assert ended.out.startswith(f"overwrote {UID}")
    assert "Anna" not in json.dumps(desk.double.now(UID))
    assert len(desk.double.dashboards[UID]) == 3
    assert desk.push().out.startswith("same")


@newest
def test_what_grafana_adds_when_a_person_saves_is_not_told_as_a_change(desk: Desk) -> None:
    desk.push()

    def saved(board: dict[str, Any]) -> None:
        for panel in board["panels"]:
            panel["pluginVersion"] = "13.0.0"
            panel.get("fieldConfig", {}).get("defaults", {}).setdefault("unitScale", True)

    desk.double.edit(UID, saved)
    ended = desk.push()
    assert ended.code == 1
    assert "  what differs is nothing that pipemon writes\n" in ended.out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda panel: panel["targets"][0].update(expr="up"), "asks something else in query A"),
        (lambda panel: panel["targets"].append({"refId": "Z", "expr": "up"}), "no longer has query Z"),
        (lambda panel: panel["targets"].pop(0), "has a query A more"),
        (lambda panel: panel.update(title="Mine"), "has another title"),
        (lambda panel: panel.update(description=""), "is described otherwise"),
        (lambda panel: panel["fieldConfig"]["defaults"].update(unit="bytes"), "has another unit"),
        (lambda panel: panel["fieldConfig"]["defaults"]["custom"].update(lineWidth=9), "is drawn otherwise"),
        (lambda panel: panel["options"].update(tooltip={}), "has other options"),
        (lambda panel: panel["gridPos"].update(w=1), "  panels stand in other places\n"),
        (lambda panel: panel.update(targets="none"), "has a query A more"),
        (lambda panel: panel.update(fieldConfig=None), "is drawn otherwise"),
    ],
)
@newest
def test_each_change_of_a_panel_is_told_as_what_a_push_would_do(
    desk: Desk, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    desk.push()

    def edit(board: dict[str, Any]) -> None:
        change(next(panel for panel in board["panels"] if panel["type"] == "timeseries"))

    desk.double.edit(UID, edit)
    assert words in desk.push().out


def test_an_edit_that_was_taken_back_by_hand_is_none(desk: Desk) -> None:
    desk.push()
    desk.double.edit(UID, added_by_anna)
    desk.double.edit(UID, lambda board: board["panels"].pop())
    assert desk.push().code == 0


@newest
def test_a_dashboard_that_somebody_moved_is_kept(desk: Desk) -> None:
    desk.push()
    desk.double.dashboards[UID][-1].folder = "annas"
    ended = desk.push()
    assert (ended.code, ended.err) == (1, "")
    assert ended.out.splitlines() == [
        f"kept {UID} (speech: cascade): in the folder annas, not in pipemon",
        "  --force moves it to pipemon, with these changes if there are any; --folder annas pushes it where it is",
    ]
    desk.double.edit(UID, added_by_anna)
    assert f"not in pipemon; {ANNA} saved it last, as version 2" in desk.push().out
    assert desk.push("--force").code == 0
    assert desk.double.dashboards[UID][-1].folder == "pipemon"


def test_another_form_that_grafana_stores_it_in_is_no_edit(desk: Desk) -> None:
    desk.push()
    desk.double.now(UID)["schemaVersion"] = 42
    assert desk.push() == (0, f"same {UID} (speech: cascade)\n", "")


def test_a_save_between_look_and_push_is_not_lost(desk: Desk) -> None:
    desk.push()
    desk.write("above: 5%", "above: 7%")
    desk.double.meanwhile = lambda: desk.double.edit(UID, added_by_anna)
    ended = desk.push()
    assert ended.code == 1
    assert f"not saved {UID} (speech: cascade): somebody saved it meanwhile; push again to see" in ended.out
    assert "Anna" in json.dumps(desk.double.now(UID))


@newest
@pytest.mark.parametrize(
    ("status", "message", "code", "words"),
    [
        (
            412, "A dashboard with the same name in the folder already exists", "name-exists",
            "another dashboard of that folder has its title; rename that one (Grafana at",
        ),
        (
            422, "A dashboard with the same name already exists", "name-exists",
            "another dashboard of that folder has its title; rename that one (Grafana at",
        ),
        (422, "Dashboard title cannot be empty", "", "Grafana at"),
    ],
)  # fmt: skip
def test_a_dashboard_that_grafana_does_not_take_is_told_and_does_not_keep_the_others_back(
    desk: Desk, status: int, message: str, code: str, words: str
) -> None:
    desk.double.refuses["speech: cascade"] = Refusal(status, message, code)
    ended = desk.push(what=(str(desk.spec), desk.other("shop")))
    told, added = ended.out.splitlines()[1:]
    assert (ended.code, ended.err) == (1, "")
    assert told.startswith(f"not saved {UID} (speech: cascade): {words}")
    assert f"refused: {message} ({status}{f', {code}' if code else ''})" in told
    assert added == "added pipemon-shop (shop: cascade)"
    assert list(desk.double.dashboards) == ["pipemon-shop"]


@newest
@pytest.mark.parametrize("arguments", [(), ("--force",)])
def test_a_dashboard_of_somebody_else_is_never_overwritten(desk: Desk, arguments: tuple[str, ...]) -> None:
    desk.push()
    desk.double.edit(UID, lambda board: board.update(tags=["mine"]))
    ended = desk.push(*arguments)
    assert ended.code == 1
    assert f"refused {UID} (speech: cascade): the one there is not pipemon's" in ended.out


def test_a_dashboard_from_a_provisioning_file_is_left_to_it(desk: Desk) -> None:
    desk.push()
    desk.double.files[UID] = "speech.json"
    desk.write("above: 5%", "above: 7%")
    ended = desk.push("--force")
    assert (ended.code, "reads it from speech.json" in ended.out) == (1, True)


@newest
def test_one_that_is_kept_does_not_keep_the_others_back(desk: Desk) -> None:
    desk.push()
    desk.double.edit(UID, added_by_anna)
    ended = desk.push(what=(str(desk.spec), desk.other("shop")))
    assert ended.code == 1
    assert "added pipemon-shop" in ended.out


@newest
def test_a_generated_folder_is_pushed_as_it_is(desk: Desk) -> None:
    boards = desk.folder / "out" / "grafana" / "dashboards"
    boards.mkdir(parents=True)
    board = {"uid": "mine", "title": "Mine", "panels": [], "tags": ["pipemon"]}
    (boards / "mine.json").write_text(json.dumps(board))
    ended = desk.push(what=("--from", str(desk.folder / "out")))
    assert ended == (0, "made the folder pipemon\nadded mine (Mine)\n", "")
    (boards / "other.json").write_text('{"uid": "x", "title": ""}')
    ended = desk.push(what=("--from", str(desk.folder / "out")))
    assert (ended.code, "is no dashboard: it needs a uid, a title and panels" in ended.err) == (2, True)
    assert desk.push(what=("--from", "/nowhere")) == (2, "", "pipemon: there is no folder /nowhere\n")


@newest
def test_a_folder_that_was_made_meanwhile_is_used(desk: Desk) -> None:
    desk.double.folders["other"] = "pipemon"
    ended = desk.push()
    assert (ended.code, "has another uid: it is in its address, give it by --folder" in ended.err) == (2, True)


@newest
@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("glsa_wrong", "does not know the token"),
        (VIEWER, "the token may not make folders"),
        ("glsa_\nx", "no token"),
        ("Bearer glsa_x", "it has blanks"),
    ],
)
def test_a_token_that_is_refused_is_told_and_never_printed(desk: Desk, token: str, words: str) -> None:
    desk.token(token)
    ended = desk.push()
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err


@newest
def test_a_token_that_may_not_read_the_history_is_told_by_a_dry_run_too(desk: Desk) -> None:
    desk.push()
    desk.token(VIEWER)
    ended = desk.push("--dry-run")
    assert (ended.code, ended.out) == (2, "")
    assert "the token may not read the history of dashboards" in ended.err
    assert "(403)" in ended.err


@newest
def test_a_folder_that_is_deleted_meanwhile_is_told(desk: Desk) -> None:
    desk.double.meanwhile = desk.double.folders.clear
    ended = desk.push()
    assert ended.code == 2
    assert "can't save dashboards: folder not found (404, not-found); if somebody deleted it" in ended.err
    assert not desk.double.dashboards


@newest
def test_the_token_comes_from_a_file_or_the_environment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAFANA_TOKEN")
    ended = desk.push()
    assert (ended.code, "set GRAFANA_TOKEN, or give --token-file" in ended.err) == (2, True)
    file = desk.folder / "token"
    # As Windows' editor writes it.
    file.write_bytes(f"\ufeff{EDITOR}\r\n".encode())
    assert desk.push("--token-file", str(file)).code == 0
    file.write_text("\n")
    ended = desk.push("--token-file", str(file))
    assert (ended.code, f"there is no token in {file}" in ended.err) == (2, True)


@newest
def test_a_server_that_is_no_grafana_ends_it_with_2_and_a_sentence(desk: Desk) -> None:
    desk.double.faulty = (200, "text/html", "<html>Please log in</html>")
    ended = desk.push()
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert f"{desk.double.url} does not answer as Grafana does; give Grafana's root" in ended.err


@newest
@pytest.mark.parametrize("path", ["/grafana", "/api", "/d/pipemon-speech"])
def test_an_address_beside_grafanas_root_is_told_from_a_folder_that_is_not_there(desk: Desk, path: str) -> None:
    ended = desk.push("--dry-run", url=f"{desk.double.url}{path}")
    assert (ended.code, ended.out) == (2, "")
    assert f"{path} does not answer as Grafana does (404 Not Found" in ended.err


@newest
@pytest.mark.parametrize("folder", ["My dashboards", "a/b", "", "x" * 41])
def test_a_folder_is_named_by_its_uid(desk: Desk, folder: str) -> None:
    ended = desk.push("--folder", folder)
    assert (ended.code, "--folder is a uid, as in a folder's address" in ended.err) == (2, True)
    assert not desk.double.asked


@newest
def test_no_answer_in_time_and_no_connection_are_told(desk: Desk) -> None:
    desk.double.slow = 0.5
    ended = desk.push("--timeout", "0.1")
    assert (ended.code, "did not answer in 0.1 seconds" in ended.err) == (2, True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ended = desk.push(url=f"http://127.0.0.1:{free.getsockname()[1]}")
    assert (ended.code, "can't be reached: Connection refused" in ended.err) == (2, True)


@newest
@pytest.mark.parametrize("there", ["https://grafana.example", "/grafana"])
def test_a_redirection_is_told_and_not_followed_with_the_token(desk: Desk, there: str) -> None:
    desk.double.sends_to = there
    ended = desk.push()
    root = there if "://" in there else f"{desk.double.url}{there}"
    assert (ended.code, f"{desk.double.url} sends on to {root}; give that address\n" in ended.err) == (2, True)


@newest
@pytest.mark.parametrize(
    "url",
    [
        "grafana",
        "ftp://grafana",
        "http://",
        "http://a:b",
        "http://me:secret@grafana",
        "http://a b",
        "http://a/?orgId=1",
    ],
)
def test_an_address_that_is_none_is_refused(desk: Desk, url: str) -> None:
    ended = desk.push(url=url)
    assert (ended.code, "secret" in ended.err) == (2, False)


@newest
def test_grafana_may_be_under_a_path_and_behind_a_proxy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.double.behind = "/monitoring"
    assert desk.push(url=f"{desk.double.url}/monitoring/").code == 0
    monkeypatch.setenv("HTTP_PROXY", desk.double.url)
    (desk.folder / "speech.json").write_text(json.dumps(desk.double.now(UID)))
    # The client reads that once a process.
    ended = pipemon("push", "--from", str(desk.folder), "--url", "http://grafana.example/monitoring")
    assert (ended.code, ended.out, ended.err) == (0, f"same {UID} (speech: cascade)\n", "")


@newest
def test_a_grafana_without_tls_is_not_said_to_have_a_wrong_certificate(desk: Desk) -> None:
    ended = desk.push(url=desk.double.url.replace("http:", "https:"))
    assert (ended.code, "does not speak TLS; write http://" in ended.err) == (2, True)


@newest
def test_certificates_are_checked_against_the_named_authority(desk: Desk, documents: tuple[str, Any]) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(desk.folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with serving(GrafanaDouble(*documents), context) as double:
        ended = desk.push(url=double.url)
        assert (ended.code, "is not trusted; name the authority's by --ca-file" in ended.err) == (2, True)
        assert desk.push("--ca-file", str(desk.folder / "ca.pem"), url=double.url).code == 0
        assert desk.push("--insecure", url=double.url).out.startswith("same")
        ended = desk.push("--ca-file", str(desk.folder / "ca.pem"), url=double.url.replace("127.0.0.1", "localhost"))
        assert (ended.code, "is of another name; give the name that it is of" in ended.err) == (2, True)
    ended = desk.push("--ca-file", str(desk.spec))
    assert (ended.code, ended.err) == (
        2,
        f"pipemon: the certificates can't be read from {desk.spec}: it has no certificate as PEM\n",
    )


def test_the_dashboards_of_any_pipeline_are_pushed_too(tmp_path: Path) -> None:
    spec = tmp_path / "speech.yaml"
    spec.write_text(SPEC)
    written = tmp_path / "out"
    generate([spec], written)
    uids = [board["uid"] for board in of_specs([spec])]
    assert sorted(uids) == sorted(board["uid"] for board in of_folder(written))
    assert {UID, "pipemon_cascade", "pipemon_stage"} < set(uids)


def test_an_annotation_begins_ends_and_may_be_deleted_by_a_person(double: GrafanaDouble) -> None:
    grafana = Grafana(double.url, EDITOR)
    number = grafana.annotate("FIRING vad", ["pipemon", "speech"], 1_790_000_000.25)
    grafana.end_annotation(number, 1_790_000_060.0)
    assert double.annotations == [
        {
            "time": 1_790_000_000_250,
            "tags": ["pipemon", "speech"],
            "text": "FIRING vad",
            "timeEnd": 1_790_000_060_000,
        }
    ]
    assert grafana.annotation("FIRING vad", ["pipemon", "speech"], 1_790_000_000.25) == number
    assert grafana.annotation("FIRING asr", ["pipemon", "speech"], 1_790_000_000.25) is None
    assert grafana.annotation("FIRING vad", ["pipemon", "speech"], 1_790_000_001.25) is None
    grafana.end_annotation(number + 1, 1_790_000_060.0)
    with pytest.raises(UnavailableError, match=r"the token may not make annotations .* or annotations:create \(403\)"):
        Grafana(double.url, VIEWER).annotate("x", [], 1.0)


@pytest.fixture
def gone(desk: Desk) -> Desk:
    """Two pipelines were pushed, and the first of them is none any more."""
    desk.push(what=(str(desk.spec), desk.other("shop")))
    return desk


def prune(desk: Desk, *arguments: str) -> Ended:
    return desk.push("--prune", "speech", *arguments, what=(str(desk.folder / "shop.yaml"),))


KEEPS = "same pipemon-shop (shop: cascade)\n"


def test_the_dashboard_of_a_pipeline_that_is_gone_is_deleted_and_no_other(gone: Desk) -> None:
    gone.double.dashboards["pipemon-annas"] = gone.double.dashboards[UID]
    assert prune(gone) == (0, f"{KEEPS}deleted {UID} (speech: cascade)\n", "")
    assert sorted(gone.double.dashboards) == ["pipemon-annas", "pipemon-shop"]
    assert prune(gone) == (0, f"{KEEPS}gone {UID}: Grafana has no such dashboard\n", "")


@newest
def test_a_dry_run_names_what_would_be_deleted(gone: Desk) -> None:
    assert prune(gone, "--dry-run") == (1, f"{KEEPS}would delete {UID} (speech: cascade)\n", "")
    assert UID in gone.double.dashboards


@newest
def test_nothing_need_be_pushed_to_delete(gone: Desk) -> None:
    assert gone.push("--prune", "speech", what=("--prune", "shop")).code == 0
    assert not gone.double.dashboards


@newest
@pytest.mark.parametrize("arguments", [(), ("--force",)])
def test_what_a_person_saved_is_not_deleted_even_by_force(gone: Desk, arguments: tuple[str, ...]) -> None:
    """Not even where the content is what was pushed: somebody took it over."""
    gone.double.edit(UID, lambda board: None, message="mine now")
    ended = prune(gone, *arguments)
    assert ended.code == 1
    assert f"kept {UID} (speech: cascade): {ANNA} saved it last, as version 2" in ended.out
    assert UID in gone.double.dashboards


@newest
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda double: double.now(UID).update(tags=[]), "the one there is not pipemon's"),
        (lambda double: double.files.update({UID: "speech.json"}), "reads it from speech.json"),
        (
            lambda double: setattr(double.dashboards[UID][-1], "folder", "annas"),
            "in the folder annas, not in pipemon",
        ),
    ],
)
def test_what_is_not_the_pushs_own_is_not_deleted(
    gone: Desk, change: Callable[[GrafanaDouble], None], words: str
) -> None:
    change(gone.double)
    ended = prune(gone, "--force")
    assert (ended.code, UID in gone.double.dashboards) == (1, True)
    assert f"kept {UID} (speech: cascade)" in ended.out
    assert words in ended.out


@newest
def test_a_pipeline_that_is_pushed_is_not_gone(gone: Desk) -> None:
    ended = gone.push("--prune", "speech")
    assert (ended.code, "--prune speech: its dashboard is among those to push" in ended.err) == (2, True)


@newest
def test_a_token_that_may_not_delete_is_told(gone: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gone.double, "_delete", lambda uid: (_ for _ in ()).throw(Refusal(403, "no")))
    ended = prune(gone)
    assert (ended.code, "the token may not delete dashboards" in ended.err) == (2, True)
    assert "dashboards:delete (403)" in ended.err
