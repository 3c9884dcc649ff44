"""The fold loop as notebooks have it: bert4keras and Keras fit, one process, fold after fold, float32.

The encoder starts from random weights: what a step costs does not depend on their values.
"""

# First, because importing raytrain sets the variables that bert4keras needs.
from raytrain.text.words import FIRST_WORD, UNKNOWN_WORD  # isort: skip

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jieba
import numpy as np
from bert4keras.backend import keras
from bert4keras.models import build_transformer_model
from bert4keras.snippets import sequence_padding
from bert4keras.tokenizers import Tokenizer
from fold_loop import Fold, encoder_config, peer_parser, read_texts, run_folds, say

layers, K = keras.layers, keras.backend


@dataclass(frozen=True)
class Encoded:
    """One text: ids of its tokens and, per token, the word that covers its first character or None."""

    token_ids: list[int]
    words: list[str | None]


def encode(text: str, tokenizer: Tokenizer, maxlen: int, with_words: bool) -> tuple[Encoded, list[str]]:
    """Tokenizes a text; where words are wanted, segments it by jieba too and returns the words met."""
    tokens = tokenizer.tokenize(text, maxlen=maxlen)
    token_ids = tokenizer.tokens_to_ids(tokens)
    if not with_words:
        return Encoded(token_ids, []), []
    places = tokenizer.rematch(text, tokens)[1:-1]
    seen = text[: places[-1][-1] + 1] if places else ""
    words = [word.lower() for word in jieba.cut(seen)]
    word_of_char = [None if word.isspace() else word for word in words for _ in word]
    laid = [None, *(word_of_char[place[0]] for place in places), None]
    return Encoded(token_ids, laid), [word for word in words if not word.isspace()]


def encode_corpus(
    texts: Sequence[str], tokenizer: Tokenizer, maxlen: int, with_words: bool
) -> tuple[list[Encoded], dict[str, int]]:
    """Encodes all texts once; returns them and the ids of the words seen at least twice."""
    encoded: list[Encoded] = []
    counts: Counter[str] = Counter()
    for text in texts:
        row, words = encode(text, tokenizer, maxlen, with_words)
        encoded.append(row)
        counts.update(words)
    kept = sorted((word for word in counts if counts[word] >= 2), key=lambda word: (-counts[word], word))
    return encoded, {word: number for number, word in enumerate(kept, start=FIRST_WORD)}


def word_ids(row: Encoded, index: dict[str, int]) -> list[int]:
    return [UNKNOWN_WORD if word is None else index.get(word, UNKNOWN_WORD) for word in row.words]


class Batches(keras.utils.Sequence):
    """Batches of a fold's rows for fit and predict, each padded to its longest text."""

    def __init__(self, ids, labels, rows, batch_size, shuffle_seed=None):
        self.ids, self.labels, self.rows = ids, labels, np.array(rows)
        self.batch_size = batch_size
        self.rng = None if shuffle_seed is None else np.random.default_rng(shuffle_seed)
        self.on_epoch_end()

    def __len__(self):
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, number):
        rows = self.rows[number * self.batch_size : (number + 1) * self.batch_size]
        token_ids = sequence_padding([self.ids[row][0] for row in rows])
        inputs = [token_ids, np.zeros_like(token_ids)]
        if self.ids[rows[0]][1]:
            inputs.append(sequence_padding([self.ids[row][1] for row in rows]))
        return inputs, self.labels[rows]

    def on_epoch_end(self):
        if self.rng is not None:
            self.rng.shuffle(self.rows)


def build_model(architecture: str, config_path: Path, num_words: int, learning_rate: float) -> keras.Model:
    """Builds and compiles a classifier of two classes, its encoder untrained."""
    kind = "albert" if "embedding_size" in json.loads(config_path.read_text(encoding="utf-8")) else "bert"
    encoder = build_transformer_model(str(config_path), model=kind)
    # bert4keras gives the matrices of a layer the same random values; a checkpoint would set them apart.
    for weight in encoder.weights:
        if len(weight.shape) > 1:
            weight.assign(K.truncated_normal(weight.shape, stddev=0.02))
    inputs = list(encoder.inputs)
    if architecture == "finetune":
        vector = layers.Lambda(lambda x: x[:, 0])(encoder.output)
        vector = layers.Dropout(0.1)(vector)
    else:
        encoder.trainable = False
        sequence = encoder(inputs, training=False)
        words = layers.Input((None,))
        fused = layers.Concatenate()([sequence, layers.Embedding(num_words, 200, mask_zero=True)(words)])
        if architecture == "rnn_cnn":
            for _ in range(2):
                fused = layers.Bidirectional(layers.LSTM(128, return_sequences=True))(fused)
        vector = convolve_and_pool(fused, inputs[0])
        vector = layers.Dropout(0.1)(vector)
        vector = layers.Dense(32, activation="relu")(vector)
        inputs.append(words)
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(vector))
    # The legacy one is the faster on a CPU: the new one compiles its update by XLA for every batch shape.
    model.compile(keras.optimizers.legacy.Adam(learning_rate), "binary_crossentropy", ["accuracy"])
    return model


def convolve_and_pool(fused, token_ids):
    """Masked convolution, then max and mean pooling over the real tokens, added."""
    real = layers.Lambda(lambda ids: K.expand_dims(K.cast(K.not_equal(ids, 0), "float32")))(token_ids)
    local = layers.Conv1D(256, 3, padding="same", activation="relu")(layers.Multiply()([fused, real]))
    greatest = layers.Lambda(lambda x: K.max(x[0] - (1 - x[1]) * 1e10, axis=1))([local, real])
    mean = layers.Lambda(lambda x: K.sum(x[0] * x[1], axis=1) / K.sum(x[1], axis=1))([local, real])
    return layers.Add()([greatest, mean])


def train_fold(
    fold: Fold,
    options: argparse.Namespace,
    ids: Sequence[tuple[list[int], list[int]]],
    labels: np.ndarray,
    num_words: int,
) -> np.ndarray:
    """Trains a fold, evaluates it after every epoch and saves its weights."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(fold.seed)
    model = build_model(
        options.architecture, encoder_config(options.encoder), num_words, options.learning_rate
    )
    train = Batches(ids, labels, fold.train_rows, options.batch_size, fold.seed)
    valid = Batches(ids, labels, fold.valid_rows, options.batch_size)
    for epoch in range(options.epochs):
        history = model.fit(train, epochs=1, verbose=0).history
        proba = model.predict(valid, verbose=0)[:, 0]
        accuracy = ((proba > 0.5) == labels[fold.valid_rows]).mean()
        say(f"  epoch {epoch + 1}: loss {history['loss'][0]:.4f}, valid accuracy {accuracy:.4f}")
    with tempfile.TemporaryDirectory() as directory:
        model.save_weights(f"{directory}/fold-{fold.number}.weights.h5")
    return proba


def main() -> None:
    options = peer_parser(__doc__, ["finetune", "textcnn", "rnn_cnn"]).parse_args()
    texts, labels = read_texts(options)
    tokenizer = Tokenizer(f"{options.encoder}/vocab.txt", do_lower_case=True)
    with_words = options.architecture != "finetune"
    encoded, index = encode_corpus(texts, tokenizer, options.maxlen, with_words)
    ids = [(row.token_ids, word_ids(row, index)) for row in encoded]
    num_words = len(index) + FIRST_WORD
    run_folds("loop", options, labels, lambda fold: train_fold(fold, options, ids, labels, num_words))


if __name__ == "__main__":
    main()
