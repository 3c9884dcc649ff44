import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from raytrain.corpus.given import given_pairs, given_texts
from raytrain.errors import InputError

TEXTS = ["一", "", "二 三"]


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        pd.Series,
        lambda texts: pd.Series(texts, index=[7, 2, 0]),
        pa.array,
        lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
        iter,
    ],
)
def test_whatever_gives_texts_one_after_another_is_a_list_of_them(make):
    found = given_texts(make(TEXTS))
    assert found == TEXTS and {type(text) for text in found} == {str}


def test_one_text_alone_is_no_list_of_its_characters():
    with pytest.raises(InputError, match="queries: expected a list of texts, found one text"):
        given_texts("网传明天停水", "queries")


@pytest.mark.parametrize("make", [dict.fromkeys, set, lambda texts: pd.DataFrame({"text": texts})])
def test_what_would_give_names_or_no_order_is_no_list(make):
    with pytest.raises(InputError, match="name one of its columns"):
        given_texts(make(TEXTS))


@pytest.mark.parametrize("wrong", [None, float("nan"), 3, b"x", ["x"]])
def test_what_is_no_text_is_told_with_its_place(wrong):
    with pytest.raises(InputError, match=r"expected texts, found .* at 1"):
        given_texts(["一", wrong])


def test_half_of_a_character_is_told_with_its_place():
    with pytest.raises(InputError, match=r"^pairs: expected texts of whole characters, .* at 1; mend"):
        given_pairs(["一😀", "好\ud83d"], 2, reads_pairs=True)


def test_pairs_are_asked_for_where_they_were_trained_on_and_nowhere_else():
    assert given_pairs(np.array(["甲", "乙"]), 2, reads_pairs=True) == ["甲", "乙"]
    assert given_pairs(None, 2, reads_pairs=False) is None
    for asked, told in (
        ((None, 2, True), "found none"),
        ((["甲", "乙"], 2, False), "expected none"),
        ((["甲"], 2, True), "expected 2, as many as texts, found 1"),
    ):
        with pytest.raises(InputError, match=told):
            given_pairs(*asked)
