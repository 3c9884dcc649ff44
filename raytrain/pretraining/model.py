"""A masked language model: an encoder, and a head that tells the tokens at some of its positions."""

from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.kinds import embedding_width
from raytrain.network.blocks import LayerNorm
from raytrain.network.encoders import build_transformer
from raytrain.network.formulas import activation, linear
from raytrain.network.layers import DropoutSeed, Float32Layer, TruncatedNormal, add_float32
from raytrain.network.weights import named_variables

keras = tf.keras
HEAD = "cls/predictions"
_HEAD_SEED = 1  # beside the encoder's, whose initial weights would else come again
EMBEDDING = "bert/embeddings/word_embeddings"


class MaskedLanguageModel(keras.Model):
    """Tells tokens from their surroundings.

    The head is BERT's (Devlin et al. 2019) and ALBERT's: a dense layer to the token embedding's width, its
    activation, a norm, and the token embedding again, with a bias. It runs at the positions that are asked
    for alone, a sixth or so of all: elsewhere nothing is learned of its answer.

    Args:
        kind: A key of `kinds.KINDS`.
        config: The encoder's, in Google's names.
        seed: Of the initial weights.

    Attributes:
        transformer: bert4keras's object around the encoder.
        dropout_seed: Set by each training step.
    """

    def __init__(self, kind: str, config: dict[str, Any], seed: int):
        super().__init__(name="masked_language_model")
        self.dropout_seed = DropoutSeed()
        self.kind, self.config = kind, config
        self.transformer = build_transformer(kind, config, seed, self.dropout_seed)
        self.encoder = self.transformer.model
        self.head = _build_head(kind, config, seed)

    @property
    def input(self) -> dict[str, Any]:
        names = ("token_ids", "positions")
        return {name: tf.TensorSpec((None, None), tf.int32, name=name) for name in names}

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, training=None):
        """(rows, length) token_ids and (rows, K) positions to (rows, K, vocabulary) float32 logits."""
        ids, positions = inputs["token_ids"], inputs["positions"]
        states = self.encoder([ids, tf.zeros_like(ids)][: len(self.encoder.inputs)], training=training)
        told = tf.gather(states, positions, batch_dims=1)
        rows = tf.reshape(told, [-1, states.shape[-1]])
        logits = self.head(rows, self.token_embedding, training=training)
        shape = tf.concat([tf.shape(positions), [self.config["vocab_size"]]], axis=0)
        return tf.reshape(logits, shape)

    @property
    def token_embedding(self) -> tf.Variable:
        return self.variables_by_name()[EMBEDDING]

    def variables_by_name(self) -> dict[str, tf.Variable]:
        """The encoder's and the head's variables by Google's names."""
        return named_variables(self.transformer) | self.head.variables_by_name()


class MaskedHead(keras.Model):
    """What stands on the encoder, named as heads are.

    Args:
        channels: Of the encoder's states.
        width: Of the token embedding.
        vocab_size: Tokens.
        hidden_act: As in the encoder's config.
        epsilon: Of its norm.
        initializer: Of its kernel.
    """

    def __init__(
        self, channels: int, width: int, vocab_size: int, hidden_act: str, epsilon: float, initializer: Any
    ):
        super().__init__(name="head")
        self.transform = _Dense(channels, width, initializer, name="transform")
        self.norm = LayerNorm(epsilon=epsilon, name="transform-Norm")
        self.output_bias = _Bias(vocab_size, name="output")
        self.hidden_act = hidden_act
        for layer, shape in ((self.transform, (None, channels)), (self.norm, (None, width))):
            layer.build(shape)
            layer.built = True
        self.output_bias.build(None)

    @tf.autograph.experimental.do_not_convert
    def call(self, rows, embedding, training=None):
        """(tokens, channels) states and the (vocabulary, width) embedding to logits, float32."""
        inner = tf.custom_gradient(activation(self.hidden_act))(
            _product(rows, self.transform.kernel, self.transform.bias)
        )
        kernel = tf.transpose(tf.convert_to_tensor(embedding))
        return _product(self.norm(inner, training=training), kernel, self.output_bias.bias)

    def variables_by_name(self) -> dict[str, tf.Variable]:
        """Its variables by Google's names."""
        return {
            f"{HEAD}/transform/dense/kernel": self.transform.kernel,
            f"{HEAD}/transform/dense/bias": self.transform.bias,
            f"{HEAD}/transform/LayerNorm/beta": self.norm.beta,
            f"{HEAD}/transform/LayerNorm/gamma": self.norm.gamma,
            f"{HEAD}/output_bias": self.output_bias.bias,
        }


class _Dense(Float32Layer):
    def __init__(self, channels: int, units: int, initializer: Any, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.initializer = (channels, units), initializer

    def build(self, input_shape):
        self.kernel = add_float32(self, "kernel", self.shape, self.initializer)
        self.bias = add_float32(self, "bias", self.shape[1:], "zeros")


class _Bias(Float32Layer):
    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.bias = add_float32(self, "bias", (self.units,), "zeros")


def _product(rows, kernel, bias):
    """A product in the policy's type, float32 out."""
    low = tf.cast(rows, keras.mixed_precision.global_policy().compute_dtype)
    return tf.custom_gradient(linear)(low, tf.convert_to_tensor(kernel), tf.convert_to_tensor(bias))


def _build_head(kind: str, config: dict[str, Any], seed: int) -> MaskedHead:
    [own] = np.random.SeedSequence([seed, _HEAD_SEED]).generate_state(1) >> 1
    return MaskedHead(
        config["hidden_size"],
        embedding_width(kind, config),
        config["vocab_size"],
        config.get("hidden_act", "gelu"),
        config.get("layer_norm_eps", 1e-12),
        TruncatedNormal(int(own)),
    )


class TokenTelling:
    """What a training step is to learn: the masked tokens.

    A batch's weights hold the division by how many there are in it.
    """

    target_spec = tf.TensorSpec((None, None), tf.int32)

    def losses(self, model, inputs, outputs, targets):
        """(rows,) sums over a row's masked tokens of their losses in nats."""
        return tf.reduce_sum(token_losses(outputs, targets), axis=1)


def token_losses(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """(rows, K) cross entropies in nats; 0 where no token is to be told."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
    return tf.where(targets > 0, losses, 0.0)
