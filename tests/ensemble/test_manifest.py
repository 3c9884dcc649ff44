import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.corpus.tags import tag_names
from raytrain.ensemble.manifest import SCHEMA_VERSION, parse_manifest

SIZES = {
    "encoder/config.json": 3,
    "encoder/vocab.txt": 10,
    "encoder/weights.safetensors": 999,
    "words/vocabulary.json": 5,
    "words/keywords.json": 2,
    "finetune/r0-fold-00.safetensors": 17,
    "finetune/r0-fold-01.safetensors": 17,
}
WHOLE = {
    "schema_version": SCHEMA_VERSION,
    "labels": ["假", "真"],
    "config": {"name": "a", "data": {"text": "text"}, "encoder": {"maxlen": 128}},
    "encoder": {"kind": "bert", "config": "encoder/config.json", "vocab": "encoder/vocab.txt"},
    "architectures": {
        "finetune": {
            "model": {"train_encoder": True, "embedding": [2, 1], "num_classes": 2, "dropout": 0.1},
            "folds": [
                {"file": f"finetune/r0-fold-0{i}.safetensors", "fold": i, "repeat": 0} for i in range(2)
            ],
        }
    },
    "files": [{"name": name, "bytes": size, "sha256": "0" * 64} for name, size in SIZES.items()],
}


def changed(change):
    manifest = copy.deepcopy(WHOLE)
    change(manifest)
    return manifest


def problems_of(change):
    manifest, problems = parse_manifest(changed(change))
    assert manifest is None and problems
    return problems


def accepted(change=lambda manifest: None):
    manifest, problems = parse_manifest(changed(change))
    assert problems == []
    return manifest


def model_of(manifest):
    return manifest["architectures"]["finetune"]["model"]


def folds_of(manifest):
    return manifest["architectures"]["finetune"]["folds"]


def test_what_is_not_said_has_its_default():
    manifest = accepted()
    assert (manifest.task, manifest.words.vocabulary, manifest.config.train.precision) == (
        "classify",
        None,
        "auto",
    )
    assert manifest.architectures["finetune"].model.num_keyword_classes == 0
    assert manifest.config.data.text_columns == ["text"]


def test_a_manifest_that_was_read_is_written_as_it_was():
    manifest = accepted(lambda manifest: manifest.update(words=None, later={"a": [1]}))
    written = json.loads(manifest.model_dump_json(exclude_unset=True, by_alias=True))
    assert written == {**WHOLE, "words": {}, "later": {"a": [1]}}


def test_text_pairs_have_two_columns():
    manifest = accepted(lambda manifest: manifest["config"]["data"].update(text=["a", "b"]))
    assert manifest.config.data.text_columns == ["a", "b"]


@pytest.mark.parametrize("labels", [[0, 1], ["0", "1"], ["", " "], ["𠮷", "👩‍👩‍👧"]])
def test_labels_are_numbers_or_texts(labels):
    assert accepted(lambda manifest: manifest.update(labels=labels)).labels == labels


@pytest.mark.parametrize("labels", [[0, "1"], [True, False], [0.0, 1.0], "ab", [["a"], ["b"]], None])
def test_other_labels_are_refused(labels):
    problems = problems_of(lambda manifest: manifest.update(labels=labels))
    assert problems[0].startswith("manifest.json: labels")


def test_everything_that_classifies_with_words_and_keywords_is_accepted():
    def complete(manifest):
        manifest["encoder"]["weights"] = "encoder/weights.safetensors"
        manifest["words"] = {"vocabulary": "words/vocabulary.json"}
        manifest["architectures"]["textcnn"] = copy.deepcopy(manifest["architectures"]["finetune"])
        model = manifest["architectures"]["textcnn"]["model"]
        model.update(train_encoder=False, num_keyword_classes=2)
        for fold in manifest["architectures"]["textcnn"]["folds"]:
            fold["keywords"] = "words/keywords.json"

    assert list(accepted(complete).architectures) == ["finetune", "textcnn"]


@pytest.mark.parametrize("values", [None, 3, "{}", [], [WHOLE]])
def test_what_is_no_mapping_is_told_as_a_whole(values):
    manifest, [problem] = parse_manifest(values)
    assert manifest is None and problem.startswith("manifest.json: as a whole: ")


@pytest.mark.parametrize("key", ["schema_version", "labels", "config", "encoder", "architectures", "files"])
def test_a_manifest_that_lacks_a_part(key):
    assert problems_of(lambda manifest: manifest.pop(key)) == [f"manifest.json: {key}: Field required"]


def test_all_that_is_wrong_with_types_is_told_at_once():
    def spoil(manifest):
        manifest["encoder"].update(kind="gpt")
        manifest["config"]["encoder"].update(maxlen="128")
        model_of(manifest).update(dropout=1.0)
        manifest["files"][1].update(bytes=-1)

    places = [problem.split(": ")[1] for problem in problems_of(spoil)]
    assert places == [
        "config.encoder.maxlen",
        "encoder.kind",
        "architectures.finetune.model.dropout",
        "files.1.bytes",
    ]


