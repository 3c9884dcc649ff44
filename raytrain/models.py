"""Encoder + head as one keras.Model, and weights by name."""

from typing import Any

import numpy as np
import tensorflow as tf
from bert4keras.layers import Dropout as PlainDropout
from bert4keras.layers import MultiHeadAttention
from bert4keras.models import ALBERT, BERT

from raytrain.errors import ArtifactError, CheckpointError
from raytrain.layers import (
    Dropout,
    DropoutSeed,
    MaskedConv1D,
    MaskedMaxPooling,
    MaskedMeanPooling,
    PaddingMask,
    SelfAttention,
    TruncatedNormal,
)

keras = tf.keras


class _RepeatableLayers:
    """Mixin for bert4keras's models: repeatable dropout and initial weights."""

    dropout_seed: DropoutSeed
    truncated_normal: TruncatedNormal

    @property
    def initializer(self):
        return self.truncated_normal

    def apply(self, inputs=None, layer=None, arguments=None, **kwargs):
        if layer is PlainDropout:
            if self.dropout_rate == 0:
                return inputs
            layer, kwargs = Dropout, {**kwargs, "seed": self.dropout_seed}
        elif layer is MultiHeadAttention:
            layer, kwargs = SelfAttention, {**kwargs, "dropout_seed": self.dropout_seed}
            arguments = None  # it would say that there is no bias
        return super().apply(inputs, layer, arguments, **kwargs)


class _Bert(_RepeatableLayers, BERT):
    pass


class _Albert(_RepeatableLayers, ALBERT):
    pass


def build_transformer(kind: str, config: dict[str, Any], seed: int, dropout_seed: DropoutSeed) -> BERT:
    """Builds bert4keras's object around an untrained encoder; its `model` is the keras.Model.

    Args:
        kind: `bert` or `albert`.
        config: Google's config json, as a dict.
        seed: Of the initial weights.
        dropout_seed: Where its dropout layers find their seed.
    """
    transformer = (_Albert if kind == "albert" else _Bert)(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        num_hidden_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        intermediate_size=config["intermediate_size"],
        hidden_act=config.get("hidden_act", "gelu"),
        embedding_size=config.get("embedding_size"),
        max_position=config.get("max_position_embeddings", 512),
        segment_vocab_size=config.get("type_vocab_size", 2),
        dropout_rate=config.get("hidden_dropout_prob"),
        attention_dropout_rate=config.get("attention_probs_dropout_prob"),
        name="encoder",
    )
    transformer.dropout_seed = dropout_seed
    transformer.truncated_normal = TruncatedNormal(seed)
    transformer.build()
    return transformer


def load_checkpoint(transformer: BERT, prefix: str) -> list[str]:
    """Loads a TensorFlow checkpoint in Google's variable names.

    Returns:
        Names of variables in the checkpoint that the encoder has no use for (pooler, language model).

    Raises:
        CheckpointError: Listing every variable that is missing or of another shape.
    """
    try:
        found = {name: tuple(shape) for name, shape in tf.train.list_variables(prefix)}
    except (tf.errors.OpError, ValueError) as error:
        raise CheckpointError(f"{prefix}: not a TensorFlow checkpoint: {error}") from error
    mapping = {
        name: names for name, names in transformer.variable_mapping().items() if name in transformer.layers
    }
    problems, used = [], set()
    for layer, names in mapping.items():
        for weight, name in zip(transformer.layers[layer].trainable_weights, names, strict=True):
            used.add(name)
            if name not in found:
                problems.append(f"expected the variable {name}, shape {tuple(weight.shape)}; found none")
            elif found[name] != tuple(weight.shape):
                problems.append(f"{name}: expected shape {tuple(weight.shape)}, found {found[name]}")
    if problems:
        problems.append("it holds " + ", ".join(sorted(found)[:8]) + (", …" if len(found) > 8 else ""))
        raise CheckpointError(f"{prefix}: its variables are not those of the config", problems)
    try:
        transformer.load_weights_from_checkpoint(prefix, mapping)
    except tf.errors.OpError as error:
        raise CheckpointError(f"{prefix}: cannot be read: {error.message}") from error
    return sorted(found.keys() - used)


