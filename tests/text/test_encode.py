import csv
import functools
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jieba import finalseg
from sentencepiece_model import tiny_model

from raytrain.text.encode import build_features, encode_texts, join_encoded, number_words
from raytrain.text.rows import cut_rows, most_tokens, truncated_lengths
from raytrain.text.vocab import SPECIAL_TOKENS, Folding, Vocab
from raytrain.text.wordpiece import build_tokenizer
from raytrain.text.words import FIRST_WORD, UNKNOWN_WORD, build_segmenter

VOCAB = [
    *SPECIAL_TOKENS,
    *"中国人我爱年月天气很好，。!",
    "2019",
    "2",
    "##0",
    "ok",
    "😀",
    "a",
    "##a",
    "b",
    "##b",
]
CLS, SEP = VOCAB.index("[CLS]"), VOCAB.index("[SEP]")

RUMORS = Path(__file__).parents[3] / "shared/data/ced_rumors.csv"
any_texts = st.text(
    st.sampled_from("中国人我爱年天气很好，！ 2019ab😀\u200b\r\n\u0301\x85")
    | st.characters(exclude_categories=["Cs"])
)
short_texts = st.text("中国人我爱年天气很好，! 2019ab😀\u200b", max_size=12)


def encode(texts, pairs=None, maxlen=32, with_words=True, user_dict=None, truncate="head", windows=1):
    return encode_texts(texts, pairs, Vocab(VOCAB), maxlen, with_words, user_dict, truncate, windows)


def words_of(text, **kwargs):
    """The word laid on each token of a text, None where there is none."""
    encoded = encode([text], **kwargs)
    return [
        None if number == UNKNOWN_WORD else encoded.words[number - FIRST_WORD] for number in encoded.word_ids
    ]


def tokens_of(encoded):
    return [VOCAB[i] for i in encoded.token_ids]


def assert_equal(first, second):
    for name in ("offsets", "token_ids", "segment_ids", "word_ids", "rows"):
        left, right = getattr(first, name), getattr(second, name)
        assert left.dtype == right.dtype
        assert left.tolist() == right.tolist()
    assert (first.words, first.counts) == (second.words, second.counts)


