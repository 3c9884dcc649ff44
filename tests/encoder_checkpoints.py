"""Checkpoints of encoders so small that they are written and read in no time."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import json

import numpy as np
import tensorflow as tf

from raytrain.kinds import KINDS as KINDS_TABLE
from raytrain.network.encoders import build_transformer
from raytrain.network.layers import DropoutSeed
from raytrain.network.weights import load_weights, named_variables
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.weights import open_weights


KINDS = tuple(KINDS_TABLE)


BATCH = (
    np.array([[2, 7, 9, 8, 3, 6, 3], [2, 5, 3, 0, 0, 0, 0]]),
    np.array([[0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 0]]),
)


def transformer_of(kind, config, seed=0):
    return build_transformer(kind, config, seed, DropoutSeed())


def run(transformer, batch=BATCH):
    """Hidden states at real positions."""
    output = transformer.model([tf.constant(ids) for ids in batch], training=False).numpy()
    return output[batch[0] != 0]


def draw(shapes, seed=0):
    """Arrays of shapes, norms around 1, all large enough that each one counts."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(float(name.endswith("gamma")), 0.3, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }


def random_arrays(transformer, seed=0):
    return draw(
        {name: tuple(variable.shape) for name, variable in named_variables(transformer).items()}, seed
    )


def write_checkpoint(prefix, arrays):
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )
    return str(prefix)


def write_directory(directory, config, vocab, arrays, name="model.ckpt-best"):
    directory.mkdir(parents=True)
    (directory / "albert_config.json").write_text(json.dumps(config))
    (directory / "vocab_chinese.txt").write_text("".join(f"{token}\n" for token in vocab), encoding="utf-8")
    write_checkpoint(directory / name, arrays)
    return directory


def load_directory(directory):
    """An encoder as a run loads it."""
    encoder = read_encoder(str(directory), True, 16)
    transformer = transformer_of(encoder.kind, encoder.config)
    return encoder, transformer, load_weights(transformer, open_weights(encoder.kind, encoder.weights))
