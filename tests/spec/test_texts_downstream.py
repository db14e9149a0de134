"""What people write is theirs: it is kept whole, and breaks nothing that is generated from it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipemon.generate.alertmanager import alertmanager_file
from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files
from pipemon.generate.rules import rule_file, rules
from pipemon.spec.load import load
from pipemon.spec.model import Spec

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NASTY = [
    "plain",
    'it\'s 100% "quoted" and \\ back\\slashed \\n',
    "{{ $labels.pod }} {{ printf }} {{/* no comment */}} }} {{",
    "{{`{{`}} {{{ {{{{ $value }}} ${HOME} $(rm) $$ `tick`",
    "key: value # no comment - no list [x] {y} *z &a !b |c >d @e %f",
    "first line\nsecond line\n\n  third\twith a tab\r\nand a carriage return",
    "ünïcödé ☃ 😀 \u202eright to left\u202c \u200bzero\ufeff",
    "bell \a null \0 escape \x1b[31m delete \x7f next \x85 line \u2028 separator \u2029",
    "- not a list",
    "? not a key",
    "---",
    "null",
    "true",
    "1e3",
    "<a href='x'>&amp;</a>",
    "x" * 3000,
    "ends with a brace {",
    '=~ "a|b" != ,;',
]


def written(text: str, path: Path) -> Path:
    """Write a file with `text` wherever a person writes text, of which a unit may be no `ms` or `B`."""
    runbook = f"https://wiki.example/{''.join(text.split())}"
    document = {
        "pipeline": "speech",
        "owner": text,
        "runbook": runbook,
        "select": {"namespace": text},
        "keep": ["namespace", "cluster"],
        "targets": {"job": text},
        "stages": {"vad": {"features": {"output.level": f"units of {text}"}}, "asr": {"after": "vad"}},
        "failure_modes": {
            "empty": {
                "what": text,
                "stage": "vad",
                "signal": "null_ratio",
                "do": text,
                "owner": text,
                "runbook": runbook,
            },
            "loud": {"what": text, "stage": "vad", "signal": {"mean": "output.level"}, "above": 3, "do": text},
            "silent": {"what": text, "signal": "no_calls", "do": text},
            "both": {
                "what": text,
                "do": text,
                "stage": "vad",
                "signals": {"all": ["null_ratio", {"mean": "output.level", "above": 3}]},
            },
            "idea": {"what": text, "do": text},
        },
    }
    path.write_text(yaml.safe_dump(document, default_style='"'), encoding="utf-8")
    return path


def kept(spec: Spec, text: str) -> None:
    """Check that nothing but runs of white space is lost."""
    whole = " ".join(text.split())
    assert spec.owner == whole
    for mode in spec.failure_modes:
        assert mode.what == mode.do == whole
    assert spec.select == (("namespace", text),)


@settings(max_examples=100, deadline=60_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1).filter(str.strip))
def test_text_is_kept_whole_but_for_white_space(text: str, tmp_path: Path) -> None:
    kept(load(written(text, tmp_path / "t.yaml")), text)


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_generated_files_hold_whatever_people_write(tmp_path: Path) -> None:
    folders = []
    for number, text in enumerate((*NASTY, " ".join(NASTY).replace("xxxx", ""))):
        spec = load(written(text, tmp_path / f"{number}.yaml"))
        kept(spec, text)
        folders.append(tmp_path / str(number))
        made = {
            "rules/speech.rules.yml": rule_file(rules(spec)),
            "alertmanager/alertmanager.yml": alertmanager_file([plan(spec)], Options.receiver_url),
        }
        if number == len(NASTY):
            made = files([plan(spec)], Options())
        for name, content in made.items():
            path = folders[-1] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            if path.suffix == ".yml":
                assert yaml.load(content, LOADER), f"{name} with {text!r} is no YAML"
    run("promtool", "check", "rules", *(str(folder / "rules/speech.rules.yml") for folder in folders))
    # What is told is exactly what was written: the expected annotations are in these tests.
    run("promtool", "test", "rules", str(folders[-1] / "rules/tests/speech.tests.yml"))
    if shutil.which("amtool"):
        run("amtool", "check-config", *(str(folder / "alertmanager/alertmanager.yml") for folder in folders))


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promql_in_any_dress_stays_an_expression(tmp_path: Path) -> None:
    expressions = [
        "x > 1 # why",
        "# why\nx > 1\n# that's it",
        "x{a='#'} > 1 # \"",
        "sum by (pipeline) (\n  rate(x{a=~`b\\d+`}[5m])\n)\n> 1",
        'x{a="{{ $value }}"} > 1 or vector(0) > 1',
        "vector(1)",
        "vector(time()) > scalar(x)",
    ]
    modes = {
        f"a{number}": {"what": "x", "signals": {"any": [{"promql": text}, {"promql": "y > 1"}]}}
        for number, text in enumerate(expressions)
    } | {f"b{number}": {"what": "x", "signal": {"promql": text}} for number, text in enumerate(expressions)}
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump({"pipeline": "speech", "stages": {"vad": None}, "failure_modes": modes}))
    made = files([plan(load(path))], Options())["rules/speech.rules.yml"]
    path = tmp_path / "rules.yml"
    path.write_text(made)
    run("promtool", "check", "rules", str(path))
    assert "why" not in re.sub(r"(?m)^\s*#.*$", "", made)


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
