"""The verdict: what was observed against what had to come of each fault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipemon.demo.screen import cells
from pipemon.demo.script import FAULTS, Step, script
from pipemon.demo.verdict import Injected, Notified, Observed, failures, rows, settled

TELEPHONE, SLOW, KILLED = (Step(fault, 1.0) for fault in FAULTS)
HELD = frozenset({"gibberish", "users-repeat-themselves"})

RIGHT = Observed(
    good_began=5.0,
    good_ended=55.0,
    injected=(
        Injected(TELEPHONE, 60.0, 90.0, HELD),
        Injected(SLOW, 130.0, 150.0, frozenset({"answer-too-late"}), rolled_back=True),
        Injected(KILLED, 200.0, None, frozenset()),
    ),
    notified=(
        Notified(75.5, "firing", "telephone-microphones"),
        Notified(120.0, "resolved", "telephone-microphones"),
        Notified(145.0, "firing", "slow-asr"),
        Notified(180.0, "resolved", "slow-asr"),
        Notified(225.0, "firing", "nobody-calls"),
    ),
)


def with_note(*notes: Notified) -> Observed:
    return replace(RIGHT, notified=tuple(sorted((*RIGHT.notified, *notes), key=lambda note: note.at)))


def without(name: str, status: str = "") -> Observed:
    kept = (note for note in RIGHT.notified if note.name != name or note.status != (status or note.status))
    return replace(RIGHT, notified=tuple(kept))


def held_back(*names: str) -> Observed:
    telephone = replace(RIGHT.injected[0], held_back=frozenset(names))
    return replace(RIGHT, injected=(telephone, *RIGHT.injected[1:]))


def test_the_script_as_it_should_go_has_no_failures() -> None:
    assert failures(RIGHT) == []


def test_the_table_tells_each_fault_its_alert_the_times_and_what_was_held_back() -> None:
    assert [cells(row) for row in rows(RIGHT)] == [
        (TELEPHONE.title, "telephone-microphones", "15.5 s", "gibberish, users-repeat-themselves", "after 30 s"),
        (SLOW.title, "slow-asr", "15.0 s", "answer-too-late", "after 30 s, rolled back"),
        (KILLED.title, "nobody-calls", "25.0 s", "none", "left in place"),
    ]


def test_a_rollback_that_did_not_come_is_a_failure() -> None:
    by_hand = replace(RIGHT.injected[1], rolled_back=False)
    observed = replace(RIGHT, injected=(RIGHT.injected[0], by_hand, RIGHT.injected[2]))
    assert failures(observed) == [f"The receiver did not roll back after {SLOW.fault.title}."]


@pytest.mark.parametrize(
    ("observed", "told"),
    [
        (replace(RIGHT, good_ended=34.0), ["The good period lasted 29 s, not 30 s."]),
        (
            with_note(Notified(20.0, "firing", "dead-air"), Notified(30.0, "resolved", "dead-air")),
            ["dead-air was notified in the good period."],
        ),
        (
            without("telephone-microphones"),
            ["telephone-microphones was not notified for telephone-band microphones."],
        ),
        (
            with_note(Notified(80.0, "firing", "gibberish"), Notified(110.0, "resolved", "gibberish")),
            ["gibberish was notified during telephone-band microphones, and should not have been."],
        ),
        (
            with_note(Notified(140.0, "firing", "telephone-microphones"), Notified(141.0, "resolved", "dead-air")),
            [
                "telephone-microphones was notified during a recogniser that is too slow, and should not have been.",
                "dead-air was notified as resolved during a recogniser that is too slow, and should not have been.",
                "telephone-microphones did not resolve after a recogniser that is too slow.",
            ],
        ),
        (
            without("slow-asr", "resolved"),
            ["slow-asr did not resolve after a recogniser that is too slow."],
        ),
        (
            replace(
                without("slow-asr"), notified=(*without("slow-asr").notified, Notified(155.0, "firing", "slow-asr"))
            ),
            [
                "slow-asr was notified only after a recogniser that is too slow had ended.",
                "slow-asr did not resolve after a recogniser that is too slow.",
            ],
        ),
        (
            held_back(),
            ["No effect of telephone-band microphones (gibberish or users-repeat-themselves) fired and was held back."],
        ),
        (without("nobody-calls"), ["nobody-calls was not notified for the pipeline's process killed."]),
    ],
)
def test_each_thing_that_is_not_as_it_has_to_be_is_a_sentence(observed: Observed, told: list[str]) -> None:
    assert failures(observed) == told


def test_one_of_the_effects_held_back_is_enough_since_which_comes_first_is_chance() -> None:
    assert failures(held_back("gibberish")) == []


def test_the_end_of_an_effect_that_was_held_back_may_be_told() -> None:
    for later in (121.0, 210.0):
        assert failures(with_note(Notified(later, "resolved", "gibberish"))) == []
    assert failures(with_note(Notified(100.0, "resolved", "answer-too-late"))) == [
        "answer-too-late was notified as resolved during telephone-band microphones, and should not have been."
    ]


def test_a_fault_that_was_never_notified_is_in_the_table_with_what_was_notified_instead() -> None:
    wrong = Notified(210.0, "firing", "dead-air")
    row = rows(replace(without("nobody-calls"), notified=(*without("nobody-calls").notified, wrong)))[2]
    assert cells(row) == (KILLED.title, "dead-air", "never", "none", "left in place")


def test_without_inhibition_the_effects_have_to_be_notified_and_to_resolve() -> None:
    alone = replace(RIGHT, injected=(replace(RIGHT.injected[0], held_back=frozenset()),), inhibition=False)
    quiet = replace(alone, notified=RIGHT.notified[:2])
    effect = (Notified(80.0, "firing", "gibberish"), Notified(121.0, "resolved", "gibberish"))
    assert failures(replace(alone, notified=(*RIGHT.notified[:2], *effect))) == []
    assert failures(replace(alone, notified=(*RIGHT.notified[:2], effect[0]))) == [
        "gibberish did not resolve after telephone-band microphones."
    ]
    assert failures(quiet) == [
        "No effect of telephone-band microphones (gibberish or users-repeat-themselves) "
        "was notified, though nothing held it back."
    ]
    still = replace(RIGHT.injected[0], held_back=frozenset({"gibberish"}))
    assert "gibberish was held back without inhibition rules." in failures(replace(quiet, injected=(still,)))


def test_a_fault_has_settled_when_all_that_was_notified_since_it_began_has_resolved() -> None:
    slow = RIGHT.injected[1]
    assert settled(slow, RIGHT.notified[:4])
    assert not settled(slow, RIGHT.notified[:3])
    assert settled(slow, RIGHT.notified[:1])


def test_the_usual_script_breaks_the_microphones_then_the_recogniser_then_kills_the_process() -> None:
    assert [step.fault.name for step in script()] == ["telephone", "slow", "killed"]


def test_a_seed_draws_order_and_strength_within_bounds_and_repeats_them() -> None:
    drawn = {seed: script(seed) for seed in range(1, 30)}
    assert drawn == {seed: script(seed) for seed in range(1, 30)}
    assert len({tuple(step.fault.name for step in steps) for steps in drawn.values()}) == 6
    steps = [step for steps in drawn.values() for step in steps]
    assert all(step.fault.weakest <= step.strength <= step.fault.strongest for step in steps)
    assert len({step.strength for step in steps if step.fault.name == "slow"}) > 5


def test_only_the_faults_that_are_named_are_played_and_a_wrong_name_is_refused() -> None:
    assert [step.fault.name for step in script(0, ["killed", "telephone"])] == ["telephone", "killed"]
    with pytest.raises(ValueError, match=r"^there is no fault 'loud'; the faults are telephone, slow, killed$"):
        script(0, ["loud"])
