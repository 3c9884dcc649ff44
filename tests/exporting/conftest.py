"""Ensembles of random weights, which are exported."""

import pytest
from written_ensemble import WrittenEnsemble

from raytrain.text.encode import encode_texts
from raytrain.text.vocab import Vocab

LABELS = ["好", "坏", "无关"]
DICTIONARY = "早餐好吃 9999\n"


@pytest.fixture(scope="session")
def new_ensemble(encoder_config, vocab, sentences):
    """Makes one of some kind of encoder; with words its heads read half of those of the sentences."""
    words = sorted(set(encode_texts(sentences, None, Vocab(vocab), 20, True, DICTIONARY).words))[::2]

    def make(
        directory, kind="albert", labels=LABELS, has_words=True, dictionary=DICTIONARY, own=None, **reading
    ):
        known = words if has_words else ()
        config = encoder_config(kind) | (own or {})
        words_and_reading = (known, reading, dictionary if has_words else None)
        return WrittenEnsemble(directory, kind, config, vocab, labels, *words_and_reading)

    return make
