"""Ten thousand files that nobody should write: `python benchmarks/malformed.py`; exits with 1 if one hurts.

Each is a good file of the tests or examples with lines and words lost, doubled, moved or replaced by strange ones. Each
must end as a spec, from which every file is generated and parsed again, or as a list of faults inside of it: no other
error, none that takes long, no file written in part, and no text that breaks out of its PromQL, YAML or template.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from pipemon.errors import Problem, SpecError
from pipemon.generate.output import Options, generate
from pipemon.spec.excerpt import told

ROOT = Path(__file__).resolve().parents[1]
GOOD = (
    *sorted((ROOT / "tests" / "spec" / "ok").glob("*.yaml")),
    *sorted((ROOT / "tests" / "generate").glob("*.yaml")),
    *sorted((ROOT / "examples").glob("*/failure_modes.yaml")),
)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MARK = "h0stile"
STRANGE = (
    "", " ", "\n", "\t", ": ", "- ", "[", "]", "{", "}", "'", '"', "#", "&a ", "*a", "<<: *a", "!tag ",
    "!!python/name:os.system ",
    "|", ">", "%", "@", "`", "~", "no", "null", "1:30", "1e999", "-1", "0", "5%", "300ms", "1e-300 sd", "2x last week",
    "auto", "budget", "\x00", "\x85", "\u2028", "\ufeff", "\U0001f600", "\\",
    '"\\ud800"', "9" * 400, "x" * 5000, "? ", "--- ",
    "...", "p99",
    "observe", "notify", "{observe: 2026-01-31}", "labels", "defaults", "severities", "mode", "data", "user",
    "signals", "leads_to",
    f"{{{{ {MARK} }}}}",
    f"'{{{{ {MARK} }}}}'", f'"x\\"}} or {MARK}"', f"'\"}} or {MARK} or x{{y=\"'", f"$({MARK})", f"'`{MARK}`'",
)  # fmt: skip
WORDS = re.compile(r"[\w.%-]+|\s+|.", re.DOTALL)
PATIENCE = 20.0


def mutated(draw: random.Random, text: str) -> str:
    """Return a good text with one to three of its lines or words changed."""
    for _ in range(draw.randint(1, 3)):
        if draw.random() < 0.4:
            lines = text.splitlines(keepends=True) or [""]
            at, to = draw.randrange(len(lines)), draw.randrange(len(lines))
            match draw.choice(("lose", "double", "move", "indent")):
                case "lose":
                    del lines[at]
                case "double":
                    lines.insert(to, lines[at])
                case "move":
                    lines.insert(to, lines.pop(at))
                case _:
                    lines[at] = " " * draw.randint(0, 9) + lines[at].lstrip()
            text = "".join(lines)
        elif words := WORDS.findall(text):
            words[draw.randrange(len(words))] = draw.choice(STRANGE if draw.random() < 0.7 else words)
            text = "".join(words)
    return text


def outcome(path: Path, out: Path) -> str:
    """Return how a file ends: `refused` or `generated`. Raises what must not happen."""
    begun = time.monotonic()
    faults: tuple[Problem, ...] = ()
    paths: tuple[str, ...] = ()
    try:
        paths = generate([path], out, Options()).paths
    except SpecError as refused:
        faults = refused.problems
    assert bool(faults) != bool(paths)
    assert sorted(paths) == sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    assert all(len(line.splitlines()) == 1 for line in told(faults)), "a message is more than one line"
    for name in paths:
        _parsed(out / name)
    assert time.monotonic() - begun < PATIENCE, "it took too long"
    return "refused" if faults else "generated"


def _parsed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        json.loads(text)
    elif path.suffix in (".yml", ".yaml"):
        document = yaml.load(text, LOADER)
        for rule in _rules(document) if path.name.endswith(".rules.yml") else ():
            _not_broken_out(rule)


def _rules(document: Any) -> Iterator[dict[str, Any]]:
    for group in document["groups"]:
        yield from group["rules"]


def _not_broken_out(rule: dict[str, Any]) -> None:
    written = "expr" in rule and "alert" in rule and rule.get("labels", {}).get("kind") == "software"
    promql_parser.parse(rule["expr"])
    outside = re.sub(r'"(?:[^"\\]|\\.)*"', '""', rule["expr"])
    # What somebody wrote as PromQL is theirs.
    assert written or MARK not in outside, f"a text broke out of its PromQL: {rule['expr']}"
    for text in (*rule.get("labels", {}).values(), *rule.get("annotations", {}).values()):
        for action in re.findall(r"\{\{(.*?)\}\}", text, re.DOTALL):
            strings = re.sub(r'"(?:[^"\\]|\\.)*"|`[^`]*`', '""', action)
            assert MARK not in strings, f"a text broke out of its template: {text}"


def run(count: int, seed: int) -> tuple[Counter[str], list[tuple[str, str]]]:
    """Return how many files ended how, and those that hurt with their tracebacks."""
    draw = random.Random(seed)
    texts = [(path, path.read_text(encoding="utf-8")) for path in GOOD]
    ends: Counter[str] = Counter()
    hurt: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for beside in {path.parent for path, _ in texts}:
            for file in (*beside.glob("*.json"), *beside.glob("*.py")):
                if not file.name.startswith("test_"):
                    shutil.copy(file, folder)
        path, out = folder / "any.yaml", folder / "out"
        for _ in range(count):
            text = mutated(draw, draw.choice(texts)[1])
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            try:
                ends[outcome(path, out)] += 1
            except Exception:  # noqa: BLE001  whatever it is, it is the finding
                hurt.append((text, traceback.format_exc()))
            shutil.rmtree(out, ignore_errors=True)
    return ends, hurt


def main() -> None:
    """Run, print what happened, and end with 1 if a file hurt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    begun = time.monotonic()
    ends, hurt = run(given.count, given.seed)
    for text, trace in hurt[:5]:
        print(f"{text}\n{trace}", file=sys.stderr)
    took = time.monotonic() - begun
    print(f"{given.count:,} files in {took:.0f} s: {dict(ends)}, {len(hurt)} that hurt")
    sys.exit(1 if hurt else 0)


if __name__ == "__main__":
    main()