@pytest.fixture(scope="module", autouse=True)
def segmenters_kept():
    """Each load of jieba's dictionary takes a second; a segmenter does not change once it is built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raytrain.text.encode.build_segmenter", functools.cache(build_segmenter))
        yield


@pytest.fixture(scope="module")
def reference():
    tokenizers = pytest.importorskip("bert4keras.tokenizers")
    return tokenizers.Tokenizer({token: i for i, token in enumerate(VOCAB)}, do_lower_case=True)


def test_text_stands_between_cls_and_sep():
    encoded = encode(["中国", "", "我爱 2019"])
    assert tokens_of(encoded) == [
        *("[CLS]", "中", "国", "[SEP]"),
        *("[CLS]", "[SEP]"),
        *("[CLS]", "我", "爱", "2019", "[SEP]"),
    ]
    assert encoded.offsets.tolist() == [0, 4, 6, 11]
    assert not encoded.segment_ids.any()


def test_second_text_of_a_pair_is_segment_1_with_its_sep():
    encoded = encode(["中国", "我"], ["人", ""])
    assert tokens_of(encoded) == [
        *("[CLS]", "中", "国", "[SEP]", "人", "[SEP]"),
        *("[CLS]", "我", "[SEP]", "[SEP]"),
    ]
    assert encoded.segment_ids.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1]


def test_a_word_stands_on_each_of_its_characters():
    assert words_of("我爱中国") == [None, "我", "爱", "中国", "中国", None]


def test_number_of_one_token_does_not_shift_what_follows():
    encoded = encode(["2019年天气很好"])
    assert tokens_of(encoded) == ["[CLS]", "2019", "年", "天", "气", "很", "好", "[SEP]"]
    words = words_of("2019年天气很好")
    assert words[1] == "2019"
    assert words[3] == words[4] == "天气"


def test_english_and_emoji_do_not_shift_what_follows():
    words = words_of("OK 😀😀 中国 ab 天气")
    encoded = encode(["OK 😀😀 中国 ab 天气"])
    laid = dict(zip(tokens_of(encoded), words, strict=True))
    assert (laid["中"], laid["国"], laid["天"], laid["气"]) == ("中国", "中国", "天气", "天气")
    assert (laid["ok"], laid["a"], laid["##b"]) == ("ok", "ab", "ab")


@pytest.mark.parametrize("blank", [" ", "   ", "\r\n", "\n\n", "\u3000", "\t \r\n"])
def test_blanks_are_no_words_and_do_not_shift_what_follows(blank):
    text = f"中国{blank}天气"
    assert words_of(text) == [None, "中国", "中国", "天气", "天气", None]
    assert encode([text]).words == ["中国", "天气"]


def test_word_of_several_tokens_stands_on_each():
    assert words_of("20") == [None, "20", "20", None]


def test_special_tokens_have_the_unknown_word():
    encoded = encode(["中国", "我"], ["人", "天气"])
    special = np.isin(encoded.token_ids, [CLS, SEP])
    assert (encoded.word_ids[special] == UNKNOWN_WORD).all()
    assert (encoded.word_ids[~special] >= FIRST_WORD).all()


def test_words_are_in_order_of_first_sight_with_their_counts():
    encoded = encode(["天气好", "我爱天气"])
    assert encoded.words == list(dict.fromkeys(encoded.words))
    assert encoded.words[0] == "天气"
    assert encoded.counts["天气"] == 2
    assert set(encoded.counts) == set(encoded.words)


def test_without_words_none_are_laid():
    encoded = encode(["中国人", "天气"], with_words=False)
    assert (len(encoded.word_ids), encoded.words, encoded.counts) == (0, [], {})
    assert encoded.token_ids.tolist() == encode(["中国人", "天气"]).token_ids.tolist()


def test_user_word_is_not_cut():
    assert len(set(words_of("中国人我爱")[1:6])) > 1
    assert words_of("中国人我爱", user_dict="中国人我爱 100000")[1:6] == ["中国人我爱"] * 5


def test_text_behind_the_last_kept_token_has_no_part_in_the_words():
    encoded = encode(["中国天气"], maxlen=4)
    assert encoded.counts == {"中国": 1}


def test_texts_that_are_cut_are_counted_a_pair_once():
    texts, pairs = ["中国人我", "中国人", "我", "我"], ["爱", "爱", "中国人我爱", "爱"]
    assert encode(texts, maxlen=5).num_cut == 1
    assert encode(texts, pairs, maxlen=7).num_cut == 2
    assert encode(["中国人我爱"], maxlen=5, windows=2).num_cut == 0


@settings(max_examples=60)
@given(texts=st.lists(short_texts, min_size=1, max_size=4), maxlen=st.integers(4, 12))
def test_no_text_is_longer_than_maxlen_and_each_keeps_its_ends(texts, maxlen):
    encoded = encode(texts, maxlen=maxlen)
    assert np.diff(encoded.offsets).max() <= maxlen
    assert (encoded.token_ids[encoded.offsets[:-1]] == CLS).all()
    assert (encoded.token_ids[encoded.offsets[1:] - 1] == SEP).all()
    assert len(encoded.word_ids) == len(encoded.segment_ids) == len(encoded.token_ids) == encoded.offsets[-1]


@settings(max_examples=60)
@given(text=short_texts, maxlen=st.integers(4, 16))
def test_one_text_is_encoded_as_by_bert4keras(reference, text, maxlen):
    encoded = encode([text], maxlen=maxlen, with_words=False)
    assert [encoded.token_ids.tolist(), encoded.segment_ids.tolist()] == list(
        reference.encode(text, maxlen=maxlen)
    )


@settings(max_examples=150)
@given(first=short_texts, second=short_texts, maxlen=st.integers(5, 16))
def test_pair_is_encoded_as_by_bert4keras(reference, first, second, maxlen):
    encoded = encode([first], [second], maxlen=maxlen, with_words=False)
    expected = reference.encode(first, second, maxlen=maxlen)
    assert [encoded.token_ids.tolist(), encoded.segment_ids.tolist()] == list(expected)


TRUNCATIONS = ["head", "tail", "head_tail"]
HEADS = {"head": lambda room: room, "tail": lambda room: 0, "head_tail": lambda room: -(-room // 4)}


def kept_places(size, room, truncate):
    """Which of so many tokens are kept, by the definition."""
    if size <= room:
        return list(range(size))
    head = HEADS[truncate](room)
    return [*range(head), *range(size - (room - head), size)]


def rows_of(encoded):
    """Each row's (token id, segment id, word), the last None without a word."""
    words = [
        None if number == UNKNOWN_WORD else encoded.words[number - FIRST_WORD] for number in encoded.word_ids
    ]
    laid = list(zip(encoded.token_ids.tolist(), encoded.segment_ids.tolist(), words, strict=True))
    return [laid[begin:end] for begin, end in itertools.pairwise(encoded.offsets.tolist())]


