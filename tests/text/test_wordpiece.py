import itertools
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.errors import CheckpointError
from raytrain.text import wordpiece
from raytrain.text.vocab import SPECIAL_TOKENS, Folding, Vocab
from raytrain.text.wordpiece import WordPieceTokenizer, build_tokenizer, build_vocab

REAL_VOCAB = Path(__file__).parents[3] / "shared/checkpoints/albert_tiny_zh/vocab.txt"
VOCAB = [
    *SPECIAL_TOKENS,
    *(
        "中",
        "国",
        "##国",
        "人",
        "𠀀",
        "豈",
        "，",
        "。",
        "！",
        "!",
        "@",
        "-",
        "a",
        "##a",
        "ab",
        "##ab",
        "b",
        "##b",
    ),
    *(
        "e",
        "##e",
        "é",
        "2",
        "##0",
        "20",
        "##19",
        "1",
        "##9",
        "ａ",
        "##ａ",
        "😀",
        "##😀",
        "i",
        "が",
        "か",
        "##か",
        "\ue000",
    ),
]
TEXTS = [
    "中国人",
    "2019年中国GDP增长6.1%",
    "微博@用户:转发!http://t.cn/Ab12",
    "全角ＡＢＣ１２３，！",
    "火锅🍲真好吃😀😀",
    "家人👨\u200d👩\u200d👧一起",
    "生僻字𠀀𫢸丽",
    "café Ångström e\u0301",
    "空\u3000格\t制\u00a0表\n行\u2028段",
    "零宽\u200b字\ufeff符\u00ad软",
    "控制\x00字\x1c符\x85\x7f",
    "坏\ufffd字符",
    "日本語がガ 한국어",
    "①②㍿ﬁ½",
    "İstanbul ß",
    "[UNK]与[MASK]都是文本",
    "",
    "   ",
    "a" * 100,
    "a" * 201,
    "中" * 300,
]
FOLDINGS = [Folding(*parts) for parts in itertools.product((True, False), repeat=3)]


def is_old(char):
    """Whether all versions of Unicode agree about a character: the tokenizers library has an early one."""
    kind = unicodedata.category(char)
    return kind == unicodedata.ucd_3_2_0.category(char) and kind not in ("Cn", "Co", "Cs")


# Greek capital sigma is left out: at a word's end Python's lower case is ς, where ours is σ as elsewhere; and
# what is for private use, which bert4keras keeps.
RARE = "𠀀豈ａＡİ，。！😀👨\u200d\u0301\u200b\u00ad\ufffd\x00\x1c\x85\u3000\u2028\t\n\tがガㄱ한ß"
mixed_texts = st.text(
    st.sampled_from("中国人年aAbBeEé20191i!@-[] " + RARE)
    | st.characters(exclude_categories=["Cs"], exclude_characters="\u03a3").filter(is_old),
    max_size=20,
)


def ids_of(vocab):
    return {token: index for index, token in enumerate(vocab)}


def our_ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def small():
    return build_tokenizer(Vocab(VOCAB))


@pytest.fixture(scope="module")
def bert4keras_tokenizer():
    tokenizers = pytest.importorskip("bert4keras.tokenizers")
    return lambda vocab: tokenizers.Tokenizer(ids_of(vocab), do_lower_case=True)


@pytest.fixture(scope="module")
def small_reference(bert4keras_tokenizer):
    return bert4keras_tokenizer(VOCAB)


@pytest.fixture(scope="module")
def real_vocab():
    if not REAL_VOCAB.exists():
        pytest.skip(f"{REAL_VOCAB} is not here")
    return REAL_VOCAB.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.fixture(scope="module")
def real_pair(real_vocab, bert4keras_tokenizer):
    return build_tokenizer(Vocab(real_vocab)), bert4keras_tokenizer(real_vocab)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_ids_are_bert4keras_s(small, small_reference, text):
    assert our_ids(small, text) == small_reference.encode(text)[0][1:-1]


@settings(max_examples=200)
@given(text=mixed_texts)
def test_ids_of_any_text_are_bert4keras_s(small, small_reference, text):
    assert our_ids(small, text) == small_reference.encode(text)[0][1:-1]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_ids_of_a_real_vocabulary_are_bert4keras_s(real_pair, text):
    tokenizer, reference = real_pair
    assert our_ids(tokenizer, text) == reference.encode(text)[0][1:-1]


@settings(max_examples=200)
@given(text=mixed_texts)
def test_ids_of_any_text_and_a_real_vocabulary_are_bert4keras_s(real_pair, text):
    tokenizer, reference = real_pair
    assert our_ids(tokenizer, text) == reference.encode(text)[0][1:-1]


@pytest.mark.parametrize(
    "text", ["中国人", "a中 b国", "😀é中\u0301国", "２０中\u200b国", "\x00İ中𠀀国", "\ue000人ﬁ中"]
)
def test_offset_of_a_chinese_character_points_at_it(small, text):
    encoded = small.encode(text, add_special_tokens=False)
    places = zip(encoded.tokens, encoded.offsets, strict=True)
    found = [text[begin:end] for token, (begin, end) in places if token in "中国人𠀀"]
    assert found == [char for char in text if char in "中国人𠀀"]


