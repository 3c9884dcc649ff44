"""Odd strings have the ids that transformers' BertTokenizer gives them, lower-cased and with capitals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.text.encode import tokenizer_of
from raytrain.text.vocab import SPECIAL_TOKENS, Folding, Vocab

TOKENS = (
    "家 人 好 行 段 全 年 与 𠀀 豈 ， 。 ! ~ ` @ [ ] a b "
    "c A B ##a ##b ##c ##B e ##e é ##é É cafe café Café i I ##I ss ß "
    "ẞ mask MASK sep pad unk 👨 👩 ##👩 ##👧 ❤ ##\ufe0f 👍 ##🏽 ##\u0301 ａ Ａ ##ｂ ##Ｂ ##１ "
    "##２ ① ##③ ﬁ 20 2 ##0 ##19 ##９ ٣ ##٤ 한 ##국 ᄒ ##ᅡ ##ᆫ ##ᄀ ##ᅮ ##ᆨ ไ "
    "##ท ##ย ก ##า ##ร م ##ر σ ##σ ##α α Σ ##Α ǆ ǅ ##\U0002b820"
)
VOCAB = [*SPECIAL_TOKENS, *TOKENS.split(" ")]
# The text, its tokens where it is lower-cased, its tokens where it keeps capitals and accents.
ODD = [
    ("家人👨\u200d👩\u200d👧好", "家 人 👨 ##👩 ##👧 好", "家 人 👨 ##👩 ##👧 好"),
    ("❤\ufe0f好👍🏽", "❤ 好 👍 ##🏽", "❤ ##\ufe0f 好 👍 ##🏽"),
    ("cafe\u0301 Café É e\u0301\u0301", "cafe cafe e e", "cafe ##\u0301 Café É e ##\u0301 ##\u0301"),
    ("\u0301a", "a", "[UNK]"),
    ("全ａｂ ＡＢ１２", "全 ａ ##ｂ ａ ##ｂ ##１ ##２", "全 ａ ##ｂ Ａ ##Ｂ ##１ ##２"),
    ("行\u2028段\u2029行", "行 段 行", "行 段 行"),
    ("家\u3000人\u00a0好\u2003行", "家 人 好 行", "家 人 好 行"),
    ("家\u200b人\ufeffa\u200bb", "家 人 a ##b", "家 人 a ##b"),
    ("a\u00adb\u2060c", "a ##b ##c", "a ##b ##c"),
    ("𠀀\U00020001家\U0002a6df", "𠀀 [UNK] 家 [UNK]", "𠀀 [UNK] 家 [UNK]"),
    ("a\U0002b820好", "a ##\U0002b820 好", "a ##\U0002b820 好"),
    ("豈\uf900a", "豈 豈 a", "豈 [UNK] a"),
    ("a\x00b\x01c\x1cb\x7fa\x85c\x9fb", "a ##b ##c ##b ##a ##c ##b", "a ##b ##c ##b ##a ##c ##b"),
    ("a\ufffdb", "a ##b", "a ##b"),
    ("a\ue000b\U000f0000c", "a ##b ##c", "a ##b ##c"),
    ("a\U000e0041b", "a ##b", "a ##b"),
    ("[MASK]与[SEP]好[mask]", "[ mask ] 与 [ sep ] 好 [ mask ]", "[ MASK ] 与 [ [UNK] ] 好 [ mask ]"),
    ("[PAD] [UNK]", "[ pad ] [ unk ]", "[ [UNK] ] [ [UNK] ]"),
    ("a" * 100, " ".join(["a", *["##a"] * 99]), " ".join(["a", *["##a"] * 99])),
    ("a" * 101, "[UNK]", "[UNK]"),
    ("a" * 101 + "好", "[UNK] 好", "[UNK] 好"),
    ("한국", "ᄒ ##ᅡ ##ᆫ ##ᄀ ##ᅮ ##ᆨ", "한 ##국"),
    ("ไทย การ", "ไ ##ท ##ย ก ##า ##ร", "ไ ##ท ##ย ก ##า ##ร"),
    ("2019年20１９ ٣٤", "20 ##19 年 20 ##１ ##９ ٣ ##٤", "20 ##19 年 20 ##１ ##９ ٣ ##٤"),
    ("①③ ﬁ", "① ##③ ﬁ", "① ##③ ﬁ"),
    ("ασ ΣΑ", "α ##σ σ ##α", "α ##σ Σ ##Α"),
    ("İ I ß ẞ", "i i ß ß", "[UNK] I ß ẞ"),
    ("ǅ Ǆ", "ǆ ǆ", "ǅ [UNK]"),
    ("مر", "م ##ر", "م ##ر"),
    ("\t\n\r\x0b\x0c", "", ""),
    ("", "", ""),
    ("~`@!，。[好]", "~ ` @ ! ， 。 [ 好 ]", "~ ` @ ! ， 。 [ 好 ]"),
    ("A\u0300b", "a ##b", "[UNK]"),
]
FOLDINGS = {"lower-cased": Folding(True, True), "cased": Folding(False, False)}


def ids_of(text, folding):
    return tokenizer_of(Vocab(VOCAB, folding)).tokenize([text]).ids.tolist()


@pytest.mark.parametrize(("text", "lowered", "kept"), ODD, ids=range(len(ODD)))
def test_odd_strings_have_these_ids(text, lowered, kept):
    for folding, expected in zip(FOLDINGS.values(), (lowered, kept), strict=True):
        assert ids_of(text, folding) == [VOCAB.index(token) for token in expected.split()]


@pytest.fixture(scope="module")
def theirs():
    """Of a folding transformers' ids. Special tokens are looked for in no text."""
    transformers = pytest.importorskip("transformers")

    def make(folding, kind):
        tokenizer = getattr(transformers, kind)(
            vocab={token: number for number, token in enumerate(VOCAB)},
            do_lower_case=folding.lower,
            strip_accents=folding.strip_accents,
            tokenize_chinese_chars=folding.splits_chinese,
        )
        return lambda text: tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    return make


@pytest.mark.parametrize("kind", ["BertTokenizer", "BertTokenizerFast"])
@pytest.mark.parametrize("folding", FOLDINGS.values(), ids=FOLDINGS)
def test_odd_strings_have_the_ids_of_transformers(theirs, folding, kind):
    encode = theirs(folding, kind)
    assert [ids_of(text, folding) for text, *_ in ODD] == [encode(text) for text, *_ in ODD]


odd_texts = st.text(
    st.sampled_from("".join(text for text, *_ in ODD)) | st.characters(exclude_categories=["Cs"])
)


@settings(max_examples=200)
@given(text=odd_texts, folding=st.builds(Folding, st.booleans(), st.booleans(), st.booleans()))
def test_any_text_has_the_ids_of_transformers(theirs, text, folding):
    assert ids_of(text, folding) == theirs(folding, "BertTokenizer")(text)
