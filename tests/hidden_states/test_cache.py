import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import errno
import fcntl
import gc
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tiny_run import silent_stages

from raytrain.text.batches import FeatureRows
from raytrain.hidden_states.encode import EncoderSource, EncodingWorkers
from raytrain.hidden_states.cache import HiddenStates, _read_span, cached_hidden_states
from raytrain.storage.cache import make_room
from raytrain.network.inference import predict_hidden_states, predict_logits
from raytrain.network.build import build_model
from raytrain.network.heads import build_head
from raytrain.network.weights import assign_variables, head_variables, read_variables

NUM_WORDS = 20
WORKERS = EncodingWorkers(1, 1, 0.0, 0)
HALF = 2e-3  # half precision's rounding, times what a head makes of it


def row(length, seed):
    rng = np.random.default_rng(seed)
    return (
        rng.integers(5, 30, length).tolist(),
        [0] * length,
        rng.integers(1, NUM_WORDS, length).tolist(),
    )


@pytest.fixture(scope="module")
def table(ragged):
    return ragged([row(length, seed) for seed, length in enumerate((7, 20, 3, 33, 12))])


def write(path, size, age):
    path.write_bytes(b"0" * size)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


# ── a node that lacks the file ─────────────────────────────────────────────────────────────────────

STATES = np.arange(400, dtype=np.float16).reshape(100, 4)
NUM_BYTES = 128 + STATES.nbytes  # with NumPy's header


@pytest.fixture
def spans(tmp_path, monkeypatch):
    """What is read from the driver's node, whose files are in a folder that no path here names."""
    folder = tmp_path / "disk of the driver's node"
    folder.mkdir()
    np.save(folder / "states.npy", STATES)
    asked = []

    def ask(node_id, function, path, *arguments):
        assert node_id == "driver"
        if function is _read_span:
            asked.append(arguments)
        return function(str(folder / Path(path).name), *arguments)

    monkeypatch.setattr("raytrain.hidden_states.cache._ask_node", ask)
    monkeypatch.setattr("raytrain.hidden_states.cache._COPY_BYTES", 300)
    return asked


def states_elsewhere(directory, max_gb=1.0):
    directory = None if directory is None else str(directory)
    return HiddenStates("/no/such/cache/states.npy", "driver", directory=directory, max_gb=max_gb)


def names_in(cache):
    return sorted(path.name for path in cache.glob("*.npy*"))


def test_the_copy_lies_in_the_configured_cache(tmp_path, monkeypatch, spans):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    opened = pickle.loads(pickle.dumps(states_elsewhere(tmp_path / "cache"))).open()
    np.testing.assert_array_equal(opened, STATES)
    assert opened.dtype == np.float16 and not opened.flags.writeable
    assert names_in(tmp_path / "cache") == ["states.npy"]
    assert not (tmp_path / "home").exists()
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_the_user_s_cache_is_that_of_the_node(tmp_path, monkeypatch, spans):
    states = states_elsewhere(None)
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))
    np.testing.assert_array_equal(states.open(), STATES)
    assert names_in(tmp_path / "home" / "hidden_states") == ["states.npy"]


@pytest.mark.parametrize("named", [True, False])
def test_the_driver_tells_the_nodes_of_its_cache(tmp_path, monkeypatch, table, named):
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "driver"))
    encoder = EncoderSource("bert", {"hidden_size": 4}, None, "a", "float32")
    path = tmp_path / "hidden_states" / f"{encoder.hash_with(table)}.npy"
    path.parent.mkdir()
    np.save(path, STATES)
    given = "hidden_states" if named else None
    with cached_hidden_states(encoder, table, WORKERS, given, 0.5, silent_stages()) as states:
        assert states.path == str(path)
        assert (states.directory, states.max_gb) == (str(path.parent) if named else None, 0.5)


def test_the_copy_is_made_once(tmp_path, spans):
    states_elsewhere(tmp_path).open()
    num_spans = len(spans)
    assert num_spans == NUM_BYTES // 300 + 2
    os.utime(tmp_path / "states.npy", (1, 1))
    np.testing.assert_array_equal(states_elsewhere(tmp_path).open(), STATES)
    assert len(spans) == num_spans
    assert (tmp_path / "states.npy").stat().st_mtime > 1  # used just now


def test_folds_that_begin_at_once_copy_once(tmp_path, spans, monkeypatch):
    all_begin = threading.Barrier(4)
    exists = Path.exists

    def exists_once_all_looked(path):
        found = exists(path)
        if path.parent == tmp_path and not looked.is_set():
            all_begin.wait(10)
            looked.set()
        return found

    looked = threading.Event()
    monkeypatch.setattr(Path, "exists", exists_once_all_looked)
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: states_elsewhere(tmp_path).open(), range(4)))
    for states in opened:
        np.testing.assert_array_equal(states, STATES)
    assert len(spans) == NUM_BYTES // 300 + 2
    assert names_in(tmp_path) == ["states.npy"]


def test_the_copy_makes_room_by_the_cache_s_rule(tmp_path, spans):
    write(tmp_path / "old.npy", 400, 2)
    write(tmp_path / "new.npy", 400, 1)
    states_elsewhere(tmp_path, (NUM_BYTES + 500) / 1e9).open()
    assert names_in(tmp_path) == ["new.npy", "states.npy"]


@pytest.mark.parametrize("again", [False, True], ids=["copied", "found"])
def test_a_copy_in_use_is_not_removed(tmp_path, spans, again):
    states = states_elsewhere(tmp_path).open()
    if again:
        states = states_elsewhere(tmp_path).open()
    rows = states[3:5]
    del states
    gc.collect()
    assert "in use" in make_room(tmp_path, 1, 1e-9)
    np.testing.assert_array_equal(rows, STATES[3:5])
    del rows
    gc.collect()
    assert make_room(tmp_path, 1, 1e-9) is None
    assert names_in(tmp_path) == []


