"""BERT and ALBERT encoders of bert4keras, built of layers that compute what `network.transformer` says."""

from typing import Any, Literal

import bert4keras.layers
import tensorflow as tf
from bert4keras.models import ALBERT, BERT

from raytrain.network.formulas import LayerSettings, fuses, normalize, normalize_fused
from raytrain.network.layers import (
    MIXED_LAYERS,
    Dense,
    Dropout,
    DropoutSeed,
    Float32Layer,
    TruncatedNormal,
    add_float32,
)
from raytrain.network.taps import TOKENS, Tap
from raytrain.network.transformer import PLACES, run_layer

keras = tf.keras

Reads = Literal["all", "first", "layers"]


class LayerNorm(bert4keras.layers.LayerNormalization):
    """bert4keras's unconditional LayerNormalization by `normalize`; float32 whatever the policy."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs, training=None):
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if not training and fuses():
            return normalize_fused(inputs, gamma, beta, self.epsilon)

        @tf.custom_gradient
        def norm(inputs, gamma, beta):
            return normalize(inputs, gamma, beta, self.epsilon)

        return norm(inputs, gamma, beta)


class Denses(Float32Layer):
    """Holds kernels and biases of several products, for its layer to multiply by.

    Args:
        shapes: (channels, units) of each.
        kernel_initializer: Of the kernels, called for one after another.
    """

    def __init__(self, shapes: list[tuple[int, int]], kernel_initializer: Any, **kwargs):
        super().__init__(**kwargs)
        self.shapes, self.kernel_initializer = shapes, kernel_initializer

    def build(self, input_shape=None):
        for shape in self.shapes:
            add_float32(self, "kernel", shape, self.kernel_initializer)
            add_float32(self, "bias", shape[1:], "zeros")
        super().build(input_shape)


class TransformerLayer(Float32Layer):
    """A layer of `network.transformer`, (batch, length, channels) float32 to the same shape.

    Args:
        settings: Of the layer, but for `first_only`.
        channels: Of its inputs.
        units: Of the inner product of its feed-forward half.
        dropout_seed: Where it finds the keys of its masks.
        kernel_initializer: Called for one kernel after another.

    Attributes:
        parts: The layers that hold its weights, named as bert4keras's.
    """

    def __init__(
        self,
        settings: LayerSettings,
        channels: int,
        units: int,
        dropout_seed: DropoutSeed,
        kernel_initializer: Any,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings, self.dropout_seed, self.supports_masking = settings, dropout_seed, True
        width = settings.heads * settings.head_size
        attention, feed_forward = f"{self.name}-MultiHeadSelfAttention", f"{self.name}-FeedForward"
        inner = [(channels, units), (units, channels)]
        self.parts = [
            Denses([(channels, width)] * 3 + [(width, channels)], kernel_initializer, name=attention),
            LayerNorm(epsilon=settings.epsilon, name=f"{attention}-Norm"),
            Denses(inner, kernel_initializer, name=feed_forward),
            LayerNorm(epsilon=settings.epsilon, name=f"{feed_forward}-Norm"),
        ]

    def build(self, input_shape):
        for part in self.parts:
            part.build(input_shape)
            part.built = True
        super().build(input_shape)

    def compute_output_shape(self, input_shape):
        return input_shape

    def call(self, inputs, mask=None, training=None, place=0, first_only=False):
        """Runs the layer.

        Args:
            inputs: (batch, length, channels) float32.
            mask: (batch, length); None where all tokens are real.
            training: Whether it drops.
            place: Of its first mask, as `DropoutSeed.reserve` gives it: a layer may be applied several times.
            first_only: Returns the first position alone, (batch, 1, channels).
        """
        if mask is None:
            mask = tf.ones(tf.shape(inputs)[:2], tf.bool)
        settings = self.settings if not first_only else self.settings.of_first()
        keys = self.dropout_seed.keys(place, PLACES) if training and settings.drops else None
        weights = [tf.convert_to_tensor(weight) for part in self.parts for weight in part.weights]
        return run_layer(settings, inputs, mask, keys, weights, bool(training))


class _OwnLayers:
    """Mixin for bert4keras's models: fast layers, repeatable dropout and initial weights."""

    dropout_seed: DropoutSeed
    truncated_normal: TruncatedNormal
    reads: Reads
    layer_outputs: list[Any]
    norm_epsilon: float

    @property
    def initializer(self):
        return self.truncated_normal

    def apply(self, inputs=None, layer=None, arguments=None, **kwargs):
        if layer is bert4keras.layers.Dropout:
            if self.dropout_rate == 0:
                return inputs
            layer, kwargs = Dropout, {**kwargs, "seed": self.dropout_seed}
        elif layer is bert4keras.layers.LayerNormalization:
            layer, kwargs = LayerNorm, {**kwargs, "epsilon": self.norm_epsilon}
        elif layer is keras.layers.Dense:
            layer = Dense
        # Products are in the policy's type. What stands between them, the residual stream among it, is
        # float32 whatever the policy, as when PyTorch's autocast runs a Transformer.
        if layer is not Dense:
            kwargs = {**kwargs, "dtype": "float32"}
        outputs = super().apply(inputs, layer, arguments, **kwargs)
        if kwargs.get("name") == "Embedding-Token":
            return super().apply(outputs, Tap, name=TOKENS)
        return outputs

    def apply_main_layers(self, inputs, index):
        """One layer, which may be the same every time, but not its places of dropout."""
        name = "Transformer" if isinstance(self, ALBERT) else f"Transformer-{index}"
        settings = LayerSettings(
            heads=self.num_attention_heads,
            head_size=self.attention_head_size,
            activation=self.hidden_act,
            epsilon=self.norm_epsilon,
            dropout=self.dropout_rate,
            attention_dropout=self.attention_dropout_rate,
            product_type=keras.mixed_precision.global_policy().compute_dtype,
        )
        arguments = {"place": self.dropout_seed.reserve(PLACES)}
        is_last = index == self.num_hidden_layers - 1
        arguments["first_only"] = is_last and self.reads != "all"
        outputs = self.apply(
            inputs,
            TransformerLayer,
            arguments,
            settings=settings,
            channels=self.hidden_size,
            units=self.intermediate_size,
            dropout_seed=self.dropout_seed,
            kernel_initializer=self.initializer,
            name=name,
        )
        self.layers |= {part.name: part for part in self.layers[name].parts}
        self.layer_outputs.append(outputs)
        return outputs