@settings(max_examples=80)
@given(
    texts=st.lists(short_texts, min_size=1, max_size=4),
    maxlen=st.integers(4, 9),
    truncate=st.sampled_from(TRUNCATIONS),
)
def test_a_long_text_keeps_its_ends_with_the_words_that_they_have_in_the_whole(texts, maxlen, truncate):
    whole, cut = rows_of(encode(texts)), encode(texts, maxlen=maxlen, truncate=truncate)
    for (first, *tokens, last), (cut_first, *found, cut_last) in zip(whole, rows_of(cut), strict=True):
        assert len(found) <= maxlen - 2 and (cut_first, cut_last) == (first, last)
        places = kept_places(len(tokens), maxlen - 2, truncate)
        assert [token[0] for token in found] == [tokens[place][0] for place in places]
        if truncate != "head":  # whose end is segmented without what lies behind it
            assert found == [tokens[place] for place in places]
    assert cut.rows.tolist() == list(range(len(texts)))


@settings(max_examples=60)
@given(
    text=st.text("the shop 中国天气好①½ﬁ２\u0301\u3000", max_size=30),
    truncate=st.sampled_from(["tail", "head_tail"]),
)
def test_pieces_of_sentencepiece_keep_their_words_too(text, truncate):
    """Some of them share a character, some stand for none."""
    whole, cut = (
        rows_of(encode_texts([text], None, Vocab(tiny_model()), maxlen, True, None, truncate))
        for maxlen in (99, 9)
    )
    places = kept_places(len(whole[0]) - 2, 7, truncate)
    assert cut[0][1:-1] == [whole[0][1 + place] for place in places]


@settings(max_examples=60)
@given(
    first=short_texts, second=short_texts, maxlen=st.integers(5, 12), truncate=st.sampled_from(TRUNCATIONS)
)
def test_each_text_of_a_pair_keeps_the_ends_of_its_share(first, second, maxlen, truncate):
    [whole], [found] = (
        rows_of(encode([first], [second])),
        rows_of(encode([first], [second], maxlen=maxlen, truncate=truncate)),
    )
    expected = [whole[0]]
    sizes = [sum(part == segment for _, part, _ in whole) - 1 for segment in (0, 1)]
    sizes[0] -= 1
    starts = [1, sizes[0] + 2]
    for size, start, room in zip(sizes, starts, truncated_lengths(*sizes, maxlen - 3), strict=True):
        expected += [whole[start + place] for place in kept_places(size, int(room), truncate)]
        expected.append(whole[start + size])
    assert [token[:2] for token in found] == [token[:2] for token in expected]
    if truncate == "tail":
        assert found == expected


def test_a_word_that_is_cut_in_two_stands_on_what_is_kept_of_it():
    cut = encode(["我爱中国天气"], maxlen=5, truncate="tail")
    assert rows_of(cut)[0][1:-1] == [(VOCAB.index("国"), 0, "中国"), *rows_of(encode(["天气"]))[0][1:-1]]
    assert cut.counts == {"中国": 1, "天气": 1}


