"""Running a model over rows: batches of like lengths, longest first, answers in the rows' order."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from raytrain.devices import available_cpus
from raytrain.network.build import input_specs
from raytrain.network.weights import encoder_variables
from raytrain.text.batches import FeatureRows, sequential_batches
from raytrain.text.ragged import bounds_of

keras = tf.keras

# What an encoder's layer makes of so many tokens stays in a core's caches: a fifth faster than of 8,192.
CORE_TOKENS = 1024


def predict_logits(
    model: keras.Model, features: FeatureRows, rows: np.ndarray, batch_size: int = 64
) -> np.ndarray:
    """Runs a model of `network.build.build_model` or `build_head`. Returns (len(rows), units) float32."""
    logits = np.zeros((len(rows), model.output_shape[-1]), np.float32)
    run = _compiled(model, _logits_function)
    max_tokens = _max_tokens() if encoder_variables(model) else None

    def predict(positions: np.ndarray, batch: np.ndarray) -> None:
        logits[positions] = run(features.collate(batch)).numpy()

    _each_batch(predict, features, rows, batch_size, max_tokens)
    return logits


def predict_emissions(
    model: keras.Model, features: FeatureRows, rows: np.ndarray, batch_size: int = 64
) -> np.ndarray:
    """Runs a tagger. Returns (tokens of all rows, num_tags) float32, row after row."""
    max_tokens = _max_tokens() if encoder_variables(model) else None
    emissions = _empty_tokens(features, rows, model, np.float32)
    _run_tokens(_compiled(model, _logits_function), features, rows, batch_size, max_tokens, emissions)
    return emissions


def predict_hidden_states(
    encoder: keras.Model, features: FeatureRows, rows: np.ndarray, batch_size: int = 64
) -> np.ndarray:
    """Runs an encoder alone.

    Returns:
        (tokens of all rows, hidden_size) float16: the last layer's output, row after row. It leaves a
        LayerNorm, so that it lies far within half precision's range.
    """
    states = _empty_tokens(features, rows, encoder, np.float16)
    _run_tokens(_compiled(encoder, _states_function), features, rows, batch_size, _max_tokens(), states)
    return states


def _empty_tokens(features: FeatureRows, rows: np.ndarray, model: keras.Model, kind: type) -> np.ndarray:
    return np.zeros((int(features.lengths[rows].sum()), model.output_shape[-1]), kind)


def _run_tokens(run, features: FeatureRows, rows, batch_size: int, max_tokens: int | None, out) -> None:
    """Writes what `run` says of each token to `out`, row after row."""
    offsets = bounds_of(features.lengths[rows])

    def predict(positions: np.ndarray, batch: np.ndarray) -> None:
        for position, padded in zip(positions, run(features.collate(batch)).numpy(), strict=True):
            start, stop = offsets[position : position + 2]
            out[start:stop] = padded[: stop - start]

    _each_batch(predict, features, rows, batch_size, max_tokens)


def _each_batch(
    predict: Callable[[np.ndarray, np.ndarray], None],
    features: FeatureRows,
    rows: np.ndarray,
    batch_size: int,
    max_tokens: int | None,
) -> None:
    """Calls it with the positions and rows of every batch, several at once where TensorFlow runs them so."""
    batches = sequential_batches(rows, features.lengths, batch_size, max_tokens)
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
        return 1
    at_once = tf.config.threading.get_inter_op_parallelism_threads() or available_cpus()
    # A batch that takes all cores leaves gaps, which one more fills.
    return at_once if _threads_of_batch() == 1 else min(2, at_once)


def _threads_of_batch() -> int:
    return tf.config.threading.get_intra_op_parallelism_threads() or available_cpus()


def _max_tokens() -> int | None:
    return None if tf.config.get_visible_devices("GPU") else CORE_TOKENS * _threads_of_batch()


def _compiled(model: keras.Model, build: Callable[[keras.Model], tf.types.experimental.PolymorphicFunction]):
    if not hasattr(model, "_raytrain_predict"):
        model._raytrain_predict = build(model)
    return model._raytrain_predict


def _logits_function(model: keras.Model):
    return tf.function(
        lambda inputs: tf.cast(model(inputs, training=False), tf.float32),
        [input_specs(model)],
        autograph=False,
    )


def _states_function(encoder: keras.Model):
    names = ("token_ids", "segment_ids")[: len(encoder.inputs)]
    return tf.function(
        lambda inputs: tf.cast(encoder([inputs[name] for name in names], training=False), tf.float32),
        reduce_retracing=True,
        autograph=False,
    )
