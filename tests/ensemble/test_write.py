"""The artifact of committed folds: what is written, and what is read back of it."""

from dataclasses import replace

import numpy as np
import pytest
from committed_run import LABELS, OOF, SHARED, VOCAB, WORDS, CommittedRun
from safetensors.numpy import load as load_safetensors
from sentencepiece_model import tiny_model
from tiny_run import silent_stage

from raytrain.config.load import load_config
from raytrain.ensemble.words import read_words
from raytrain.ensemble.write import FOLD_FACTS, write_ensemble
from raytrain.folds.result import read_fold_weights
from raytrain.fusion.rule import FusionRule
from raytrain.keywords.held import HeldWords, KeywordInputs
from raytrain.kinds import KINDS
from raytrain.ngrams.tfidf import fit_classifier
from raytrain.pretrained.directory import EncoderFiles
from raytrain.storage.directory import Directory
from raytrain.storage.files import read_parquet, sha256
from raytrain.text.vocab import LOWERED, Folding, Vocab

HELD = HeldWords(["谣言", "官方", "转发"], np.zeros(0, np.int64), np.zeros(3, np.int64))


@pytest.fixture
def run(tmp_path):
    return CommittedRun(tmp_path / "run")


def keyword_shared(given=None):
    none = np.zeros(0, np.int64)
    return replace(SHARED, keywords=KeywordInputs(HELD, given, none, np.zeros(3, np.int64), 10))


def test_every_file_is_listed_once_with_its_size_and_hash(run):
    run.commit("finetune", 0)
    run.commit("textcnn", 1)
    files = run.write(encoder_weights={"encoder.x": np.ones(3)})["files"]
    directory = run.directory / "ensemble"
    assert [entry["name"] for entry in files] == sorted({*directory.files()} - {"manifest.json"})
    for entry in files:
        data = directory.read_bytes(entry["name"])
        assert entry == {"name": entry["name"], "bytes": len(data), "sha256": sha256(data)}


def test_what_is_written_is_read_back(run):
    run.commit("textcnn", 0)
    run.commit("textcnn", 1)
    run.write()
    ensemble = run.open()
    assert (ensemble.labels, ensemble.task) == (LABELS, "classify")
    manifest = ensemble.manifest
    assert ensemble.read_json(manifest.encoder.config) == SHARED.encoder.config
    assert ensemble.read_text(manifest.encoder.vocab) == "".join(f"{token}\n" for token in VOCAB)
    assert manifest.encoder.kind == "albert" and manifest.encoder.weights is None
    words = read_words(ensemble)
    assert (words.vocabulary, words.user_dict) == (WORDS, SHARED.user_dict)
    assert words.characters == words.keywords == {}
    assert read_parquet(ensemble.read("oof.parquet")).equals(OOF)
    folds = manifest.architectures["textcnn"].folds
    for spec, fold in zip(run.specs, folds, strict=True):
        assert (fold.fold, fold.repeat) == (spec.fold, 0)
        assert ensemble.read(fold.file) == read_fold_weights(spec.location)
        np.testing.assert_array_equal(ensemble.read_arrays(fold.file)["logits"], [spec.fold] * 40)


def test_whence_the_encoder_was_fetched_stands_in_the_manifest(run):
    origin = {"source": "https://hub/org/name", "revision": "a" * 40, "sha256": "b" * 64}
    run.commit("textcnn", 0)
    assert "origin" not in run.write()["encoder"]
    assert (
        run.write(replace(SHARED, encoder=replace(SHARED.encoder, origin=origin)))["encoder"]["origin"]
        == origin
    )
    assert run.open().manifest.encoder.kind == "albert"


def test_a_model_stands_in_the_manifest_with_what_prediction_needs(run):
    run.commit("finetune", 0)
    entry = run.write()["architectures"]["finetune"]["model"]
    assert entry == {"train_encoder": True, "embedding": [4, 3], "num_classes": 2, "dropout": 0.25}


def test_keywords_are_counted_only_where_there_are_any(run):
    run.commit("finetune", 0, keywords=np.array([0, 1, -1], np.int16))
    entry = run.write(keyword_shared())["architectures"]["finetune"]["model"]
    assert entry["num_keyword_classes"] == 2
    assert run.open().manifest.architectures["finetune"].model.num_keyword_classes == 2


def test_each_fold_has_the_words_that_it_chose(run):
    run.commit("finetune", 0, keywords=np.array([0, 1, -1], np.int16))
    run.commit("finetune", 1, keywords=np.array([1, -1, 1], np.int16))
    run.commit("textcnn", 0, keywords=np.array([0, 1, -1], np.int16))
    run.write(keyword_shared())
    ensemble = run.open()
    assert read_words(ensemble).keywords == {
        "words/r0-fold-00.keywords.json": {"谣言": 0, "官方": 1},
        "words/r0-fold-01.keywords.json": {"谣言": 1, "转发": 1},
    }
    named = [fold.keywords for entry in ensemble.manifest.architectures.values() for fold in entry.folds]
    assert named == [f"words/r0-fold-{number:02d}.keywords.json" for number in (0, 1, 0)]


