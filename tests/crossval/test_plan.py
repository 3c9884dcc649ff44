"""Plans laid by hand: what is in them that a fold is told. Also what other tests here make plans of."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from raytrain.text.vocab import Vocab
from raytrain.config.defaults import CRF_LEARNING_RATE
from raytrain.config.load import load_config
from raytrain.corpus.corpus import Corpus
from raytrain.crossval.directory import identify
from raytrain.crossval.plan import Plan, load_encoder_weights
from raytrain.crossval.specs import build_specs
from raytrain.folds.spec import Shared
from raytrain.keywords.held import HeldWords, KeywordInputs
from raytrain.pretrained.directory import EncoderFiles
from raytrain.splits.folds import UNLABELLED, Folds
from raytrain.storage.directory import Directory
from raytrain.text.encode import build_features
from raytrain.text.rows import TextRows
from raytrain.text.windows import encode_windows

NUM_ROWS = 8
LABELS = [0, 1, 0, 1, 0, 1, 0, 0]
FOLDS = np.array([[0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 1, 0, 0, 1, 1, 0]])
SHAPE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "vocab_size": 21128}
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"我在北京大学"]
TAG_NAMES = ["O", "B-LOC", "I-LOC"]
TAGGED = [
    ("我在北京", [0, 0, 1, 2]),
    ("北京大学我在北京大学", [1, 2, 2, 2, 0, 0, 1, 2, 2, 2]),
    ("我在", [0, 0]),
    ("大学我", [1, 2, 0]),
]
TAG_FOLDS = np.array([[0, 1, 1, 0]])
PRETRAINED = "bert.ckpt"
BOTH = "model.architecture=[finetune,textcnn]"
WORDS = {"vocabulary": ["停水"], "embedding": np.zeros((3, 6), np.float32)}


def corpus_of(**changes):
    columns = {
        "id": pa.array([f"row-{row}" for row in range(NUM_ROWS)]),
        "text": [f"第{row}条" for row in range(NUM_ROWS)],
        "label": pa.array(LABELS, pa.int32()),
    }
    return replace(Corpus(pa.table(columns), ["假", "真"], "a" * 64, "a.csv", {}), **changes)


def shared_of(weights=None, **changes):
    encoder = EncoderFiles("bert", SHAPE, Vocab(VOCAB), weights)
    return replace(Shared(encoder, pa.table({}), None, None, None, {}), **changes)


def plan_of(*overrides, run="/runs/甲", **changes):
    """A classifier's: two folds, twice; nothing of it is on Ray."""
    config = load_config(None, ["data.path=a.csv", "folds.num_folds=2", "folds.repeats=2", *overrides])
    facts = {"digest": "", "layout": None}
    plan = Plan(Directory(run), config, corpus_of(), Folds(FOLDS), shared_of(), None, {}, None, facts)
    return replace(plan, **changes)


def tag_plan_of(*overrides, run="/runs/甲", **changes):
    """A tagger's: two folds of four texts, one of which is read in several windows."""
    texts, tags = [text for text, _ in TAGGED], [own for _, own in TAGGED]
    columns = {"id": pa.array(range(len(texts)), pa.int64()), "text": texts}
    columns["tags"] = pa.array(tags, pa.list_(pa.int32()))
    encoded, windows = encode_windows(texts, Vocab(VOCAB), 6, with_words=False)
    config = load_config(None, ["task=tag", "data.path=a.bio", "folds.num_folds=2", *overrides])
    return replace(
        plan_of(run=run),
        config=config,
        corpus=Corpus(pa.table(columns), TAG_NAMES, "a" * 64, "a.bio", {}),
        folds=Folds(TAG_FOLDS),
        shared=shared_of(features=build_features(encoded, []), rows=windows),
        **changes,
    )


def keywords_of(given=None):
    """Each text's only keyword is a word of its own label: 停水 or 核实; the last holds the other one."""
    words = np.array([*LABELS[:-1], 1])
    bounds = np.arange(NUM_ROWS + 1)
    return KeywordInputs(HeldWords(["停水", "核实"], words, bounds), given, words, bounds, 5)


# ── what is to be learned ──────────────────────────────────────────────────────────────────────────


def test_a_classifier_learns_the_labels():
    plan = plan_of()
    assert plan.targets.tolist() == LABELS
    data = plan.fold_data()
    assert data.targets.tolist() == LABELS and data.folds is plan.folds
    assert data.ids.to_pylist()[:2] == ["row-0", "row-1"] and data.held_words is None


def test_a_tagger_learns_a_tag_a_token():
    plan = tag_plan_of()
    assert plan.targets.names == TAG_NAMES
    assert plan.targets.tags.tolist() == [tag for _, tags in TAGGED for tag in tags]
    assert plan.targets is plan.targets  # laid once


