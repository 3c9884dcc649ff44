import io
import itertools
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from sentencepiece_model import ENGLISH, tiny_model

from raytrain.errors import CheckpointError
from raytrain.text.sentencepiece import SentencePieceTokenizer, fold
from raytrain.text.vocab import Folding

TEXTS = [
    *ENGLISH,
    "",
    "   ",
    "  The  SHOP\topens\nat nine ",
    "Café Ångström ﬁne ½ ①",
    "prices: 1,200, 35, and 7",
    "ΣΑΣ İstanbul ß",
    "店 opens 2019年",
    "x´y",
    "\u3000the\u00a0shop",
]


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer(tiny_model())


@pytest.fixture(scope="module")
def processor():
    return SentencePieceProcessor(model_proto=tiny_model())


def folded_whole(text):
    """What ALBERT's preprocess_text does with lower=True: of the whole text, without places."""
    text = unicodedata.normalize("NFKD", " ".join(text.split()))
    return "".join(char for char in text if not unicodedata.combining(char)).lower()


def pieces_of(processor, text):
    """Ids as ALBERT's encode_ids gives them: a comma behind a digit stands apart."""
    found = []
    for piece in processor.encode(folded_whole(text), out_type=str):
        if len(piece) > 1 and piece.endswith(",") and piece[-2].isdigit():
            inner = processor.encode(piece[:-1].replace("▁", ""), out_type=str)
            if not piece.startswith("▁"):
                inner = [inner[0][1:], *inner[1:]] if len(inner[0]) > 1 else inner[1:]
            found += [*inner, ","]
        else:
            found.append(piece)
    return [processor.piece_to_id(piece) for piece in found]


def test_special_pieces_have_alberts_numbers(tokenizer):
    assert [tokenizer.token_to_id(piece) for piece in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert tokenizer.token_to_id("no such piece") is None
    assert len(tokenizer) == SentencePieceProcessor(model_proto=tiny_model()).get_piece_size()


@pytest.mark.parametrize("text", TEXTS)
def test_ids_are_alberts(tokenizer, processor, text):
    assert tokenizer.tokenize([text]).ids.tolist() == pieces_of(processor, text)


@settings(max_examples=200)
@given(text=st.text(st.sampled_from("the shop 1,2359 ,ABé\u0301Σß½ﬁ\t\n\u3000店"), max_size=24))
def test_ids_of_any_text_are_alberts(tokenizer, processor, text):
    assert tokenizer.tokenize([text]).ids.tolist() == pieces_of(processor, text)


@settings(max_examples=200)
@given(text=st.text(max_size=24))
def test_folding_is_that_of_the_whole_text_and_keeps_places(text):
    folded, origin = fold(text)
    assert folded == folded_whole(text)
    assert len(origin) == len(folded) + 1
    assert origin == sorted(origin)
    assert origin[-1] == len(text)


def test_a_comma_behind_a_number_stands_apart():
    model = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(["in 35, 35, 35, 35, and 1,", "12, 35, 35,"] * 9),
        model_writer=model, vocab_size=30, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, pad_piece="<pad>",
        control_symbols=["[CLS]", "[SEP]", "[MASK]"], hard_vocab_limit=False, minloglevel=2,
        user_defined_symbols=["35,"],
    )  # fmt: skip
    tokenizer, processor = (
        SentencePieceTokenizer(model.getvalue()),
        SentencePieceProcessor(model_proto=model.getvalue()),
    )
    assert "35," in processor.encode("in 35, and", out_type=str)
    tokens = tokenizer.tokenize(["In 35, and"])
    assert tokens.ids.tolist() == pieces_of(processor, "In 35, and")
    comma = processor.piece_to_id(",")
    assert comma in tokens.ids
    place = tokens.ids.tolist().index(comma)
    assert (tokens.begins[place], tokens.ends[place]) == (5, 6)


@settings(max_examples=100)
@given(texts=st.lists(st.text(st.sampled_from("the shop 1,2é½ﬁ\t店"), max_size=16), max_size=5))
def test_offsets_are_ordered_and_inside(tokenizer, texts):
    tokens = tokenizer.tokenize(texts)
    assert len(tokens.bounds) == len(texts) + 1
    for row, text in enumerate(texts):
        span = slice(tokens.bounds[row], tokens.bounds[row + 1])
        begins, ends = tokens.begins[span], tokens.ends[span]
        assert (begins >= 0).all()
        assert (begins <= ends).all()
        assert (ends <= len(text)).all()
        assert (np.diff(begins) >= 0).all()


def test_a_token_lies_on_its_characters(tokenizer):
    text = "  The SHOP,  opens"
    tokens = tokenizer.tokenize([text])
    seen = "".join(text[begin:end] for begin, end in zip(tokens.begins, tokens.ends, strict=True))
    assert seen.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("model", [b"", b"no model", b"\x0a\x03abc" * 9])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(CheckpointError):
        SentencePieceTokenizer(model)


def test_missing_special_pieces_are_listed():
    model = io.BytesIO()
    SentencePieceTrainer.Train(
        sentence_iterator=iter(ENGLISH),
        model_writer=model,
        vocab_size=50,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    with pytest.raises(CheckpointError) as caught:
        SentencePieceTokenizer(model.getvalue())
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("folding", [Folding(*parts) for parts in itertools.product((True, False), repeat=2)])
@given(text=st.text(max_size=9) | st.text("aİΣé e\u0301\u3000ﬁ店", max_size=9))
def test_what_is_not_folded_is_kept_and_every_character_has_its_place(folding, text):
    """As transformers' AlbertTokenizer: `keep_accents`, `do_lower_case`."""
    folded, origin = fold(text, folding)
    expected = " ".join(text.split())
    if folding.strip_accents:
        expected = unicodedata.normalize("NFKD", expected)
        expected = "".join(char for char in expected if not unicodedata.combining(char))
    assert folded == (expected.lower() if folding.lower else expected)
    assert len(origin) == len(folded) + 1 and origin == sorted(origin)
    assert set(origin) <= set(range(len(text) + 1))


def test_a_model_with_capitals_gives_other_pieces(tokenizer):
    kept = SentencePieceTokenizer(tiny_model(), Folding(False, False))
    assert kept.tokenize(["the shop"]).ids.tolist() == tokenizer.tokenize(["The shop"]).ids.tolist()
    assert kept.tokenize(["The shop"]).ids.tolist() != tokenizer.tokenize(["The shop"]).ids.tolist()
