import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from plain_settings import plain_settings, plain_spec
from safetensors.numpy import load

from raytrain.errors import ArtifactError
from raytrain.folds.result import (
    RESULT_FILES,
    clear_checkpoint,
    commit_fold,
    load_checkpoint,
    read_fold,
    read_fold_oof,
    read_fold_weights,
    save_checkpoint,
)
from raytrain.folds.spec import FoldData, ModelSettings
from raytrain.splits.folds import Folds
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes


@dataclass
class Counting:
    """A training whose whole state is how far it is."""

    epoch: int = 0
    step: int = 0
    restarts: int = 0

    def save(self, directory):
        Path(directory, "state.json").write_text(json.dumps([self.epoch, self.step, self.restarts]))
        Path(directory, "state.safetensors").write_bytes(b"weights")

    def load(self, directory):
        assert Path(directory, "state.safetensors").read_bytes() == b"weights"
        self.epoch, self.step, self.restarts = json.loads(Path(directory, "state.json").read_text())


@pytest.fixture(params=["local", "mock"])
def location(request, tmp_path):
    return str(tmp_path / "fold") if request.param == "local" else "mock://bucket/fold"


def test_a_fold_goes_on_from_its_newest_checkpoint(tmp_path):
    save_checkpoint(str(tmp_path), Counting(1, 0))
    save_checkpoint(str(tmp_path), Counting(1, 7))
    training = Counting()
    load_checkpoint(str(tmp_path), training)
    assert training == Counting(1, 7)


def test_without_a_checkpoint_a_fold_begins(location):
    training = Counting()
    load_checkpoint(location, training)
    assert training == Counting()


def test_only_the_newest_is_kept(tmp_path):
    for epoch in range(3):
        save_checkpoint(str(tmp_path), Counting(epoch))
    assert Directory(tmp_path / "checkpoint").names() == ["epoch-002-step-000000", "latest.json"]


def test_each_beginning_has_a_checkpoint_of_its_own(tmp_path):
    for restarts in range(3):
        save_checkpoint(str(tmp_path), Counting(0, 0, restarts))
        training = Counting()
        load_checkpoint(str(tmp_path), training)
        assert training.restarts == restarts
    names = Directory(tmp_path / "checkpoint").names()
    assert names == ["epoch-000-step-000000-restart-2", "latest.json"]


def test_a_checkpoint_cut_off_in_writing_does_not_count(tmp_path, monkeypatch):
    save_checkpoint(str(tmp_path), Counting(1))
    write = Directory.write_bytes

    def cut_off(self, name, data):
        if name == "state.safetensors":
            raise OSError("the node is gone")
        write(self, name, data)

    with monkeypatch.context() as patched:
        patched.setattr(Directory, "write_bytes", cut_off)
        with pytest.raises(OSError, match="gone"):
            save_checkpoint(str(tmp_path), Counting(2))
    training = Counting()
    load_checkpoint(str(tmp_path), training)
    assert training == Counting(1)


def test_a_cleared_checkpoint_is_gone(tmp_path):
    save_checkpoint(str(tmp_path), Counting(1))
    clear_checkpoint(str(tmp_path))
    clear_checkpoint(str(tmp_path))
    assert not Directory(tmp_path).exists("checkpoint")


# ── the result ─────────────────────────────────────────────────────────────────────────────────────

IDENTITY = "this run"
WEIGHTS = {"logits": np.arange(6, dtype=np.float32).reshape(2, 3)}
OOF = pa.table({"row": [0, 2], "id": ["a", "c"], "proba_0": [0.75, 0.5], "proba_1": [0.25, 0.5]})
METRICS = {"epoch": 2, "accuracy": 0.5, "auc": math.nan}
HISTORY = [{"epoch": 1, "auc": math.nan}, {"epoch": 2, "auc": 0.5}]


def spec_at(location):
    model = ModelSettings("textcnn", "bert", {}, 2, (2, 1), train_encoder=True, dropout=0.0)
    return plain_spec(
        location,
        name="textcnn/r1-fold-02",
        architecture="textcnn",
        fold=2,
        repeat=1,
        seed=7,
        identity=IDENTITY,
        settings=plain_settings(),
        model=model,
        accumulation=4,
    )


def commit(location, weights=WEIGHTS, **facts):
    folds = Folds(np.array([[0, 1, 2], [2, 0, 2]]))
    data = FoldData(pa.table({}), np.array([0, 1, 0]), pa.array(["a", "b", "c"]), None, folds)
    commit_fold(spec_at(location), data, weights, OOF, METRICS, HISTORY, 1.23456, facts)


@pytest.fixture
def committed(tmp_path):
    """The directory of a fold's result."""
    commit(tmp_path)
    return tmp_path / "result"


def problems_of(result, identity=IDENTITY):
    with pytest.raises(ArtifactError) as caught:
        read_fold(str(result.parent), identity)
    assert str(result.parent) in str(caught.value)
    return str(caught.value)


def test_what_is_committed_is_read_back(tmp_path):
    location = str(tmp_path)
    commit(location, node={"address": "10.0.0.1"})
    result = read_fold(location, IDENTITY)
    assert (result.name, result.stopped_early) == ("textcnn/r1-fold-02", False)
    assert result.metrics["accuracy"] == 0.5
    told = {key: result.record[key] for key in ("fold", "repeat", "seed", "accumulation", "seconds", "node")}
    assert told == {
        "fold": 2,
        "repeat": 1,
        "seed": 7,
        "accumulation": 4,
        "seconds": 1.235,
        "node": {"address": "10.0.0.1"},
    }
    assert (result.record["train_rows"], result.record["valid_rows"]) == (1, 2)
    assert read_fold_oof(location).equals(OOF)
    np.testing.assert_array_equal(load(read_fold_weights(location))["logits"], WEIGHTS["logits"])


