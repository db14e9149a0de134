"""What the further files of the speech example add: each of their faults, and the one alert that it sends."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from unittest.mock import patch

import cascade
import detector
import pytest
import traffic
import transcribers
from phases import Phase, series
from processor_time import by_processor_time, sleeping_by
from prometheus_client import REGISTRY
from real_speech import every_recording, heard_in_order, heard_once
from rule_subsets import without_drift
from rule_tests import check, fired

from pipemon.generate.inhibition import plan
from pipemon.generate.rules import rule_file, rules
from pipemon.instrument import attribution, sampling
from pipemon.spec.load import load_all
from pipemon.spec.modes import alert_name

pytestmark = pytest.mark.integration

FOLDER = Path(cascade.__file__).parent
MINUTES = 60
LABELLED = transcribers.begin()


@dataclass(frozen=True)
class Scene:
    """A fault, the alert that is sent, and what fires beside it: its effects, held back, and what others are told."""

    alert: str
    fault: str | None
    strength: float | None = None
    beside: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    answer: traffic.Answer | None = None
    days_late: float = 0.0


def played(scene: Scene) -> Phase:
    """An hour of calls under a fault, one a second if as many come as usual."""
    heard_in_order(scene.fault, scene.strength)
    draw = random.Random(1)
    playlist = traffic.shuffled(every_recording(), draw)
    numbers = count()

    def call() -> None:
        cascade.setup = traffic.set_up(scene.fault, scene.strength)
        client = traffic.called_with(scene.fault, scene.strength, draw.random())
        age = "adult" if next(numbers) % 5 else "child"
        with patch.object(attribution, "time", lambda: time.time() + scene.days_late * 86_400):
            recording, chance = next(playlist), draw.random()
            with suppress(MemoryError):  # of a recogniser that crashes
                traffic.serve(recording, scene.fault, scene.strength, chance, age, scene.answer, client)

    return Phase(call, MINUTES, 60 * traffic.crowd(scene.fault, scene.strength))


CHOSEN = 3.8
"""What `pipemon backtest --write` might make of `auto`, in words a second: good calls have a p95 of 3.6."""

SCENES = {
    "failure_modes.yaml": (
        Scene("vad-cuts-everything", "deaf_vad", beside=("users-repeat-themselves",)),
        Scene("recogniser-crashes", "crashes", beside=("budget-burns",)),
        Scene("nobody-scores-us", "unscored"),
        Scene("flying-blind", "lengthless"),
        Scene("nobody-calls", "few_callers", 0.0),
    ),
    "capacity.yaml": (
        Scene("line-grows", "queue", beside=("answer-too-late",)),
        Scene("recognisers-busy", "slow", 0.9),
        Scene("detector-works-too-much", "unoptimised"),
        # Whoever waits for it is told by the page; the platform team has a ticket of its own.
        Scene("slow-asr", "slow", beside=("answer-too-late",), others=("recognisers-busy",)),
    ),
    "labels.yaml": (
        # Told to nobody: it is in burn-in, and would have known before any label came.
        Scene("often-wrong", "fast_talkers", 1.35, ("a-little-more-wrong",), ("less-often-right",), answer=LABELLED),
        Scene("raters-differ-child", None, answer=transcribers.begin({"child": 0.6})),
        Scene("raters-differ-adult", None, answer=transcribers.begin({"adult": 0.6})),
        Scene("labels-late", None, answer=LABELLED, days_late=4),
    ),
    "drift.yaml": (
        Scene("unknown-client", "new_client"),
        Scene("callers-move-to-the-web", "web_callers"),
        Scene("microphones-differ", "mixed_phones", 3.5),
        Scene("asks-again-a-little-more", "impatient"),
        Scene("speaks-faster", "fast_talkers", beside=("users-repeat-themselves", "asks-again-a-little-more")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("file", SCENES)
def test_each_fault_sends_the_one_alert_that_the_file_is_for(file: str, tmp_path: Path) -> None:
    path = FOLDER / file
    if "above: auto" in (text := path.read_text()):
        path = tmp_path / file
        path.write_text(text.replace("above: auto", f"above: {CHOSEN}"))
    (spec,) = load_all(tuple(dict.fromkeys((FOLDER / "failure_modes.yaml", path))))
    made = plan(without_drift(spec))
    usual = played(Scene("", None, answer=LABELLED if file == "labels.yaml" else None))
    phases, expected = [], []
    for number, scene in enumerate(SCENES[file]):
        phases += [usual, played(scene)]
        begins, held_back = 2 * number * MINUTES, set(made.targets.get(scene.alert, ()))
        assert set(scene.beside) <= held_back
        alerts = [alert_name("speech", name) for name in (scene.alert, *scene.beside, *scene.others)]
        expected += [fired(f"{begins + 60}m", "4m"), fired(f"{begins + 120}m", "50m", *alerts)]
    timed = (cascade.find_speech, cascade.transcribe, cascade.answer)
    with (
        by_processor_time(*timed) as clock,
        sleeping_by(clock, cascade, detector),
        patch.object(sampling, "perf_counter", clock),  # what began by one clock must not end by another
        heard_once(),
    ):
        recorded = series("speech", phases, calls=16 if file == "capacity.yaml" else 80)
    cascade.setup = cascade.Setup()
    check(rule_file(rules(made.spec)), recorded, expected, tmp_path, interval="1m", evaluation="4m")


def of_few(file: str, *modes: str) -> str:
    """The rules of few failure modes: some take a week of series, and all of the rules would take minutes."""
    (spec,) = load_all((FOLDER / "failure_modes.yaml", FOLDER / file))
    return rule_file(rules(replace(spec, failure_modes=tuple(each for each in spec.measurable if each.name in modes))))


LONG = {
    "callers-stay-away": ("capacity.yaml", Scene("callers-stay-away", "few_callers"), 7),
    "calls-get-longer": ("drift.yaml", Scene("calls-get-longer", "fast_talkers", 0.8), 1),
    "all-at-once": ("rollout.yaml", Scene("all-at-once", "clipping", others=("new-handsets", "detector-wanders")), 0),
    "other-hours": ("drift.yaml", Scene("other-hours", "noise", 33.0), 7),
}
"""Of what takes hours, or is compared with some days ago: its file, and its fault after so many days."""


@pytest.mark.parametrize("mode", LONG)
def test_what_takes_hours_or_days_is_told(mode: str, tmp_path: Path) -> None:
    file, scene, days = LONG[mode]
    told = (mode, *scene.others)
    rules_of_it = of_few(file, *told)
    hours = 24 * days + 3
    with heard_once():
        phases = [
            replace(phase, scrapes=scrapes, per_scrape=30 * phase.per_scrape)
            for phase, scrapes in ((played(Scene("", None)), hours * 2), (played(scene), 9 * 2))
        ]
        recorded = series("speech", phases, calls=16)
    needed = {
        name: values
        for name, values in recorded.items()
        if name.partition("{")[0] in rules_of_it or name.startswith("up")
    }
    expected = [
        fired(f"{hours}h", f"{hours}h"),
        fired(f"{hours + 9}h", "1h", *(alert_name("speech", each) for each in told)),
    ]
    check(rules_of_it, needed, expected, tmp_path, interval="30m")


def test_a_service_that_lets_go_of_nothing_is_told_by_its_memory(tmp_path: Path) -> None:
    def resident() -> float:
        return REGISTRY.get_sample_value("process_resident_memory_bytes") or 0.0

    before = resident()
    with heard_once():
        recorded = series("speech", [played(Scene("", "leak"))], calls=16)
    grown = (resident() - before) / 16 * 60
    cascade.setup = cascade.Setup()
    cascade.leaked.clear()
    memory = 'process_resident_memory_bytes{job="speech", instance="speech:9464"}'
    recorded |= {memory: f"{before}+0x59 {before}+{grown}x59"}
    doubled = {name: f"{values} {values}" if "_in_progress" in name else values for name, values in recorded.items()}
    expected = [fired("60m", "60m"), fired("120m", "60m", alert_name("speech", "memory-leaks"))]
    check(of_few("capacity.yaml", "memory-leaks"), doubled, expected, tmp_path, interval="1m")
