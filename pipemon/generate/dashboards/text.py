"""Text that people wrote, made safe for where a dashboard shows it: Grafana fills variables into all of it."""

from __future__ import annotations

import re
from functools import lru_cache

from pipemon.generate.annotations import describe
from pipemon.generate.promql import Expr
from pipemon.generate.promql import text as promql
from pipemon.spec.model import FailureMode, Spec
from pipemon.units import duration

RATE_INTERVAL = "$__rate_interval"
"""Grafana's own window: never shorter than four scrapes."""

_WORD_JOINER = "\u2060"
_MARKUP = re.compile(r"""[$\[\]{}<>&|`*#~\\]|(?<!\w)_|_(?!\w)""")
_WEB = re.compile(r"https?://\S+")
_OPENING = re.compile(r"([\[{])(?=\1)")
_READ_BY_BROWSERS = re.compile(r"""[$()<>{}|\[\]"'`\\]""")


def plain(text: str) -> str:
    """Return text for titles and legends: on one line, with no variable or `{{label}}` to fill in.

    An invisible joiner parts the characters that would begin one.
    """
    line = " ".join(text.split()).replace("$", "$" + _WORD_JOINER)
    return _OPENING.sub(r"\1" + _WORD_JOINER, line)


# What a failure mode says stands on several pages.
@lru_cache(maxsize=10_000)
def markdown(text: str) -> str:
    """Return text for Markdown, within a table cell too: its markup as character references, on one line."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", " ".join(text.split()))


def link(words: str, url: str) -> str:
    """Return a Markdown link, or `words` alone where the address is none that a browser should follow."""
    return f"[{words}]({web(url)})" if web(url) else words


def web(url: str) -> str:
    """Return an address of the web with all that Grafana or Markdown would read percent-encoded, else ""."""
    if not _WEB.fullmatch(url):
        return ""
    return _READ_BY_BROWSERS.sub(lambda match: f"%{ord(match[0]):02X}", url)


def short(seconds: float) -> str:
    """Print a measured time as people say it: `300ms`, `1.2s`, `30m`."""
    if seconds >= 60 and seconds % 60 == 0:
        return duration(seconds)
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


def query(expr: Expr, *, fills: bool = False) -> str:
    """Print an expression for a panel: a `$` within a label's value is taken for a variable only where it `fills`."""
    if fills:
        return promql(expr)
    ours = f"[{RATE_INTERVAL}]"
    return ours.join(part.replace("$", r"\x24").replace("[[", r"[\x5b") for part in promql(expr).split(ours))


def says(spec: Spec, mode: FailureMode) -> str:
    """Return when a failure mode fires, as a person reads it: `null outputs of vad above 5%, for 10m`."""
    if not mode.conditions:
        return ""
    parts = (" ".join(filter(None, describe(spec, mode, condition))) for condition in mode.conditions)
    joined = f" {'and' if mode.combine == 'all' else 'or'} ".join(parts)
    return f"{joined}, for {duration(mode.for_)}" if mode.for_ else joined


def note(spec: Spec, mode: FailureMode) -> str:
    """Return a failure mode as a line of Markdown: what it means and what to do."""
    do = f" **Do:** {markdown(mode.do)}" if mode.do else ""
    head = f"**{markdown(mode.name)}** ({spec.severity_label(mode.severity)}): {markdown(says(spec, mode))}."
    return f"{head} {markdown(mode.what)}{do}"