def test_a_metric_that_is_not_defined_is_nan_again_and_the_file_is_strict_json(committed):
    result = read_fold(str(committed.parent), IDENTITY)
    assert math.isnan(result.metrics["auc"])
    assert "NaN" not in (committed / "result.json").read_text()
    assert [epoch["auc"] for epoch in result.record["history"]] == [None, 0.5]


@pytest.mark.parametrize(("facts", "expected"), [({}, False), ({"stopped_early": True}, True)])
def test_whether_the_time_budget_ended_a_fold_is_read_back(tmp_path, facts, expected):
    commit(tmp_path, **facts)
    assert read_fold(str(tmp_path), IDENTITY).stopped_early is expected


@pytest.mark.parametrize(
    ("facts", "expected"), [({}, False), ({"dead": False}, False), ({"dead": True}, True)]
)
def test_whether_a_fold_learned_nothing_is_read_back(tmp_path, facts, expected):
    commit(tmp_path, **facts)
    assert read_fold(str(tmp_path), IDENTITY).dead is expected


def test_the_record_has_the_seed_that_a_fold_was_begun_again_with(tmp_path):
    commit(tmp_path, seed=77, restarts=1)
    record = read_fold(str(tmp_path), IDENTITY).record
    assert (record["seed"], record["restarts"]) == (77, 1)


def test_a_fold_that_nobody_trained_is_not_committed(location):
    assert read_fold(location, IDENTITY) is None


def test_without_its_record_a_fold_is_not_committed(committed):
    (committed / "result.json").unlink()
    assert read_fold(str(committed.parent), IDENTITY) is None


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"null", b"[]", b"3", b'"record"'])
def test_a_record_that_is_none_is_damaged(committed, text):
    (committed / "result.json").write_bytes(text)
    assert "result.json is damaged" in (told := problems_of(committed)) and "delete" in told


def change_record(result, change):
    path = result / "result.json"
    record = json.loads(path.read_bytes())
    change(record)
    path.write_bytes(json_bytes(record))


@pytest.mark.parametrize(
    "key",
    ["identity", "files", "metrics", "name", "architecture", "fold", "repeat", "seed", "seconds", "history"],
)
def test_a_record_that_lacks_something_is_damaged(committed, key):
    change_record(committed, lambda record: record.pop(key))
    assert "result.json is damaged" in (told := problems_of(committed)) and key in told


def test_a_record_without_a_score_that_is_wanted_is_damaged(committed):
    assert read_fold(str(committed.parent), IDENTITY, ["accuracy"]) is not None
    change_record(committed, lambda record: record["metrics"].pop("accuracy"))
    with pytest.raises(ArtifactError, match="damaged"):
        read_fold(str(committed.parent), IDENTITY, ["accuracy"])


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": "epoch-009-step-000000"}'])
def test_a_damaged_checkpoint_is_told_with_the_remedy(tmp_path, text):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "latest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"latest\.json is damaged(?s:.*)delete"):
        load_checkpoint(str(tmp_path), Counting())


@pytest.mark.parametrize("name", RESULT_FILES)
@pytest.mark.parametrize("key", ["bytes", "sha256"])
def test_a_record_that_lacks_something_of_a_file_is_damaged(committed, name, key):
    change_record(committed, lambda record: record["files"][name].pop(key))
    assert "result.json is damaged" in problems_of(committed)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", None),
        ("files", []),
        ("files", {"model.safetensors": 3, "oof.parquet": 3}),
        ("metrics", None),
        ("metrics", [0.5]),
        ("metrics", {"accuracy": "good"}),
        ("metrics", {"accuracy": [0.5]}),
    ],
)
def test_a_record_of_other_types_is_damaged(committed, key, value):
    change_record(committed, lambda record: record.update({key: value}))
    assert "result.json is damaged" in problems_of(committed)


def remove(path):
    path.unlink()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def change_a_byte(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("damage", [remove, truncate, change_a_byte])
@pytest.mark.parametrize("name", RESULT_FILES)
def test_a_file_that_is_not_what_was_committed_is_named(committed, name, damage):
    damage(committed / name)
    told = problems_of(committed)
    assert f"{name} is missing or changed" in told and "train it again" in told
    assert not any(other in told for other in RESULT_FILES if other != name)


def test_all_files_that_are_damaged_are_named_at_once(committed):
    for name in RESULT_FILES:
        change_a_byte(committed / name)
    told = problems_of(committed)
    assert all(name in told for name in RESULT_FILES)


def test_a_fold_of_another_run_is_refused_and_not_called_damaged(committed):
    told = problems_of(committed, identity="another run")
    assert "another config or corpus" in told and "damaged" not in told


def test_a_commit_replaces_one_that_was_stopped_early(tmp_path):
    commit(tmp_path, stopped_early=True)
    more = {"logits": WEIGHTS["logits"] + 1}
    commit(tmp_path, more)
    assert not read_fold(str(tmp_path), IDENTITY).stopped_early
    np.testing.assert_array_equal(load(read_fold_weights(str(tmp_path)))["logits"], more["logits"])


@pytest.mark.parametrize("name", RESULT_FILES)
def test_a_commit_that_is_cut_off_leaves_no_fold_of_mixed_files(tmp_path, monkeypatch, name):
    """The weights of a fold that was stopped early do not count beside what a later attempt says."""
    commit(tmp_path, stopped_early=True)
    write = Directory.write_bytes

    def cut_off(self, file, data):
        if file == name:
            raise OSError("the node is gone")
        write(self, file, data)

    monkeypatch.setattr(Directory, "write_bytes", cut_off)
    with pytest.raises(OSError, match="gone"):
        commit(tmp_path)
    assert read_fold(str(tmp_path), IDENTITY) is None