def test_all_windows_of_a_text_lie_in_its_fold():
    plan = tag_plan_of()
    data, windows = plan.fold_data(), plan.shared.rows
    assert len(windows) > len(TAGGED) and data.features.num_rows == len(windows)
    for spec in build_specs(plan, None):
        train, valid = spec.rows(data)
        assert set(TAG_FOLDS[0, windows.rows[valid]]) == {spec.fold} and len(train) + len(valid) == len(
            windows
        )
        assert not set(windows.rows[train]) & set(windows.rows[valid])
    assert len(data.ids) == len(TAGGED)


def test_a_classifiers_windows_are_rows_of_networks_alone():
    """N-grams are counted in whole texts."""
    rows = TextRows(np.repeat(np.arange(NUM_ROWS), [1, 2, 1, 3, 1, 1, 1, 1]))
    plan = plan_of("model.architecture=[finetune,tfidf]", shared=shared_of(rows=rows))
    data = plan.fold_data()
    assert data.targets.tolist() == LABELS and len(data.texts) == len(data.ids) == NUM_ROWS
    for spec in build_specs(plan, None):
        texts = rows.rows if spec.is_network else np.arange(NUM_ROWS)
        train, valid = spec.rows(data)
        assert valid.tolist() == np.flatnonzero(FOLDS[spec.repeat, texts] == spec.fold).tolist()
        assert sorted([*train, *valid]) == list(range(len(texts)))


# ── what a fold is told ────────────────────────────────────────────────────────────────────────────


