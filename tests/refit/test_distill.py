from types import SimpleNamespace

import numpy as np
import pytest
from crossval.test_plan import NUM_ROWS, plan_of, shared_of
from finished_run import write_finished
from tiny_run import tiny_config, tiny_tag_config

from raytrain.errors import ConfigError
from raytrain.files.reading import Reading
from raytrain.refit.distill import distill_run, student_config, student_inputs, taught_data
from raytrain.refit.finished import read_finished


def run_of(tmp_path, *architectures, tag=False, **overrides):
    make = tiny_tag_config if tag else tiny_config
    config = make(tmp_path, model__architecture=f"[{','.join(architectures)}]", **overrides)
    return read_finished(str(write_finished(config, {name: [1] for name in architectures})))


def test_a_student_is_the_runs_first_network_on_mini_with_rates_of_its_own(tmp_path):
    run = run_of(tmp_path, "tfidf", "rnn_cnn", "textcnn", train__learning_rate=0.01, train__batch_size=4)
    config = student_config(run, [], None)
    assert config.model.architectures == ["rnn_cnn"]
    assert (config.encoder.checkpoint, config.encoder.pretrained) == ("mini", True)
    assert config.train.learning_rate is None and config.train.batch_size == 4
    assert config.encoder.maxlen == run.config.encoder.maxlen


def test_overrides_say_otherwise(tmp_path):
    own = ["model.architecture=finetune", "encoder.checkpoint=bert", "train.epochs=7", "distill.hard=0"]
    config = student_config(run_of(tmp_path, "textcnn"), own, None)
    assert config.model.architectures == ["finetune"] and config.encoder.checkpoint == "bert"
    assert config.train.epochs == 7 and config.distill.hard == 0


def test_what_only_the_runs_own_heads_take_is_left_out(tmp_path):
    run = run_of(tmp_path, "textcnn", "finetune", model__pooling="mean")
    assert student_config(run, [], None).model.pooling == "first"
    (tmp_path / "other").mkdir()
    other = run_of(tmp_path / "other", "finetune", "textcnn", model__pooling="mean")
    assert student_config(other, [], None).model.pooling == "mean"
    assert student_config(other, ["model.architecture=textcnn"], None).model.pooling == "first"
    pseudo = run_of(tmp_path / "b", "textcnn", train__pseudo_labels=0.9, data__test="new.csv")
    config = student_config(pseudo, [], None)
    assert config.train.pseudo_labels is None and config.data.test is None


@pytest.fixture(autouse=True)
def folders(tmp_path):
    (tmp_path / "b").mkdir()


def test_n_grams_are_no_student(tmp_path):
    with pytest.raises(ConfigError, match=r"e\.g\. model\.architecture=textcnn"):
        student_config(run_of(tmp_path, "tfidf"), [], None)
    for override in ("model.architecture=textcnn", "model={architecture: textcnn}"):
        assert student_config(run_of(tmp_path, "tfidf"), [override], None)
    with pytest.raises(ConfigError, match="tfidf cannot learn"):
        student_config(run_of(tmp_path, "textcnn"), ["model.architecture=tfidf"], None)


@pytest.mark.parametrize(
    ("overrides", "texts", "said"),
    [
        (["model.architecture=[textcnn,rnn_cnn]"], None, "expected one; found textcnn, rnn_cnn"),
        (["words.keywords=auto"], "new.csv", "words.keywords: expected null with --texts"),
        (["train.pseudo_labels=0.9", "data.test=new.csv"], None, "--texts FILE names them"),
        (["folds.num_folds=5"], None, "folds.num_folds: the run has 2, found 5"),
        (["distill.hard=2"], None, "distill.hard"),
    ],
)
def test_what_a_student_cannot_be_is_refused(tmp_path, overrides, texts, said):
    with pytest.raises(ConfigError) as raised:
        student_config(run_of(tmp_path, "textcnn"), overrides, texts)
    assert said in str(raised.value)


def test_columns_without_texts_are_refused(tmp_path):
    run = run_of(tmp_path, "textcnn")
    with pytest.raises(ConfigError, match=r"columns=\['content'\]: expected a file of texts"):
        distill_run(str(run.directory), columns=["content"])


def test_keywords_are_counted_where_all_texts_have_a_label(tmp_path):
    run = run_of(tmp_path, "textcnn", words__keywords="auto")
    assert student_config(run, [], None).words.keywords == "auto"


def test_a_tagger_is_not_distilled(tmp_path):
    with pytest.raises(ConfigError, match="task=tag") as raised:
        student_config(run_of(tmp_path, "crf", tag=True), [], None)
    assert "refit" in raised.value.problems[0]


def test_all_texts_are_learned_those_without_a_label_too():
    plan = plan_of("model.architecture=textcnn", shared=shared_of(num_unlabelled=2))
    teacher = np.full((NUM_ROWS + 2, 2), 0.5)
    data = taught_data(plan, teacher)
    assert data.folds.is_train(0, 0).all() and data.folds.valid.shape == (1, NUM_ROWS + 2)
    assert data.targets[-2:].tolist() == [-1, -1] and data.teacher.dtype == np.float32


def test_a_student_is_known_by_word_vectors_of_its_own(tmp_path):
    """Of another file or of other content it is another student, though the run had none."""
    run, vectors = run_of(tmp_path, "textcnn"), tmp_path / "own.txt"
    ensemble = SimpleNamespace(manifest=SimpleNamespace(files=[]))
    prepared = SimpleNamespace(hashes={"data.path": "a"}, encoder=SimpleNamespace(files=[]))
    found = []
    for content in ("天 0.1 0.2\n", "天 0.1 0.3\n", None):
        own = [] if content is None else [f"words.vectors={vectors}"]
        vectors.write_text(content or "", encoding="utf-8")
        config = student_config(run, own, None)
        found.append(student_inputs(config, ensemble, prepared, None, ["text"]))
    assert all(inputs["data.path"] == "a" for inputs in found)
    first, other, none = (inputs.get("words.vectors") for inputs in found)
    assert first != other and None not in (first, other) and none is None


def test_a_student_is_known_by_how_its_texts_are_read(tmp_path):
    texts = tmp_path / "new.csv"
    texts.write_text("text\n天\n", encoding="utf-8")
    ensemble = SimpleNamespace(manifest=SimpleNamespace(files=[]))
    prepared = SimpleNamespace(hashes={}, encoder=SimpleNamespace(files=[]))
    config = student_config(run_of(tmp_path, "textcnn"), [], str(texts))
    readings = [Reading(by_flags=True), Reading("big5", by_flags=True), Reading(None, "none", by_flags=True)]
    found = [student_inputs(config, ensemble, prepared, str(texts), ["text"], one) for one in readings]
    plain = student_inputs(config, ensemble, prepared, str(texts), ["text"])
    assert len({inputs["--texts"] for inputs in found}) == 3 and found[0] == plain
