"""An encoder adapted to a run's texts: when, to which, and taken from where the second time."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import CHARACTERS, VOCAB, silent_stages, tiny_config, write_csv

from raytrain.config.keys import decisive_keys
from raytrain.config.load import load_config
from raytrain.corpus.labelled import read_corpus
from raytrain.crossval import adapt
from raytrain.crossval.adapt import FOLDER, adapt_encoder, is_adapted
from raytrain.crossval.directory import check_inputs
from raytrain.errors import ConfigError, StorageError, TimeBudgetError
from raytrain.pretrained.directory import read_encoder
from raytrain.pretraining.directory import write_record
from raytrain.pretraining.settings import PretrainSpec
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes

HISTORY = [{"step": 0, "perplexity": 30.0, "accuracy": 0.1}, {"step": 5, "perplexity": 20.0, "accuracy": 0.2}]


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Stands for the training; what it was given, call by call."""
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    calls = []

    def train_encoder(place, own, identity, texts, encoder, special, stages):
        calls.append({"config": own, "identity": identity, "texts": list(texts.lines())})
        config = {**encoder.config, "model_type": encoder.kind}
        (place / "encoder").write_bytes("config.json", json_bytes(config))
        (place / "encoder").write_bytes("vocab.txt", ("\n".join(encoder.vocab.tokens) + "\n").encode())
        (place / "encoder").write_bytes("model.safetensors", b"weights")
        from tiny_pretraining import settings

        spec = PretrainSpec("a", place.location, identity, 1, settings(), "bert", {}, None, None, "", {})
        told = {"steps": 5, "seconds": 1.0, "stopped_early": calls.stop_early, "history": HISTORY}
        write_record(place, spec, told)
        return adapt.read_record(place)

    class Calls(list):
        stop_early = False

    calls = Calls()
    monkeypatch.setattr(adapt, "train_encoder", train_encoder)
    return calls


def adapted(tmp_path, test=None, origin=None, **overrides):
    """The run's encoder, and what was said."""
    config = tiny_config(tmp_path, data__test=test or "null", **{"encoder__adapt": "true", **overrides})
    corpus = read_corpus(config.data.path, ["text"], "label", "id", None, 2, [])
    encoder = replace(read_encoder(config.encoder.checkpoint, False, 32), origin=origin)
    stages = silent_stages()
    found = adapt_encoder(Directory(tmp_path / "runs" / "tiny"), config, corpus, encoder, stages)
    return found, stages.console.file.getvalue()


def is_there(tmp_path, **overrides):
    config = tiny_config(tmp_path, **{"encoder__adapt": "true", **overrides})
    corpus = read_corpus(config.data.path, ["text"], "label", "id", None, 2, [])
    encoder = read_encoder(config.encoder.checkpoint, False, 32)
    return is_adapted(Directory(tmp_path / "runs" / "tiny"), config, corpus, encoder)


def test_whether_it_is_adapted_is_known_beforehand(trained, tmp_path):
    assert not is_there(tmp_path) and is_there(tmp_path, encoder__adapt="false")
    adapted(tmp_path)
    assert is_there(tmp_path) and is_there(tmp_path, train__epochs=5)
    assert not is_there(tmp_path, seed=7) and not is_there(tmp_path, train__precision="bfloat16")


def test_without_being_asked_nothing_is_done(trained, tmp_path):
    found, said = adapted(tmp_path, encoder__adapt="false")
    assert found.weights is None and not trained and said == ""


def test_it_learns_of_all_texts_and_begins_where_the_config_says(trained, tmp_path):
    test = write_csv(tmp_path / "test.csv", [{"id": "1", "text": CHARACTERS[0]}, {"id": "2", "text": " "}])
    found, said = adapted(tmp_path, test)
    [call] = trained
    assert len(call["texts"]) == 49 and call["texts"][-1] == CHARACTERS[0]
    assert call["config"].encoder.maxlen == 32 and call["config"].cluster.workers == 1
    assert found.weights.endswith("model.safetensors") and list(found.vocab.tokens) == VOCAB
    assert "perplexity 30.00 → 20.00" in said and "49 texts" in said
    [own] = (tmp_path / "runs" / "tiny" / FOLDER).iterdir()
    assert sorted(path.name for path in own.iterdir()) == ["encoder", "pretraining.json"]


def test_the_second_time_it_comes_from_the_cache_whatever_the_folds(trained, tmp_path):
    first, _ = adapted(tmp_path)
    again, said = adapted(tmp_path, train__epochs=5, model__architecture="textcnn", folds__num_folds=4)
    assert again == first and len(trained) == 1
    assert "before" in said and "perplexity 30.00 → 20.00" in said


