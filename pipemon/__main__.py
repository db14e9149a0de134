"""The `pipemon` command; says what to install where the commands' libraries are not there."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Ends the process with 0, 1 (problems found) or 2 (wrong usage)."""
    try:
        from pipemon.cli import run  # noqa: PLC0415  the core is installed without click
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("pipemon"):
            raise
        install = "the commands come with: pip install 'pipemon[generate]'"
        print(f"pipemon: {error.name} is not installed; {install}", file=sys.stderr)
        sys.exit(2)
    run()


if __name__ == "__main__":
    main()
