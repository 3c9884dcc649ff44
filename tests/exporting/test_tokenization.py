import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json
from importlib.resources import files

import jieba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece_model import ENGLISH, tiny_model

from raytrain.ensemble.words import ArtifactWords
from raytrain.exporting.describe import describe_inputs, tokenizer_files, words_files
from raytrain.exporting.tokenization import Reader
from raytrain.text.encode import build_features, encode_texts
from raytrain.text.vocab import Folding, Vocab

MINI = (files("raytrain.pretrained") / "mini" / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
DICTIONARY = "停水快转 9999\n早餐 0\n好吃 50 n\n"
WORDS = ["停水快转", "房间", "干净", "服务", "热情", "iphone"]
ODD = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from(
            "网传明天停水快转给家人早餐好吃，。！ \t\n\r　aBcdeÉİſßΣσς１２[]#é㐀𠀀👍\x00\u200b\ufffd"
        ),
    ),
    max_size=60,
)


class Spec:
    """Stands for a tf.TensorSpec."""

    def __init__(self, dtype, *shape):
        self.dtype, self.shape = np.dtype(dtype), shape


@pytest.fixture(scope="module")
def new_reader(tmp_path_factory):
    """Writes what a Reader reads; with words it reads these and their vectors."""

    def make(vocab, maxlen, truncate="head", windows=1, pairs=False, words=None):
        folder = tmp_path_factory.mktemp("export")
        told, own = tokenizer_files(vocab)
        specs = {name: Spec(np.int32, None, None) for name in ("token_ids", "segment_ids")}
        specs["text_of_row"] = Spec(np.int32, None)
        described = {"labels": [0, 1], "costs": None, "tokenizer": told, "words": None}
        if words is not None:
            described["words"], more = words_files(words)
            own |= more
            specs["word_ids"], specs["new_word_vectors"] = specs["token_ids"], Spec(np.float32, None, 3)
        reading = {"maxlen": maxlen, "truncate": truncate, "windows": windows, "pairs": pairs}
        described |= {"reading": reading, "inputs": describe_inputs(specs)}
        for name, data in own.items():
            (folder / name).write_bytes(data)
        (folder / "export.json").write_text(json.dumps(described), encoding="utf-8")
        return Reader(folder)

    return make


def same_rows(reader, texts, pairs, encoded):
    found = [row for own in reader.rows(texts, pairs) for row in own]
    bounds = encoded.offsets
    for place, (ids, segments, _) in enumerate(found):
        own = slice(bounds[place], bounds[place + 1])
        assert ids == encoded.token_ids[own].tolist()
        assert segments == encoded.segment_ids[own].tolist()
    assert len(found) == len(bounds) - 1


FOLDINGS = [Folding(), Folding(lower=False, strip_accents=False), Folding(splits_chinese=False)]


@pytest.mark.parametrize("folding", FOLDINGS)
@pytest.mark.parametrize(("truncate", "windows"), [("head", 1), ("tail", 2), ("head_tail", 3)])
def test_ids_are_the_encoders(new_reader, folding, truncate, windows):
    vocab = Vocab(MINI, folding)
    reader = new_reader(vocab, 9, truncate, windows)

    @given(st.lists(ODD, min_size=1, max_size=4))
    @settings(max_examples=40)
    def check(texts):
        encoded = encode_texts(texts, None, vocab, 9, False, truncate=truncate, windows=windows)
        same_rows(reader, texts, None, encoded)

    check()


@pytest.mark.parametrize("truncate", ["head", "head_tail"])
def test_ids_of_pairs_are_the_encoders(new_reader, truncate):
    vocab = Vocab(MINI)
    reader = new_reader(vocab, 12, truncate, pairs=True)

    @given(st.lists(st.tuples(ODD, ODD), min_size=1, max_size=3))
    @settings(max_examples=40)
    def check(rows):
        texts, pairs = ([row[place] for row in rows] for place in (0, 1))
        encoded = encode_texts(texts, pairs, vocab, 12, False, truncate=truncate)
        same_rows(reader, texts, pairs, encoded)

    check()


def test_ids_of_sentencepiece_are_the_encoders(new_reader):
    vocab = Vocab(tiny_model())
    reader = new_reader(vocab, 16)
    some = st.sampled_from([*ENGLISH, "1,200,", "x35, ", "İ Σς É", "  "])

    @given(st.lists(st.one_of(ODD, st.lists(some).map("".join)), min_size=1, max_size=3))
    @settings(max_examples=40)
    def check(texts):
        same_rows(reader, texts, None, encode_texts(texts, None, vocab, 16, False))

    check()


