"""How texts are folded for a vocabulary, by what lies beside it."""

import itertools
import json

import pytest
from sentencepiece_model import tiny_model

from raytrain.text.tokenizer_files import find_folding, read_vocab
from raytrain.text.vocab import LOWERED, SPECIAL_TOKENS, Folding, Vocab, tokenizer_config

CASED = [*SPECIAL_TOKENS, "天", "Ab", "ab", "é", "e"]
SMALL = [*SPECIAL_TOKENS, "天", "ab", "##b", "é", "e"]
KEPT = Folding(False, False)


def write(directory, vocab=CASED, config=None, normalizer=None):
    if isinstance(vocab, bytes):
        (directory / "spiece.model").write_bytes(vocab)
    else:
        (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    if config is not None:
        (directory / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    if normalizer is not None:
        whole = {"normalizer": {"type": "BertNormalizer", **normalizer}}
        (directory / "tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    return next(path for path in directory.iterdir() if path.name in ("vocab.txt", "spiece.model"))


def read(path):
    problems, notes = [], []
    return read_vocab(path, problems, notes), problems, notes


OF_BERT = [
    ({"do_lower_case": True}, None, LOWERED),
    ({"do_lower_case": False}, None, KEPT),
    ({"do_lower_case": False, "strip_accents": None}, None, KEPT),
    ({"do_lower_case": False, "strip_accents": True}, None, Folding(False, True)),
    ({"do_lower_case": True, "strip_accents": False}, None, Folding(True, False)),
    ({"do_lower_case": False, "tokenize_chinese_chars": False}, None, Folding(False, False, False)),
    (None, {"lowercase": False, "strip_accents": None, "handle_chinese_chars": True}, KEPT),
    ({"model_max_length": 512}, {"lowercase": False}, KEPT),
    ({"strip_accents": True}, {"lowercase": False}, Folding(False, True)),
    (None, {"lowercase": False, "handle_chinese_chars": False}, Folding(False, False, False)),
    # What a tokenizer_config.json says of the case goes before all that a tokenizer.json says.
    ({"do_lower_case": True}, {"lowercase": False, "strip_accents": False}, LOWERED),
    ({"do_lower_case": False}, {"lowercase": True, "strip_accents": True}, KEPT),
]


@pytest.mark.parametrize(("config", "normalizer", "expected"), OF_BERT, ids=range(len(OF_BERT)))
def test_the_folding_is_what_the_files_say(tmp_path, config, normalizer, expected):
    vocab, problems, notes = read(write(tmp_path, CASED, config, normalizer))
    assert (vocab, problems, notes) == (Vocab(CASED, expected), [], [])


@pytest.mark.parametrize("config", [None, {}, {"strip_accents": False}, {"do_lower_case": None}])
def test_where_nothing_is_said_texts_are_lower_cased(tmp_path, config):
    keeps = (config or {}).get("strip_accents") is False
    assert read(write(tmp_path, SMALL, config)) == (Vocab(SMALL, Folding(True, not keeps)), [], [])


def test_capitals_of_which_nothing_is_said_are_refused(tmp_path):
    _, [problem], _ = read(write(tmp_path, [*CASED, "##B", "Zürich"]))
    assert "expected do_lower_case in tokenizer_config.json, found none" in problem
    assert "3 tokens with capitals" in problem and '{"do_lower_case": false}' in problem


def test_a_few_capitals_and_those_of_special_tokens_are_forgiven():
    many = [*SMALL, "<S>", "[unused1]", *(f"天{number}" for number in range(90)), "ABC"]
    problems = []
    assert find_folding(many, {}, None, problems, []) == LOWERED and problems == []


@pytest.mark.parametrize("accents", [None, True, False])
def test_a_vocabulary_of_small_letters_is_lower_cased_whatever_is_said(tmp_path, accents):
    """Hugging Face's bert-base-chinese says false."""
    vocab, problems, [note] = read(write(tmp_path, SMALL, {"do_lower_case": False, "strip_accents": accents}))
    assert (vocab.folding, problems) == (LOWERED, [])
    assert "do_lower_case is false, but" in note and "lower-cased" in note


def test_a_vocabulary_without_letters_is_read_as_is_said():
    notes = []
    assert find_folding([*SPECIAL_TOKENS, "天"], {"do_lower_case": False}, None, [], notes) == KEPT
    assert notes == []


@pytest.mark.parametrize("value", ["false", 0, [], 1.0])
def test_what_is_neither_true_nor_false_is_named(tmp_path, value):
    _, problems, _ = read(write(tmp_path, SMALL, {"do_lower_case": value}, {"lowercase": value}))
    assert problems == [f"tokenizer_config.json: expected true or false as do_lower_case, found {value!r}"]
    assert read(write(tmp_path, SMALL, {}, {"lowercase": value}))[1] == [
        f"tokenizer.json: normalizer: expected true or false as lowercase, found {value!r}"
    ]


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000], ids=["no JSON", "a list", "deep"])
def test_a_config_that_cannot_be_read_is_named(tmp_path, content):
    path = write(tmp_path, SMALL)
    (tmp_path / "tokenizer_config.json").write_text(content)
    assert read(path)[1][0].startswith("tokenizer_config.json: not readable as JSON")


def test_beside_a_vocabulary_a_tokenizer_json_of_another_kind_says_nothing(tmp_path):
    path = write(tmp_path, SMALL)
    for content in ("{", "[]", '{"normalizer": null}', '{"normalizer": [1]}'):
        (tmp_path / "tokenizer.json").write_text(content)
        assert read(path) == (Vocab(SMALL), [], [])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, LOWERED),
        ({"do_lower_case": True}, LOWERED),
        ({"do_lower_case": False}, Folding(False, True)),
        ({"do_lower_case": False, "keep_accents": True}, KEPT),
        ({"keep_accents": True}, Folding(True, False)),
    ],
)
def test_a_sentencepiece_model_is_read_as_albert_s(tmp_path, config, expected):
    assert read(write(tmp_path, tiny_model(), config)) == (Vocab(tiny_model(), expected), [], [])


