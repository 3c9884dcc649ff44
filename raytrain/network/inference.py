"""Running a model over rows: batches of like lengths, longest first, answers in the rows' order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.devices import available_cpus
from raytrain.network.build import input_specs
from raytrain.network.transformer import compiled_layers
from raytrain.network.weights import encoder_variables, max_positions
from raytrain.text.batches import FeatureRows, filled_batches, sequential_batches
from raytrain.text.ragged import bounds_of

keras = tf.keras

# What an encoder's layer makes of so many tokens stays in a core's caches: a fifth faster than of 8,192.
CORE_TOKENS = 1024
FILLED_TOKENS = 32_768  # on a card twice as many win a tenth
UNBOUNDED = 512  # the longest shape of an encoder without a bound, unless a text is longer
CARD_BATCHES = 2  # one is computed while the other is laid or fetched
TEXTS = 64

Batch = tuple[np.ndarray, np.ndarray, int | None]  # positions of the answers, rows, length to pad to
Function = Any  # of TensorFlow, traced once for texts of any length


def predict_logits(
    model: keras.Model,
    features: FeatureRows,
    rows: np.ndarray,
    batch_size: int | None = None,
    compiled: bool = False,
) -> np.ndarray:
    """Runs a model of `network.build.build_model` or `build_head`.

    Args:
        model: The model.
        features: The corpus.
        rows: Which of its rows are predicted.
        batch_size: Most texts of a forward pass; None takes as many as suit the device.
        compiled: Whether XLA compiles an encoder's layers, for batches of few shapes: on a card that is
            several times as fast, once it is done.

    Returns:
        (len(rows), units) float32.
    """
    logits = np.zeros((len(rows), model.output_shape[-1]), np.float32)
    run = _function_of(model, _logits_function, compiled)

    def predict(positions: np.ndarray, batch: np.ndarray, length: int | None) -> None:
        logits[positions] = run(features.collate(batch, length)).numpy()[: len(positions)]

    _each_batch(predict, _deal(model, features, rows, batch_size, compiled))
    return logits


def predict_emissions(
    model: keras.Model,
    features: FeatureRows,
    rows: np.ndarray,
    batch_size: int | None = None,
    compiled: bool = False,
) -> np.ndarray:
    """Runs a tagger, as `predict_logits`. Returns (tokens of all rows, num_tags) float32, row after row."""
    run = _function_of(model, _logits_function, compiled)
    return _run_tokens(
        run, model, features, rows, _deal(model, features, rows, batch_size, compiled), np.float32
    )


def predict_hidden_states(
    encoder: keras.Model,
    features: FeatureRows,
    rows: np.ndarray,
    batch_size: int | None = None,
    compiled: bool = False,
) -> np.ndarray:
    """Runs an encoder alone, as `predict_logits`.

    Returns:
        (tokens of all rows, hidden_size) float16: the last layer's output, row after row. It leaves a
        LayerNorm, so that it lies far within half precision's range.
    """
    states, names = _function_of(encoder, _states_function, compiled), _inputs_of(encoder)
    return _run_tokens(
        lambda inputs: states({name: inputs[name] for name in names}),
        encoder,
        features,
        rows,
        _deal(encoder, features, rows, batch_size, compiled),
        np.float16,
    )


def _run_tokens(
    run, model: keras.Model, features: FeatureRows, rows: np.ndarray, batches: Iterator[Batch], kind: type
) -> np.ndarray:
    """What `run` says of each token, row after row."""
    out = np.zeros((int(features.lengths[rows].sum()), model.output_shape[-1]), kind)
    offsets = bounds_of(features.lengths[rows])

    def predict(positions: np.ndarray, batch: np.ndarray, length: int | None) -> None:
        padded = run(features.collate(batch, length)).numpy()
        for position, sequence in zip(positions, padded[: len(positions)], strict=True):
            start, stop = offsets[position : position + 2]
            out[start:stop] = sequence[: stop - start]

    _each_batch(predict, batches)
    return out


def _deal(
    model: keras.Model, features: FeatureRows, rows: np.ndarray, batch_size: int | None, compiled: bool
) -> Iterator[Batch]:
    """Batches of like lengths, longest first."""
    has_encoder = bool(encoder_variables(model))
    if compiled and has_encoder:
        longest = max_positions(model) or max(UNBOUNDED, int(features.lengths[rows].max(initial=1)))
        yield from filled_batches(rows, features.lengths, batch_size, FILLED_TOKENS, longest)
        return
    max_tokens = _max_tokens() if has_encoder else None
    for positions, batch in sequential_batches(rows, features.lengths, batch_size or TEXTS, max_tokens):
        yield positions, batch, None


def _each_batch(
    predict: Callable[[np.ndarray, np.ndarray, int | None], None], batches: Iterator[Batch]
) -> None:
    """Calls it with every batch, several at once where that is quicker."""
    at_once = _batches_at_once()
    if at_once == 1:
        for batch in batches:
            predict(*batch)
        return
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(predict, *batch) for batch in batches]:
            done.result()


def _batches_at_once() -> int:
    if tf.config.get_visible_devices("GPU"):
        return CARD_BATCHES
    at_once = tf.config.threading.get_inter_op_parallelism_threads() or available_cpus()
    # A batch that takes all cores leaves gaps, which one more fills.
    return at_once if _threads_of_batch() == 1 else min(2, at_once)


def _threads_of_batch() -> int:
    return tf.config.threading.get_intra_op_parallelism_threads() or available_cpus()


def _max_tokens() -> int | None:
    return None if tf.config.get_visible_devices("GPU") else CORE_TOKENS * _threads_of_batch()


def _function_of(
    model: keras.Model, build: Callable[[keras.Model, bool], Function], compiled: bool
) -> Function:
    """The model's function, traced once."""
    functions = model.__dict__.setdefault("_raytrain_functions", {})
    if compiled not in functions:
        functions[compiled] = build(model, compiled)
    return functions[compiled]


def _logits_function(model: keras.Model, compiled: bool = False) -> Function:
    def predict(inputs):
        with compiled_layers(compiled):
            return tf.cast(model(inputs, training=False), tf.float32)

    return tf.function(predict, [input_specs(model)], autograph=False)


def _inputs_of(encoder: keras.Model) -> tuple[str, ...]:
    return ("token_ids", "segment_ids")[: len(encoder.inputs)]


def _states_function(encoder: keras.Model, compiled: bool = False) -> Function:
    names = _inputs_of(encoder)
    # From a card half as many bytes are fetched; on a CPU NumPy's casts are quicker.
    kind = tf.float16 if tf.config.get_visible_devices("GPU") else tf.float32

    def predict(inputs):
        with compiled_layers(compiled):
            return tf.cast(encoder([inputs[name] for name in names], training=False), kind)

    # One graph for batches of all shapes: in one that is traced for a shape TensorFlow fuses other
    # operations, so that in bfloat16 the states would depend on which batch a process came upon first.
    specs = {name: tf.TensorSpec((None, None), tf.int32, name) for name in names}
    return tf.function(predict, [specs], autograph=False)
