"""Programs come from the PATH, else from Debian's packages, unpacked without root and without a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipemon.demo import programs
from pipemon.demo.programs import debian_packages, default_cache, find_program, program
from pipemon.errors import UnavailableError

APT = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt-get")


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_the_first_program_on_the_path_is_taken(path: Path, tmp_path: Path) -> None:
    executable(path / "alertmanager", "")
    assert find_program("prometheus-alertmanager", "alertmanager") == path / "alertmanager"
    assert program(["alertmanager"], "prometheus-alertmanager", tmp_path) == path / "alertmanager"
    assert find_program("prometheus") is None


def test_without_apt_one_sentence_says_what_to_install(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as raised:
        program(["prometheus"], "prometheus", tmp_path / "cache")
    assert str(raised.value) == (
        "prometheus is not on the PATH and could not be unpacked from Debian's packages (there is no apt-get here);"
        " install it: `apt-get install prometheus`, or see https://prometheus.io/download"
    )


def test_what_apt_says_of_the_failure_is_told_and_nothing_is_left(path: Path, tmp_path: Path) -> None:
    executable(path / "dpkg-deb", "#!/bin/sh\n")
    executable(path / "apt-get", "#!/bin/sh\necho 'E: Unable to locate package prometheus' >&2\nexit 100\n")
    with pytest.raises(UnavailableError, match=r"^apt-get download prometheus: Unable to locate package prometheus$"):
        debian_packages(["prometheus"], tmp_path / "cache")
    assert os.listdir(tmp_path / "cache" / "debian") == [".lock"]


def test_a_folder_that_is_already_unpacked_is_used_again_without_apt(path: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "cache" / "debian" / "prometheus"
    executable(unpacked / "usr" / "bin" / "prometheus", "")
    assert program(["prometheus"], "prometheus", tmp_path / "cache") == unpacked / "usr" / "bin" / "prometheus"


def test_a_cache_that_cannot_be_written_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        UnavailableError, match=r"^can't write to .*file/debian, Not a directory; --cache names another$"
    ):
        debian_packages(["prometheus"], tmp_path / "file")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"PIPEMON_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/pipemon"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/pipemon"),
        ({"HOME": "/home/me"}, "/home/me/.cache/pipemon"),
    ],
)
def test_the_cache_is_the_users_own_unless_told(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIPEMON_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert default_cache() == Path(expected)


def packages_of_the_system() -> dict[str, tuple[int, ...]]:
    """Return the time stamps of what apt and dpkg keep for the system."""
    places = [Path("/var/lib/dpkg/status"), Path("/var/lib/apt/lists"), Path("/var/cache/apt")]
    return {str(place): (place.stat().st_mtime_ns,) for place in places if place.exists()}


AS_NOBODY = """
import os, sys
from pathlib import Path
from pipemon.demo import programs
from pipemon.demo.programs import debian_packages, default_cache
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
print(debian_packages(["pocketsphinx-testdata"], Path(sys.argv[1])))
debian_packages(["pocketsphinx-testdata"], Path("/nonexistent"))
"""


@APT
@pytest.mark.integration
def test_packages_are_unpacked_and_nothing_of_the_system_changes(tmp_path: Path) -> None:
    before = packages_of_the_system()
    root = debian_packages(["pocketsphinx-testdata"], tmp_path)
    assert (root / "usr/share/pocketsphinx/test/data/goforward.raw").stat().st_size > 10_000
    assert sorted(os.listdir(tmp_path / "debian")) == [".lock", "pocketsphinx-testdata"]
    assert packages_of_the_system() == before


@APT
@pytest.mark.integration
def test_a_user_without_rights_and_without_a_home_can_unpack_them() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, folder],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        root = Path(done.stdout.strip())
        assert (root / "usr/share/pocketsphinx/test/data/goforward.raw").is_file(), done.stderr
        assert root.stat().st_uid != 0 or os.geteuid() != 0
    assert "can't write to /nonexistent/debian" in done.stderr


def test_a_program_with_a_fixed_data_folder_reads_what_was_unpacked_beside_it(tmp_path: Path) -> None:
    data = tmp_path / "usr" / "share" / "prometheus" / "alertmanager"
    data.mkdir(parents=True)
    (data / "default.tmpl").write_text("the template")
    reader = tmp_path / "usr" / "bin" / "prometheus-alertmanager"
    executable(reader, '#!/bin/sh\ncat /usr/share/prometheus/alertmanager/default.tmpl && echo " $1"\n')
    programs._find_own_data(reader)
    done = subprocess.run([reader, "read"], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == "the template read\n"
