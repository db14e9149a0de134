"""Stands in for a deployment tool: puts the last good release back, which here is to take the fault away.

    python rollback.py control.json

`pipemon serve` runs it, as `actions.yaml` says; PIPEMON_STAGE and PIPEMON_FAILURE_MODE tell what for.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main(control: Path) -> None:
    """Take any fault out of the traffic's control file, as a whole."""
    draft = control.with_suffix(".rollback")
    draft.write_text(json.dumps({"fault": None, "strength": 0.0}), encoding="utf-8")
    draft.replace(control)
    print(f"{os.environ.get('PIPEMON_STAGE', 'the stage')} serves its last good release")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
