"""Running a model over rows: batches of like lengths, longest first, answers in the rows' order."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

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
    for positions, batch in sequential_batches(rows, features.lengths, batch_size, max_tokens):
        logits[positions] = run(features.collate(batch)).numpy()
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
    for positions, batch in sequential_batches(rows, features.lengths, batch_size, max_tokens):
        inputs = features.collate(batch)
        for position, padded in zip(positions, run(inputs).numpy(), strict=True):
            start, stop = offsets[position : position + 2]
            out[start:stop] = padded[: stop - start]


def _max_tokens() -> int | None:
    if tf.config.get_visible_devices("GPU"):
        return None
    return CORE_TOKENS * (tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1)


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
