"""What a sweep refuses before anything starts, and what it leaves, without Ray."""

import pytest
from tiny_run import silent_console, tiny_overrides

from raytrain.config.defaults import EncoderStart
from raytrain.config.load import load_config, override_config
from raytrain.errors import ClusterError, ConfigError, CorpusError
from raytrain.folds.resources import Node
from raytrain.scores.classes import METRICS
from raytrain.storage.directory import Directory
from raytrain.storage.lock import lock_run
from raytrain.sweep.driver import _point_source, _resources, _sum_up, best_config, run_sweep
from raytrain.sweep.records import TrialRecord, best_trial
from raytrain.sweep.space import read_space, with_point

START = EncoderStart(False, 5e-4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(autouse=True)
def without_ray(monkeypatch):
    def refuse(*_):
        raise AssertionError("Ray was asked for")

    monkeypatch.setattr("raytrain.sweep.driver.connect", refuse)


@pytest.fixture
def config_of(folder, tmp_path):
    def make(space=None, **values):
        own = {"storage": tmp_path, "sweep__space": space or {}, "sweep__num_folds": 2}
        return load_config(None, tiny_overrides(folder), model__architecture="textcnn", **own | values)

    return make


def refusal(config, error=ConfigError):
    """Why a sweep is refused; that neither trials nor Ray were begun."""
    with pytest.raises(error) as caught:
        run_sweep(config, silent_console())
    sweep = Directory(config.storage) / config.name
    assert [name for name in sweep.files() if name != ".lock"] == []
    return [caught.value.summary, *caught.value.problems]


def test_everything_wrong_with_a_space_is_told_at_once(config_of):
    told = refusal(config_of({"train.epochs": [], "nonsense": [1], "train.batch_size": [0]}))
    assert told[0] == "the sweep cannot be started" and len(told) == 4
    assert sorted(line.split(":")[0] for line in told[1:]) == [
        "sweep.space.nonsense",
        "sweep.space.train.batch_size",
        "sweep.space.train.epochs",
    ]


def test_a_grid_over_a_range_is_refused(config_of):
    told = refusal(config_of({"train.dropout": {"uniform": [0, 0.5]}}, sweep__search="grid"))
    assert "sweep.space.train.dropout" in told[1] and "found uniform" in told[1]


def test_more_folds_than_the_run_has_are_refused(config_of):
    assert "the run has only 2 folds" in refusal(config_of(sweep__num_folds=3))[1]


def test_a_searched_weight_of_a_label_that_the_corpus_lacks_is_refused(config_of):
    space = {"train.class_weight": [None, "balanced", {"a": 2.0, "z": 2.0}]}
    told = refusal(config_of(space))
    assert told[1:] == ["train.class_weight.z: no such label; the corpus has a, b"]


def test_searched_files_that_are_not_there_are_all_named(config_of, tmp_path):
    space = {"words.user_dict": [str(tmp_path / "one.txt"), str(tmp_path / "two.txt"), None]}
    told = "\n".join(refusal(config_of(space)))
    assert "one.txt" in told and "two.txt" in told


def test_a_searched_encoder_that_is_not_there_is_refused(config_of, folder, tmp_path):
    here, absent = str(folder / "encoder-0.1"), str(tmp_path / "absent")
    told = refusal(config_of({"encoder.checkpoint": [here, absent]}))
    assert any(absent in line for line in told) and not any(here in line for line in told)


def test_a_corpus_that_is_not_there_is_refused(config_of, tmp_path):
    told = refusal(config_of(data__path=tmp_path / "absent.csv"), CorpusError)
    assert "absent.csv" in "\n".join(told)


def test_a_sweep_that_another_job_runs_is_refused(config_of):
    config = config_of()
    with lock_run(Directory(config.storage) / config.name):
        assert "another job" in refusal(config)[0]


def test_a_submitted_job_keeps_no_sweep_in_a_folder_that_goes(config_of, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    with pytest.raises(ClusterError, match="storage=runs"):
        run_sweep(config_of(storage="runs"), silent_console())


def test_a_refused_sweep_may_be_started_again(config_of):
    config = config_of({"nonsense": [1]})
    assert refusal(config) == refusal(config)


@pytest.mark.parametrize(("search", "count"), [("grid", 4), ("random", 3)])
def test_a_sweep_that_knows_its_points_gives_each_once_then_none(config_of, search, count):
    space = {"train.epochs": [1, 2], "train.batch_size": [8, 16]}
    config = config_of(space, sweep__search=search, sweep__num_trials=3)
    source = _point_source(read_space(config, START), config)
    points = [source.next_point(number, None) for number in range(count + 1)]
    assert points[-1] is None and None not in points[:-1]
    for point in points[:-1]:
        with_point(config, point)


def test_layers_are_pooled_in_trials_beside_others_whose_encoder_is_frozen(config_of):
    space = {
        "model.architecture": ["finetune", "textcnn"],
        "model.train_encoder": {"textcnn": [True, False]},
    }
    config = override_config(config_of(space), ["model.architecture=finetune", "model.pooling=layers"])
    with pytest.raises(AssertionError, match="Ray was asked for"):
        run_sweep(config, silent_console())


@pytest.mark.parametrize(
    ("values", "count"),
    [
        ({"cluster__max_concurrent_folds": None}, 6),
        ({"cluster__max_concurrent_folds": 2}, 2),
        ({"sweep__max_concurrent_trials": 3, "cluster__max_concurrent_folds": 2}, 3),
        ({"cluster__max_concurrent_folds": 50}, 6),
    ],
)
def test_as_many_trials_run_at_once_as_folds_may(config_of, monkeypatch, values, count):
    monkeypatch.setattr("raytrain.sweep.driver.cluster_nodes", lambda _: [Node(64, 0)])
    config = config_of(cluster__cpus_per_fold=1, sweep__num_trials=6, **values)
    assert _resources(config, read_space(config, START)).slots == count


# ── the best trial ─────────────────────────────────────────────────────────────────────────────────


def record_of(number, value, state="finished", folds=2, **point):
    point = {"model.architecture": "textcnn", "train.epochs": number + 1} | point
    scores = {name: [value, value + 0.02][:folds] for name in METRICS}
    return TrialRecord(number, point, state, scores, [1.0] * folds)


def test_the_best_config_is_the_sweeps_with_the_trials_values_under_a_name_of_its_own(config_of):
    config = config_of({"train.epochs": [1, 2, 3]})
    best = best_config(config, record_of(7, 0.5, **{"train.learning_rate": 3e-4}))
    assert best.name == "tiny-trial-0007"
    assert (best.train.epochs, best.train.learning_rate) == (8, 3e-4)
    changed = {key for key, value in best.flat().items() if config.flat().get(key) != value}
    assert {key for key in changed if not key.startswith("sweep")} == {
        *("name", "train.epochs", "train.learning_rate")
    }
    assert best.sweep.space == {}


def test_what_a_sweep_leaves_is_written_of_all_trials_and_the_best_can_be_trained(config_of, tmp_path):
    config = config_of({"train.epochs": [1, 2, 3]})
    records = [record_of(2, 0.5), record_of(0, 0.9, "pruned", folds=1), record_of(1, 0.75)]
    sweep, console = Directory(tmp_path / "sweep"), silent_console()
    _sum_up(sweep, config, records, lambda own: START, console)
    best = best_trial(records, config.sweep.metric)
    assert best.number == 1
    comment = (tmp_path / "sweep" / "best.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert comment == "# trial 1: macro_f1 0.7600 ± 0.0141, 2 folds"
    assert load_config(tmp_path / "sweep" / "best.yaml") == best_config(config, best)
    assert {"best.yaml", "trials.parquet"} < set(sweep.files())
    shown = console.file.getvalue()
    assert all(f"{sweep}/{name}" in shown for name in sweep.files() if name != "best.yaml")


def test_without_a_whole_trial_there_is_no_best(config_of, tmp_path):
    sweep = Directory(tmp_path / "sweep")
    _sum_up(sweep, config_of(), [record_of(0, 0.9, "pruned", folds=1)], lambda own: START, silent_console())
    assert sweep.exists("trials.parquet") and not sweep.exists("best.yaml")


def test_without_trials_nothing_is_written(config_of, tmp_path):
    sweep = Directory(tmp_path / "sweep")
    _sum_up(sweep, config_of(), [], lambda own: START, silent_console())
    assert sweep.files() == []


def test_files_and_bounds_are_looked_at_before_the_corpus_is_read(config_of, tmp_path, monkeypatch):
    monkeypatch.setattr("raytrain.crossval.prepare.read_texts", lambda *_: pytest.fail("the corpus was read"))
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("1 2\n店 nan 1\n", encoding="utf-8")
    space = {"words.vectors": [str(tmp_path / "a.txt"), str(tmp_path / "b.txt")]}
    told = "\n".join(refusal(config_of({**space, "model.architecture": ["textcnn"]})))
    assert "a.txt" in told and "b.txt" in told and "line 2, 店: " in told
    assert "finite" in "\n".join(refusal(config_of({"train.dropout": {"uniform": [0, float("inf")]}})))