@pytest.mark.parametrize("tokens", [tuple(CASED), tiny_model()], ids=["WordPiece", "SentencePiece"])
def test_what_is_written_is_read_back(tmp_path, tokens):
    for number, parts in enumerate(itertools.product((True, False), repeat=3)):
        folding = Folding(*parts[:2]) if isinstance(tokens, bytes) else Folding(*parts)
        (tmp_path / str(number)).mkdir()
        path = write(tmp_path / str(number), tokens, tokenizer_config(Vocab(tokens, folding)))
        assert read(path) == (Vocab(tokens, folding), [], [])


@pytest.mark.parametrize("folding", [Folding(*parts) for parts in itertools.product((True, False), repeat=3)])
def test_transformers_reads_what_is_written(tmp_path, folding):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    write(tmp_path, CASED, tokenizer_config(Vocab(CASED, folding)))
    theirs = transformers.AutoTokenizer.from_pretrained(str(tmp_path))
    normalizer = json.loads(theirs.backend_tokenizer.normalizer.__getstate__())
    accents = normalizer["strip_accents"]
    found = normalizer["lowercase"], normalizer["lowercase"] if accents is None else accents
    assert Folding(*found, normalizer["handle_chinese_chars"]) == folding


# ── added tokens ───────────────────────────────────────────────────────────────────────────────────

NEW = len(SMALL)


def write_added(directory, beside=None, decoder=None, whole=None, vocab=SMALL, **config):
    path = write(
        directory, vocab, {**config, **({} if decoder is None else {"added_tokens_decoder": decoder})}
    )
    for name, value in (("added_tokens.json", beside), ("tokenizer.json", whole)):
        if value is not None:
            (directory / name).write_text(json.dumps(value), encoding="utf-8")
    return path


