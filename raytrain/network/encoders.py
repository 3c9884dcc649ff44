"""Encoders of every kind, in bert4keras's frame, of layers that compute what `network.transformer` says."""

from typing import Any, Literal

import bert4keras.layers
import tensorflow as tf
from bert4keras.models import ALBERT, BERT

from raytrain.kinds import KINDS, LEARNED, embedding_width, most_positions, num_tasks
from raytrain.network.blocks import LayerNorm, RmsNorm, TaskEmbedding, TransformerLayer
from raytrain.network.formulas import LayerSettings
from raytrain.network.layers import MIXED_LAYERS, Dense, Dropout, DropoutSeed, TruncatedNormal
from raytrain.network.taps import TOKENS, Tap
from raytrain.network.transformer import PLACES

keras = tf.keras

Reads = Literal["all", "first", "layers"]
_OF_NORMS_AND_BIASES = ("/beta", "/gamma", "/bias")


class _OwnLayers:
    """Mixin for bert4keras's models: fast layers, repeatable dropout and initial weights."""

    kind: str
    config: dict[str, Any]
    dropout_seed: DropoutSeed
    truncated_normal: TruncatedNormal
    reads: Reads
    layer_outputs: list[Any]

    @property
    def initializer(self):
        return self.truncated_normal

    @property
    def settings(self) -> LayerSettings:
        """Of its layers."""
        described = KINDS[self.kind]
        return LayerSettings(
            heads=self.num_attention_heads,
            head_size=self.attention_head_size,
            activation=self.hidden_act,
            epsilon=self.config.get("layer_norm_eps", 1e-12),
            dropout=self.dropout_rate,
            attention_dropout=self.attention_dropout_rate,
            product_type=keras.mixed_precision.global_policy().compute_dtype,
            positions=described.positions,
            turns_values=bool(self.config.get("rotary_value", False)),
            most_distance=self.config.get("max_relative_position", 64),
            is_bare=described.is_bare,
        )

    def apply(self, inputs=None, layer=None, arguments=None, **kwargs):
        # Products are in the policy's type. What stands between them, the residual stream among it, is
        # float32 whatever the policy, as when PyTorch's autocast runs a Transformer.
        if layer is not Dense:
            kwargs = {**kwargs, "dtype": "float32"}
        return super().apply(inputs, layer, arguments, **kwargs)

    def apply_embeddings(self, inputs):
        """The sum of tokens, segments and learned positions; its norm; made as wide as the layers."""
        x = self._embed(inputs[0], self.vocab_size, "Embedding-Token", mask_zero=True)
        x = self.apply(x, Tap, name=TOKENS)
        if self.segment_vocab_size > 0:
            segments = self._embed(inputs[1], self.segment_vocab_size, "Embedding-Segment")
            x = self.apply([x, segments], keras.layers.Add, name="Embedding-Token-Segment")
        if KINDS[self.kind].positions == LEARNED:
            x = self.apply(
                x,
                bert4keras.layers.PositionEmbedding,
                input_dim=self.max_position,
                output_dim=self.embedding_size,
                embeddings_initializer=self.initializer,
                name="Embedding-Position",
            )
        tasks = num_tasks(self.kind, self.config)
        if tasks:
            initializer = self.initializer
            x = self.apply(
                x, TaskEmbedding, tasks=tasks, embeddings_initializer=initializer, name="Embedding-Task"
            )
        x = self._norm_and_drop(x)
        if self.embedding_size != self.hidden_size:
            initializer = self.initializer
            x = self.apply(
                x, Dense, units=self.hidden_size, kernel_initializer=initializer, name="Embedding-Mapping"
            )
        return x

    def _embed(self, ids, rows: int, name: str, **kwargs):
        kwargs |= {"output_dim": self.embedding_size, "embeddings_initializer": self.initializer}
        return self.apply(ids, bert4keras.layers.Embedding, input_dim=rows, name=name, **kwargs)

    def _norm_and_drop(self, x):
        """The embedding's norm and dropout; RoFormer's second version drops first."""
        is_bare, rate = KINDS[self.kind].is_bare, self.dropout_rate
        norm = {"layer": RmsNorm if is_bare else LayerNorm, "name": "Embedding-Norm"}
        steps = [norm | {"epsilon": self.settings.epsilon}]
        if rate:
            drop = {"layer": Dropout, "rate": rate, "seed": self.dropout_seed, "name": "Embedding-Dropout"}
            steps.insert(0 if is_bare else 1, drop)
        for step in steps:
            x = self.apply(x, **step)
        return x

    def apply_main_layers(self, inputs, index):
        """One layer, which may be the same every time, but not its places of dropout."""
        arguments = {"place": self.dropout_seed.reserve(PLACES)}
        is_last = index == self.num_hidden_layers - 1
        arguments["first_only"] = is_last and self.reads != "all"
        name = "Transformer" if KINDS[self.kind].shares_layers else f"Transformer-{index}"
        outputs = self.apply(
            inputs,
            TransformerLayer,
            arguments,
            settings=self.settings,
            channels=self.hidden_size,
            units=self.intermediate_size,
            dropout_seed=self.dropout_seed,
            kernel_initializer=self.initializer,
            name=name,
        )
        self.layers |= {part.name: part for part in self.layers[name].parts}
        self.layer_outputs.append(outputs)
        return outputs

    def variable_mapping(self):
        """Layers to Google's names of their variables, which are BERT's for those that Google never had."""
        mapping = super().variable_mapping() | {"Embedding-Task": ["bert/embeddings/task_type_embeddings"]}
        if not KINDS[self.kind].is_bare:
            return mapping
        return {
            layer: [name for name in names if not name.endswith(_OF_NORMS_AND_BIASES)]
            for layer, names in mapping.items()
        }


