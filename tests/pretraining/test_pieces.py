"""Tokens of texts, and where words begin among them."""

import numpy as np
import pytest
from sentencepiece_model import ENGLISH, tiny_model
from tiny_pretraining import SENTENCES, VOCAB, special

from raytrain.errors import CheckpointError
from raytrain.pretraining.pieces import BEGINS, encode_lines, special_ids
from raytrain.text.encode import encode_texts
from raytrain.text.vocab import Folding, Vocab
from raytrain.text.words import build_segmenter


def words_of(text):
    """The tokens' words, each a string of the tokens' texts."""
    _, tokens = encode_lines([text], Vocab(VOCAB), True)
    words = []
    for token in tokens:
        if token & BEGINS:
            words.append("")
        words[-1] += VOCAB[token & ~BEGINS]
    return words


@pytest.mark.parametrize("text", SENTENCES)
def test_words_are_jiebas(text):
    assert words_of(text) == list(build_segmenter(None).cut(text))


def test_a_word_that_comes_twice_running_is_two_words():
    assert words_of("停水停水") == ["停水", "停水"]


def test_tokens_are_those_of_the_encoded_corpus():
    bounds, tokens = encode_lines(SENTENCES, Vocab(VOCAB), True)
    encoded = encode_texts(SENTENCES, None, Vocab(VOCAB), 100, False)
    for number in range(len(SENTENCES)):
        own = encoded.token_ids[encoded.offsets[number] + 1 : encoded.offsets[number + 1] - 1]
        np.testing.assert_array_equal(tokens[bounds[number] : bounds[number + 1]] & ~BEGINS, own)


def test_without_words_each_token_is_one():
    _, tokens = encode_lines(SENTENCES, Vocab(VOCAB), False)
    assert (tokens & BEGINS).all()


@pytest.mark.parametrize("texts", [[], [""], ["", " "]])
def test_nothing_has_no_tokens(texts):
    bounds, tokens = encode_lines(texts, Vocab(VOCAB), True)
    assert len(tokens) == 0 and bounds.tolist() == [0] * (len(texts) + 1)


def test_special_tokens_are_never_told_and_never_drawn():
    found = special()
    assert (found.pad, found.cls, found.sep, found.mask) == (0, 2, 3, 4)
    assert found.never_told.tolist() == [0, 1, 2, 3, 4]
    assert found.drawn.tolist() == list(range(5, len(VOCAB)))
    vocab = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "甲"]
    assert special_ids(Vocab(vocab)).drawn.tolist() == [6]


def test_a_vocabulary_without_a_mask_is_refused():
    with pytest.raises(CheckpointError, match="MASK"):
        special_ids(Vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "甲"]))


def test_a_sentencepiece_model_has_words_and_special_pieces_too():
    model = tiny_model()
    found = special_ids(Vocab(model))
    assert (found.cls, found.sep, found.mask) == (2, 3, 4) and found.never_told.tolist() == [0, 1, 2, 3, 4]
    text = ENGLISH[1]
    bounds, tokens = encode_lines([text, text], Vocab(model), True)
    begins = (tokens & BEGINS > 0).reshape(2, -1)
    assert bounds.tolist() == [0, len(tokens) // 2, len(tokens)] and (begins[0] == begins[1]).all()
    assert begins[0].sum() == len(text.split()) < len(tokens) // 2


def test_a_vocabulary_with_capitals_has_the_same_words_and_other_tokens():
    tokens, text = [*VOCAB, "Ab", "ab", "##c"], "Abc店家ab"
    kept, lowered = Vocab(tokens, Folding(False, False)), Vocab(tokens)
    _, found = encode_lines([text], kept, True)
    assert (found & ~BEGINS).tolist() == [tokens.index(token) for token in ("Ab", "##c", "店", "家", "ab")]
    assert (found & BEGINS > 0).tolist() == [True, False, True, False, True]
    assert encode_lines([text], lowered, True)[1].tolist() != found.tolist()
