"""Only what is proved to be the same rule is no mutant: near-by faults stay some."""

from __future__ import annotations

import pytest
from mutants import mutants
from same_rule import normal_form

CALLS, FAILED = 'calls{stage="asr",env="prod"}', 'failed{stage="asr",env="prod"}'


@pytest.mark.parametrize(
    ("rule", "same", "fault"),
    [
        pytest.param(
            f"sum by (stage, env) ({FAILED}) / sum by (stage, env) ({CALLS})",
            f'sum by (stage, env) ({FAILED}) / sum by (stage, env) (calls{{stage="asr"}})',
            'sum by (stage, env) (failed{stage="asr"}) / sum by (stage, env) (calls{stage="asr"})',
            id="one side still picks it, or neither does",
        ),
        pytest.param(
            f"sum by (stage, env) ({FAILED}) / sum by (stage, env) ({CALLS})",
            f'sum by (stage, env) (failed{{env="prod"}}) / sum by (stage, env) ({CALLS})',
            f'sum by (stage) ({FAILED}) / on (stage) sum by (stage) (calls{{stage="asr"}})',
            id="both are joined by it, or it is summed away",
        ),
        pytest.param(
            f"{FAILED} and on (stage, env) max by (stage, env) ({CALLS}) > 9",
            f'{FAILED} and on (stage, env) max by (stage, env) (calls{{stage="asr"}}) > 9',
            f'{FAILED} and on (stage) max by (stage) (calls{{stage="asr"}}) > 9',
            id="what is joined by a label, or by another",
        ),
        pytest.param(
            f"{FAILED} unless {CALLS}",
            f'{FAILED} unless calls{{stage="asr"}}',
            f'failed{{stage="asr"}} unless {CALLS}',
            id="what takes away, or what it is taken from",
        ),
        pytest.param(
            f"{FAILED} or {CALLS}",
            'failed{env="prod",stage="asr"} or ' + CALLS,
            f'{FAILED} or calls{{stage="asr"}}',
            id="either is there by itself",
        ),
        pytest.param(
            f"{FAILED} > on (stage, env) group_left () max by (stage, env) ({CALLS})",
            f"{FAILED} > on (env) group_left () max by (stage, env) ({CALLS})",
            f'failed{{env="prod"}} > on (env) group_left () max by (stage, env) ({CALLS})',
            id="both have one value, or one of them has several",
        ),
        pytest.param(
            f"sum by (stage, env) ({FAILED}) / on (stage, env) sum by (stage, env) ({CALLS})",
            f'sum by (stage, env) ({FAILED}) / on (stage, env) sum by (stage, env) (calls{{stage="asr"}})',
            f"sum by (stage, env) ({FAILED}) / on (env) sum by (stage, env) ({CALLS})",
            id="a join of one and one has the labels that it is by",
        ),
        pytest.param(
            f"{FAILED} / on (stage, env) group_left () max by (stage, env) ({CALLS})",
            f'{FAILED} / on (stage, env) group_left () max by (stage, env) (calls{{stage="asr"}})',
            f'{FAILED} / on (stage, env) group_left () calls{{stage="asr"}}',
            id="one for each match, or several of no matter, at which it would fail",
        ),
        pytest.param(
            f"max by (stage, env) (rate({FAILED}[5m]) / on (stage, env) max by (stage, env) ({CALLS}))",
            f"max by (env, stage) (rate({FAILED}[5m]) / on (env, stage) max by (env, stage) ({CALLS}))",
            f"max by (env, stage) (rate({FAILED}[9m]) / on (env, stage) max by (env, stage) ({CALLS}))",
            id="labels in another order, or another window",
        ),
    ],
)
def test_a_rule_in_other_words_has_one_normal_form_and_a_fault_near_by_another(
    rule: str, same: str, fault: str
) -> None:
    assert normal_form(rule) == normal_form(same)
    assert normal_form(rule) != normal_form(fault)


def test_a_label_is_no_mutant_where_both_sides_of_a_join_have_its_one_value_and_is_one_where_they_have_not() -> None:
    left, right = (f'max by (stage, env) ({name}{{stage="asr"}})' for name in ("failed", "calls"))
    expr = f"{left} > on (stage, env) group_left () {right} and max by (stage, env) (failed) > 3"
    rule = {"alert": "Fails", "expr": expr, "labels": {}}
    dropped = [each.what for each in mutants({"groups": [{"rules": [rule]}]}) if "from on" in each.what]
    assert dropped == ["Fails: env dropped from on"]


def test_a_counter_that_is_only_asked_whether_it_is_any_may_be_their_largest_and_a_gauge_may_not() -> None:
    def made(name: str) -> list[str]:
        asked = f'sum by (version) (last_over_time({name}{{stage="asr"}}[1h])) > 0'
        rule = {"record": "stage:age:max", "expr": f"age and on (version) {asked}"}
        return [each.what for each in mutants({"groups": [{"rules": [rule]}]}) if each.family == "aggregation"]

    assert made("calls_total") == []
    assert made("balance") == ["stage:age:max: sum made max", "stage:age:max: sum made avg"]
