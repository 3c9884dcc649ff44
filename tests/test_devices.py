import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import gc
import os
import subprocess
import weakref

import numpy as np
import pytest
import tensorflow as tf

from raytrain import devices
from raytrain.devices import (
    _set_xla_flags,
    compiles,
    compiles_predictions,
    predict_side_by_side,
    hushed_stderr,
    quick_imports,
    set_precision,
)
from raytrain.network.build import build_model
from raytrain.network.weights import head_variables

keras = tf.keras
NUM_WORDS, LENGTHS = 20, (9, 4, 12)


pytestmark = pytest.mark.usefixtures("float32_again")


def batch(vocab_size):
    rng = np.random.default_rng(0)
    real = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    sizes = {"token_ids": vocab_size, "word_ids": NUM_WORDS, "segment_ids": 1}
    return {name: (rng.integers(0, size, real.shape) * real).astype(np.int32) for name, size in sizes.items()}


def logits_and_gradients(config, architecture):
    """Of a model with large weights, so that a wrong cast would show."""
    model = build_model(architecture, "albert", config, 3, (NUM_WORDS, 8), True, 0.0, seed=1)
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.05, variable.shape))
    inputs = batch(config["vocab_size"])

    @tf.function
    def run():
        with tf.GradientTape() as tape:
            logits = model(inputs, training=False)
            loss = tf.reduce_sum(tf.cast(logits, tf.float32) ** 2)
        kernel = head_variables(model)["logits.0.kernel"]
        return logits, tape.gradient(loss, kernel)

    return [tensor.numpy() for tensor in run()]


@pytest.mark.parametrize("architecture", ["finetune", "textcnn", "rnn_cnn"])
def test_bfloat16_changes_rounding_alone(encoder_config, architecture):
    config = encoder_config("albert", 0.0)
    set_precision("float32")
    logits, gradients = logits_and_gradients(config, architecture)
    set_precision("bfloat16")
    low_logits, low_gradients = logits_and_gradients(config, architecture)
    assert low_logits.dtype == np.float32
    assert not np.array_equal(low_logits, logits)
    np.testing.assert_allclose(low_logits, logits, atol=0.03)
    np.testing.assert_allclose(low_gradients, gradients, atol=0.03 * np.abs(gradients).max() + 0.03)


def policy():
    return keras.mixed_precision.global_policy().name


def test_float32_undoes_bfloat16():
    set_precision("bfloat16")
    assert policy() == "mixed_bfloat16"
    set_precision("float32")
    assert policy() == "float32"


def test_another_precision_is_none():
    with pytest.raises(KeyError):
        set_precision("bf16")


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_auto_follows_the_hardware(monkeypatch, has_bfloat16):
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: has_bfloat16)
    set_precision("auto")
    assert policy() == ("mixed_bfloat16" if has_bfloat16 else "float32")


@pytest.fixture
def xla_flags(monkeypatch, tmp_path):
    """Sets the flags beside what the user has; gives them by variable."""
    monkeypatch.setenv("RAYTRAIN_HOME", str(tmp_path / "home"))

    def flags(**given):
        for name in ("XLA_FLAGS", "TF_XLA_FLAGS"):
            monkeypatch.setenv(name, given.get(name, ""))
        _set_xla_flags()
        return [os.environ[name].split() for name in ("XLA_FLAGS", "TF_XLA_FLAGS")]

    return flags


def test_xla_compiles_quickly_and_keeps_it_for_this_user_alone(xla_flags, tmp_path):
    plain, cache = xla_flags()
    assert plain == ["--xla_gpu_autotune_level=0", "--xla_gpu_enable_triton_gemm=false"]
    assert cache == [f"--tf_xla_persistent_cache_directory={tmp_path / 'home' / 'xla'}"]
    assert (tmp_path / "home" / "xla").stat().st_mode & 0o777 == 0o700
    assert xla_flags(XLA_FLAGS=" ".join(plain), TF_XLA_FLAGS=cache[0]) == [plain, cache]


def test_xla_keeps_the_users_own_flags(xla_flags):
    own = ["--xla_dump_to=/tmp/x", "--xla_gpu_autotune_level=4"]
    plain, cache = xla_flags(
        XLA_FLAGS=" ".join(own), TF_XLA_FLAGS="--tf_xla_persistent_cache_directory=/elsewhere"
    )
    assert plain == [*own, "--xla_gpu_enable_triton_gemm=false"]
    assert cache == ["--tf_xla_persistent_cache_directory=/elsewhere"]


def test_a_home_that_cannot_be_written_leaves_xla_without_a_cache(xla_flags, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    for home in (str(tmp_path / "file"), "~nobody-of-this-name/own"):
        monkeypatch.setenv("RAYTRAIN_HOME", home)
        plain, cache = xla_flags()
        assert plain and not cache


@pytest.mark.parametrize("share", [None, 0.0])
def test_a_process_without_a_card_sets_no_flags(monkeypatch, share):
    monkeypatch.setattr(devices, "_set_xla_flags", lambda: pytest.fail("it owns no card"))
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda _: None)
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", lambda _: None)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *_: None)
    devices._share_machine.__wrapped__(1, share, False)


