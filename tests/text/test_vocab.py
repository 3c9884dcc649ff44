"""Vocabularies as files."""

import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.text.vocab import SPECIAL_TOKENS, Vocab, parse_vocab, vocab_file
from raytrain.text.wordpiece import build_vocab

characters = st.characters(exclude_categories=["Cs"])
words = st.text(characters, min_size=1, max_size=5).filter(lambda word: word.split() == [word])
blanks = st.sampled_from([" ", "\t", "\u2028", "\u2029", "\u3000", "\u00a0", "\x85", "\x1c", "\v"])


def tokens_of(data):
    return list(parse_vocab("vocab.txt", data).tokens)


def read_back(vocab):
    return list(parse_vocab(*vocab_file(Vocab(vocab))).tokens)


@given(st.lists(words | blanks, min_size=1, max_size=9))
def test_any_tokens_come_back_in_their_order(vocab):
    assert read_back(vocab) == vocab


@settings(max_examples=50)
@given(st.lists(st.text(characters, max_size=12), max_size=5))
def test_a_vocabulary_built_of_any_texts_comes_back(texts):
    vocab = build_vocab(texts, min_count=1, word_count=1)
    assert read_back(vocab) == vocab


@given(st.binary(max_size=40))
def test_a_sentencepiece_model_comes_back_as_its_bytes(model):
    assert parse_vocab(*vocab_file(Vocab(model))) == Vocab(model)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
def test_line_ends_of_any_system_are_no_part_of_a_token(end, last):
    data = (end.join(SPECIAL_TOKENS) + (end if last else "")).encode()
    assert tokens_of(data) == list(SPECIAL_TOKENS)


def test_blanks_belong_to_a_token():
    assert tokens_of("天 \r\n气\t-3.5\n 好\n".encode()) == ["天 ", "气\t-3.5", " 好"]


def test_a_byte_order_mark_is_no_part_of_the_first_token():
    assert tokens_of("\ufeff[PAD]\n天\ufeff\n".encode()) == ["[PAD]", "天\ufeff"]


lines = st.lists(st.text(characters, max_size=4) | blanks | st.sampled_from(["", "\r", "\ufeff", "天"]))


@given(lines, st.sampled_from(["\n", "\r\n", "\r"]))
def test_whatever_the_lines_the_ids_are_those_of_python_s_lines_and_come_back(lines, end):
    data = "".join(line + end for line in lines).encode()
    vocab = tokens_of(data)
    assert read_back(vocab) == vocab
    read = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").readlines()
    expected = {token.rstrip("\n"): number for number, token in enumerate(read)}
    first = read[0].rstrip("\n") if read else ""
    found = {token: number for number, token in enumerate(vocab)}
    for token in {*found, *expected} - {"", first, vocab[0]}:
        assert found[token] == expected[token]


@given(lines)
def test_the_ids_are_those_of_transformers(lines):
    bert = pytest.importorskip("transformers.models.bert.tokenization_bert")
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.write("".join(f"{line}\n" for line in ["[PAD]", *lines, "[UNK]"]).encode())
        file.flush()
        expected = bert.load_vocab(file.name)
        vocab = tokens_of(Path(file.name).read_bytes())
    assert {token: number for number, token in enumerate(vocab)} == dict(expected)


def test_a_blank_line_within_keeps_the_numbers_of_what_follows():
    assert tokens_of("天\n\n好\n".encode()) == ["天", "", "好"]


def test_blank_lines_at_the_end_are_no_tokens():
    assert tokens_of("天\n好\n\r\n\n".encode()) == ["天", "好"]


@pytest.mark.parametrize("token", ["\u2028", "\u3000", "\x85"])
def test_a_token_that_is_white_space_is_neither_a_line_end_nor_nothing(token):
    assert tokens_of(f"天\n{token}\n好\n".encode()) == ["天", token, "好"]


@pytest.mark.parametrize("data", ["天气".encode("gb18030"), "天气".encode("utf-16"), "天".encode()[:-1]])
def test_what_is_not_utf8_is_refused(data):
    with pytest.raises(UnicodeDecodeError):
        parse_vocab("vocab.txt", data)


def test_the_name_tells_what_a_file_is():
    assert parse_vocab("30k-clean.model", b"\xff\n") == Vocab(b"\xff\n")
    assert vocab_file(Vocab(b"\xff"))[0].endswith(".model")
    assert vocab_file(Vocab(["天"])) == ("vocab.txt", "天\n".encode())
