import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json

import numpy as np
import pandas as pd
import pytest
from one_fold import each_fold_alone
from written_ensemble import WrittenEnsemble
from safetensors.numpy import load, save

from raytrain.text.vocab import Vocab
from raytrain.text.batches import FeatureRows
from raytrain.devices import set_precision
from raytrain.errors import ArtifactError, InputError
from raytrain.text.encode import build_features, encode_texts
from raytrain.scores.classes import proba_from_logits
from raytrain.network.heads import WORD_EMBEDDING
from raytrain.ensemble.models import Predictor
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
from raytrain.network.inference import predict_logits

MAXLEN, FOLDS = 20, 2
LABELS = ["好", "坏", "无关"]
USER_DICT = "早餐好吃 9999\n"


class Artifact(WrittenEnsemble):
    """An ALBERT's, as older versions wrote it; it knows what its models say."""

    def __init__(self, directory, config, vocab, words):
        super().__init__(directory, "albert", config, vocab, LABELS, words, user_dict=USER_DICT)
        self.vocab = vocab
        self.manifest["schema_version"] = 1
        self.manifest["config"] = {"data": {"text": "text"}, "encoder": {"maxlen": MAXLEN}}
        del self.manifest["task"]

    def add_architecture(self, name, train_encoder, pooling="first"):
        super().add_architecture(name, train_encoder, pooling, folds=FOLDS, noise=0.3)

    def expected(self, texts, pairs=None):
        """Mean over architectures of the mean over their models, each text predicted by itself."""
        reading = {"truncate": "head", "windows": 1} | self.manifest["config"]["encoder"]
        encoded = encode_texts(
            texts, pairs, Vocab(self.vocab), with_words=True, user_dict=USER_DICT, **reading
        )
        features = FeatureRows(build_features(encoded, self.words))

        def of_text(model, text):
            rows = np.flatnonzero(encoded.rows == text)[:, None]
            return np.mean(
                [proba_from_logits(predict_logits(model, features, row))[0] for row in rows], axis=0
            )

        by_architecture = [
            np.mean([[of_text(model, text) for text in range(len(texts))] for model in models], axis=0)
            for models in self.models.values()
        ]
        return np.mean(by_architecture, axis=0)


@pytest.fixture(scope="module")
def new_artifact(encoder_config, vocab, sentences):
    words = sorted(set(encode_texts(sentences, None, Vocab(vocab), MAXLEN, True, USER_DICT).words))[::2]

    def make(directory, **architectures):
        config = encoder_config("albert") | {"max_position_embeddings": MAXLEN}
        artifact = Artifact(directory, config, vocab, [*words, "早餐好吃"])
        for name, train_encoder in architectures.items():
            artifact.add_architecture(name, train_encoder)
        return artifact

    return make


@pytest.fixture(scope="module")
def artifact(new_artifact, tmp_path_factory):
    return new_artifact(tmp_path_factory.mktemp("ensemble"), textcnn=False, finetune=True)


@pytest.fixture(scope="module")
def predictor(artifact):
    return Predictor(artifact.open(), batch_size=4)


@pytest.fixture
def damaged(artifact, tmp_path):
    """Opens a copy of the artifact in which one file has another content, and a matching sha256."""

    def damage(name, data):
        copy = object.__new__(Artifact)
        copy.manifest = json.loads(json.dumps(artifact.manifest))
        copy.files, copy.directory = copy.manifest["files"], Directory(tmp_path)
        for entry in artifact.files:
            copy.directory.write_bytes(entry["name"], artifact.directory.read_bytes(entry["name"]))
        copy.add(name, data)
        return copy.open()

    return damage


def test_probabilities_are_the_mean_of_the_fold_models(artifact, predictor, sentences):
    found = predictor.predict_proba(sentences)
    expected = artifact.expected(sentences)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(("pooling", "train_encoder"), [("mean", True), ("mean", False), ("layers", True)])
def test_another_pooling_is_that_of_the_fold_models(
    new_artifact, tmp_path, sentences, pooling, train_encoder
):
    artifact = new_artifact(tmp_path)
    artifact.add_architecture("finetune", train_encoder, pooling)
    found = Predictor(artifact.open(), batch_size=4).predict_proba(sentences)
    np.testing.assert_allclose(found, artifact.expected(sentences), atol=2e-3)