@pytest.fixture
def threads(monkeypatch):
    """How many threads TensorFlow is told to take."""
    told = {}
    for name in ("intra", "inter"):
        monkeypatch.setattr(
            tf.config.threading,
            f"set_{name}_op_parallelism_threads",
            lambda number, name=name: told.update({name: number}),
        )
    return told


@pytest.mark.parametrize(("side_by_side", "expected"), [(False, (3, 1)), (True, (1, 3))])
def test_a_process_takes_its_threads_for_one_batch_or_for_as_many(
    monkeypatch, threads, side_by_side, expected
):
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *_: None)
    devices._share_machine.__wrapped__(3, None, side_by_side)
    assert (threads["intra"], threads["inter"]) == expected


def test_who_predicts_alone_takes_all_cpus_of_the_process(monkeypatch, threads):
    monkeypatch.setattr(devices, "available_cpus", lambda: 5)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    predict_side_by_side()
    assert threads == {"inter": 5, "intra": 1}


def test_who_predicts_on_a_card_or_has_computed_leaves_things_as_they_are(monkeypatch, threads):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["GPU:0"])
    predict_side_by_side()
    assert threads == {}

    def initialized(number):
        raise RuntimeError("cannot be modified after initialization")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", initialized)
    predict_side_by_side()
    assert threads == {}


def test_available_cpus_are_those_that_the_process_may_use():
    assert devices.available_cpus() == len(os.sched_getaffinity(0))


def test_auto_compiles_where_there_are_cards(monkeypatch):
    cards = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: cards)
    assert [compiles(wanted) for wanted in ("auto", True, False)] == [False, True, False]
    cards.append("GPU:0")
    assert [compiles(wanted) for wanted in ("auto", True, False)] == [True, True, False]


def test_predictions_are_compiled_where_there_are_cards_and_xla_works(monkeypatch):
    assert devices._xla_works.__wrapped__() and not compiles_predictions()
    monkeypatch.setattr(devices, "compiles", lambda wanted: True)
    for works in (True, False):
        monkeypatch.setattr(devices, "_xla_works", lambda works=works: works)
        assert compiles_predictions() is works


def test_xla_that_cannot_compile_is_no_failure(monkeypatch):
    def refuse(*_, **__):
        raise tf.errors.InternalError(None, None, "no ptxas")

    monkeypatch.setattr(tf, "function", refuse)
    assert not devices._xla_works.__wrapped__()


def test_the_garbage_collector_stands_still_during_imports_alone():
    with pytest.raises(ImportError), quick_imports():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()


def test_what_is_garbage_by_then_is_not_kept():
    class Node:
        pass

    with quick_imports():
        pass
    node = Node()
    node.itself = node
    left = weakref.ref(node)
    gc.disable()
    del node
    with quick_imports():
        pass
    assert left() is None


def test_what_was_imported_is_never_searched_again():
    gc.unfreeze()
    with quick_imports():
        pass
    assert gc.get_freeze_count() > 0


def test_what_is_said_below_python_is_hushed_and_stderr_is_back_after_an_error(capfd):
    with pytest.raises(ZeroDivisionError), hushed_stderr():
        os.write(2, b"Could not find cuda drivers\n")
        raise ZeroDivisionError
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


@pytest.mark.parametrize(
    ("told", "found"),
    [("9.0\n", True), ("8.0\n8.6\n", True), ("9.0\n7.5\n", False), ("7.0\n", False), ("", False)],
)
def test_the_driver_says_whether_all_cards_multiply_in_bfloat16(monkeypatch, told, found):
    asked = []

    def run(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout=told)

    monkeypatch.setattr(devices.subprocess, "run", run)
    assert devices.has_bfloat16(on_cards=True) is found
    assert "--query-gpu=compute_cap" in asked[0]


@pytest.mark.parametrize("error", [FileNotFoundError(), subprocess.CalledProcessError(2, "nvidia-smi")])
@pytest.mark.parametrize(("cards", "found"), [([], False), ([(8, 0)], True), ([(9, 0), (7, 5)], False)])
def test_without_the_drivers_tools_tensorflow_says_it(monkeypatch, error, cards, found):
    monkeypatch.setattr(devices.subprocess, "run", lambda *_, **__: (_ for _ in ()).throw(error))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: cards)

    def details(card):
        return {"compute_capability": card}

    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    assert devices.has_bfloat16(on_cards=True) is found


def test_without_cards_the_processor_counts(monkeypatch):
    for has in (True, False):
        monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda has=has: has)
        assert devices.has_bfloat16(on_cards=False) is has