def test_words_of_which_nothing_is_kept_do_not_count():
    texts = ["天气很好。中国人，中国人！我爱天气", "中国"]
    cut = encode(texts, maxlen=6, truncate="head_tail")
    assert cut.words == ["天气", "爱", "中国"] and cut.counts == {"天气": 2, "爱": 1, "中国": 1}
    assert cut.words == list(dict.fromkeys(word for row in rows_of(cut) for _, _, word in row if word))
    assert encode(texts, maxlen=6, truncate="tail").words == ["我", "爱", "天气", "中国"]


@settings(max_examples=60)
@given(
    texts=st.lists(short_texts, min_size=1, max_size=4),
    maxlen=st.integers(4, 9),
    windows=st.integers(1, 4),
    truncate=st.sampled_from(TRUNCATIONS),
)
def test_windows_are_what_is_kept_of_a_text_in_overlapping_rows(texts, maxlen, windows, truncate):
    encoded = encode(texts, maxlen=maxlen, truncate=truncate, windows=windows)
    room = most_tokens(maxlen - 2, windows)
    kept = rows_of(encode(texts, maxlen=room + 2, truncate=truncate))
    rows = rows_of(encoded)
    assert sorted(set(encoded.rows.tolist())) == list(range(len(texts)))
    assert len(rows) == len(encoded.rows) and max(map(len, rows)) <= maxlen
    for text, (first, *tokens, last) in enumerate(kept):
        own = [row for row, of in zip(rows, encoded.rows, strict=True) if of == text]
        assert len(own) <= windows and (len(own) == 1) == (len(tokens) <= maxlen - 2)
        assert all((row[0], row[-1]) == (first, last) for row in own)
        covered = 0
        for _, firsts, size in zip(*cut_rows(np.array([len(tokens)]), maxlen - 2), strict=True):
            row = own.pop(0)
            assert row[1:-1] == tokens[firsts : firsts + size] and firsts <= covered
            covered = firsts + size
        assert not own and covered == len(tokens)


def test_words_of_a_text_are_counted_once_however_many_windows_read_them():
    assert encode(["天气很好。" * 3], maxlen=6, windows=9).counts["天气"] == 3


@settings(max_examples=40)
@given(
    texts=st.lists(short_texts, min_size=1, max_size=6),
    cuts=st.sets(st.integers(1, 5)),
    in_pairs=st.booleans(),
    truncate=st.sampled_from(TRUNCATIONS),
    windows=st.integers(1, 2),
)
def test_pieces_joined_are_the_whole(texts, cuts, in_pairs, truncate, windows):
    options = {"maxlen": 8, "truncate": truncate, "windows": windows}
    bounds = [0, *sorted(cut for cut in cuts if cut < len(texts)), len(texts)]
    pairs = texts[::-1] if in_pairs else None
    parts = [
        encode(texts[begin:end], pairs[begin:end] if pairs else None, **options)
        for begin, end in itertools.pairwise(bounds)
    ]
    whole = encode(texts, pairs, **options)
    assert_equal(join_encoded(parts), whole)
    assert join_encoded(parts).num_cut == whole.num_cut


def cut_alone(segmenter, text):
    """jieba forces words of frequency 0 apart in all its tokenizers; ours does so in one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finalseg, "Force_Split_Words", set(segmenter.words_apart))
        return list(segmenter.cut(text))


def encode_one_by_one(texts, pairs, maxlen, user_dict):
    """Ids, words and counts by a plain loop over texts, tokens and jieba's words."""
    tokenizer, segmenter = build_tokenizer(Vocab(VOCAB)), build_segmenter(user_dict)
    rows, index, counts = [], {}, Counter()
    for parts in zip(texts, pairs, strict=True) if pairs else zip(texts, strict=True):
        encodings = [tokenizer.encode(part, add_special_tokens=False) for part in parts]
        kept = [len(part) for part in encodings] + [0] * (2 - len(parts))
        kept = truncated_lengths(*kept, maxlen - 1 - len(parts))
        row = [(CLS, 0, UNKNOWN_WORD)]
        for segment, (part, encoding, size) in enumerate(zip(parts, encodings, kept, strict=False)):
            places = encoding.offsets[:size]
            of_char = []
            for word in cut_alone(segmenter, part[: places[-1][1]] if places else ""):
                key = word.lower()
                if not key.isspace():
                    counts[key] += 1
                    index.setdefault(key, len(index) + FIRST_WORD)
                of_char += [index.get(key, UNKNOWN_WORD)] * len(word)
            numbers = [of_char[begin] for begin, _ in places]
            row += [(token, segment, word) for token, word in zip(encoding.ids, numbers, strict=False)]
            row.append((SEP, segment, UNKNOWN_WORD))
        rows.append(row)
    return rows, list(index), counts