class _Bert(_OwnLayers, BERT):
    pass


class _Albert(_OwnLayers, ALBERT):
    pass


@tf.autograph.experimental.do_not_convert
def build_transformer(
    kind: str, config: dict[str, Any], seed: int, dropout_seed: DropoutSeed, reads: Reads = "all"
) -> BERT:
    """Builds bert4keras's object around an untrained encoder; its `model` is the keras.Model.

    Args:
        kind: `bert` or `albert`.
        config: Google's config json, as a dict.
        seed: Of the initial weights.
        dropout_seed: Where its dropout layers find their seed.
        reads: What is read of it: `all` positions of the last layer; the `first` alone, the output is then
            (batch, 1, hidden_size); the first of the last `layers`, (batch, layers, hidden_size) of
            `MIXED_LAYERS` at most. Where no other position is read, the last layer computes no other.
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
    transformer.reads, transformer.layer_outputs = reads, []
    transformer.norm_epsilon = config.get("layer_norm_eps", 1e-12)
    transformer.build()
    if reads == "layers":
        _read_layers(transformer)
    return transformer


def _read_layers(transformer: BERT) -> None:
    """Has the model give the first position of its last layers."""
    last = transformer.layer_outputs[-MIXED_LAYERS:]
    stack = keras.layers.Lambda(
        lambda layers: tf.concat([layer[:, :1] for layer in layers], axis=1), name="last", dtype="float32"
    )
    inputs, name = transformer.model.inputs, transformer.model.name
    transformer.model = keras.Model(inputs, stack(last), name=name)