def entry(content, special=False):
    return {"content": content, "special": special, "lstrip": False}


@pytest.mark.parametrize(
    "files",
    [
        {"beside": {"新冠": NEW}},
        {"decoder": {"0": entry("[PAD]", True), str(NEW): entry("新冠")}},
        {"whole": {"added_tokens": [entry("[PAD]", True) | {"id": 0}, entry("新冠") | {"id": NEW}]}},
        {"beside": {"新冠": NEW, "[E]": NEW + 1}, "additional_special_tokens": ["[E]"]},
    ],
    ids=["added_tokens.json", "tokenizer_config.json", "tokenizer.json", "beside a special one"],
)
def test_a_token_that_texts_would_be_looked_through_for_is_refused(tmp_path, files):
    [problem] = read(write_added(tmp_path, **files))[1]
    assert f"found '新冠' ({NEW}); texts are not looked through" in problem
    assert "can stand in vocab.txt in the place of its id" in problem and "[E]" not in problem


@pytest.mark.parametrize(
    "files",
    [
        {"beside": {}},
        {"beside": {"[E]": NEW}, "additional_special_tokens": ["[E]"]},
        {"beside": {"[E]": NEW}, "decoder": {str(NEW): entry("[E]", True)}},
        {"decoder": {str(number): entry(token, True) for number, token in enumerate(SPECIAL_TOKENS)}},
        {"beside": {"天": 5}},
        {"beside": {"[E]": NEW}, "extra_special_tokens": ["[E]"]},
        {"beside": {"[E]": NEW}, "extra_special_tokens": {"e_token": "[E]"}},
        {"beside": {"[unused1]": NEW}, "vocab": [*SMALL, "[unused1]"]},
        {"beside": {"<e>": NEW}, "cls_token": entry("<e>", True)},
        {"decoder": 3, "whole": {"added_tokens": ["x", {"content": 3}]}, "additional_special_tokens": 3},
    ],
    ids=range(10),
)
def test_special_tokens_and_those_of_the_vocabulary_may_be_listed(tmp_path, files):
    assert read(write_added(tmp_path, **files))[1:] == ([], [])


@pytest.mark.parametrize(("token", "number"), [("天", 6), ("新冠", NEW), ("AB", NEW), ("ab", NEW)])
def test_a_token_in_the_vocabulary_that_no_text_is_read_as_is_refused(tmp_path, token, number):
    """Each character of a Chinese word is read by itself; capitals are not read at all."""
    vocab = [*SMALL, *([token] if token in ("新冠", "AB") else [])]
    path = write_added(tmp_path, {token: number}, vocab=vocab, do_lower_case=True)
    assert f"found {token!r} ({number})" in read(path)[1][0]


def test_words_of_letters_among_added_tokens_are_told(tmp_path):
    assert read(write_added(tmp_path, {"ab": 6}))[1:] == (
        [],
        ["added tokens are read where they stand as words alone, not within longer ones: 'ab'"],
    )


@pytest.mark.parametrize(
    "files",
    [
        {"beside": {"\ud800": NEW}},
        {"beside": {"[\ud800]": NEW}},
        {"decoder": {"9" * 5000: entry("新冠")}},
        {"beside": {"<e1>": NEW}, "vocab": [*SMALL, "<e1>"]},
    ],
    ids=range(4),
)
def test_added_tokens_of_no_text_are_refused(tmp_path, files):
    assert "expected no added tokens" in read(write_added(tmp_path, **files))[1][0]


def test_added_tokens_beside_a_sentencepiece_model(tmp_path):
    assert read(write_added(tmp_path, {"[CLS]": 2}, vocab=tiny_model()))[1] == []
    assert "found '新冠' (99)" in read(write_added(tmp_path, {"新冠": 99}, vocab=tiny_model()))[1][0]


def test_an_added_tokens_json_that_cannot_be_read_is_named(tmp_path):
    assert read(write_added(tmp_path, []))[1][0].startswith("added_tokens.json: not readable as JSON")
