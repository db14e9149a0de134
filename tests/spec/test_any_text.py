"""Whatever a file holds, it is a spec or a list of faults inside of it: no other error, no hang, no object made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipemon.errors import SpecError
from pipemon.spec import load as loading
from pipemon.spec.model import Spec

FILES = sorted(Path(__file__).parent.glob("ok/*.yaml"))
TEXTS = [path.read_text(encoding="utf-8") for path in FILES]
SCALARS = (
    "no", "1:30", "1e999", "-1", "0", "5%", "300ms", "1e-300 sd", "3 sd", "2x last week", "auto", "budget", "null",
    "p99", "{{", "$value", "baseline", "null_ratio", "mean", "latency", "promql", "input.level", "redo", "5 dB",
    "9" * 400,
)  # fmt: skip
KEYS = (
    "what", "signal", "signals", "above", "below", "outside", "changes_by", "from", "min_calls", "pace", "window",
    "for", "keep_firing_for", "severity", "owner", "do", "runbook", "leads_to", "fires_on", "quiet_on", "mean",
    "latency", "null_ratio", "feedback", "promql", "any", "all", "no_calls", "drift", "then",
)  # fmt: skip
TOKENS = re.compile(r"[\w.%-]+|\s+|.", re.DOTALL)
STRANGE = (
    "", " ", "\n", "\t", ": ", "- ", "[", "]", "{", "}", "'", '"', "#", "&a ", "*a", "<<: *a", "!tag ",
    "|", ">", "%", "@", "`", "~", "no", "1:30", "1e999", "-1", "0", "5%", "300ms", "1e-300 sd", "2x last week", "auto",
    "budget", "\x00", "\x85", "\u2028", "\ufeff", "\U0001f600", "\\", '"\\ud800"', '"\\0"', "null", "[]", "{}", "[[]]",
    "9" * 400, "x" * 5000, "? ", "--- ", "...", "{{", "$value", "p99", "p0", "all", "any", "signals", "vad", "code",
)  # fmt: skip
# A text that makes reading it blow up takes far longer than a minute; what takes milliseconds does not, under any load.
LIMITS = settings(max_examples=60, deadline=60_000, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(path: Path, text: str | bytes) -> Spec | SpecError:
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        return loading.load(path)
    except SpecError as refused:
        return refused


def check(found: Spec | SpecError, path: Path) -> None:
    if isinstance(found, Spec):
        assert found.pipeline
        assert found.failure_modes
        return
    assert found.problems
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", path.read_bytes().decode("utf-8", "replace"))
    for problem in found.problems:
        assert problem.message.isprintable(), "a message is one line"
        assert len(problem.message) < 700
        if problem.file == str(path):
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    for file in FILES[0].parent.iterdir():
        if file.suffix in (".json", ".py"):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path / "any.yaml"


@LIMITS
@given(text=st.text(max_size=200))
@example(text="a: !!python/object/apply:os.system ['exit 1']")
@example(text="- " * 500)
@example(text="? " * 500)
@example(text="[" * 20_000)
@example(text='"' + "\\" * 999)
@example(text="a: |\n" + " " * 10_000)
@example(text="pipeline: x\nstages: {x: }\nfailure_modes: {a: {what: b, signal: {promql: '" + "offset " * 500 + "'}}}")
def test_any_text_at_all(path: Path, text: str) -> None:
    check(outcome(path, text), path)


@LIMITS
@given(data=st.binary(max_size=200))
def test_any_bytes_at_all(path: Path, data: bytes) -> None:
    check(outcome(path, data), path)


@LIMITS
@given(data=st.data())
def test_a_good_file_with_lines_lost_doubled_or_moved(path: Path, data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(TEXTS)).splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        at, to = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        change = data.draw(st.sampled_from(["lose", "double", "move", "indent"]))
        line = lines[at]
        match change:
            case "lose" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(to, line)
            case "move":
                lines.insert(to, lines.pop(at))
            case _:
                lines[at] = " " * data.draw(st.integers(0, 9)) + line.lstrip()
    check(outcome(path, "".join(lines)), path)


@LIMITS
@given(data=st.data())
def test_a_good_file_with_words_replaced(path: Path, data: st.DataObject) -> None:
    tokens = TOKENS.findall(data.draw(st.sampled_from(TEXTS)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(tokens) - 1))
        tokens[at] = data.draw(st.sampled_from(STRANGE) | st.sampled_from(tokens) | st.text(max_size=6))
    check(outcome(path, "".join(tokens)), path)


@LIMITS
@given(data=st.data())
def test_a_failure_mode_of_any_values(path: Path, data: st.DataObject) -> None:
    """Values of every kind at every key, so that each check meets what it does not expect."""
    scalars = st.sampled_from(SCALARS)
    quoted = scalars.map(lambda text: text if re.fullmatch(r"[\w%.]+", text) else f"{text!r}")
    values = st.recursive(
        quoted,
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
            | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3).map(
                lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs.items()) + "}"
            )
        ),
        max_leaves=6,
    )
    pairs = data.draw(st.dictionaries(st.sampled_from(KEYS), values, max_size=8))
    body = "".join(f"    {key}: {value}\n" for key, value in pairs.items())
    text = (
        "pipeline: x\nbaseline: learned.json\nstages: {vad: {budget: 1s, features: {input.level: dB}}}\n"
        f"failure_modes:\n  a:\n    what: b\n    stage: vad\n{body}"
    )
    check(outcome(path, text.replace("    what: b\n", "") if "what" in pairs else text), path)


def test_no_object_is_made_of_yaml(path: Path, tmp_path: Path) -> None:
    proof = tmp_path / "made"
    for tag in ("object/apply:pathlib.Path.touch", "object/new:pathlib.Path", "name:os.system", "module:os", "tuple"):
        found = outcome(path, f"pipeline: !!python/{tag} [{proof}]\n")
        assert isinstance(found, SpecError)
        assert [problem.rule for problem in found.problems] == ["tag"]
    assert not proof.exists()


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 400_000,
        "a:\n" + "".join(" " * depth + "a:\n" for depth in range(1000)),
        "&a [" + "*a, " * 20_000 + "]",
        "above: " + "9" * 900_000 + "!",
        "pipeline: " + "x" * 900_000,
        "pipeline: x\nstages: {v: }\nfailure_modes: {a: {what: b, stage: v, signal: null_ratio, above: "
        + "9" * 100_000
        + "_}}",
        "pipeline: x\nstages: {v: }\nfailure_modes: {a: {what: b, stage: " + "v" * 100_000 + ", signal: null_ratio}}",
        "pipeline: x\nstages: {v: }\nfailure_modes: {a: {what: b, for: " + "0" * 100_000 + ", signal: no_calls}}",
        "pipeline: x\nstages: {v: }\nfailure_modes:\n  a: {what: b, signal: {promql: '" + "(" * 100_000 + "'}}",
    ],
    ids=["brackets", "blocks", "aliases", "digits", "name", "threshold", "stage", "for", "promql"],
)
def test_what_is_made_to_be_slow_is_refused_like_the_rest(path: Path, text: str) -> None:
    found = outcome(path, text)
    assert isinstance(found, SpecError)
    check(found, path)