def assert_as_one_by_one(texts, pairs=None, maxlen=32, user_dict=None):
    encoded = encode(texts, pairs, maxlen=maxlen, user_dict=user_dict)
    rows, words, counts = encode_one_by_one(texts, pairs, maxlen, user_dict)
    assert np.diff(encoded.offsets).tolist() == [len(row) for row in rows]
    ids = np.stack([encoded.token_ids, encoded.segment_ids, encoded.word_ids], axis=1)
    assert ids.tolist() == [list(token) for row in rows for token in row]
    assert (encoded.words, encoded.counts) == (words, counts)


@settings(max_examples=150)
@given(
    rows=st.lists(st.tuples(any_texts, any_texts), min_size=1, max_size=4),
    in_pairs=st.booleans(),
    maxlen=st.integers(4, 24),
    user_dict=st.sampled_from([None, "天气很 9\n爱 3\n20 99999\n"]),
)
def test_texts_are_encoded_as_by_a_plain_loop(rows, in_pairs, maxlen, user_dict):
    texts, pairs = zip(*rows, strict=True)
    assert_as_one_by_one(texts, pairs if in_pairs else None, maxlen, user_dict)


def test_real_posts_are_encoded_as_by_a_plain_loop():
    if not RUMORS.exists():
        pytest.skip(f"{RUMORS} is not here")
    with RUMORS.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    assert_as_one_by_one(texts, maxlen=128)
    assert_as_one_by_one(texts[:500], texts[500:1000], maxlen=63, user_dict="转发微博\n网友 0\n")


def test_no_texts():
    assert_as_one_by_one([])
    assert encode([]).offsets.tolist() == [0]


def test_pieces_without_words_joined_are_the_whole():
    texts = ["中国", "我爱", "天气"]
    parts = [encode(texts[:1], with_words=False), encode(texts[1:], with_words=False)]
    assert_equal(join_encoded(parts), encode(texts, with_words=False))


def test_features_number_the_words_of_the_vocabulary():
    encoded = encode(["天气好", "我爱天气"])
    table = build_features(encoded, ["爱", "天气"])
    assert table.equals(build_features(encoded, number_words(["爱", "天气"])))
    assert table["word_ids"].to_pylist() == [[1, 3, 3, 1, 1], [1, 1, 2, 3, 3, 1]]
    assert table["token_ids"].to_pylist()[0] == [CLS, *(VOCAB.index(char) for char in "天气好"), SEP]
    assert table["segment_ids"].to_pylist() == [[0] * 5, [0] * 6]


def test_features_without_words_have_padding_for_words():
    table = build_features(encode(["中国"], with_words=False), [])
    assert table["word_ids"].to_pylist() == [[0, 0, 0, 0]]


def test_features_are_typed_as_written():
    table = build_features(encode(["中国"]), [])
    assert [str(field.type.value_type) for field in table.schema] == ["int32", "int8", "int32"]


def test_the_words_are_the_same_whatever_the_tokens_case():
    """Words have a vocabulary of their own, in lower case."""
    texts, own = ["OK天气很好ok", "中国OK"], [*VOCAB, "OK"]
    lowered = encode_texts(texts, None, Vocab(own), 32, True)
    kept = encode_texts(texts, None, Vocab(own, Folding(False, False)), 32, True)
    assert kept.token_ids[1] == own.index("OK") and lowered.token_ids[1] == own.index("ok")
    assert kept.words == lowered.words and "ok" in kept.words
    np.testing.assert_array_equal(kept.word_ids, lowered.word_ids)
