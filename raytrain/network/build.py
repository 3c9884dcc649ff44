"""Encoder + head as one keras.Model, and weights by name."""

from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.network.crf import CRF
from raytrain.network.encoders import Reads, build_transformer
from raytrain.network.layers import (
    Dense,
    Dropout,
    DropoutSeed,
    LayerMixture,
    MaskedConv1D,
    MaskedMaxPooling,
    MaskedMeanPooling,
    OpenEmbedding,
    PaddingMask,
    Repeat,
)
from raytrain.network.recurrent import BiLSTM
from raytrain.network.taps import STATES, VECTOR, Tap
from raytrain.network.weights import find_part
from raytrain.tasks import ARCHITECTURES, Pooling

keras = tf.keras
WORD_EMBEDDING = "word_embedding.0.embeddings"  # its name among a head's variables

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


@tf.autograph.experimental.do_not_convert
def build_head(
    architecture: str,
    hidden_size: int,
    num_labels: int,
    embedding: tuple[int | None, int],
    dropout: float,
    seed: int,
    dropout_seed: DropoutSeed | None = None,
    num_keyword_classes: int = 0,
    pooling: Pooling = "first",
    multi_sample_dropout: int = 1,
) -> keras.Model:
    """Builds what stands on the encoder, for itself: it learns from hidden states computed before.

    Args:
        hidden_size: Channels of the encoder's last layer; the others as in `build_model`.

    Returns:
        A keras.Model named `head` of {hidden_states (batch, length, hidden_size), token_ids, word_ids}, and
        where keywords count keyword_counts, to float32 logits or emissions; it has the attribute
        `dropout_seed`.
    """
    dropout_seed = dropout_seed or DropoutSeed()
    inputs = {name: keras.Input((None,), dtype=tf.int32, name=name) for name in ("token_ids", "word_ids")}
    states = inputs["hidden_states"] = keras.Input((None, hidden_size), name="hidden_states")
    # Not seed, seed + 1, …: folds have consecutive seeds and would share initial values.
    seeds = iter((np.random.SeedSequence(seed).generate_state(32) >> 1).tolist())
    drop = Dropout(dropout, dropout_seed, name="dropout")
    read = Tap(name=STATES)(states)
    if architecture == "finetune":
        vector = _pooled(read, inputs["token_ids"], pooling)
    else:
        mask = PaddingMask(name="mask")(inputs["token_ids"])
        fused = [read, _word_embedding(*embedding)(inputs["word_ids"])]
        if architecture in ARCHITECTURES["tag"]:
            emissions = _tagging_head(fused, mask, architecture, num_labels, drop, seeds)
            return _finish_head(inputs, emissions, dropout_seed)
        vector = _fusion_head(fused, mask, num_bilstms=2 if architecture == "rnn_cnn" else 0, seeds=seeds)
    repeat = Repeat(multi_sample_dropout, name="samples")
    vector = drop(repeat(vector))
    for name, counts in _keyword_input(num_keyword_classes).items():
        inputs[name] = counts
        beside = keras.layers.Concatenate(name="with_keywords", dtype="float32")
        vector = beside([vector, repeat(_log_counts(counts))])
    vector = Tap(name=VECTOR)(vector)
    if architecture != "finetune":
        dense = Dense(32, activation="relu", name="dense", kernel_initializer=_glorot(seeds))
        vector = dense(vector)
    units = 1 if num_labels == 2 else num_labels
    output = keras.layers.Dense(units, name="logits", kernel_initializer=_glorot(seeds), dtype="float32")
    return _finish_head(inputs, output(vector), dropout_seed)


def _pooled(states, token_ids, pooling: Pooling):
    """(batch, channels) of what `finetune` reads of the encoder."""
    if pooling == "mean":
        return MaskedMeanPooling(name="mean")(states, mask=PaddingMask(name="mask")(token_ids))
    if pooling == "layers":
        return LayerMixture(name="layers")(states)
    return keras.layers.Lambda(lambda x: x[:, 0], name="first", dtype="float32")(states)


def _word_embedding(rows: int | None, columns: int) -> keras.layers.Embedding:
    if rows is None:
        return OpenEmbedding(columns, name="word_embedding")
    return keras.layers.Embedding(
        rows, columns, embeddings_initializer="zeros", name="word_embedding", dtype="float32"
    )


def _finish_head(inputs, output, dropout_seed: DropoutSeed) -> keras.Model:
    head = keras.Model(inputs, output, name="head")
    head.dropout_seed = dropout_seed
    return head


def _keyword_input(num_keyword_classes: int) -> dict[str, Any]:
    if not num_keyword_classes:
        return {}
    return {"keyword_counts": keras.Input((num_keyword_classes,), name="keyword_counts")}


def _log_counts(counts):
    """Counts as large as what they stand beside: the tenth word of a class says less than the first."""
    return keras.layers.Lambda(tf.math.log1p, name="log_counts", dtype="float32")(counts)


def input_specs(model: keras.Model) -> dict[str, tf.TensorSpec]:
    """What the model takes, as `FeatureRows.collate` lays it."""
    return {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in model.input.items()}


def _glorot(seeds):
    return keras.initializers.GlorotUniform(seed=next(seeds))


def _fusion_head(fused, mask, num_bilstms: int, seeds):
    """Encoder and word vectors, a list, side by side → BiLSTMs → convolution → max + mean pooling."""
    for number in range(num_bilstms):
        fused = _bilstm(number, seeds)(fused, mask=mask)
    convolution = MaskedConv1D(
        256, 3, activation="relu", kernel_initializer=_glorot(seeds), name="convolution"
    )
    local = convolution(fused, mask=mask)
    return keras.layers.Add(name="pooled", dtype="float32")(
        [MaskedMaxPooling(name="max")(local, mask=mask), MaskedMeanPooling(name="mean")(local, mask=mask)]
    )


def _tagging_head(fused, mask, architecture: str, num_tags: int, drop, seeds):
    """Encoder and word vectors, a list, side by side → BiLSTM → a score for each tag → CRF.

    The LSTM sees order and direction, which self-attention weakens; the CRF which tag may follow which
    (Huang et al. 2015).
    """
    if architecture.startswith("bilstm"):
        sequence = _bilstm(0, seeds)(fused, mask=mask)
    else:
        sequence = keras.layers.Concatenate(name="fused", dtype="float32")(fused)
    emissions = keras.layers.Dense(
        num_tags, name="emissions", kernel_initializer=_glorot(seeds), dtype="float32"
    )(drop(sequence))
    return CRF(name="crf")(emissions) if architecture.endswith("crf") else emissions


def _bilstm(number: int, seeds) -> BiLSTM:
    # Drawn in the order forward kernel, forward recurrent, backward kernel, backward recurrent.
    initializers = [
        (_glorot(seeds), keras.initializers.Orthogonal(seed=next(seeds))) for _ in ("forward", "backward")
    ]
    return BiLSTM(128, *zip(*initializers, strict=True), name=f"bilstm_{number}")


def crf_layer(model: keras.Model) -> CRF | None:
    """The layer that holds a tagger's transitions; None where it has none."""
    return next((layer for layer in find_part(model, "head").layers if layer.name == "crf"), None)