@given(text=mixed_texts)
@settings(max_examples=100)
def test_offsets_rise_and_lie_within_the_text(small, text):
    offsets = small.encode(text, add_special_tokens=False).offsets
    begins = [begin for begin, _ in offsets]
    assert begins == sorted(begins)
    assert all(0 <= begin <= end <= len(text) for begin, end in offsets)


def test_offset_of_each_piece_of_a_word(small):
    encoded = small.encode("中2019国", add_special_tokens=False)
    assert encoded.tokens == ["中", "20", "##19", "国"]
    assert encoded.offsets == [(0, 1), (1, 3), (3, 5), (5, 6)]


def assert_as_one_by_one(vocab, texts):
    tokenizer = build_tokenizer(vocab)
    tokens = WordPieceTokenizer(vocab).tokenize(texts)
    encodings = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    assert tokens.bounds.tolist() == [0, *itertools.accumulate(map(len, encodings))]
    assert tokens.ids.tolist() == [number for part in encodings for number in part.ids]
    spans = list(zip(tokens.begins.tolist(), tokens.ends.tolist(), strict=True))
    assert spans == [span for part in encodings for span in part.offsets]


@settings(max_examples=300)
@given(texts=st.lists(mixed_texts | st.text(max_size=8), max_size=4))
def test_texts_together_have_the_tokens_and_places_of_each_alone(texts):
    for folding in FOLDINGS:
        assert_as_one_by_one(Vocab(VOCAB, folding), texts)


@pytest.mark.parametrize("folding", FOLDINGS, ids=str)
def test_odd_texts_together_have_the_tokens_and_places_of_each_alone(folding):
    assert_as_one_by_one(Vocab(VOCAB, folding), TEXTS)


@settings(max_examples=300)
@given(texts=st.lists(mixed_texts, max_size=4))
def test_texts_together_and_a_real_vocabulary(real_vocab, texts):
    assert_as_one_by_one(Vocab(real_vocab), texts)


@pytest.mark.parametrize("token", SPECIAL_TOKENS[:4])
def test_vocabulary_without_a_special_token(token):
    with pytest.raises(CheckpointError) as caught:
        build_tokenizer(Vocab([other for other in VOCAB if other != token]))
    assert len(caught.value.problems) == 1
    assert token in caught.value.problems[0]


def test_vocabulary_without_mask_is_enough(small):
    vocab = [token for token in VOCAB if token != "[MASK]"]
    tokens = build_tokenizer(Vocab(vocab)).encode("中国!", add_special_tokens=False).tokens
    assert tokens == small.encode("中国!", add_special_tokens=False).tokens


def test_built_vocabulary_starts_with_the_special_tokens_and_falls_by_count():
    assert build_vocab(["好好好坏坏", "坏好一"], min_count=1) == [*SPECIAL_TOKENS, "好", "坏", "一"]


def test_built_vocabulary_leaves_out_what_is_rare():
    texts = ["天天地地人"]
    assert build_vocab(texts) == [*SPECIAL_TOKENS, "地", "天"]
    assert "人" in build_vocab(texts, min_count=1)


def test_built_vocabulary_breaks_ties_by_the_token():
    assert build_vocab(["丙乙甲丙乙甲"])[5:] == sorted("甲乙丙")


def test_frequent_words_become_tokens_and_rare_ones_their_characters():
    vocab = build_vocab(["iphone 好"] * 5 + ["abab"])
    assert "iphone" in vocab
    assert {"i", "##p"} <= set(vocab)
    assert "abab" not in vocab
    assert build_vocab(["iphone"] * 4).count("iphone") == 0


def test_no_word_of_chinese_characters_becomes_a_token():
    assert all(len(token) == 1 for token in build_vocab(["天气真好"] * 10)[5:])


def test_special_tokens_are_there_once_whatever_the_texts_say():
    vocab = build_vocab(["[UNK] [PAD]"] * 10, min_count=1)
    assert all(vocab.count(token) == 1 for token in SPECIAL_TOKENS)


def test_words_without_end_fill_neither_memory_nor_vocabulary(monkeypatch):
    """Links and names of users: rare ones are forgotten, frequent words and all characters are not."""
    texts = [f"好 link{number} weibo" for number in range(200)]
    whole = build_vocab(texts)
    monkeypatch.setattr(wordpiece, "MOST_COUNTED", 20)
    assert build_vocab(texts) == whole and "weibo" in whole
    monkeypatch.setattr(wordpiece, "MOST_TOKENS", 4)
    assert build_vocab(texts) == whole[: len(SPECIAL_TOKENS) + 4]


@settings(max_examples=50)
@given(st.lists(mixed_texts, max_size=5), st.randoms())
def test_built_vocabulary_does_not_depend_on_the_order_of_texts(texts, random):
    shuffled = random.sample(texts, len(texts))
    vocab = build_vocab(texts, min_count=1)
    assert build_vocab(shuffled, min_count=1) == vocab
    assert len(set(vocab)) == len(vocab)


@settings(max_examples=50)
@given(st.lists(mixed_texts, max_size=5))
def test_no_text_is_unknown_to_the_vocabulary_built_of_it(texts):
    tokenizer = build_tokenizer(Vocab(build_vocab(texts, min_count=1)))
    assert all(tokenizer.token_to_id("[UNK]") not in our_ids(tokenizer, text) for text in texts)
