"""What tokens and the share of words outside of a vocabulary mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from pipemon import DeclarationError, Feature
from pipemon.features import has_capitals, has_fillers, has_punctuation, share_out_of_vocabulary, tokens


@dataclass
class Transcript:
    text: str | None


def word_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"hello": 0, "world": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


@pytest.mark.parametrize("text", ["hello, big world", Transcript("hello, big world")])
def test_tokens_are_what_a_tokenizer_makes_of_a_text(text: object) -> None:
    assert tokens(word_tokenizer()).extractor(text) == 4
    assert tokens(str.split).extractor(text) == 3
    assert tokens(lambda text: text.count(" ")).extractor(text) == 2


def test_a_text_that_spells_a_special_token_is_counted() -> None:
    of_bytes = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding(
        "bytes", pat_str=r"\S+|\s+", mergeable_ranks=of_bytes, special_tokens={"<|endoftext|>": 256}
    )
    with pytest.raises(ValueError, match="special token"):
        encoding.encode("<|endoftext|>")
    assert tokens(encoding).extractor("<|endoftext|>") == 13


def test_an_empty_text_has_no_tokens_and_is_not_missing() -> None:
    assert tokens(word_tokenizer()).extractor("") == 0


@pytest.mark.parametrize("tokenizer", ["gpt-4o", 3, None])
def test_a_tokenizer_must_tokenize(tokenizer: Any) -> None:
    with pytest.raises(DeclarationError, match="a tokenizer is a function of a text, or has a method `encode`"):
        tokens(tokenizer)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("the cat sat", 0.0),
        ("The cat, sat.", 0.0),
        ("the dog sat", 1 / 3),
        ("“Zebra” … xylophone!", 1.0),
        (Transcript("the quokka"), 0.5),
    ],
)
def test_the_share_out_of_vocabulary_is_of_the_words(text: object, share: float) -> None:
    assert share_out_of_vocabulary({"the", "Cat", "sat"}).extractor(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", " \n", "...", Transcript(None)])
def test_a_text_without_words_has_no_share(text: object) -> None:
    assert share_out_of_vocabulary(["a"]).extractor(text) is None


def test_a_text_that_is_none_has_no_tokens() -> None:
    assert tokens(str.split).extractor(Transcript(None)) is None


@given(st.text(), st.text(min_size=1))
def test_no_word_is_outside_of_its_own_vocabulary(text: str, more: str) -> None:
    found = share_out_of_vocabulary([*text.split(), "a"]).extractor(text)
    assert found is None or found == 0


def test_words_are_told_apart_as_the_user_says() -> None:
    found = share_out_of_vocabulary(["Cat"], normalize=str).extractor("cat Cat")
    assert found == 0.5


@pytest.mark.parametrize("vocabulary", ["the cat", 3, [], ["..."]])
def test_a_vocabulary_is_words(vocabulary: Any) -> None:
    with pytest.raises(DeclarationError, match=r"share_out_of_vocabulary: (a|the) vocabulary"):
        share_out_of_vocabulary(vocabulary)


LIKE_SPEECH, LIKE_WRITING = "um today's weather", "Today's weather."


@pytest.mark.parametrize("feature", [has_fillers(), has_capitals(), has_punctuation()])
def test_habits_of_labelling_are_told_apart(feature: Feature) -> None:
    fillers = feature.name == "has_fillers"
    assert feature.extractor(LIKE_SPEECH) == fillers
    assert feature.extractor(Transcript(LIKE_WRITING)) == (not fillers)
    assert feature.extractor("Um, today's weather") == 1
    assert feature.unit == "ratio"


@pytest.mark.parametrize(("text", "found"), [("UM... yes", 1), ("the umbrella", 0), ("er ist da", 0), ("Uh-huh", 0)])
def test_fillers_are_whole_words(text: str, found: float) -> None:
    assert has_fillers().extractor(text) == found


def test_fillers_are_those_of_the_language() -> None:
    assert has_fillers(["Euh", "ben"]).extractor("euh, oui") == 1
    assert has_fillers(["Euh", "ben"]).extractor("um, oui") == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("today's well-known 3.5 at 10:30", 0),
        ("so, yes", 1),
        ('he said "no."', 1),
        ("今日は、晴れ", 1),
        ("¿qué tal", 1),
        ("now …", 1),
    ],
)
def test_punctuation_is_what_parts_sentences(text: str, found: float) -> None:
    assert has_punctuation().extractor(text) == found


@pytest.mark.parametrize("text", ["", " \n", "...", Transcript(None)])
def test_what_has_no_words_has_no_habits(text: object) -> None:
    assert [feature.extractor(text) for feature in (has_fillers(), has_capitals(), has_punctuation())] == [None] * 3


@pytest.mark.parametrize("text", ["今日は", "१२३", "123"])
def test_scripts_without_case_have_no_capitals_to_miss(text: str) -> None:
    assert has_capitals().extractor(text) is None


@pytest.mark.parametrize("fillers", ["um uh", 3, [], ["..."]])
def test_fillers_are_words(fillers: Any) -> None:
    with pytest.raises(DeclarationError, match=r"has_fillers: (fillers are|there are no)"):
        has_fillers(fillers)
