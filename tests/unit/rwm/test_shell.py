"""Quoted words are what a shell reads."""

from __future__ import annotations

import pytest

from rwm import process
from rwm.shell import quote

WORDS = ["bucket1/host1", "my conf", "it's", "$(id)", "`id`", "", "a\x1b[2J'\\n b\n", "ключ \u202e", "日本語"]


@pytest.mark.parametrize("word", WORDS)
def test_a_shell_reads_the_word(word: str) -> None:
    assert process.run(["bash", "-c", f"printf %s {quote(word)}"]).stdout == word
    assert quote(word).isprintable()


def test_a_word_without_special_characters_stays() -> None:
    assert quote("bucket1/host1") == "bucket1/host1"
