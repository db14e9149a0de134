"""The `pipemon` command as a person runs it: another process, in a folder of its own."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Each is forked from a process that has the commands imported: that takes them longer than most of what they do.
_PREPARED = multiprocessing.get_context("forkserver")
_PREPARED.set_forkserver_preload(["pipemon.cli", "pipemon.generate.output", "pipemon.spec.load"])


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


def pipemon(*arguments: str, cwd: Path | None = None) -> Ended:
    """Run a command to its end."""
    with tempfile.TemporaryDirectory() as name:
        printed = Path(name, "out"), Path(name, "err")
        told = (arguments, cwd or Path.cwd(), dict(os.environ), *printed)
        process = _PREPARED.Process(target=_run, args=told)
        process.start()
        process.join(60)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"pipemon {' '.join(arguments)} did not end within a minute")
        code = process.exitcode
        process.close()
        return Ended(code, *(path.read_text() for path in printed))


def _run(arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str], out: Path, err: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    ours = tuple(str(ROOT / name) for name in ("tests", "examples"))
    sys.path[:] = [str(cwd), *(folder for folder in sys.path if not folder.startswith(ours))]
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    sys.stdin = open(os.devnull)  # noqa: SIM115  as long as the process
    sys.argv = ["pipemon", *arguments]
    from pipemon.__main__ import main

    main()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file under a folder, hidden ones too: its bytes and when it was changed."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