def test_vectors_are_those_of_the_folds_side_by_side(artifact, sentences):
    """On a frozen encoder and a trained one; and no text's depends on its neighbours."""
    ensemble = artifact.open()
    found = Predictor(ensemble, batch_size=4).embed(sentences)
    alone = [Predictor(one).embed(sentences) for _, _, one in each_fold_alone(ensemble)]
    assert len(alone) == 2 * FOLDS and found.dtype == np.float32
    np.testing.assert_allclose(found, np.concatenate(alone, axis=1) / np.sqrt(len(alone)), atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    cosines = [vectors @ vectors.T for vectors in alone]
    assert np.std(cosines, axis=0).max() > 1e-4
    np.testing.assert_allclose(found @ found.T, np.mean(cosines, axis=0), atol=2e-3)
    assert Predictor(ensemble).embed([]).shape == (0, found.shape[1])
    one_by_one = np.concatenate([Predictor(ensemble).embed([text]) for text in sentences[:2]])
    np.testing.assert_allclose(one_by_one, found[:2], atol=2e-3)


def test_probabilities_by_the_cards_policy_are_those_of_float32_but_for_rounding(
    artifact, predictor, sentences, float32_again
):
    set_precision("bfloat16")
    low = Predictor(artifact.open()).predict_proba(sentences)
    expected = predictor.predict_proba(sentences)
    np.testing.assert_allclose(low, expected, atol=0.03)
    assert np.abs(low - expected).max() > 1e-5


def test_probabilities_of_pairs_are_those_of_the_fold_models(artifact, predictor, sentences, monkeypatch):
    texts, pairs = sentences[:3], sentences[3:]
    single = predictor.predict_proba(texts)
    monkeypatch.setattr(predictor, "reads_pairs", True)
    found = predictor.predict_proba(texts, pairs)
    np.testing.assert_allclose(found, artifact.expected(texts, pairs), atol=2e-3)
    assert np.abs(found - single).max() > 1e-3


def test_probabilities_of_a_text_do_not_depend_on_the_others(predictor, sentences):
    together = predictor.predict_proba(sentences[::-1])
    np.testing.assert_allclose(together[-1:], predictor.predict_proba(sentences[:1]), atol=2e-3)


def test_predicting_twice_gives_the_same(predictor, sentences):
    """Though the folds' weights take turns in one model."""
    np.testing.assert_array_equal(predictor.predict_proba(sentences), predictor.predict_proba(sentences))


LONG = "房间干净，早餐好吃，服务热情周到，下次还来，菜凉了，等了很久，网传明天停水，快转给家人"


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param({"truncate": "tail"}, marks=pytest.mark.long),
        {"truncate": "head_tail"},
        pytest.param({"windows": 2}, marks=pytest.mark.long),
        {"truncate": "tail", "windows": 9},
    ],
)
def test_long_texts_are_read_as_in_training(artifact, predictor, sentences, monkeypatch, reading):
    """Whatever texts are predicted beside them; short ones are as ever."""
    monkeypatch.setitem(artifact.manifest["config"], "encoder", {"maxlen": MAXLEN, **reading})
    opened, texts = artifact.open(), [LONG, *sentences[:2], LONG[::-1]]
    found = Predictor(opened, batch_size=3).predict_proba(texts)
    np.testing.assert_allclose(found, artifact.expected(texts), atol=2e-3)
    head = predictor.predict_proba(texts)
    np.testing.assert_allclose(found[1:3], head[1:3], atol=2e-3)
    assert np.abs(found[[0, 3]] - head[[0, 3]]).max() > 5e-3
    alone = np.concatenate([Predictor(opened).predict_proba([text]) for text in texts])
    np.testing.assert_allclose(found, alone, atol=2e-3)


def test_no_texts_have_no_rows_but_a_column_per_label(predictor):
    assert predictor.predict_proba([]).shape == (0, len(LABELS))


def test_labels_are_the_ensembles(predictor):
    assert predictor.labels == LABELS


def test_weights_of_another_model_are_refused(damaged, sentences):
    name = "textcnn/r0-fold-00.safetensors"
    ensemble = damaged(name, save({"logits.0.kernel": np.zeros((800, 2), np.float32)}))
    with pytest.raises(ArtifactError, match=name) as caught:
        Predictor(ensemble).predict_proba(sentences)
    assert [
        problem for problem in caught.value.problems if "logits.0.kernel" in problem and "(800, 2)" in problem
    ]


def test_a_file_that_holds_no_weights_is_refused(damaged, sentences):
    name = "textcnn/r0-fold-00.safetensors"
    with pytest.raises(ArtifactError, match=name):
        Predictor(damaged(name, b"not safetensors" * 100)).predict_proba(sentences)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(damaged, artifact, sentences, value):
    name = "textcnn/r0-fold-00.safetensors"
    weights = load(artifact.directory.read_bytes(name))
    weights["logits.0.kernel"] = np.full_like(weights["logits.0.kernel"], value)
    with pytest.raises(ArtifactError, match=rf"{name}: expected finite numbers, .*logits\.0\.kernel"):
        Predictor(damaged(name, save(weights))).predict_proba(sentences)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("encoder/config.json", b"[]", "expected keys and their values"),
        ("encoder/config.json", b"{", "not JSON"),
        ("encoder/vocab.txt", b"\xff\xfe", "not UTF-8"),
        ("words/user_dict.txt", b"\xff\xfe", "not UTF-8"),
    ],
)
def test_files_of_another_kind_are_refused(damaged, name, data, said):
    with pytest.raises(ArtifactError) as caught:
        Predictor(damaged(name, data))
    assert said in str(caught.value)


