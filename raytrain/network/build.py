"""Encoder + head as one keras.Model, and weights by name."""

from typing import Any

import tensorflow as tf

from raytrain.network.encoders import Reads, build_transformer
from raytrain.network.heads import build_head
from raytrain.network.layers import (
    DropoutSeed,
)
from raytrain.network.taps import VECTOR
from raytrain.network.weights import find_part
from raytrain.tasks import Pooling

keras = tf.keras

READS: dict[Pooling, Reads] = {"first": "first", "mean": "all", "layers": "layers"}
INPUTS = ("token_ids", "segment_ids", "word_ids")


@tf.autograph.experimental.do_not_convert
def build_model(
    architecture: str,
    kind: str,
    config: dict[str, Any],
    num_labels: int,
    embedding: tuple[int | None, int],
    train_encoder: bool,
    dropout: float,
    seed: int,
    num_keyword_classes: int = 0,
    pooling: Pooling = "first",
    multi_sample_dropout: int = 1,
) -> keras.Model:
    """Builds an untrained classifier or tagger: an encoder and a head on it.

    Args:
        architecture: One of `tasks.ARCHITECTURES`.
        kind: A key of `kinds.KINDS`.
        config: Google's config json, as a dict.
        num_labels: Of a classifier: two classes give one logit (sigmoid), more give one each (softmax).
            Of a tagger: the tags.
        embedding: Rows and columns of the word embedding; None lets what is assigned to it say the rows.
        train_encoder: False freezes the encoder, and it then runs without dropout.
        dropout: Rate of the head.
        seed: Of the initial weights.
        num_keyword_classes: How many classes a text's keywords are counted of; 0 where they are not.
        pooling: What `finetune` reads of the encoder: the `first` position, the `mean` over all, or the first
            of the last `layers`, weighted.
        multi_sample_dropout: How often a classifier's last layers see each text in training, each time with
            another dropout (Inoue 2019); as many times as many logits come of it, sample after sample.

    Returns:
        A keras.Model of {token_ids, segment_ids, word_ids}, each (batch, length) int32, and where keywords
        count keyword_counts (batch, num_keyword_classes), to logits (batch, 1 or num_labels), a tagger's to
        emissions (batch, length, num_labels), float32 whatever the policy; its attribute `dropout_seed` is
        set by each training step.
    """
    dropout_seed = DropoutSeed()
    reads = READS[pooling] if architecture == "finetune" else "all"
    # First the head, whose places of dropout are then those that it has where it stands alone.
    head = build_head(
        architecture,
        config["hidden_size"],
        num_labels,
        embedding,
        dropout,
        seed,
        dropout_seed,
        num_keyword_classes,
        pooling,
        multi_sample_dropout,
    )
    encoder = build_transformer(kind, config, seed, dropout_seed, reads).model
    encoder.trainable = train_encoder
    return EncoderWithHead(encoder, head, name=architecture)


class EncoderWithHead(keras.Model):
    """An encoder and the head on it.

    Not joined as Keras joins models, which would run both once more while it is built.
    """

    def __init__(self, encoder: keras.Model, head: keras.Model, name: str):
        super().__init__(name=name)
        self.encoder, self.head, self.dropout_seed = encoder, head, head.dropout_seed

    @property
    def input(self):
        read = {name: tensor for name, tensor in self.head.input.items() if name != "hidden_states"}
        return {name: tf.TensorSpec((None, None), tf.int32) for name in INPUTS} | read

    @property
    def output_shape(self):
        return self.head.output_shape

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, training=None):
        ids = [inputs["token_ids"], inputs["segment_ids"]][: len(self.encoder.inputs)]
        states = self.encoder(ids, training=training if self.encoder.trainable else False)
        read = {name: inputs[name] for name in self.head.input if name != "hidden_states"}
        return self.head({"hidden_states": states, **read}, training=training)


def vector_model(model: keras.Model) -> keras.Model:
    """A model of `build_model` or `build_head` up to the vector of a text; the weights are the model's own.

    Returns:
        Its output: (batch, channels) float32 or of the policy, what the last layers read.
    """
    head = find_part(model, "head")
    pooled = keras.Model(head.input, head.get_layer(VECTOR).output, name="head")
    pooled.dropout_seed = head.dropout_seed
    encoder = find_part(model, "encoder")
    return pooled if encoder is None else EncoderWithHead(encoder, pooled, name="vectors")


def input_specs(model: keras.Model) -> dict[str, tf.TensorSpec]:
    """What the model takes, as `FeatureRows.collate` lays it."""
    return {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in model.input.items()}