def test_folds_come_by_architecture_then_repeat_then_fold():
    specs = build_specs(plan_of("model.architecture=[textcnn,finetune]"), "data")
    names = [f"r{repeat}-fold-0{fold}" for repeat in range(2) for fold in range(2)]
    assert [spec.name for spec in specs] == [
        f"{own}/{name}" for own in ("textcnn", "finetune") for name in names
    ]
    assert [(spec.repeat, spec.fold) for spec in specs[:4]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(spec.location == f"/runs/甲/folds/{spec.name}" and spec.run == "/runs/甲" for spec in specs)
    assert {spec.data for spec in specs} == {"data"}


def test_what_is_said_of_one_network_is_told_its_folds_alone():
    own = ["train.adversarial={finetune: fgm}", "train.dropout={textcnn: 0.4}", "train.ema={rnn_cnn: 0.9}"]
    own += ["train.multi_sample_dropout={textcnn: 3}", "train.encoder_dropout={finetune: 0.2}"]
    specs = {spec.architecture: spec for spec in build_specs(plan_of(BOTH, *own), None)}
    plain = {spec.architecture: spec for spec in build_specs(plan_of(BOTH), None)}
    for name, adversarial, dropout, samples in (("finetune", "fgm", 0.1, 1), ("textcnn", None, 0.4, 3)):
        changed = {"adversarial": adversarial, "multi_sample_dropout": samples}
        assert specs[name].settings == replace(plain[name].settings, **changed)
        assert (specs[name].model.dropout, specs[name].model.multi_sample_dropout) == (dropout, samples)
    assert specs["finetune"].model.config == SHAPE | {
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.2,
    }
    assert specs["textcnn"].model.config == SHAPE


def test_each_fold_has_a_seed_of_its_own_and_architectures_share_them():
    specs = build_specs(plan_of("seed=100", "model.architecture=[textcnn,finetune]"), None)
    assert [spec.seed for spec in specs] == 2 * [100, 101, 102, 103]


def test_folds_of_an_object_store_lie_below_its_run():
    [spec, *_] = build_specs(plan_of(run="mock://bucket/runs/a"), None)
    assert spec.location == "mock://bucket/runs/a/folds/finetune/r0-fold-00"


def test_folds_are_known_by_config_and_inputs():
    hashes = {"data.path": "a" * 64}
    plan = plan_of(hashes=hashes)
    [identity] = {spec.identity for spec in build_specs(plan, None)}
    assert identity == identify(plan.config, hashes)
    [other] = {spec.identity for spec in build_specs(replace(plan, hashes={"data.path": "b" * 64}), None)}
    assert other != identity


@pytest.mark.parametrize(("overrides", "expected"), [([], 2), (["train.restarts=5"], 5)])
def test_folds_are_told_how_often_they_may_begin_again(overrides, expected):
    assert {spec.settings.restarts for spec in build_specs(plan_of(*overrides), None)} == {expected}


def test_a_taggers_folds_are_told_so():
    specs = build_specs(tag_plan_of("model.architecture=[crf,bilstm]"), None)
    assert {(spec.task, spec.model.num_labels) for spec in specs} == {("tag", 3)}
    assert [spec.name for spec in specs][::2] == ["crf/r0-fold-00", "bilstm/r0-fold-00"]


@pytest.mark.parametrize(
    ("override", "pretrained", "expected"),
    [
        ("model.architecture=finetune", True, (1e-5, 1e-5)),
        ("model.architecture=finetune", False, (5e-4, 5e-4)),
        ("model.architecture=textcnn", True, (1e-3, 1e-5)),
        ("model.architecture=textcnn", False, (1e-3, 5e-4)),
        ("train.learning_rate=0.25", True, (0.25, 1e-5)),
        ("train.encoder_learning_rate=0.125", True, (0.125, 0.125)),
    ],
)
def test_rates_that_nobody_gave_are_filled_in(override, pretrained, expected):
    plan = plan_of(override, shared=shared_of(PRETRAINED if pretrained else None))
    [settings] = {spec.settings for spec in build_specs(plan, None)}
    assert (settings.learning_rate, settings.encoder_learning_rate) == expected


def test_transitions_have_their_own_rate():
    [own, *_] = build_specs(tag_plan_of("train.crf_learning_rate=0.5"), None)
    [default, *_] = build_specs(tag_plan_of(), None)
    assert (own.settings.crf_learning_rate, default.settings.crf_learning_rate) == (0.5, CRF_LEARNING_RATE)


def test_other_hyperparameters_are_the_configs():
    plan = plan_of("train.epochs=9", "train.precision=float32", "train.dropout=0.25", class_weight=(1.0, 3.0))
    [spec, *_] = build_specs(plan, None)
    assert (spec.settings.epochs, spec.settings.class_weight) == (9, (1.0, 3.0))
    assert (spec.precision, spec.model.dropout) == ("float32", 0.25)


def test_epochs_on_a_frozen_encoder_go_by_the_rows_that_are_learned_not_by_those_without_a_label():
    rows = {"features": pa.table({"token_ids": [[2]] * 16_004})}
    for num_unlabelled, expected in ((0, 4), (16_000, 10)):
        shared = shared_of(PRETRAINED, **rows, num_unlabelled=num_unlabelled)
        [spec, *_] = build_specs(plan_of("model.architecture=textcnn", shared=shared), None)
        assert spec.settings.epochs == expected


def test_the_encoders_dropout_is_its_checkpoints_or_the_configs():
    keys = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    [own, *_], [told, *_] = (build_specs(plan_of(*o), None) for o in ([], ["train.encoder_dropout=0.25"]))
    assert own.model.config == SHAPE
    assert told.model.config == SHAPE | dict.fromkeys(keys, 0.25)


@pytest.mark.parametrize(
    ("overrides", "pretrained", "trains", "shares"),
    [
        (["model.architecture=finetune"], True, True, True),
        (["model.architecture=finetune"], False, True, False),
        (["model.architecture=textcnn"], True, False, True),
        (["model.architecture=textcnn"], False, True, False),
        (["model.architecture=textcnn", "model.train_encoder=false"], False, False, True),
        (["model.architecture=textcnn", "model.train_encoder=true"], True, True, True),
    ],
)
def test_encoders_start_alike_where_they_are_pretrained_or_frozen(overrides, pretrained, trains, shares):
    """One that is untrained and learns is drawn by each fold's own seed."""
    shared = shared_of(PRETRAINED if pretrained else None)
    for spec in build_specs(plan_of(*overrides, shared=shared, encoder_weights="weights"), None):
        assert spec.model.train_encoder is trains
        assert spec.encoder_weights == ("weights" if shares else None)


def test_one_run_may_hold_folds_with_and_without_shared_weights():
    specs = build_specs(plan_of(BOTH, shared=shared_of(PRETRAINED), encoder_weights="weights"), None)
    assert {(spec.architecture, spec.model.train_encoder) for spec in specs} == {
        ("finetune", True),
        ("textcnn", False),
    }


def test_the_frozen_encoder_is_there_where_its_weights_are_shared():
    assert plan_of().encoder_source is None
    facts = {"digest": "d" * 64, "layout": None}
    source = plan_of("train.precision=float32", encoder_weights="weights", encoder_facts=facts).encoder_source
    assert (source.kind, source.config, source.weights) == ("bert", SHAPE, "weights")
    assert (source.digest, source.precision) == ("d" * 64, "float32")


def test_the_embedding_has_the_rows_of_the_runs_words():
    [words, *_] = build_specs(plan_of(shared=shared_of(**WORDS)), None)
    [none, *_] = build_specs(plan_of(), None)
    assert (words.model.embedding, none.model.embedding) == ((3, 6), (2, 1))


# ── n-grams ──────────────────────────────────────────────────────────────────────────────────────────


def test_folds_of_ngrams_are_told_of_no_encoder_and_no_keywords():
    shared, overrides = shared_of(keywords=keywords_of()), ["model.train_encoder=false"]
    plan = plan_of("model.architecture=[textcnn,tfidf]", *overrides, shared=shared, encoder_weights="weights")
    specs = {spec.architecture: spec for spec in build_specs(plan, None)}
    ngrams, network = specs["tfidf"], specs["textcnn"]
    assert (ngrams.encoder_weights, ngrams.keywords, ngrams.is_network) == (None, None, False)
    assert ngrams.model.num_keyword_classes == 0 and not ngrams.model.freezes_encoder
    assert network.is_network and network.keywords is not None and network.model.freezes_encoder


@pytest.mark.parametrize(
    ("architectures", "has_texts"), [("tfidf", True), ("[finetune,tfidf]", True), ("finetune", False)]
)
def test_folds_get_the_texts_where_ngrams_are_counted(architectures, has_texts):
    texts = plan_of(f"model.architecture={architectures}").fold_data().texts
    assert (texts is not None) is has_texts
    if has_texts:
        assert texts.to_pylist()[:2] == ["第0条", "第1条"]


def test_texts_of_pairs_are_joined():
    pairs = pa.array([f"问{row}" for row in range(NUM_ROWS)])
    corpus = corpus_of(table=corpus_of().table.append_column("text_pair", pairs))
    assert plan_of("model.architecture=tfidf", corpus=corpus).texts[1] == "第1条 问1"


# ── keywords ───────────────────────────────────────────────────────────────────────────────────────


def test_a_run_without_keywords_tells_its_folds_of_none():
    assert {(spec.keywords, spec.model.num_keyword_classes) for spec in build_specs(plan_of(), None)} == {
        (None, 0)
    }


def test_words_that_a_person_kept_are_every_folds():
    plan = plan_of(shared=shared_of(keywords=keywords_of({"核实": 0})))
    for spec in build_specs(plan, None):
        assert spec.keywords.tolist() == [-1, 0] and spec.model.num_keyword_classes == 2
    assert plan.fold_data().held_words is plan.shared.keywords.held


def test_each_fold_chooses_its_keywords_from_the_rows_that_it_learns_from():
    plan = plan_of(BOTH, shared=shared_of(keywords=keywords_of()))
    specs = build_specs(plan, None)
    keywords, labels = plan.shared.keywords, np.array(LABELS)
    for spec in specs:
        learned, _ = spec.rows(plan.fold_data())
        assert spec.keywords.tolist() == keywords.choose(learned, labels, 2).tolist()
    chosen = [spec.keywords.tolist() for spec in specs]
    assert chosen[:4] == chosen[4:] and [0, 1] in chosen


def test_what_is_judged_has_no_say_in_the_keywords():
    """Other labels of a fold's valid rows change the keywords of other folds and not its own."""
    turned = [1 - label if fold == 0 else label for label, fold in zip(LABELS, FOLDS[0], strict=True)]
    table = corpus_of().table.set_column(2, "label", pa.array(turned, pa.int32()))
    chosen = []
    for corpus in (corpus_of(), corpus_of(table=table)):
        specs = build_specs(plan_of(corpus=corpus, shared=shared_of(keywords=keywords_of())), None)
        chosen.append([spec.keywords.tolist() for spec in specs])
    assert chosen[0][0] == chosen[1][0]
    assert chosen[0][1] != chosen[1][1]


# ── the encoder's weights ──────────────────────────────────────────────────────────────────────────


def test_an_untrained_encoder_is_drawn_by_the_runs_seed(encoder_config):
    def draw(seed):
        return load_encoder_weights._function("bert", encoder_config("bert"), None, seed)

    weights, facts = draw(7)
    again, same = draw(7)
    other, others = draw(8)
    assert facts == same == {"digest": facts["digest"], "layout": None, "unread": []}
    assert others["digest"] != facts["digest"]
    assert weights.keys() == again.keys() == other.keys()
    assert all(np.array_equal(weights[name], again[name]) for name in weights)


def test_texts_without_a_label_stand_behind_the_others_in_no_fold():
    data = plan_of(shared=shared_of(num_unlabelled=2)).fold_data()
    assert data.targets.tolist() == [*LABELS, -1, -1]
    assert data.folds.valid.tolist() == [[*row, UNLABELLED, UNLABELLED] for row in FOLDS.tolist()]
    assert len(data.ids) == NUM_ROWS


def test_texts_without_a_label_are_not_counted_however_many_windows_they_have():
    windows = TextRows(np.repeat(np.arange(NUM_ROWS + 2), [1] * NUM_ROWS + [4, 4]))
    features = pa.table({"x": range(len(windows))})
    plan = plan_of(shared=shared_of(features=features, num_unlabelled=2, rows=windows))
    assert plan.num_train_rows == NUM_ROWS // 2