class _Bert(_OwnLayers, BERT):
    pass


class _Albert(_OwnLayers, ALBERT):
    pass


def _class_of(kind: str) -> type[BERT]:
    return _Albert if KINDS[kind].shares_layers else _Bert


def layer_variables(kind: str, num_layers: int) -> dict[str, list[str]]:
    """By the names of bert4keras's layers Google's of the variables of each, in their order."""
    transformer = object.__new__(_class_of(kind))
    transformer.kind, transformer.num_hidden_layers = kind, num_layers
    mapping: dict[str, list[str]] = transformer.variable_mapping()
    return mapping


@tf.autograph.experimental.do_not_convert
def build_transformer(
    kind: str, config: dict[str, Any], seed: int, dropout_seed: DropoutSeed, reads: Reads = "all"
) -> BERT:
    """Builds bert4keras's object around an untrained encoder; its `model` is the keras.Model.

    Args:
        kind: A key of `kinds.KINDS`.
        config: Google's config json, as a dict.
        seed: Of the initial weights.
        dropout_seed: Where its dropout layers find their seed.
        reads: What is read of it: `all` positions of the last layer; the `first` alone, the output is then
            (batch, 1, hidden_size); the first of the last `layers`, (batch, layers, hidden_size) of
            `MIXED_LAYERS` at most. Where no other position is read, the last layer computes no other.
    """
    transformer = _class_of(kind)(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        num_hidden_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        intermediate_size=config["intermediate_size"],
        hidden_act=config.get("hidden_act", "gelu"),
        embedding_size=embedding_width(kind, config),
        max_position=most_positions(kind, config),
        segment_vocab_size=config.get("type_vocab_size", 2),
        dropout_rate=config.get("hidden_dropout_prob"),
        attention_dropout_rate=config.get("attention_probs_dropout_prob"),
        name="encoder",
    )
    transformer.kind, transformer.config = kind, config
    transformer.dropout_seed = dropout_seed
    transformer.truncated_normal = TruncatedNormal(seed)
    transformer.reads, transformer.layer_outputs = reads, []
    transformer.build()
    if reads == "layers":
        _read_layers(transformer)
    transformer.model.max_positions = most_positions(kind, config)
    return transformer


def _read_layers(transformer: BERT) -> None:
    """Has the model give the first position of its last layers."""
    last = transformer.layer_outputs[-MIXED_LAYERS:]
    stack = keras.layers.Lambda(
        lambda layers: tf.concat([layer[:, :1] for layer in layers], axis=1), name="last", dtype="float32"
    )
    inputs, name = transformer.model.inputs, transformer.model.name
    transformer.model = keras.Model(inputs, stack(last), name=name)
