"""The runbook: where an alert's link leads, with what the team wrote and what pipemon derived."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipemon.generate.inhibition import plan
from pipemon.generate.output import Options, files
from pipemon.generate.runbook import runbook
from pipemon.spec.load import load

HERE = Path(__file__).parent
SPEECH = HERE.parents[1] / "examples" / "speech" / "failure_modes.yaml"
SPECS = [HERE / "every_signal.yaml", HERE / "combined.yaml", SPEECH]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parent.name + "/" + path.stem)
def test_every_link_of_an_alert_has_its_place_in_the_runbook(path: Path) -> None:
    spec = load(path)
    made = files([plan(spec)], Options())
    rules = yaml.safe_load(made[f"rules/{spec.pipeline}.rules.yml"])
    links = [r["annotations"].get("runbook_url", "") for g in rules["groups"] for r in g["rules"] if "alert" in r]
    page = made[f"runbooks/{spec.pipeline}.md"]
    anchors = set(re.findall(r'<a id="([^"]+)"></a>', page))
    own = {link.partition("#")[2] for link in links if spec.runbook and link.startswith(f"{spec.runbook}#")}
    assert own <= anchors
    assert {mode.name for mode in spec.failure_modes} <= anchors
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


def test_a_failure_mode_says_what_where_how_it_shows_who_is_told_and_what_to_do() -> None:
    page = runbook(plan(load(SPEECH)))
    section = page.split('<a id="vad-cuts-everything"></a>')[1].split("\n## ")[0]
    for line in (
        "- **What:** The detector finds no speech in calls in which somebody speaks",
        "- **Where:** vad",
        "- **How it shows:** null outputs of vad above 10% over 5m, for 2m",
        "- **Told:** critical, to speech-team-page",
        "- **Do:** Roll the detector back to its last mode.",
        "- **Held back by:** [dead-air](#dead-air)",
        "The alert `SpeechVadCutsEverything` fires while this has a value:",
    ):
        assert line in section


def test_ideas_that_nothing_measures_are_kept_and_said_to_be_so() -> None:
    page = runbook(plan(load(SPEECH)))
    assert "These send no alert" in page
    assert page.index("## Not yet measurable") < page.index('<a id="talks-over-the-user"></a>')


@settings(max_examples=40)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip))
def test_whatever_a_person_writes_stays_text(words: str) -> None:
    spec = load(HERE / "combined.yaml")
    modes = tuple(replace(mode, what=words) for mode in spec.failure_modes)
    made = plan(replace(spec, failure_modes=modes))
    page = runbook(made)
    line = next(line for line in page.splitlines() if line.startswith("- **What:**"))
    assert not re.search(r"[<>\[\]`|*]", line.removeprefix("- **What:**"))
    assert page.count("\n## ") == len(made.spec.measurable) + 1 + any(not m.conditions for m in made.spec.failure_modes)