def test_words_that_a_person_chose_are_written_once(run):
    given = {"谣言": 0, "官方": 1}
    for fold in (0, 1):
        run.commit("finetune", fold, keywords=HELD.classes_of(given))
    run.write(keyword_shared(given))
    assert read_words(run.open()).keywords == {"words/keywords.json": given}


@pytest.mark.parametrize(
    ("shared", "version"),
    [
        (SHARED, 1),
        (keyword_shared(), 2),
        (replace(SHARED, characters={"天": np.ones(3, np.float32)}), 3),
        (replace(SHARED, user_dict="石景山 3\n"), 1),
        (replace(SHARED, user_dict="玛丽·居里 3\n"), 8),
    ],
    ids=["plain", "keywords", "characters", "dictionary", "dictionary of uncommon words"],
)
def test_the_version_is_the_oldest_that_reads_it(run, shared, version):
    keywords = np.array([0, 1, -1], np.int16) if shared.keywords else None
    run.commit("finetune", 0, keywords=keywords)
    assert run.write(shared)["schema_version"] == version
    run.open()


@pytest.mark.parametrize("key", [{"encoder__truncate": "tail"}, {"encoder__windows": 2}])
def test_an_older_raytrain_must_not_read_long_texts_otherwise(run, key):
    run.commit("finetune", 0)
    assert run.write(**key)["schema_version"] == 5
    encoder = run.open().manifest.config.encoder
    assert {"encoder__truncate": encoder.truncate, "encoder__windows": encoder.windows}.items() >= key.items()


def test_an_older_raytrain_must_not_read_another_pooling_as_the_first(run):
    run.commit("finetune", 0, pooling="mean")
    assert run.write()["schema_version"] == 5
    assert run.open().manifest.architectures["finetune"].model.pooling == "mean"


def test_ngrams_alone_have_the_version_that_knows_them(run):
    run.commit("tfidf", 0, weights=fit_classifier(["天气", "天气"], np.array([0, 1]), 2).arrays())
    assert run.write()["schema_version"] == 4


def test_ngrams_beside_heads_count_no_keywords_and_want_a_version_of_their_own(run):
    given = {"谣言": 0}
    run.commit("finetune", 0, keywords=HELD.classes_of(given))
    run.commit("tfidf", 0, weights=fit_classifier(["天气", "天气"], np.array([0, 1]), 2).arrays())
    manifest = run.write(keyword_shared(given))
    assert manifest["schema_version"] == 4
    [fold] = manifest["architectures"]["tfidf"]["folds"]
    assert "keywords" not in fold and run.open().manifest.encoder is not None


def test_a_rule_stands_in_the_manifest_and_an_older_raytrain_must_not_predict_without_it(run):
    run.commit("finetune", 0)
    run.commit("textcnn", 0)
    rule = FusionRule({"finetune/r0": 0.25, "textcnn/r0": 0.75}, "logits", None, 1.5)
    manifest = run.write(rule=rule)
    assert manifest["schema_version"] == 6 and manifest["fusion"] == rule.to_dict()
    assert run.open().manifest.rule.to_dict() == rule.to_dict()
    manifest = run.write()
    assert manifest["schema_version"] == 1 and "fusion" not in manifest
    assert run.open().manifest.rule is None


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("bert", "albert")])
def test_an_older_raytrain_must_not_take_another_kind_of_encoder_for_bert(run, kind):
    shared = replace(SHARED, encoder=replace(SHARED.encoder, kind=kind))
    run.commit("finetune", 0)
    rule = FusionRule({"finetune/r0": 1.0}, "logits", None, 1.5)
    for given in (None, rule):
        assert run.write(shared, rule=given)["schema_version"] == 7
        assert run.open().manifest.encoder.kind == kind


def test_a_taggers_labels_are_its_tags(run):
    run.commit("bilstm", 0, num_labels=3)
    manifest = run.write(task="tag", data__path="a.bio")
    assert (manifest["schema_version"], manifest["task"]) == (3, "tag")
    assert run.open().labels == ["O", "B-X", "I-X"]


def test_vectors_of_characters_are_read_back(run):
    characters = {"天": np.array([1, 2, 3], np.float32), "💧": np.array([4, 5, 6], np.float32)}
    run.commit("textcnn", 0)
    run.write(replace(SHARED, characters=characters))
    found = read_words(run.open()).characters
    assert list(found) == ["天", "💧"]
    for char, vector in characters.items():
        np.testing.assert_array_equal(found[char], vector)


