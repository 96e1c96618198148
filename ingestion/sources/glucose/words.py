"""Words of exports in the languages of their users; the words themselves are data, in ``words.yml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml


@cache
def meaning_of() -> Mapping[str, frozenset[str]]:
    """The words, in small letters, by what they mean."""
    text = (Path(__file__).parent / "words.yml").read_text(encoding="utf-8")
    return {
        meaning: frozenset(word.casefold() for word in words)
        for meaning, words in yaml.safe_load(text).items()
    }


def means(meaning: str, word: str) -> bool:
    """Whether a word, in any case, has the meaning in one of the languages."""
    return word.strip().casefold() in meaning_of()[meaning]
