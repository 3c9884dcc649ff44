import contextlib
from types import SimpleNamespace

import pytest
from crossval.test_plan import plan_of
from finished_run import write_finished
from tiny_run import silent_console, silent_stages, tiny_config

from raytrain.config.training import TrainConfig
from raytrain.crossval.prepare import PreparedRun
from raytrain.errors import ArtifactError, ConfigError
from raytrain.refit.driver import choose_epochs, own_encoder, refit_config, refit_plan, refit_run, told_epochs
from raytrain.refit.finished import read_finished
from raytrain.storage.directory import Directory
from raytrain.storage.lock import lock_run


@pytest.fixture
def run(tmp_path):
    config = tiny_config(tmp_path, model__architecture="[textcnn,tfidf]", train__epochs=9)
    return read_finished(str(write_finished(config, {"textcnn": [2, 4, 3], "tfidf": [1, 1, 1]})))


def test_the_folds_say_how_many_epochs(run):
    assert choose_epochs(run, ["textcnn", "tfidf"], None) == {"textcnn": 3, "tfidf": 1}


@pytest.mark.parametrize("told", [5, 9])
def test_epochs_that_are_said_now_count_but_for_n_grams(run, told):
    """Also where they are the run's own."""
    train = TrainConfig(epochs=told)
    assert choose_epochs(run, ["tfidf", "textcnn"], train) == {"tfidf": 1, "textcnn": told}


def test_epochs_that_are_said_of_some_networks_leave_the_others_to_the_folds(tmp_path):
    """Whatever the run's own config says of these."""
    own = {"model__architecture": "[finetune,textcnn]", "train__epochs": {"finetune": 9, "textcnn": 9}}
    run = read_finished(
        str(write_finished(tiny_config(tmp_path, **own), {"finetune": [2, 2, 2], "textcnn": [4, 4, 4]}))
    )
    for override, epochs in (
        ("train.epochs={textcnn: 7}", {"finetune": 2, "textcnn": 7}),
        ("train.epochs.textcnn=7", {"finetune": 2, "textcnn": 7}),
        ("train={epochs: {rnn_cnn: 7}}", {"finetune": 2, "textcnn": 4}),
        ("train.epochs=null", {"finetune": 2, "textcnn": 4}),
        ("train.epochs=5", {"finetune": 5, "textcnn": 5}),
        ("seed=1", {"finetune": 2, "textcnn": 4}),
    ):
        assert choose_epochs(run, ["finetune", "textcnn"], told_epochs([override])) == epochs


def test_an_architecture_that_the_run_lacks_is_refused(run):
    with pytest.raises(
        ConfigError, match="expected some of textcnn, tfidf, which the run has; found rnn_cnn"
    ):
        choose_epochs(run, ["textcnn", "rnn_cnn"], None)


@pytest.mark.parametrize(
    ("keys", "voting"),
    [
        ({"model__architecture": "[finetune,textcnn]", "model__pooling": "mean"}, "textcnn"),
        (
            {"model__architecture": "[textcnn,tfidf]", "encoder__windows": 3, "words__keywords": "auto"},
            "tfidf",
        ),
        ({"model__architecture": "[finetune,tfidf]", "encoder__truncate": "tail"}, "tfidf"),
    ],
)
@pytest.mark.parametrize("is_asked_for", [False, True])
def test_what_only_other_architectures_read_is_left_out(tmp_path, keys, voting, is_asked_for):
    """Also where their weight of 0 is why they are not there."""
    config = tiny_config(tmp_path, **keys)
    names = config.model.architectures
    members = {f"{name}/r0": float(name == voting or is_asked_for) for name in names}
    fusion = {"fusion": {"rule": {"members": members}}}
    run = read_finished(str(write_finished(config, {name: [1, 2] for name in names}, **fusion)))
    asked = [f"model.architecture={voting}"] if is_asked_for else []
    assert run.voting == ([*names] if is_asked_for else [voting])
    own = refit_config(run, asked)
    assert own.model.architectures == [voting]
    assert (own.model.pooling, own.encoder.truncate) == ("first", "head")
    assert own.encoder.windows == 1 and own.words.keywords is None
    with pytest.raises(ConfigError, match="folds"):
        refit_config(run, [*asked, "folds.num_folds=9"])


