"""Vocabularies out of a tokenizer.json of others."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.storage.files import MOST_READ_BYTES
from raytrain.text.encode import tokenizer_of
from raytrain.text.tokenizer_files import read_vocab
from raytrain.text.tokenizer_json import parse_tokenizer
from raytrain.text.vocab import LOWERED, SPECIAL_TOKENS, Folding, Vocab, parse_vocab

TOKENS = [*SPECIAL_TOKENS, "天", "气", "Ab", "ab", "##c", "é", "e"]
FLAGS = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
WHOLE = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [
        {"id": number, "content": token, "special": True, **FLAGS}
        for number, token in enumerate(SPECIAL_TOKENS)
    ],
    "normalizer": {
        "type": "BertNormalizer",
        "clean_text": True,
        "handle_chinese_chars": True,
        "strip_accents": None,
        "lowercase": False,
    },
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing"},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    "model": {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "continuing_subword_prefix": "##",
        "max_input_chars_per_word": 100,
        "vocab": {token: number for number, token in reversed(list(enumerate(TOKENS)))},
    },
}


def parse(change=lambda whole: None):
    whole, problems = copy.deepcopy(WHOLE), []
    change(whole)
    return parse_tokenizer(whole, problems), problems


def read(directory, whole=WHOLE, config=None):
    (directory / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    if config is not None:
        (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    problems, notes = [], []
    return read_vocab(directory / "tokenizer.json", problems, notes), problems + notes


def test_the_tokens_come_in_the_order_of_their_ids():
    assert parse() == (TOKENS, [])


@pytest.mark.parametrize(
    ("config", "changes", "folding"),
    [
        (None, {}, Folding(False, False)),
        (None, {"lowercase": True}, LOWERED),
        (None, {"strip_accents": True}, Folding(False, True)),
        (None, {"handle_chinese_chars": False}, Folding(False, False, False)),
        ({"do_lower_case": True}, {}, LOWERED),
    ],
)
def test_the_folding_is_the_normalizer_s(tmp_path, config, changes, folding):
    whole = {**WHOLE, "normalizer": {**WHOLE["normalizer"], **changes}}
    assert read(tmp_path, whole, config) == (Vocab(TOKENS, folding), [])


def test_special_tokens_may_stand_behind_the_vocabulary():
    def add(whole):
        whole["added_tokens"].append({"id": len(TOKENS), "content": "[USER]", "special": True})

    assert parse(add) == ([*TOKENS, "[USER]"], [])


def test_ids_without_a_token_and_blank_lines_keep_the_others_in_their_places():
    assert parse(token("好", 14)) == ([*TOKENS, "[unused12]", "[unused13]", "好"], [])
    assert parse(token("[unused13]", 14)) == ([*TOKENS, "[unused12]", "[[unused13]]", "[unused13]"], [])
    assert parse(lambda whole: token("", 12)(whole) or token("好", 13)(whole)) == ([*TOKENS, "", "好"], [])


def test_blank_lines_at_the_end_are_no_tokens():
    """As in a vocab.txt: of two the last has the id."""
    assert parse(token("", 13)) == (TOKENS, [])


def test_an_older_file_without_a_type_is_known_by_its_prefix():
    assert parse(lambda whole: whole["model"].pop("type")) == (TOKENS, [])


def model(**changes):
    return lambda whole: whole["model"].update(changes)


def part(name, value):
    return lambda whole: whole.update({name: value})


def token(text, number):
    return lambda whole: whole["model"]["vocab"].update({text: number})


REFUSED = [
    (model(type="BPE"), "expected a model of type WordPiece, found 'BPE'; take an encoder"),
    (model(type="Unigram"), "found 'Unigram'; take an encoder"),
    (model(type=None), "found None"),
    (part("model", []), "expected an object as model, found a list"),
    (model(unk_token="<unk>"), "expected '[UNK]' as model.unk_token, found '<unk>'"),
    (model(continuing_subword_prefix=""), "expected '##' as model.continuing_subword_prefix, found ''"),
    (model(max_input_chars_per_word=200), "expected 100 as model.max_input_chars_per_word, found 200"),
    (model(vocab={}), "expected an object of 1 to 2,000,000 tokens"),
    (model(vocab=["天"]), "as model.vocab, found a list"),
    (token("好", "12"), "model.vocab: expected a whole number as each id, found '好': '12'"),
    (token("好", True), "found '好': True"),
    (token("好", 12.0), "found '好': 12.0"),
    (token("好", 3), "expected each id once, found 3 of '[SEP]' and '好'"),
    (token("好", 2_000_000), "expected ids from 0 to 1,999,999, found 2000000 of '好'"),
    (token("好", -1), "found -1 of '好'"),
    (token("a\nb", 12), "expected tokens without line ends and halves of characters, found 'a\\nb'"),
    (token("\ud800", 12), "found '\\ud800'"),
    (part("normalizer", None), "expected a normalizer of type BertNormalizer, found None"),
    (part("normalizer", {"type": "Lowercase"}), "found 'Lowercase'"),
    (
        part("normalizer", {"type": "BertNormalizer", "clean_text": False}),
        "true as normalizer.clean",
    ),
    (part("pre_tokenizer", {"type": "Whitespace"}), "expected a pre_tokenizer of type BertPreTokenizer"),
    (part("added_tokens", {}), "added_tokens: expected a list of objects"),
    (part("added_tokens", [{"content": 3}]), "added_tokens: expected a list of objects"),
    (
        part("added_tokens", [{"id": 12, "content": "新词", "special": False}]),
        "added_tokens: expected special tokens alone, found '新词'",
    ),
    (
        part("added_tokens", [{"id": 9, "content": "[PAD]", "special": True}]),
        "expected the ids of model.vocab",
    ),
    (part("added_tokens", [{"id": None, "content": "[X]", "special": True}]), "found '[X]': None"),
    (part("added_tokens", [{"id": 3, "content": "[X]", "special": True}]), "found 3 of '[SEP]' and '[X]'"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_read_is_named(change, said):
    tokens, [problem] = parse(change)
    assert tokens == [] and said in problem


def test_all_that_is_wrong_comes_at_once(tmp_path):
    whole = {
        **WHOLE,
        "normalizer": None,
        "pre_tokenizer": None,
        "model": {**WHOLE["model"], "unk_token": "x"},
    }
    vocab, problems = read(tmp_path, whole)
    assert vocab == Vocab(()) and len(problems) == 3
    assert all(problem.startswith("tokenizer.json: ") for problem in problems)


@pytest.mark.parametrize("content", ["", "[]", "{" * 9, "[" * 100_000], ids=range(4))
def test_what_is_no_json_is_named(tmp_path, content):
    problems = []
    (tmp_path / "tokenizer.json").write_text(content)
    assert read_vocab(tmp_path / "tokenizer.json", problems, []) == Vocab(())
    assert problems[0].startswith("tokenizer.json: not readable as JSON")


def test_a_file_of_any_size_is_not_read(tmp_path):
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(MOST_READ_BYTES + 1)
    problems = []
    assert read_vocab(tmp_path / "tokenizer.json", problems, []) == Vocab(())
    assert f"expected {MOST_READ_BYTES:,} bytes at most" in problems[0]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 20) | st.text(max_size=3) | st.sampled_from(["WordPiece"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WHOLE, "type"]), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(WHOLE)), values, st.sampled_from(sorted(WHOLE["model"])), values)
def test_whatever_stands_there_it_is_read_or_refused(name, value, key, inner):
    def change(whole):
        whole["model"][key] = inner
        whole[name] = value

    tokens, problems = parse(change)
    assert (tokens == []) == (problems != [])


def test_the_ids_are_those_of_the_tokenizers_library(tmp_path):
    """It is what transformers reads a tokenizer.json by."""
    tokenizers = pytest.importorskip("tokenizers")
    whole = {**WHOLE, "post_processor": None}
    vocab, _ = read(tmp_path, whole)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("天气Abc abc É e\u0301", "ABC天Ab", "天\u200b气\ue000c"):
        assert tokenizer_of(vocab).tokenize([text]).ids.tolist() == theirs.encode(text).ids


LINES = [*TOKENS, "", "天", "", "##d", "a", "##b", "天", "[unused1]", "##e", "", ""]


@given(st.permutations(LINES[len(SPECIAL_TOKENS) :]), st.text("天气AabBcde é[]u1", max_size=12))
def test_a_vocabulary_with_blank_and_repeated_lines_has_the_same_ids_in_both_files(lines, text):
    tokenizers = pytest.importorskip("tokenizers")
    lines = [*SPECIAL_TOKENS, *lines]
    ids = {line: number for number, line in enumerate(lines)}  # as transformers' load_vocab
    theirs = tokenizers.Tokenizer(tokenizers.models.WordPiece(ids, unk_token="[UNK]"))
    theirs.normalizer = tokenizers.normalizers.BertNormalizer()
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    expected = theirs.encode(text).ids
    problems = []
    tokens = parse_tokenizer(json.loads(theirs.to_str()), problems)
    assert problems == [] and len(set(tokens)) == len(tokens)
    assert tokenizer_of(Vocab(tokens)).tokenize([text]).ids.tolist() == expected
    in_lines = parse_vocab("vocab.txt", "".join(f"{line}\n" for line in lines).encode())
    assert len(tokens) == len(in_lines.tokens)
    assert tokenizer_of(in_lines).tokenize([text]).ids.tolist() == expected
