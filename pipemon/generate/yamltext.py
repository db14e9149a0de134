"""YAML as people read it: block style, long expressions as literal blocks, comments, stable bytes."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import indent

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        """Write a shared value out again: rule files take no anchors before Prometheus 3.3."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists under their key."""
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(value: object) -> str:
    """Return YAML in block style, in the order given."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False)


def comment(text: str) -> str:
    """Return text as comment lines; a character that can't be seen is a space there."""
    lines = ("".join(c if c.isprintable() else " " for c in line) for line in text.splitlines())
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)


def listed(entries: Iterable[tuple[str, object]], depth: int) -> str:
    """Return a list whose entries each stand under their comment (or none), `depth` spaces in."""
    blocks = (comment(note) + dump([value]) for note, value in entries)
    return "".join(indent(block, " " * depth) for block in blocks)