@pytest.mark.parametrize(
    "overrides",
    [{"encoder__adapt_epochs": 3}, {"seed": 7}, {"encoder__maxlen": 16}, {"train__precision": "bfloat16"}],
)
def test_with_other_settings_it_is_another_encoder(trained, tmp_path, overrides):
    adapted(tmp_path)
    adapted(tmp_path, **overrides)
    assert len({call["identity"] for call in trained}) == 2


def test_with_other_texts_it_is_another_encoder(trained, tmp_path):
    adapted(tmp_path)
    adapted(tmp_path, write_csv(tmp_path / "test.csv", [{"id": "1", "text": CHARACTERS[0]}]))
    assert len({call["identity"] for call in trained}) == 2


def test_removed_from_the_cache_it_is_the_run_s_own_and_elsewhere_made_again(trained, tmp_path):
    first, _ = adapted(tmp_path)
    for number, seen in ((1, 1), (2, 2)):
        [kept] = (tmp_path / "home" / FOLDER).iterdir()
        kept.rename(tmp_path / f"away-{number}")
        again, _ = adapted(tmp_path)
        assert again.weights == first.weights and len(trained) == seen
        (tmp_path / "runs" / "tiny" / FOLDER).rename(tmp_path / f"run-{number}")


def test_a_run_takes_a_copy_of_the_cache_s(trained, tmp_path):
    """So that its folds go on with it wherever they do."""
    adapted(tmp_path)
    (tmp_path / "runs" / "tiny" / FOLDER).rename(tmp_path / "another run's")
    adapted(tmp_path)
    [kept] = (tmp_path / "home" / FOLDER).iterdir()
    kept.rename(tmp_path / "away")
    adapted(tmp_path)
    assert len(trained) == 1


def test_a_run_goes_on_with_its_own_encoder_though_the_cache_has_another(trained, tmp_path):
    """Made elsewhere from the same texts, it differs in the last bits."""
    adapted(tmp_path)
    [own] = (tmp_path / "runs" / "tiny" / FOLDER).iterdir()
    (own / "encoder" / "model.safetensors").write_bytes(b"others")
    for place in (own, own / "encoder"):
        record = json.loads((place / "pretraining.json").read_text()) if place != own else None
        record = record or json.loads((own / "pretraining.json").read_text())
        (place / "pretraining.json").write_text(json.dumps({**record, "seconds": 2.0}))
    found, _ = adapted(tmp_path)
    assert Path(found.weights).read_bytes() == b"others" and len(trained) == 1


def kept_by(tmp_path):
    [kept] = (tmp_path / "home" / FOLDER).iterdir()
    return kept


def damage(kept, how):
    weights = kept / "model.safetensors"
    if how == "emptied":
        for path in kept.iterdir():
            path.write_bytes(b"")
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        weights.unlink()


@pytest.mark.parametrize("how", ["emptied", "cut", "gone"])
def test_a_damaged_cache_is_as_good_as_none(trained, tmp_path, how):
    """A run with an encoder of its own mends it; one without trains."""
    first, _ = adapted(tmp_path)
    whole = {path.name: path.read_bytes() for path in kept_by(tmp_path).iterdir()}
    damage(kept_by(tmp_path), how)
    again, _ = adapted(tmp_path)
    assert again == first and len(trained) == 1
    assert {path.name: path.read_bytes() for path in kept_by(tmp_path).iterdir()} == whole
    damage(kept_by(tmp_path), how)
    (tmp_path / "runs" / "tiny" / FOLDER).rename(tmp_path / "another run's")
    again, said = adapted(tmp_path)
    assert again == first and len(trained) == 2 and "adapting it to" in said


def test_a_full_cache_fails_no_run_that_has_its_encoder(trained, tmp_path, monkeypatch):
    def is_full(*arguments):
        raise OSError(28, "No space left on device")

    first, _ = adapted(tmp_path)
    damage(kept_by(tmp_path), "cut")
    monkeypatch.setattr("raytrain.crossval.adapt.keep_folder", is_full)
    again, said = adapted(tmp_path)
    assert again == first and len(trained) == 1
    assert "other runs must adapt it anew" in said and "No space left" in said


def test_a_full_run_is_not_told_as_a_cache_that_cannot_be_read(trained, tmp_path, monkeypatch):
    def is_full(self, name, data):
        raise StorageError(f"{self} is full")

    adapted(tmp_path)
    (tmp_path / "runs" / "tiny" / FOLDER).rename(tmp_path / "another run's")
    with monkeypatch.context() as patch:
        patch.setattr(Directory, "write_bytes", is_full)
        with pytest.raises(StorageError, match="encoder is full"):
            adapted(tmp_path)


