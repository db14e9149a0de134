"""Programs and files that the demo needs: those on the PATH, else unpacked from Debian's packages."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipemon.errors import UnavailableError

# Hooks of the machine's own configuration work on the real caches; they are none of our business.
_APT_CONF = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::Cache "{state}/cache";
Dir::Log "{state}/log";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"""
_PATIENCE = 600.0


_SHARES_ITS_DATA = ("prometheus-alertmanager", "amtool")
_FIXED = b"/usr/share/prometheus/alertmanager"
_OPENED = b"/proc/self/fd/9".ljust(len(_FIXED), b"/")
_OPENING = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec 9<"$here/../share/prometheus/alertmanager"
exec "$here/{name}" "$@"
"""


def default_cache() -> Path:
    """Return $PIPEMON_CACHE, else `$XDG_CACHE_HOME/pipemon`, by default `~/.cache/pipemon`."""
    if told := os.environ.get("PIPEMON_CACHE"):
        return Path(told).absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    # A path that is not absolute is to be ignored, by the XDG specification.
    return (Path(base) if os.path.isabs(base) else Path(os.path.expanduser("~"), ".cache")) / "pipemon"


def find_program(*names: str) -> Path | None:
    """Return the first of `names` that is on the PATH, or None."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    return None


def program(names: Sequence[str], package: str, cache: Path) -> Path:
    """Return the first of `names` on the PATH, else that of Debian's `package`, unpacked under `cache`.

    Raises UnavailableError where neither can be had; its one sentence says what to install.
    """
    if found := find_program(*names):
        return found
    try:
        folder = debian_packages([package], cache) / "usr" / "bin"
    except UnavailableError as error:
        raise UnavailableError(
            f"{names[0]} is not on the PATH and could not be unpacked from Debian's packages ({error}); "
            f"install it: `apt-get install {package}`, or see https://prometheus.io/download"
        ) from None
    for name in names:
        if os.access(folder / name, os.X_OK):
            return folder / name
    raise UnavailableError(f"Debian's package {package} has no program {' or '.join(names)}")


def debian_packages(names: Sequence[str], cache: Path, suite: str = "") -> Path:
    """Return a folder into which Debian's packages `names` (without their dependencies) are unpacked.

    Works with and without root and changes nothing outside `cache`: apt uses the machine's sources and
    keys with lists and caches of its own, and no script of a package is run. Once unpacked, the folder
    is used again. A `suite` other than the machine's own (`trixie`, `sid`) is read from the same mirror.
    Raises UnavailableError, with one sentence, where that can't be done.
    """
    folder = cache.absolute() / "debian" / suite
    root = folder / "+".join(sorted(names))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / ".lock"):
            if not root.is_dir():
                with tempfile.TemporaryDirectory(prefix=".apt-", dir=folder) as work:
                    _unpack(names, Path(work), suite).rename(root)
    except OSError as error:
        raise UnavailableError(f"can't write to {folder}, {error.strerror or error}; --cache names another") from None
    return root


def _unpack(names: Sequence[str], work: Path, suite: str) -> Path:
    apt, dpkg = find_program("apt-get"), find_program("dpkg-deb")
    if not apt or not dpkg:
        raise UnavailableError("there is no apt-get here" if not apt else "there is no dpkg-deb here")
    # With no package known as installed, the archive's version is the candidate.
    for name in ("lists/partial", "cache/archives/partial", "log", "debs", "root"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    (work / "apt.conf").write_text(_APT_CONF.format(state=work), encoding="utf-8")
    base = [str(apt), "-q", "-c", str(work / "apt.conf")]
    if os.geteuid() == 0:
        base += ["-o", "APT::Sandbox::User=root"]  # the user _apt could not write here
    if suite:
        (work / "sources.list").write_text(f"deb {_mirror(apt, work)} {suite} main\n", encoding="utf-8")
        base += ["-o", f"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=-"]
    # One broken source among several is no reason to stop: the download tells.
    update = _run([*base, "update"], work)
    download = _run([*base, "download", *names], work / "debs")
    if download.returncode:
        raise UnavailableError(f"apt-get download {' '.join(names)}: {_cause(update.stderr + download.stderr)}")
    for deb in sorted((work / "debs").glob("*.deb")):
        unpacked = _run([str(dpkg), "-x", str(deb), str(work / "root")], work)
        if unpacked.returncode:
            raise UnavailableError(f"dpkg-deb could not unpack {deb.name}: {_cause(unpacked.stderr)}")
    (work / "root").chmod(0o755)
    for program in _SHARES_ITS_DATA:
        _find_own_data(work / "root" / "usr" / "bin" / program)
    return work / "root"


def _mirror(apt: Path, work: Path) -> str:
    """Return where the machine's own sources have Debian from."""
    fields = "$(ORIGIN)|$(RELEASE)|$(REPO_URI)"
    asked = _run([str(apt), "indextargets", "--format", fields, "Created-By: Packages"], work)
    for line in asked.stdout.splitlines():
        origin, release, address = line.split("|", 2)
        # Updates and fixes of a release are of other names, and some of other mirrors.
        if origin in ("Debian", "") and release and "-" not in release:
            return address
    raise UnavailableError("no source of this machine's apt is Debian's")


def _find_own_data(program: Path) -> None:
    """Let a program that reads its data from a fixed folder read it from where it was unpacked.

    The folder's name in the copy of the binary gives way to a file descriptor's, just as long, and a
    script in the program's place opens that.
    """
    if not program.is_file() or _FIXED not in (binary := program.read_bytes()):
        return
    moved = program.with_name(f"{program.name}.real")
    moved.write_bytes(binary.replace(_FIXED, _OPENED))
    moved.chmod(0o755)
    program.unlink()
    program.write_text(_OPENING.format(name=moved.name), encoding="utf-8")
    program.chmod(0o755)


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    environment.pop("APT_CONFIG", None)
    try:
        return subprocess.run(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{Path(command[0]).name} did not end within {_PATIENCE:.0f} seconds") from None


def _cause(errors: str) -> str:
    """Return the first line that tells an error, without apt's marks; failed sources come first."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("E:", "W: Failed", "Err"))] or lines or ["no reason given"]
    return told[0].removeprefix("E:").removeprefix("W:").strip().rstrip(".")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process at a time unpack; the lock goes with the process."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
