"""BERT and ALBERT encoders of bert4keras, built of faster layers."""

from typing import Any

import tensorflow as tf
from bert4keras.layers import Dropout as PlainDropout
from bert4keras.layers import LayerNormalization
from bert4keras.models import ALBERT, BERT

from raytrain.network.encoder_layers import LayerNorm, TransformerLayer
from raytrain.network.layers import Dense, Dropout, DropoutSeed, TruncatedNormal
from raytrain.network.transformer import PLACES, LayerSettings

keras = tf.keras


class _OwnLayers:
    """Mixin for bert4keras's models: fast layers, repeatable dropout and initial weights."""

    dropout_seed: DropoutSeed
    truncated_normal: TruncatedNormal
    first_only: bool
    norm_epsilon: float

    @property
    def initializer(self):
        return self.truncated_normal

    def apply(self, inputs=None, layer=None, arguments=None, **kwargs):
        if layer is PlainDropout:
            if self.dropout_rate == 0:
                return inputs
            layer, kwargs = Dropout, {**kwargs, "seed": self.dropout_seed}
        elif layer is LayerNormalization:
            layer, kwargs = LayerNorm, {**kwargs, "epsilon": self.norm_epsilon}
        elif layer is keras.layers.Dense:
            layer = Dense
        # Products are in the policy's type. What stands between them, the residual stream among it, is
        # float32 whatever the policy, as when PyTorch's autocast runs a Transformer.
        if layer is not Dense:
            kwargs = {**kwargs, "dtype": "float32"}
        return super().apply(inputs, layer, arguments, **kwargs)

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
        arguments["first_only"] = self.first_only and index == self.num_hidden_layers - 1
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
        return outputs


class _Bert(_OwnLayers, BERT):
    pass


class _Albert(_OwnLayers, ALBERT):
    pass


@tf.autograph.experimental.do_not_convert
def build_transformer(
    kind: str, config: dict[str, Any], seed: int, dropout_seed: DropoutSeed, first_only: bool = False
) -> BERT:
    """Builds bert4keras's object around an untrained encoder; its `model` is the keras.Model.

    Args:
        kind: `bert` or `albert`.
        config: Google's config json, as a dict.
        seed: Of the initial weights.
        dropout_seed: Where its dropout layers find their seed.
        first_only: Computes the last layer at position 0 alone, for who reads no other; the output is
            (batch, 1, hidden_size).
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
    transformer.first_only = first_only
    transformer.norm_epsilon = config.get("layer_norm_eps", 1e-12)
    transformer.build()
    return transformer