def test_two_encoders_of_two_runs_do_not_replace_each_other(trained, tmp_path):
    adapted(tmp_path)
    [own] = (tmp_path / "runs" / "tiny" / FOLDER).iterdir()
    (own / "encoder" / "model.safetensors").write_bytes(b"others")
    before = (kept_by(tmp_path) / "model.safetensors").read_bytes()
    adapted(tmp_path)
    assert (kept_by(tmp_path) / "model.safetensors").read_bytes() == before != b"others"


def test_where_storage_is_read_in_no_place_the_cache_holds_the_run_s_own(trained, tmp_path, monkeypatch):
    """As with an object store: the encoder is read from the cache, and must be the run's."""
    adapted(tmp_path)
    [own] = (tmp_path / "runs" / "tiny" / FOLDER).iterdir()
    for place in (own, own / "encoder"):
        record = json.loads((own / "encoder" / "pretraining.json").read_text())
        (place / "pretraining.json").write_text(json.dumps({**record, "seconds": 2.0}))
    (own / "encoder" / "model.safetensors").write_bytes(b"others")
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: path != own / "encoder" and is_dir(path))
    found, _ = adapted(tmp_path)
    assert Path(found.weights).parent == kept_by(tmp_path) and Path(found.weights).read_bytes() == b"others"


def test_nothing_of_the_training_is_left_whoever_ended_it(trained, tmp_path):
    """One run was stopped, another one filled the cache."""
    trained.stop_early = True
    with pytest.raises(TimeBudgetError):
        adapted(tmp_path)
    run = tmp_path / "runs" / "tiny"
    run.rename(tmp_path / "stopped")
    trained.stop_early = False
    adapted(tmp_path)
    run.rename(tmp_path / "finished")
    (tmp_path / "stopped").rename(run)
    [own] = (run / FOLDER).iterdir()
    for left in ("sequences", "checkpoint", "google"):
        (own / left).mkdir()
        (own / left / "file").write_bytes(b"")
    adapted(tmp_path)
    assert sorted(path.name for path in own.iterdir()) == ["encoder", "pretraining.json"]


def test_whence_the_encoder_came_is_kept(trained, tmp_path):
    origin = {"source": "https://example.org/bert.zip", "sha256": "0" * 64}
    for _ in range(2):
        assert adapted(tmp_path, origin=origin)[0].origin == origin


def test_one_that_the_time_budget_ended_is_not_kept_and_goes_on(trained, tmp_path):
    trained.stop_early = True
    with pytest.raises(TimeBudgetError, match="goes on"):
        adapted(tmp_path)
    assert not any((tmp_path / "home" / FOLDER).iterdir())
    trained.stop_early = False
    adapted(tmp_path)
    assert len(trained) == 2


def test_one_that_was_done_and_not_yet_kept_is_not_trained_again(trained, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(adapt, "keep_folder", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            adapted(tmp_path)
    adapted(tmp_path)
    assert len(trained) == 1


def test_the_longest_unused_give_way(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(adapt, "MOST_KEPT", 2)
    for seed in (1, 2, 3):
        adapted(tmp_path, seed=seed)
    assert len(list((tmp_path / "home" / FOLDER).iterdir())) == 2
    adapted(tmp_path, seed=3)
    assert len(trained) == 3


def test_a_cache_that_cannot_be_written_says_what_to_do(trained, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StorageError, match="RAYTRAIN_HOME"):
        adapted(tmp_path)


def test_without_networks_there_is_nothing_to_adapt(tmp_path):
    with pytest.raises(ConfigError, match=r"encoder\.adapt: expected false"):
        tiny_config(tmp_path, encoder__adapt="true", model__architecture="tfidf")


def test_what_a_run_learned_before_there_was_this_is_as_good():
    plain = decisive_keys(load_config(None, ["data.path=a.csv"]))
    asked = decisive_keys(load_config(None, ["data.path=a.csv", "encoder.adapt=true"]))
    assert asked.keys() - plain.keys() == {"encoder.adapt"}


def test_the_test_file_is_an_input_only_where_the_encoder_learns_of_it(tmp_path):
    test = write_csv(tmp_path / "test.csv", [{"id": "1", "text": CHARACTERS[0]}])
    for asked in ("true", "false"):
        config = tiny_config(tmp_path, data__test=test, encoder__adapt=asked)
        corpus = read_corpus(config.data.path, ["text"], "label", "id", None, 2, [])
        hashes = check_inputs(Directory(tmp_path / "none"), config, corpus, None)
        assert ("data.test" in hashes) == (asked == "true")


def test_how_it_is_computed_makes_no_other_encoder(trained, tmp_path):
    """It may change between two invocations of a run, whose folds go on with their encoder."""
    for compiled in ("auto", "false", "true"):
        adapted(tmp_path, train__compile=compiled)
    assert len({call["identity"] for call in trained}) == 1
