"""A run's token says which run it was, when, and what served in it, or that it can't be believed."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipemon.catalogue import TRACKS
from pipemon.instrument.run_token import RunToken, read_token, write_token

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
STARTED = 1_764_288_000.123
STAGES = {"vad": ("1.4", "stable"), "asr": ("2.0", "canary"), "punctuate": ("1.4", "stable")}
KEY = b"a secret"

names = st.text(string.ascii_letters + "_.-", min_size=1, max_size=20)
versions = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())


@pytest.mark.parametrize("key", [None, KEY])
@given(
    id=st.binary(min_size=16, max_size=16),
    started=st.integers(0, 2**40).map(lambda milliseconds: milliseconds / 1000),
    stages=st.dictionaries(names, st.tuples(versions, st.sampled_from(TRACKS)), max_size=8),
)
def test_what_is_written_is_read(
    key: bytes | None, id: bytes, started: float, stages: dict[str, tuple[str, str]]
) -> None:
    token = read_token(write_token(id.hex(), started, "speech", stages, key), key)
    assert isinstance(token, RunToken)
    assert token.id == id.hex()
    assert token.started == pytest.approx(started, abs=0.001)
    assert {stage: token.served("speech", stage) for stage in stages} == stages
    assert token.served("speech", "another") is None
    assert [token.served("vision", stage) for stage in stages] == [None] * len(stages)


def test_it_is_short_and_can_stand_in_a_url() -> None:
    token = write_token(ID, STARTED, "speech", STAGES)
    assert re.fullmatch(r"pm1\.[A-Za-z0-9_-]+", token)
    assert len(token) == 71
    assert len(write_token(ID, STARTED, "speech", STAGES, KEY)) == 87
    fifty = {f"stage_{number}": ("1.4", "stable") for number in range(50)}
    assert len(write_token(ID, STARTED, "speech", fifty)) < 256


@pytest.mark.parametrize("key", [None, KEY])
def test_no_change_of_a_character_and_no_cut_goes_unnoticed(key: bytes | None) -> None:
    token = write_token(ID, STARTED, "speech", STAGES, key)
    flaw = "garbled" if key is None else "forged"
    right = read_token(token, key)
    for place in range(len("pm1."), len(token)):
        for other in "Az0-_":
            changed = token[:place] + other + token[place + 1 :]
            # The last character has bits that stand for nothing.
            assert changed == token or read_token(changed, key) in (flaw, right)
        assert read_token(token[:place], key) in (flaw, "garbled")


@given(text=st.text() | st.text(string.ascii_letters + string.digits + "-_", max_size=200).map("pm1.".__add__))
def test_any_text_is_a_token_or_has_a_flaw(text: str) -> None:
    for key in (None, KEY):
        assert read_token(text, key) in ("plain", "garbled", "forged")


def test_a_signed_pipeline_believes_only_its_own_key() -> None:
    assert read_token(write_token(ID, STARTED, "speech", STAGES, b"another"), KEY) == "forged"
    assert read_token(write_token(ID, STARTED, "speech", STAGES), KEY) == "forged"


def test_a_version_that_is_too_long_is_left_out() -> None:
    token = read_token(write_token(ID, STARTED, "speech", {"vad": ("v" * 256, "stable"), "asr": ("2.0", "canary")}))
    assert isinstance(token, RunToken)
    assert (token.served("speech", "vad"), token.served("speech", "asr")) == (None, ("2.0", "canary"))
