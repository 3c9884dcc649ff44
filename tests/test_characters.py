import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.characters import holds_half, is_blank, without_unseen


@pytest.mark.parametrize(
    "char", ["\u200b", "\u200d", "\ufeff", "\xad", "\0", "\x7f", "\u034f", "\ufe00", "\ufe0f", "\U000e0020"]
)
def test_what_cannot_be_seen_goes(char):
    assert without_unseen(f"{char}转{char}发{char}") == "转发"


@pytest.mark.parametrize("text", ["", "a b\tc\nd\u3000e", "e\u0301", "❤😀𠀀", "\ud800", "\ue000"])
def test_what_can_be_seen_blanks_and_halves_stay(text):
    assert without_unseen(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("好😀", False), ("好\ud83d", True), ("\udfff", True), ("\ue000", False)],
)
def test_half_of_a_character_is_found(text, expected):
    assert holds_half(text) == expected


@given(st.text())
def test_what_is_left_is_what_is_neither_control_nor_format(text):
    left = without_unseen(text)
    assert without_unseen(left) == left
    assert not [char for char in left if unicodedata.category(char) in ("Cc", "Cf") and not char.isspace()]


def test_normalizing_makes_none():
    """So that it does not matter which comes first."""
    chars = (chr(code) for code in range(sys.maxunicode + 1))
    for char in chars:
        if without_unseen(char):
            folded = unicodedata.normalize("NFKC", char).casefold()
            assert without_unseen(folded) == folded


@pytest.mark.parametrize("text", ["", " \u3000\n", "\u200b", "\u200b \ufeff\t", "\ufe0f", "\0"])
def test_what_holds_nothing_that_can_be_seen_is_blank(text):
    assert is_blank(text) and not is_blank(f"{text}好{text}") and not is_blank(f"{text}。")


@given(st.text())
def test_a_text_is_blank_as_what_is_left_of_it(text):
    assert is_blank(text) == (not without_unseen(text).strip())