def test_weights_of_a_frozen_encoder_are_written_once(run):
    weights = {"encoder.x": np.arange(3, dtype=np.float32), "encoder.y": np.ones((2, 2), np.float32)}
    for fold in (0, 1):
        run.commit("textcnn", fold, train_encoder=False)
    manifest = run.write(encoder_weights=weights)
    assert manifest["encoder"]["weights"] == "encoder/weights.safetensors"
    assert not manifest["architectures"]["textcnn"]["model"]["train_encoder"]
    found = load_safetensors(run.open().read("encoder/weights.safetensors"))
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(found[name], value)


def test_without_words_the_manifest_has_none(run):
    run.commit("finetune", 0)
    assert run.write(replace(SHARED, vocabulary=None, user_dict=None))["words"] is None
    assert not [name for name in (run.directory / "ensemble").files() if name.startswith("words/")]
    assert read_words(run.open()).vocabulary is None


def test_a_sentencepiece_model_is_kept_as_its_bytes(run):
    run.commit("finetune", 0)
    encoder = EncoderFiles("albert", {}, Vocab(tiny_model()), None)
    assert run.write(replace(SHARED, encoder=encoder))["encoder"]["vocab"] == "encoder/spiece.model"
    assert run.open().read("encoder/spiece.model") == tiny_model()


def test_what_is_told_of_a_fold_is_how_it_ended_and_where_it_ran(run):
    facts = {"stopped_early": True, "node": "n1", "device": "CPU", "packages": {"numpy": "2"}, "peak": 9}
    facts |= {"seed": 77, "restarts": 1, "dead": False}
    run.commit("finetune", 0, facts=facts)
    [fold] = run.write()["architectures"]["finetune"]["folds"]
    told = {key: value for key, value in facts.items() if key != "peak"}
    assert fold == {
        "file": "finetune/r0-fold-00.safetensors",
        "fold": 0,
        "repeat": 0,
        "accumulation": 1,
        "seconds": 1.5,
        **told,
    }
    assert set(FOLD_FACTS) == {"accumulation", "seconds", *told}


def test_the_manifest_tells_of_the_run(run):
    run.commit("finetune", 0)
    summary = {"missing": ["finetune/r0-fold-01"], "ensemble": {"oof": {"auc": float("nan")}}}
    manifest = run.write(summary=summary)
    assert (manifest["name"], manifest["complete"]) == ("mine", False)
    assert manifest["metrics"]["ensemble"] == {"oof": {"auc": None}}
    assert manifest["config"]["data"]["path"] == "a.csv"
    assert {"python", "raytrain", "tensorflow"} <= manifest["packages"].keys()
    assert run.write()["complete"] and run.write()["dropped"] == []
    assert run.write(summary={"dropped": ["finetune/r0-fold-01"]})["dropped"] == ["finetune/r0-fold-01"]


def test_writing_again_leaves_nothing_of_the_one_before(run):
    run.commit("textcnn", 0)
    run.write(encoder_weights={"encoder.x": np.ones(3)})
    first = set((run.directory / "ensemble").files())
    run.specs.clear()
    run.commit("finetune", 1)
    run.write(replace(SHARED, vocabulary=None, user_dict=None))
    left = set((run.directory / "ensemble").files())
    assert left & first == {"manifest.json", "oof.parquet", "encoder/config.json", "encoder/vocab.txt"}
    assert left - first == {"finetune/r0-fold-01.safetensors"}


def test_an_ensemble_that_is_cut_short_is_none(run):
    """The manifest comes last: without a fold's weights there is none, and not the old one either."""
    run.commit("finetune", 0)
    run.commit("finetune", 1)
    run.write()
    (Directory(run.specs[1].location) / "result").remove("model.safetensors")
    summary = {"missing": [], "stopped_early": []}
    records = [{}, {}]
    config = load_config(None, ["data.path=a.csv"])
    with pytest.raises(FileNotFoundError):
        write_ensemble(
            run.directory, config, SHARED, LABELS, run.specs, records, summary, OOF, None, silent_stage()
        )
    assert not (run.directory / "ensemble").exists("manifest.json")


def test_a_folding_that_is_not_the_usual_one_is_written_and_takes_a_newer_raytrain(run):
    run.commit("finetune", 0)
    usual = run.write()
    assert usual["schema_version"] < 7 and "folding" not in usual["encoder"]
    assert run.open().encoder.folding.folding == LOWERED
    cased = replace(SHARED.encoder, vocab=Vocab(VOCAB, Folding(False, True)))
    manifest = run.write(replace(SHARED, encoder=cased))
    assert manifest["schema_version"] == 7
    assert manifest["encoder"]["folding"] == {"lower": False, "strip_accents": True, "splits_chinese": True}
    assert run.open().encoder.folding.folding == Folding(False, True)