def test_texts_with_other_new_words_follow_each_other(new_artifact, tmp_path, sentences):
    """Each call lays its own words behind the embedding."""
    artifact = new_artifact(tmp_path, textcnn=True)
    characters = sorted({char for sentence in sentences for char in sentence})
    vectors = np.random.default_rng(6).normal(0, 0.3, (len(characters), 4)).astype(np.float32)
    packed = {"codepoints": np.array([ord(char) for char in characters], np.int32), "vectors": vectors}
    artifact.manifest["words"]["characters"] = artifact.add("words/characters.safetensors", save(packed))
    predictor = Predictor(artifact.open())
    together = predictor.predict_proba(sentences)
    alone = np.concatenate([predictor.predict_proba([sentence]) for sentence in sentences])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_wrong_weights_of_the_frozen_encoder_are_refused(damaged):
    name = "encoder/weights.safetensors"
    with pytest.raises(ArtifactError, match=name):
        Predictor(damaged(name, save({"encoder.x": np.zeros(1, np.float32)})))


def test_new_words_are_read_as_the_mean_of_their_characters(new_artifact, tmp_path, sentences):
    """As if the vocabulary had held them, with the rows that training would have begun with."""
    artifact = new_artifact(tmp_path, textcnn=True, rnn_cnn=False)
    without = Predictor(artifact.open()).predict_proba(sentences)
    words = encode_texts(sentences, None, Vocab(artifact.vocab), MAXLEN, True, USER_DICT).words
    new = [word for word in words if word not in set(artifact.words)]
    characters = sorted({char for word in new[1:] for char in word} - set(new[0]))
    vectors = np.random.default_rng(5).normal(0, 0.3, (len(characters), 4)).astype(np.float32)
    packed = {"codepoints": np.array([ord(char) for char in characters], np.int32), "vectors": vectors}
    artifact.manifest["words"]["characters"] = artifact.add("words/characters.safetensors", save(packed))
    found = Predictor(artifact.open()).predict_proba(sentences)
    assert np.abs(found - without).max() > 1e-3

    known = dict(zip(characters, vectors, strict=True))
    laid = {word: [known[char] for char in word if char in known] for word in new}
    laid = {word: np.mean(rows, axis=0) for word, rows in laid.items() if rows}
    assert new[0] not in laid and len(laid) > 3
    del artifact.manifest["words"]["characters"]
    artifact.add("words/vocabulary.json", json_bytes([*artifact.words, *laid]))
    for entry in artifact.manifest["architectures"].values():
        entry["model"]["embedding"][0] += len(laid)
        for fold in entry["folds"]:
            weights = load(artifact.directory.read_bytes(fold["file"]))
            weights[WORD_EMBEDDING] = np.vstack([weights[WORD_EMBEDDING], *laid.values()])
            artifact.add(fold["file"], save(weights))
    np.testing.assert_allclose(found, Predictor(artifact.open()).predict_proba(sentences), atol=1e-6)


def test_weights_of_fewer_words_than_there_are_are_refused(damaged, artifact, sentences):
    name = "textcnn/r0-fold-01.safetensors"
    weights = load(artifact.directory.read_bytes(name))
    weights[WORD_EMBEDDING] = weights[WORD_EMBEDDING][:-1]
    ensemble = damaged(name, save(weights))
    with pytest.raises(ArtifactError, match=rf"{name}: .*expected shape"):
        Predictor(ensemble).predict_proba(sentences)


def test_texts_are_folded_as_the_manifest_says(new_artifact, vocab, tmp_path, sentences):
    """With capitals kept, one of them is unknown; an artifact that says nothing is of lower-cased texts."""
    artifact = new_artifact(tmp_path, finetune=True)
    artifact.add("encoder/vocab.txt", "".join(f"{token}\n" for token in [*vocab[:-1], "a"]).encode())
    texts = [sentences[0] + end for end in ("a", "A")]
    first, second = Predictor(artifact.open()).predict_proba(texts)
    np.testing.assert_array_equal(first, second)
    artifact.manifest["encoder"]["folding"] = {"lower": False, "strip_accents": False}
    kept = Predictor(artifact.open()).predict_proba(texts)
    np.testing.assert_array_equal(kept[0], first)
    assert (kept[1] != first).any()


def test_texts_come_as_any_list_and_one_alone_is_none(predictor, sentences):
    expected = predictor.predict_proba(sentences[:2])
    np.testing.assert_array_equal(predictor.predict_proba(pd.Series(sentences[:2], index=[5, 3])), expected)
    np.testing.assert_array_equal(predictor.predict_proba(np.array(sentences[:2])), expected)
    for ask in (predictor.predict, predictor.predict_proba, predictor.embed):
        with pytest.raises(InputError, match="found one text"):
            ask(sentences[0])
        with pytest.raises(InputError, match="trained on single texts"):
            ask(sentences[:2], sentences[:2])
