"""What stands on an encoder: the heads of classifiers and of taggers."""

from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.network.crf import CRF
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
    if architecture == "finetune" and pooling == "first":  # all that is read is all that is disturbed
        states = keras.layers.Lambda(lambda x: x[:, 0][:, None], name="first_state", dtype="float32")(states)
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
