"""The peers' libraries, unpacked beside the project's own and never among them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def peers_folder() -> Path:
    """Return the folder that has what requirements.txt lists, filled when it is not yet."""
    folder = Path(os.environ.get("PIPEMON_CACHE", ROOT / ".cache")) / "peers"
    done = folder / "requirements.txt"
    wanted = REQUIREMENTS.read_text()
    if not done.exists() or done.read_text() != wanted:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        # Without dependencies: the list is complete, and what a peer asks for must not replace what is measured.
        options = ["--no-deps", "--upgrade", "--target", str(folder), "--requirement", str(REQUIREMENTS)]
        subprocess.run([*pip, *options], check=True)
        done.write_text(wanted)
    return folder