@pytest.mark.parametrize("said", [{"overrides": ["train={epochs: 5}"]}, {"train": {"epochs": 5}}])
def test_epochs_within_a_value_count_as_those_by_their_key(run, monkeypatch, said):
    def asked(run, architectures, told):
        raise LookupError(told)

    monkeypatch.setattr("raytrain.refit.driver.choose_epochs", asked)
    with pytest.raises(LookupError, match="5"):
        refit_run(str(run.directory), console=silent_console(), **said)


def test_an_architecture_within_a_value_is_the_one_whose_keys_are_read(tmp_path):
    config = tiny_config(tmp_path, model__architecture="[finetune,textcnn]", model__pooling="mean")
    run = read_finished(str(write_finished(config, {"finetune": [1], "textcnn": [1]})))
    own = refit_config(run, ["model={architecture: textcnn}"])
    assert own.model.architectures == ["textcnn"] and own.model.pooling == "first"


@pytest.mark.parametrize("said", ["[", "{a: 1}", "nonsense", ""])
def test_architectures_that_cannot_be_read_are_a_config_error(run, said):
    with pytest.raises(ConfigError):
        refit_config(run, [f"model.architecture={said}"])


def test_what_cannot_be_is_told_before_anything_is_written(run, tmp_path):
    where = str(run.directory)
    with pytest.raises(ConfigError, match=r"folds\.repeats"):
        refit_run(where, None, ["folds.repeats=2"], silent_console())
    with pytest.raises(ArtifactError):
        refit_run(str(tmp_path / "nowhere"), None, [], silent_console())
    assert not (tmp_path / "runs" / "tiny" / "refit-training").exists()


def test_the_runs_own_artifact_is_not_overwritten(run):
    with pytest.raises(ConfigError, match="found other files"):
        refit_run(str(run.directory), run.ensemble, [], silent_console())
    assert run.directory.exists("ensemble/manifest.json")


@pytest.mark.parametrize("is_there", [False, True])
def test_a_refit_has_the_encoder_that_the_run_adapted_and_holds_the_run_while_it_adapts(
    tmp_path, monkeypatch, is_there
):
    config = tiny_config(tmp_path, encoder__adapt="true", seed=3, train__precision="float32")
    run = read_finished(str(write_finished(config, {"finetune": [1]})))
    own = refit_config(run, ["seed=9", "train.precision=bfloat16", "train.epochs=7"])
    found = []

    def adapt(directory, config, corpus, encoder, stages):
        with contextlib.suppress(ConfigError), lock_run(directory):
            found.append("free")
        found.append((directory, config.seed, config.train.precision, config.train.epochs))
        return "adapted"

    monkeypatch.setattr("raytrain.refit.driver.adapt_encoder", adapt)
    monkeypatch.setattr("raytrain.refit.driver.is_adapted", lambda *_: is_there)
    prepared = SimpleNamespace(corpus=None, encoder=None)
    assert own_encoder(run, own, prepared, silent_stages()) == "adapted"
    told = (run.directory, 3, "float32", 7)
    assert found == (["free", told] if is_there else [told])


def test_a_refit_is_planned_in_its_own_directory_with_the_encoder_that_is_adapted(tmp_path, monkeypatch):
    config = tiny_config(tmp_path, encoder__adapt="true")
    run = read_finished(str(write_finished(config, {"finetune": [1]})))
    prepared = PreparedRun(None, None, "plain", None, {}, None)
    training = Directory(tmp_path / "refit-training")

    def load(directory, config, prepared, stages):
        assert (config.encoder.adapt, prepared.encoder) == (False, "adapted")  # not once more
        return plan_of(run=str(directory))

    monkeypatch.setattr("raytrain.refit.driver.own_encoder", lambda *_: "adapted")
    monkeypatch.setattr("raytrain.refit.driver.load_plan", load)
    plan = refit_plan(run, config, prepared, training, silent_stages())
    assert (str(plan.run), plan.config.encoder.adapt) == (str(training), True)
