"""What an encoder costs on this machine: memory by its size, speed as measured. Imports TensorFlow."""

import time
from typing import Any

import numpy as np
import tensorflow as tf
from bert4keras.models import BERT

LENGTH, TEXTS = 128, 8  # tokens of a text where it has positions for them, texts of a batch
_RUNS = 3
_FLOAT_BYTES = 4


def cost_lines(transformer: BERT, num_parameters: int, positions: int | None = None) -> list[str]:
    """Memory and speed, a line each, for people.

    Training keeps a gradient and Adam's two moments beside each weight (Kingma and Ba 2015); what its layers
    keep of a batch comes on top.

    Args:
        transformer: Of `network.encoders.build_transformer`, with `all` positions.
        num_parameters: Of its variables.
        positions: The most tokens that it reads; None has no bound.
    """
    length = min(LENGTH, positions or LENGTH)
    weights = num_parameters * _FLOAT_BYTES / 1e6
    speed = texts_per_second(transformer, length)
    return [
        f"memory: {weights:,.0f} MB of weights; {4 * weights:,.0f} MB where they are trained, and batches",
        f"speed here: about {_two_digits(speed):,} texts/s of {length} tokens through the encoder; "
        "training it takes some three times as long",
    ]


def texts_per_second(transformer: BERT, length: int) -> float:
    """How many texts of a length in tokens the encoder reads in a second, by the best of few batches."""
    inputs = [tf.ones((TEXTS, length), tf.int32), tf.zeros((TEXTS, length), tf.int32)]
    run: Any = tf.function(lambda tokens, segments: transformer.model([tokens, segments], training=False))
    run(*inputs)  # traced once
    seconds = []
    for _ in range(_RUNS):
        begin = time.perf_counter()
        np.asarray(run(*inputs))
        seconds.append(time.perf_counter() - begin)
    return TEXTS / max(min(seconds), 1e-9)


def _two_digits(value: float) -> int:
    """Rounded to what a measurement of so few batches is worth."""
    return int(float(f"{value:.2g}")) if value >= 1 else 1