@pytest.mark.parametrize(("truncate", "windows"), [("head", 1), ("head_tail", 2)])
def test_words_are_the_encoders_and_new_ones_have_their_characters_vectors(new_reader, truncate, windows):
    characters = {char: np.random.default_rng(ord(char)).random(3, np.float32) for char in "停水早餐好吃网é"}
    words, vocab = ArtifactWords(WORDS, DICTIONARY, characters), Vocab(MINI)
    reader = new_reader(vocab, 10, truncate, windows, words=words)

    @given(st.lists(ODD, min_size=1, max_size=3))
    @settings(max_examples=40)
    def check(texts):
        encoded = encode_texts(texts, None, vocab, 10, True, DICTIONARY, truncate, windows)
        new, rows = words.lay_new(encoded.words)
        table = np.concatenate([np.zeros((len(WORDS) + 2, 3)), np.zeros((0, 3)) if rows is None else rows])
        features = build_features(encoded, [*WORDS, *new])
        batches = list(reader.batches(texts, most_tokens=10_000))
        assert len(batches) == 1
        places, inputs = batches[0]
        own = np.concatenate([np.zeros((len(WORDS) + 2, 3)), inputs["new_word_vectors"]])
        order = np.argsort(np.asarray(places)[inputs["text_of_row"]], kind="stable")
        expected = features["word_ids"].to_pylist()
        for place, ids in zip(order, expected, strict=True):
            found = inputs["word_ids"][place, : len(ids)].tolist()
            kept = len(WORDS) + 2
            assert [min(number, kept) for number in found] == [min(number, kept) for number in ids]
            np.testing.assert_allclose(own[found], table[ids], atol=1e-6)

    check()


def test_words_that_one_reader_cuts_apart_are_another_ones(new_reader):
    """jieba keeps them for the whole process; nor does it leave its cache where others could write it."""
    texts, forced = ["我们早餐好吃吗"], set(jieba.finalseg.Force_Split_Words)
    readers = [
        new_reader(Vocab(MINI), 12, words=ArtifactWords(WORDS, dictionary, {}))
        for dictionary in ("早餐 0\n好吃 0\n吃 9\n", None)
    ]
    for _ in range(2):
        for reader, dictionary in zip(readers, ("早餐 0\n好吃 0\n吃 9\n", None), strict=True):
            encoded = encode_texts(texts, None, Vocab(MINI), 12, True, dictionary)
            features = build_features(encoded, WORDS)
            [(_, inputs)] = reader.batches(texts)
            [expected] = features["word_ids"].to_pylist()
            assert inputs["word_ids"][0].tolist() == expected
    assert jieba.finalseg.Force_Split_Words == forced


def test_batches_hold_texts_of_like_length_and_so_many_tokens(new_reader):
    reader = new_reader(Vocab(MINI), 40, windows=2)
    texts = ["好" * size for size in (3, 90, 1, 30, 0, 12)]
    batches = list(reader.batches(texts, most_tokens=60))
    assert [places for places, _ in batches] == [[1], [3], [5, 0, 2, 4]]
    assert batches[0][1]["token_ids"].shape == (2, 40) and batches[0][1]["text_of_row"].tolist() == [0, 0]
    assert [inputs["token_ids"].size <= 60 or len(places) == 1 for places, inputs in batches] == [True] * 3


def test_probabilities_stand_in_the_texts_order_and_costs_decide(new_reader):
    reader = new_reader(Vocab(MINI), 40)
    texts = ["好" * size for size in (3, 30, 1)]
    proba = reader.predict(texts, lambda inputs: (inputs["token_ids"] > 0).sum(axis=1)[:, None] / [100, 50])
    assert proba[:, 0].tolist() == [0.05, 0.32, 0.03]
    assert reader.decide(proba) == [1, 1, 1]
    reader.description["costs"] = [[0, 9], [1, 0]]
    assert reader.decide(np.array([[0.4, 0.6]])) == [0]


def test_pairs_are_given_where_pairs_are_read(new_reader):
    with pytest.raises(ValueError, match="expected pairs"):
        new_reader(Vocab(MINI), 20).rows(["a"], ["b"])