@pytest.mark.parametrize(
    "entry",
    [
        3,
        {},
        {"name": "a"},
        {"name": "a", "bytes": "many", "sha256": ""},
        {"name": "a", "bytes": -1, "sha256": "0" * 64},
        {"name": "a", "bytes": 1, "sha256": "A" * 64},
        {"name": "a", "bytes": 1, "sha256": "0" * 64 + "\n"},
        {"name": "a", "bytes": True, "sha256": "0" * 64},
        {"name": "../a", "bytes": 1, "sha256": "0" * 64},
    ],
)
def test_damaged_entry_of_a_file(entry):
    problems = problems_of(lambda manifest: manifest["files"].append(entry))
    assert problems[0].startswith(f"manifest.json: files.{len(SIZES)}")


@given(st.lists(st.sampled_from(["a", "b.c", "..", ".", "", "\\", "甲"]), min_size=1, max_size=4))
def test_no_name_of_a_file_leads_out_of_the_ensemble(parts):
    name = "/".join(parts)
    entry = {"name": name, "bytes": 0, "sha256": "0" * 64}
    manifest, problems = parse_manifest(changed(lambda manifest: manifest["files"].append(entry)))
    leads_out = ".." in parts or "\\" in name or name.startswith("/") or not name
    assert (manifest is None) == leads_out
    if leads_out:
        assert problems == [
            f"manifest.json: files.{len(SIZES)}.name: {name!r} is not a name inside the ensemble"
        ]


@pytest.mark.parametrize(
    "value", [[], {}, {"finetune": {}}, {"finetune": {"folds": [{}]}}, {"finetune": 3}, {"gru": 3}]
)
def test_architectures_that_cannot_be_read(value):
    problems = problems_of(lambda manifest: manifest.update(architectures=value))
    assert problems[0].startswith("manifest.json: architectures")


@pytest.mark.parametrize(
    "change",
    [
        {"embedding": [2]},
        {"embedding": [2, 1, 1]},
        {"embedding": [0, 1]},
        {"embedding": [2.0, 1]},
        {"train_encoder": 1},
        {"num_classes": 1},
        {"num_classes": "2"},
        {"dropout": -0.1},
        {"dropout": float("nan")},
        {"num_keyword_classes": -1},
    ],
)
def test_models_that_cannot_be_built(change):
    problems = problems_of(lambda manifest: model_of(manifest).update(change))
    assert problems[0].startswith("manifest.json: architectures.finetune.model")


def with_many_tags(manifest):
    manifest.update(task="tag", labels=tag_names(f"T{i:05d}" for i in range(20_000)))
    manifest["architectures"] = {"crf": manifest["architectures"]["finetune"]}
    manifest["architectures"]["crf"]["model"].update(num_classes=40_001)


def with_windows_of_pairs(manifest):
    manifest["config"]["data"].update(text=["a", "b"])
    manifest["config"]["encoder"].update(windows=2)


def with_another_width(manifest):
    other = copy.deepcopy(manifest["architectures"]["finetune"])
    other["model"]["embedding"][1] += 1
    manifest["architectures"]["textcnn"] = other


def with_a_large_embedding(manifest):
    other = copy.deepcopy(manifest["architectures"]["finetune"])
    other["model"]["embedding"] = [10**9, 10**4]
    manifest["architectures"]["textcnn"] = other


def as_ngrams(manifest):
    manifest["architectures"] = {"tfidf": manifest["architectures"]["finetune"]}
    manifest["architectures"]["tfidf"]["model"]["train_encoder"] = False
    manifest["encoder"] = None


def test_ngrams_alone_need_no_encoder_and_no_words():
    manifest = accepted(as_ngrams)
    assert manifest.encoder is None and manifest.words.vocabulary is None