def build_model(
    architecture: str,
    kind: str,
    config: dict[str, Any],
    num_classes: int,
    embedding: tuple[int, int],
    train_encoder: bool,
    dropout: float,
    seed: int,
) -> keras.Model:
    """Builds an untrained classifier.

    Args:
        architecture: `finetune`, `textcnn` or `rnn_cnn`.
        kind: `bert` or `albert`.
        config: Google's config json, as a dict.
        num_classes: Two classes give one logit (sigmoid), more give one each (softmax).
        embedding: Rows and columns of the word embedding.
        train_encoder: False freezes the encoder, and it then runs without dropout.
        dropout: Rate of the head.
        seed: Of the initial weights.

    Returns:
        A keras.Model of {token_ids, segment_ids, word_ids}, each (batch, length) int32, to logits
        (batch, 1 or num_classes); its attribute `dropout_seed` is set by each training step.
    """
    dropout_seed = DropoutSeed()
    encoder = build_transformer(kind, config, seed, dropout_seed).model
    encoder.trainable = train_encoder
    ids = {name: keras.Input((None,), dtype=tf.int32, name=name) for name in INPUTS}
    mask = PaddingMask(name="mask")(ids["token_ids"])
    encoder_inputs = [ids["token_ids"], ids["segment_ids"]][: len(encoder.inputs)]
    sequence = encoder(encoder_inputs) if train_encoder else encoder(encoder_inputs, training=False)
    # Not seed, seed + 1, …: folds have consecutive seeds and would share initial values.
    seeds = iter((np.random.SeedSequence(seed).generate_state(32) >> 1).tolist())
    if architecture == "finetune":
        vector = keras.layers.Lambda(lambda x: x[:, 0], name="first")(sequence)
    else:
        words = keras.layers.Embedding(*embedding, embeddings_initializer="zeros", name="word_embedding")
        fused = keras.layers.Concatenate(name="fused")([sequence, words(ids["word_ids"])])
        vector = _fusion_head(fused, mask, num_bilstms=2 if architecture == "rnn_cnn" else 0, seeds=seeds)
    vector = Dropout(dropout, dropout_seed, name="dropout")(vector)
    if architecture != "finetune":
        vector = keras.layers.Dense(32, activation="relu", name="dense", kernel_initializer=_glorot(seeds))(
            vector
        )
    units = 1 if num_classes == 2 else num_classes
    logits = keras.layers.Dense(units, name="logits", kernel_initializer=_glorot(seeds))(vector)
    model = keras.Model(ids, logits, name=architecture)
    model.dropout_seed = dropout_seed
    return model


INPUTS = ("token_ids", "segment_ids", "word_ids")


def _glorot(seeds):
    return keras.initializers.GlorotUniform(seed=next(seeds))


def _fusion_head(fused, mask, num_bilstms: int, seeds):
    """Encoder and word vectors side by side → BiLSTMs → convolution → max + mean pooling."""
    for number in range(num_bilstms):
        forward, backward = (
            keras.layers.LSTM(
                128,
                return_sequences=True,
                go_backwards=backwards,
                kernel_initializer=_glorot(seeds),
                recurrent_initializer=keras.initializers.Orthogonal(seed=next(seeds)),
                name="backward" if backwards else "forward",
            )
            for backwards in (False, True)
        )
        bilstm = keras.layers.Bidirectional(forward, backward_layer=backward, name=f"bilstm_{number}")
        fused = bilstm(fused, mask=mask)
    convolution = MaskedConv1D(
        256, 3, activation="relu", kernel_initializer=_glorot(seeds), name="convolution"
    )
    local = convolution(fused, mask=mask)
    return keras.layers.Add(name="pooled")(
        [MaskedMaxPooling(name="max")(local, mask=mask), MaskedMeanPooling(name="mean")(local, mask=mask)]
    )


def _named_variables(layers) -> dict[str, tf.Variable]:
    """Names by layer and position: Keras's own names count every layer the process has built."""
    named = {}
    for layer in layers:
        for position, weight in enumerate(layer.weights):
            leaf = weight.name.rsplit("/", 1)[-1].split(":")[0]
            named[f"{layer.name}.{position}.{leaf}"] = weight
    return named


def encoder_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """The encoder's variables by name, each starting with `encoder.`."""
    encoder = model if model.name == "encoder" else model.get_layer("encoder")
    return {f"encoder.{name}": weight for name, weight in _named_variables(encoder.layers).items()}


def head_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """The head's variables by name."""
    return _named_variables(layer for layer in model.layers if layer.name != "encoder")


def learned_variables(model: keras.Model) -> dict[str, tf.Variable]:
    """What a fold learns, by name: the head, and the encoder where it trains."""
    frozen = not model.get_layer("encoder").trainable
    return head_variables(model) if frozen else head_variables(model) | encoder_variables(model)


def read_variables(variables: dict[str, tf.Variable]) -> dict[str, np.ndarray]:
    return {name: variable.numpy() for name, variable in variables.items()}


def assign_variables(variables: dict[str, tf.Variable], values: dict[str, np.ndarray], source: str) -> None:
    """Sets variables by name; names and shapes must be the same on both sides.

    Raises:
        ArtifactError: Naming `source` and everything missing, left over or of another shape.
    """
    problems = [f"no weight {name}" for name in variables.keys() - values.keys()]
    problems += [f"a weight {name} that the model lacks" for name in values.keys() - variables.keys()]
    problems += [
        f"{name}: expected shape {tuple(variables[name].shape)}, found {values[name].shape}"
        for name in variables.keys() & values.keys()
        if tuple(variables[name].shape) != values[name].shape
    ]
    if problems:
        raise ArtifactError(f"{source}: its weights are not those of the model", sorted(problems))
    for name, variable in variables.items():
        variable.assign(values[name])