def test_the_file_of_one_s_own_node_is_locked_too(tmp_path):
    np.save(tmp_path / "states.npy", STATES)
    states = HiddenStates(str(tmp_path / "states.npy"), "driver").open()
    assert "in use" in make_room(tmp_path, 1, 1e-9)
    np.testing.assert_array_equal(states, STATES)


def test_a_copy_that_is_removed_before_it_is_locked_is_made_again(tmp_path, spans, monkeypatch):
    states_elsewhere(tmp_path).open()
    num_spans = len(spans)
    flock = fcntl.flock

    def remove_first(stream, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        (tmp_path / "states.npy").unlink()
        flock(stream, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    np.testing.assert_array_equal(states_elsewhere(tmp_path).open(), STATES)
    assert len(spans) == 2 * num_spans
    assert names_in(tmp_path) == ["states.npy"]


def no_room(cache):
    return cache, 1e-9


def disk_full(cache):
    return cache, 1e12


def no_directory(cache):
    (cache / "file").write_text("")
    return cache / "file" / "cache", 1.0


@pytest.mark.parametrize("obstacle", [no_room, disk_full, no_directory])
def test_without_room_the_fold_reads_a_temporary_copy(tmp_path, spans, monkeypatch, caplog, obstacle):
    cache, temporary = tmp_path / "cache", tmp_path / "tmp"
    cache.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    if obstacle is disk_full:
        monkeypatch.setattr(
            "raytrain.hidden_states.cache.new_file", lambda path: (_ for _ in ()).throw(OSError(28, "full"))
        )
    states = states_elsewhere(*obstacle(cache)).open()
    gc.collect()
    np.testing.assert_array_equal(states, STATES)
    assert names_in(cache) == [] and list(temporary.iterdir()) == []
    [record] = caplog.records
    assert (record.levelname, record.name) == ("WARNING", "raytrain.hidden_states.cache")
    assert str(cache) in record.getMessage() and "cache.max_gb" in record.getMessage()
    [line] = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(temporary) in line]
    assert line.endswith("(deleted)")
    del states
    gc.collect()
    assert str(temporary) not in Path("/proc/self/maps").read_text()


# ── a disk without room ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("left", [b"", b"an earlier run's, of another size"])
def test_a_disk_that_fills_meanwhile_leaves_the_encoder_to_every_step(
    tmp_path, monkeypatch, table, number, left
):
    def fallocate(descriptor, offset, length):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.posix_fallocate", fallocate)
    stages, encoder = silent_stages(), EncoderSource("bert", {"hidden_size": 4}, None, "a", "float32")
    said = []
    monkeypatch.setattr(stages, "say", said.append)
    if left:
        (tmp_path / f"{encoder.hash_with(table)}.partial.npy").write_bytes(left)
    with cached_hidden_states(encoder, table, WORKERS, str(tmp_path), 0.5, stages) as states:
        assert states is None
    [line] = said
    assert str(tmp_path) in line and os.strerror(number) in line and "every step runs the encoder" in line
    assert names_in(tmp_path) == []


def test_another_error_of_the_disk_is_no_lack_of_room(tmp_path, monkeypatch, table):
    def fallocate(descriptor, offset, length):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("os.posix_fallocate", fallocate)
    encoder = EncoderSource("bert", {"hidden_size": 4}, None, "a", "float32")
    with (
        pytest.raises(OSError, match="broken"),
        cached_hidden_states(encoder, table, WORKERS, str(tmp_path), 0.5, silent_stages()),
    ):
        pass


# ── what is computed ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("architecture", ["finetune", "textcnn", "rnn_cnn"])
def test_a_head_on_states_computed_before_is_the_whole_model(encoder_config, table, architecture):
    config = encoder_config("albert")
    arguments = {"num_labels": 3, "embedding": (NUM_WORDS, 8), "dropout": 0.0, "seed": 4}
    whole = build_model(architecture, "albert", config, train_encoder=False, **arguments)
    head = build_head(architecture, config["hidden_size"], **arguments)
    first = read_variables(head_variables(head))
    for name, value in read_variables(head_variables(whole)).items():
        np.testing.assert_array_equal(value, first[name])  # the same seed, the same start
    rng = np.random.default_rng(5)
    grown = {name: value + rng.normal(0, 0.2, value.shape) for name, value in first.items()}
    for model in (whole, head):
        assign_variables(head_variables(model), grown, "test")
    features = FeatureRows(table)
    states = predict_hidden_states(whole.get_layer("encoder"), features, np.arange(len(features)))
    rows = np.array([2, 3, 0])
    np.testing.assert_allclose(
        predict_logits(head, FeatureRows(table, states), rows, batch_size=2),
        predict_logits(whole, features, rows),
        atol=10 * HALF,
    )


def test_states_are_padded_with_zeros(table):
    features = FeatureRows(table)
    states = np.random.default_rng(0).normal(size=(features.offsets[-1], 8)).astype(np.float16)
    batch = FeatureRows(table, states).collate(np.array([2, 0]))
    assert batch["hidden_states"].shape == (2, 16, 8)
    np.testing.assert_array_equal(batch["hidden_states"][1, :7], states[:7])
    assert not batch["hidden_states"][0, 3:].any()
    assert "segment_ids" not in batch
    assert tf.convert_to_tensor(batch["hidden_states"]).dtype == tf.float32