def test_ngrams_count_no_keywords():
    def with_keywords(manifest):
        as_ngrams(manifest)
        manifest["architectures"]["tfidf"]["model"]["num_keyword_classes"] = 2

    assert "tfidf counts keywords of 2 classes" in problems_of(with_keywords)[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda manifest: manifest.update(encoder=None), "finetune reads an encoder, but there is none"),
        (lambda manifest: model_of(manifest).update(num_classes=3), "3 classes"),
        (lambda manifest: model_of(manifest).update(train_encoder=False), "the encoder has no weights"),
        (lambda manifest: manifest["encoder"].update(weights="../../secret"), "not among its files"),
        (lambda manifest: manifest.update(words={"vocabulary": "/etc/passwd"}), "not among its files"),
        (lambda manifest: manifest.update(words={"characters": "x"}), "names x, which is not among"),
        (lambda manifest: manifest["architectures"]["finetune"].update(folds=[]), "folds"),
        (lambda manifest: manifest.update(labels=["a"]), "labels"),
        (lambda manifest: manifest.update(labels=["a", "a"]), "labels repeat themselves"),
        (lambda manifest: model_of(manifest).update(num_keyword_classes=3), "keywords of 3 classes"),
        (lambda manifest: manifest.update(task="tag"), "finetune is no architecture of task tag"),
        (lambda manifest: manifest.update(labels=["a", "\ud83d"]), "half of a character"),
        (lambda manifest: manifest["config"]["encoder"].update(maxlen=3), "config.encoder.maxlen"),
        (lambda manifest: manifest["config"]["encoder"].update(truncate="middle"), "config.encoder.truncate"),
        (lambda manifest: manifest["config"]["encoder"].update(windows=10**9), "config.encoder.windows"),
        (with_windows_of_pairs, "windows, but they are pairs"),
        (lambda manifest: manifest["config"]["data"].update(text=5), "config.data.text"),
        (lambda manifest: manifest.update(schema_version=0), "schema_version"),
        (with_many_tags, "transitions of 40001 × 40001, larger than"),
        (with_another_width, "embeddings of different widths"),
        (with_a_large_embedding, "larger than finetune/r0-fold-00.safetensors"),
        (with_another_width, "textcnn reads words, but there are none"),
        (lambda manifest: manifest.update(task="tag", labels=["O", "B-X"]), "a B- and an I- of each type"),
        (lambda manifest: model_of(manifest).update(num_keyword_classes=2), "in some of its folds"),
        (lambda manifest: folds_of(manifest)[0].update(keywords="words/x.json"), "not among its files"),
        (
            lambda manifest: folds_of(manifest)[0].update(keywords="words/keywords.json"),
            "in some of its folds",
        ),
        (lambda manifest: folds_of(manifest)[1].update(fold=-1), "folds.1.fold"),
    ],
)
def test_manifest_that_contradicts_itself(change, said):
    assert said in "\n".join(problems_of(change))


def test_an_embedding_may_be_as_large_as_the_file_that_fills_it_and_no_larger():
    def with_rows(rows):
        def change(manifest):
            manifest["words"] = {"vocabulary": "words/vocabulary.json"}
            manifest["architectures"]["textcnn"] = copy.deepcopy(manifest["architectures"]["finetune"])
            for entry in manifest["architectures"].values():
                entry["model"]["embedding"] = [rows, 1]

        return change

    assert accepted(with_rows(4))
    [problem] = problems_of(with_rows(5))
    assert problem.count("textcnn has an embedding of 5 × 1, larger than") == 2


def test_a_taggers_labels_are_those_of_its_types_in_order():
    def tagging(labels):
        def change(manifest):
            manifest.update(task="tag", labels=labels, words={"vocabulary": "words/vocabulary.json"})
            manifest["files"] = [{**entry, "bytes": 10**6} for entry in manifest["files"]]
            manifest["architectures"] = {"bilstm_crf": manifest["architectures"]["finetune"]}
            manifest["architectures"]["bilstm_crf"]["model"].update(num_classes=len(labels))

        return change

    assert accepted(tagging(["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])).task == "tag"
    for labels in (["B-LOC", "I-LOC", "O"], ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"], ["O", "B-A", "I-B"]):
        assert "in order" in problems_of(tagging(labels))[0]


def test_of_long_texts_older_manifests_have_the_head():
    manifest, problems = parse_manifest(changed(lambda manifest: None))
    assert not problems
    assert (manifest.config.encoder.truncate, manifest.config.encoder.windows) == ("head", 1)


# ── the rule of fusion ─────────────────────────────────────────────────────────────────────────────


RULE = {
    "members": {"finetune/r0": 1.0},
    "average": "proba",
    "stack": None,
    "temperature": 2.0,
    "costs": [[0, 1], [2, 0]],
}


def test_a_rule_is_read():
    rule = accepted(lambda manifest: manifest.update(fusion=RULE)).rule
    assert (rule.temperature, rule.weights) == (2.0, {"finetune/r0": 1.0})
    assert accepted(lambda manifest: manifest.update(fusion=None)).rule is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": 0}, "fusion: temperature: expected a number above 0"),
        ({"costs": [[0]]}, "fusion: costs: expected 2 × 2 finite numbers"),
        ({"members": {"textcnn/r0": 1.0}}, "members textcnn/r0; found files of finetune/r0"),
        ({"members": {"finetune/r0": 0.5, "finetune/r1": 0.5}}, "finetune/r1; found files of finetune/r0"),
        ({"members": None}, "fusion: members: expected names"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(change, said):
    assert said in "\n".join(problems_of(lambda manifest: manifest.update(fusion=RULE | change)))


@pytest.mark.parametrize("rule", [3, [], "mean"])
def test_what_is_no_rule_is_refused(rule):
    assert "fusion" in problems_of(lambda manifest: manifest.update(fusion=rule))[0]


@pytest.mark.parametrize("value", [None, "cased", {"lower": "no"}, {"strip_accents": 0}])
def test_a_folding_is_true_or_false(value):
    assert "folding" in problems_of(lambda manifest: manifest["encoder"].update(folding=value))[0]
