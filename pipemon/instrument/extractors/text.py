"""Features of texts.

All take a string, or an object whose attribute `text` is one; None in its place is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from string import punctuation
from typing import Any

from pipemon.errors import DeclarationError
from pipemon.instrument.features import Feature

_MARKS = punctuation + "…–—‘’“”«»¿¡。、，！？"  # noqa: RUF001
_SENTENCE_MARK = re.compile(r"[.,;:!?…](?!\w)|[¿¡。、，！？]")  # noqa: RUF001
"""Not those within a word or a number: today's, well-known, 3.5, 10:30."""
FILLERS = ("um", "umm", "uh", "uhh", "uhm", "erm", "hm", "hmm", "mhm", "mm")
"""Sounds of hesitation, as English transcripts spell them. `er` is none: it is a word of other languages."""
_ENCODERS = ("encode_ordinary", "encode")  # tiktoken's encode refuses texts that spell a special token


def words(name: str | None = None, sample: float = 1.0) -> Feature:
    """Words of a text, as separated by white space, in `words`. Cost: one pass over the text."""
    return Feature(name or "words", _words, unit="words", prefix=name is None, sample=sample)


def tokens(tokenizer: Any, name: str | None = None, sample: float = 1.0) -> Feature:
    """Tokens of a text, in `tokens`: what a model reads and is paid for.

    `tokenizer` is a function from a text to its tokens or to their number, or has a method `encode`: those of
    tokenizers, transformers, tiktoken and SentencePiece do. Special tokens count where `encode` adds them.
    Cost: the tokenizer's, often more than 1 ms for a page; where the stage has the tokens at hand, take `length()`.

    Raises DeclarationError for what can't tokenize.
    """
    encode = next((getattr(tokenizer, method) for method in _ENCODERS if hasattr(tokenizer, method)), tokenizer)
    if isinstance(tokenizer, str) or not callable(encode):
        raise DeclarationError(f"tokens({tokenizer!r}): a tokenizer is a function of a text, or has a method `encode`")

    def extract(text: Any) -> float | None:
        text = _text(text)
        if text is None:
            return None
        found = encode(text)
        return float(found if isinstance(found, int) else len(found))

    return Feature(name or "tokens", extract, unit="tokens", prefix=name is None, sample=sample)


def plain_word(word: str) -> str:
    """Return a word in lower case, without punctuation before and after it; "" where there is nothing else."""
    return word.strip(_MARKS).casefold()


def share_out_of_vocabulary(
    vocabulary: Iterable[str],
    name: str | None = None,
    normalize: Callable[[str], str] = plain_word,
    sample: float = 1.0,
) -> Feature:
    """Share of a text's words that are not in `vocabulary`, 0 to 1; no words: missing.

    Words are separated by white space; those of text and vocabulary pass through `normalize`, which by default
    makes them lower-case and takes punctuation off their ends; what it leaves empty is no word. The vocabulary is
    read once, at declaration. Cost: one look-up a word, some 0.4 ms for 2000 words.

    Raises DeclarationError for an empty vocabulary or a text in its place.
    """
    if isinstance(vocabulary, str | bytes) or not isinstance(vocabulary, Iterable):
        raise DeclarationError(f"share_out_of_vocabulary: a vocabulary is a set or list of words, not {vocabulary!r}")
    known = frozenset(map(normalize, vocabulary)) - {""}
    if not known:
        raise DeclarationError("share_out_of_vocabulary: the vocabulary has no words")

    def extract(text: Any) -> float | None:
        text = _text(text)
        found = [] if text is None else [word for word in map(normalize, text.split()) if word]
        return sum(word not in known for word in found) / len(found) if found else None

    return Feature(name or "share_out_of_vocabulary", extract, unit="ratio", prefix=name is None, sample=sample)


def has_fillers(
    fillers: Iterable[str] = FILLERS,
    name: str | None = None,
    normalize: Callable[[str], str] = plain_word,
    sample: float = 1.0,
) -> Feature:
    """Whether a text has a filler such as "um" or "uh": 1 or 0, so its mean is the share that has; no words: missing.

    Words are separated by white space; those of text and fillers pass through `normalize`, as in
    `share_out_of_vocabulary`. Cost: one look-up a word.

    Raises DeclarationError for no fillers or a text in their place.
    """
    if isinstance(fillers, str | bytes) or not isinstance(fillers, Iterable):
        raise DeclarationError(f"has_fillers: fillers are a set or list of words, not {fillers!r}")
    known = frozenset(map(normalize, fillers)) - {""}
    if not known:
        raise DeclarationError("has_fillers: there are no fillers")

    def extract(text: Any) -> float | None:
        text = _text(text)
        found = [] if text is None else [word for word in map(normalize, text.split()) if word]
        return float(not known.isdisjoint(found)) if found else None

    return Feature(name or "has_fillers", extract, unit="ratio", prefix=name is None, sample=sample)


def has_capitals(name: str | None = None, sample: float = 1.0) -> Feature:
    """Whether a text has a capital letter: 1 or 0, so its mean is the share that has.

    Missing where no letter has a case, as in Japanese. Cost: four passes over the text.
    """
    return Feature(name or "has_capitals", _has_capitals, unit="ratio", prefix=name is None, sample=sample)


def _has_capitals(text: Any) -> float | None:
    text = _text(text)
    return None if text is None or text.upper() == text.lower() else float(text.lower() != text)


def has_punctuation(name: str | None = None, sample: float = 1.0) -> Feature:
    """Whether a text has a mark of punctuation: 1 or 0, so its mean is the share that has.

    No letters or digits: missing. Marks are those that part sentences and their parts: `. , ; : ! ? …` and the likes of
    other scripts, not apostrophes, hyphens, or what stands within a number. Cost: one pass over the text.
    """
    return Feature(name or "has_punctuation", _has_punctuation, unit="ratio", prefix=name is None, sample=sample)


def _has_punctuation(text: Any) -> float | None:
    text = _text(text)
    if text is None or not any(map(str.isalnum, text)):
        return None
    return float(_SENTENCE_MARK.search(text) is not None)


def _text(text: Any) -> Any:
    return text if isinstance(text, str) else text.text


def _words(text: Any) -> float | None:
    if not isinstance(text, str):
        text = text.text
    return None if text is None else float(len(text.split()))
