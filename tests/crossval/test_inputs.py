import functools
import json

import numpy as np
import pyarrow as pa
import pytest
from tiny_run import silent_console, silent_stages

from raytrain.config.load import load_config
from raytrain.corpus.corpus import Corpus
from raytrain.crossval.encode import read_shared
from raytrain.crossval.inputs import class_weights, find_encoder, lines_beside, read_dictionary
from raytrain.errors import CheckpointError, ConfigError, CorpusError
from raytrain.stages import Stages
from raytrain.text.encode import encode_texts
from raytrain.text.vocab import SPECIAL_TOKENS
from raytrain.text.words import build_segmenter

TEXTS = ["天气很好", "天气不好", "今天，天气很好", "天气"]


@pytest.fixture(scope="module", autouse=True)
def segmenters_kept():
    """Each load of jieba's dictionary takes a second; a segmenter does not change once it is built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raytrain.text.encode.build_segmenter", functools.cache(build_segmenter))
        yield


def config_of(*overrides):
    return load_config(None, ["data.path=a.csv", "encoder.maxlen=16", "words.dim=6", *overrides])


def corpus_of(labels=(0, 0, 0, 1), names=("真", "假"), texts=TEXTS, pairs=None):
    columns = {"id": pa.array(range(len(texts)), pa.int64()), "text": texts}
    columns |= {"text_pair": pairs} if pairs else {}
    columns |= {"label": pa.array(labels, pa.int32())}
    return Corpus(pa.table(columns), list(names), "0" * 64, "a.csv", {})


def shared(*overrides, corpus=None):
    config, corpus = config_of(*overrides), corpus or corpus_of()
    encoder = find_encoder(config, corpus, silent_console())
    return read_shared(config, corpus, encoder, read_dictionary(config, corpus), silent_stages())


def test_mini_is_pretrained_unless_it_is_asked_to_be_untrained():
    encoder = find_encoder(config_of(), corpus_of(), silent_console())
    assert encoder.weights and "今" in encoder.vocab.tokens


def test_untrained_mini_has_the_corpus_s_characters():
    config = config_of("encoder.pretrained=false")
    encoder = find_encoder(config, corpus_of(pairs=["地"] * 4), silent_console())
    assert encoder.weights is None
    assert {"天", "气", "好", "地"} <= set(encoder.vocab.tokens)
    assert "今" not in encoder.vocab.tokens  # once only


@pytest.mark.parametrize(
    ("override", "texts", "pairs", "expected"),
    [
        (
            "seed=1",
            ["好" * 15, *TEXTS],
            None,
            "1 of 5 texts are longer than encoder.maxlen=16 and are cut; a run with enc",
        ),
        (
            "seed=1",
            ["好" * 15, *TEXTS],
            ["地"] * 5,
            "1 of 5 texts are longer than encoder.maxlen=16 and are cut\n",
        ),
        (
            "encoder.windows=2",
            ["好" * 40, *TEXTS],
            None,
            "are longer than 2 windows of encoder.maxlen=16 and are",
        ),
        ("encoder.windows=2", ["好" * 15, *TEXTS], None, None),
        ("seed=1", ["好" * 14, *TEXTS], None, None),
        ("seed=1", ["好" * 15, *TEXTS * 5], None, None),
    ],
)
def test_many_texts_that_are_cut_are_told(override, texts, pairs, expected):
    corpus = corpus_of(labels=[0] * len(texts), texts=texts, pairs=pairs)
    config, stages = config_of(override), Stages(silent_console())
    read_shared(
        config, corpus, find_encoder(config, corpus, stages.console), read_dictionary(config, corpus), stages
    )
    told = stages.console.file.getvalue()
    assert expected in told if expected else "cut" not in told


def test_named_encoder_is_read_from_its_directory(tmp_path):
    with pytest.raises(CheckpointError, match="absent"):
        find_encoder(config_of(f"encoder.checkpoint={tmp_path}/absent"), corpus_of(), silent_console())


def test_pairs_are_not_read_by_an_encoder_of_one_segment(tmp_path):
    sizes = {key: 8 for key in ("vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size")}
    said = {**sizes, "num_attention_heads": 2, "type_vocab_size": 1}
    (tmp_path / "config.json").write_text(json.dumps(said))
    (tmp_path / "vocab.txt").write_text("".join(f"{token}\n" for token in SPECIAL_TOKENS))
    config = config_of(f"encoder.checkpoint={tmp_path}", "encoder.pretrained=false")
    find_encoder(config, corpus_of(), silent_console())
    with pytest.raises(CheckpointError, match="type_vocab_size of 2 or more for pairs"):
        find_encoder(config, corpus_of(pairs=["地"] * 4), silent_console())


def test_no_class_weights_by_default():
    assert class_weights(config_of(), corpus_of()) is None


def test_balanced_class_weights_give_each_class_the_same_sum():
    weights = class_weights(config_of("train.class_weight=balanced"), corpus_of())
    assert weights == pytest.approx((4 / (2 * 3), 4 / (2 * 1)))


def test_class_weights_by_label_stand_in_the_order_of_labels():
    assert class_weights(config_of("train.class_weight={假: 3}"), corpus_of()) == (1.0, 3.0)
    numbered = corpus_of(names=(0, 1))
    assert class_weights(config_of("train.class_weight={1: 3, 0: 0.5}"), numbered) == (0.5, 3.0)


def test_class_weights_that_cannot_be_used_are_all_named():
    with pytest.raises(ConfigError) as caught:
        class_weights(config_of("train.class_weight={谣言: 1, 真: 0, 假: -2}"), corpus_of())
    assert [problem.partition(":")[0].rpartition(".")[2] for problem in caught.value.problems] == [
        "谣言",
        "真",
        "假",
    ]


def test_finetune_needs_no_words():
    inputs = shared()
    assert (inputs.vocabulary, inputs.embedding, inputs.user_dict, inputs.coverage) == (None, None, None, {})
    assert inputs.features.num_rows == len(TEXTS)


def test_ngrams_alone_need_no_encoder_and_no_features(tmp_path):
    inputs = shared("model.architecture=tfidf", f"encoder.checkpoint={tmp_path}/absent")
    assert inputs.encoder.weights is None and inputs.encoder.files == ()
    assert (inputs.features.num_rows, inputs.vocabulary, inputs.keywords) == (0, None, None)
    assert shared("model.architecture=[tfidf,textcnn]").features.num_rows == len(TEXTS)


def test_unread_words_files_are_left_alone():
    assert shared("words.user_dict=absent.txt", "words.vectors=absent.vec").vocabulary is None


def test_words_of_the_run_have_rows_in_the_embedding():
    inputs = shared("model.architecture=[finetune,textcnn]")
    assert inputs.vocabulary[0] == "天气"
    assert inputs.embedding.shape == (len(inputs.vocabulary) + 2, 6)
    ids = np.concatenate(inputs.features["word_ids"].to_pylist())
    assert ids.max() == len(inputs.vocabulary) + 1


def test_rare_words_are_unknown():
    assert "今天" not in shared("model.architecture=textcnn").vocabulary
    assert "今天" in shared("model.architecture=textcnn", "words.min_count=1").vocabulary


def test_vectors_decide_size_and_keep_rare_words(tmp_path):
    (tmp_path / "a.vec").write_text("2 3\n今 1 2 3\n鼎 4 5 6\n", encoding="utf-8")
    inputs = shared("model.architecture=textcnn", f"words.vectors={tmp_path}/a.vec")
    assert inputs.embedding[inputs.vocabulary.index("今天") + 2].tolist() == [1, 2, 3]
    assert inputs.coverage["characters"] == 1
    # Words of texts to predict may have any character.
    assert {char: vector.tolist() for char, vector in inputs.characters.items()} == {
        "今": [1, 2, 3],
        "鼎": [4, 5, 6],
    }


def test_user_dict_is_kept_as_text(tmp_path):
    (tmp_path / "user.txt").write_text("天气很好 100000\n", encoding="utf-8")
    inputs = shared("model.architecture=textcnn", f"words.user_dict={tmp_path}/user.txt")
    assert inputs.user_dict == "天气很好 100000\n"
    assert "天气很好" in inputs.vocabulary


def test_bad_user_dict_is_refused(tmp_path):
    (tmp_path / "user.txt").write_text("天气 很 好 吗\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="line 1"):
        shared("model.architecture=textcnn", f"words.user_dict={tmp_path}/user.txt")


def test_pairs_are_encoded_together():
    inputs = shared(corpus=corpus_of(pairs=["好"] * 4))
    assert all(segments[-2:] == [1, 1] for segments in inputs.features["segment_ids"].to_pylist())


MARKED = "word,keep,class\n天气很好,x,真\n今天,x,假\n天气,,\n"


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "candidates.csv"
    path.write_text(MARKED, encoding="utf-8")
    return f"words.keywords={path}"


@pytest.mark.parametrize("architecture", ["finetune", "textcnn"])
def test_kept_words_enter_the_dictionary_and_are_counted(kept, architecture):
    inputs = shared(kept, f"model.architecture={architecture}")
    counts = inputs.keywords.held.count(inputs.keywords.choose(np.arange(4), np.zeros(4), 2), 2)
    assert counts.tolist() == [[1, 0], [0, 0], [1, 1], [0, 0]]
    assert set(inputs.user_dict.split()) == {"今天", "天气很好"}


def test_kept_words_are_words_of_the_run(kept):
    assert "天气很好" not in shared("model.architecture=textcnn", "words.min_count=1").vocabulary
    assert "天气很好" in shared(kept, "model.architecture=textcnn", "words.min_count=1").vocabulary


def test_kept_words_stand_beside_the_user_dictionary(kept, tmp_path):
    (tmp_path / "user.txt").write_text("气不好 9 n", encoding="utf-8")
    inputs = shared(kept, f"words.user_dict={tmp_path}/user.txt")
    assert inputs.user_dict == "气不好 9 n\n今天\n天气很好\n"


def test_words_that_folds_choose_leave_the_dictionary_as_it_is():
    inputs = shared("words.keywords=auto", "model.architecture=textcnn")
    assert inputs.user_dict is None and inputs.keywords.given is None
    plain = shared("model.architecture=textcnn")
    assert inputs.features.equals(plain.features) and inputs.vocabulary == plain.vocabulary


@pytest.mark.slow
def test_large_and_small_corpora_have_the_same_keywords(local_ray, monkeypatch):
    small = shared("words.keywords=auto").keywords
    monkeypatch.setattr("raytrain.crossval.encode.PARALLEL_TEXTS", 1)
    large = shared("words.keywords=auto").keywords
    assert large.held.words == small.held.words
    assert np.array_equal(large.held.held, small.held.held) and np.array_equal(large.keywords, small.keywords)


def token_ids(inputs):
    return inputs.features["token_ids"].to_pylist()


def test_a_long_text_keeps_what_the_config_says():
    head, tail = (
        token_ids(shared("encoder.maxlen=5", f"encoder.truncate={end}")) for end in ("head", "tail")
    )
    whole = token_ids(shared())
    assert head[2] == [*whole[2][:4], whole[2][-1]] and tail[2] == [whole[2][0], *whole[2][-4:]]
    assert head[3] == tail[3] == whole[3]


def test_rows_are_texts_unless_there_may_be_several_of_a_text(kept):
    assert shared().rows is None
    inputs = shared(kept, "encoder.maxlen=5", "encoder.windows=2")
    assert inputs.rows.rows.tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert inputs.features.num_rows == 7 and len(inputs.keywords.held.bounds) == len(TEXTS) + 1


@pytest.mark.slow
def test_large_and_small_corpora_are_cut_alike(local_ray, monkeypatch):
    monkeypatch.setattr("raytrain.crossval.encode._CHUNK", 3)
    options = (
        "model.architecture=textcnn",
        "encoder.maxlen=5",
        "encoder.truncate=head_tail",
        "encoder.windows=2",
    )
    small = shared(*options)
    monkeypatch.setattr("raytrain.crossval.encode.PARALLEL_TEXTS", 1)
    large = shared(*options)
    assert large.features.equals(small.features) and large.vocabulary == small.vocabulary
    assert large.rows.rows.tolist() == small.rows.rows.tolist()


def test_keywords_that_cannot_be_kept_are_refused(kept, tmp_path):
    (tmp_path / "candidates.csv").write_text("word,keep,class\n今天,x,谣言\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"row 2, column class.*谣言"):
        shared(kept)


def test_texts_to_predict_are_encoded_behind_the_corpus_where_they_are_learned_from(tmp_path):
    (tmp_path / "new.csv").write_text("text\n停水了\n\n明天停水\n", encoding="utf-8")
    test = f"data.test={tmp_path}/new.csv"
    without, found = shared(test), shared(test, "train.pseudo_labels=0.9")
    assert (without.num_unlabelled, found.num_unlabelled) == (0, 2)  # an empty one is nothing to learn
    assert len(without.features) == 4 and len(found.features) == 6
    assert found.features["token_ids"].to_pylist()[:4] == without.features["token_ids"].to_pylist()
    assert found.features["token_ids"].to_pylist()[4:] == [
        encode_texts([text], None, found.encoder.vocab, 16, False).token_ids.tolist()
        for text in ("停水了", "明天停水")
    ]


def test_second_texts_of_pairs_are_learned_from_with_their_first(tmp_path):
    (tmp_path / "new.csv").write_text("q,a\n天气,很好\n天气,\n", encoding="utf-8")
    keys = (f"data.test={tmp_path}/new.csv", "train.pseudo_labels=0.9", "data.text=[q,a]")
    found = shared(*keys, corpus=corpus_of(pairs=["地"] * 4))
    assert found.num_unlabelled == 1
    ids = encode_texts(["天气"], ["很好"], found.encoder.vocab, 16, False).token_ids
    assert found.features["token_ids"].to_pylist()[4] == ids.tolist()


def test_how_files_beside_the_corpus_are_encoded_is_told(tmp_path):
    words = tmp_path / "user.txt"
    words.write_text("云计算 100\n区块链 50 n\n停水通知 3\n", encoding="gb18030")
    table = tmp_path / "suspects.csv"
    table.write_text("id,text,new_label\na,网传明天停水快转给家人,假\n", encoding="gb18030")
    named = {"words.user_dict": words, "data.labels": table, "words.keywords": table}
    config = config_of(*(f"{key}={path}" for key, path in named.items()))
    lines = lines_beside(config)
    assert sorted(line.split(": ")[0] for line in lines) == sorted(named)
    assert all("read as GB18030" in line and "data.encoding" not in line for line in lines)
