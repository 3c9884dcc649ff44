"""What a fold is to learn and how it is judged: the one place where training differs between tasks."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import tensorflow as tf

from raytrain.network.crf import tagging_losses
from raytrain.network.heads import crf_layer
from raytrain.network.inference import predict_emissions, predict_logits
from raytrain.network.weights import head_variables, read_variables
from raytrain.scores.classes import proba_from_logits, score_proba
from raytrain.scores.guess import constant_loss, entropy, is_learned
from raytrain.scores.oof import fold_table
from raytrain.scores.spans import score_tags
from raytrain.scores.tagging import emissions_table, find_and_count, transitions_of
from raytrain.text.batches import FeatureRows
from raytrain.text.ragged import bounds_of, ranges
from raytrain.text.rows import TextRows
from raytrain.text.windows import TaggedWindows
from raytrain.training.settings import TrainSettings

keras = tf.keras


class Objective(Protocol):
    """What `training.loop.FoldTraining` asks of a task.

    Attributes:
        target_spec: Of a batch of `targets`.
    """

    target_spec: tf.TensorSpec

    def targets(self, features: FeatureRows, rows: np.ndarray, length: int | None = None) -> np.ndarray:
        """What is to be learned of the rows, row by row; `length` as in `FeatureRows.collate`."""

    def weights(self, features: FeatureRows, rows: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """(len(rows),) float32 weights of the rows' losses; `rows` are of the whole `batch`."""

    def losses(
        self, model: keras.Model, inputs: dict[str, tf.Tensor], outputs: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """(batch,) losses in nats, differentiable."""

    def constant_loss(self, model: keras.Model, features: FeatureRows, rows: np.ndarray) -> float | None:
        """The sum of these, weighted, over rows of which a model says the same: the best that it can.

        None where it could not do much better if it knew them all.
        """

    def predict(
        self, model: keras.Model, features: FeatureRows, rows: np.ndarray, batch_size: int
    ) -> np.ndarray:
        """What is kept of the model's word on valid rows."""

    def score(self, model: keras.Model, rows: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """The metrics of what was predicted, as plain floats."""

    def has_learned(self, rows: np.ndarray, predicted: np.ndarray, metrics: Mapping[str, float]) -> bool:
        """Whether what was predicted, and scored so, is better than the best constant guess."""

    def oof_table(
        self, rows: np.ndarray, predicted: np.ndarray, ids: pa.Array, weights: Mapping[str, np.ndarray]
    ) -> pa.Table:
        """A fold's oof.parquet; `weights` are the model's that predicted."""


class Classification:
    """One label a text, which each of the text's rows learns; the probabilities of these are averaged.

    Not the logits: as among folds, one row that is sure of itself must not outvote all others.

    Args:
        labels: (num_texts,) label indices, -1 of texts without one.
        settings: Hyperparameters.
        rows: The text that each row of the features is of; None where each row is a text.
    """

    target_spec = tf.TensorSpec((None,), tf.int32)

    def __init__(self, labels: np.ndarray, settings: TrainSettings, rows: TextRows | None = None):
        self.labels, self._given, self._settings = labels, labels, settings
        self._rows = TextRows(np.arange(len(labels))) if rows is None else rows
        # Texts without a label do not make the losses of the others larger or smaller.
        self._shares = self._rows.shares(labels >= 0).astype(np.float32)

    def learn_from(self, texts: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Gives texts without a label one, and takes what others were given before.

        Args:
            texts: Indices of the texts.
            labels: Index of each one's label.

        Returns:
            Their rows of the features.
        """
        self.labels = self._given.copy()
        self.labels[texts] = labels
        return np.flatnonzero(np.isin(self._rows.rows, texts))

    def confident(
        self, rows: np.ndarray, predicted: np.ndarray, least: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """The texts of which a model is sure.

        Args:
            rows: Of the features, all of a text or none.
            predicted: What `predict` gave for these.
            least: Probability of a label from which on it is sure.

        Returns:
            Indices of the texts, and of each one's label.
        """
        sure = predicted.max(axis=1) >= least
        return self._rows.of_texts(rows)[sure], predicted.argmax(axis=1)[sure]

    def _labels_of(self, rows: np.ndarray) -> np.ndarray:
        return self.labels[self._rows.rows[rows]]

    def targets(self, features: FeatureRows, rows: np.ndarray, length: int | None = None) -> np.ndarray:
        return self._labels_of(rows).astype(np.int32)

    def weights(self, features: FeatureRows, rows: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """A text weighs the same in an epoch, however many rows it has.

        Divided by the batch's rows and not by what these weigh: windows come in batches of their own, for
        they are all as long, and a batch of few texts must not count as much as one of many.
        """
        weights = np.full(len(rows), 1 / len(batch), np.float32) * self._shares[rows]
        if self._settings.class_weight is None:
            return weights
        return weights * np.array(self._settings.class_weight, np.float32)[self._labels_of(rows)]

    def losses(
        self, model: keras.Model, inputs: dict[str, tf.Tensor], outputs: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Cross-entropies, against targets smoothed towards the even spread."""
        smoothing = self._settings.label_smoothing
        if outputs.shape[-1] == 1:
            targets = tf.cast(targets, tf.float32) * (1 - smoothing) + smoothing / 2
            return tf.nn.sigmoid_cross_entropy_with_logits(targets, outputs[:, 0])
        targets = tf.one_hot(targets, outputs.shape[-1]) * (1 - smoothing) + smoothing / outputs.shape[-1]
        return tf.nn.softmax_cross_entropy_with_logits(targets, outputs)

    def constant_loss(self, model: keras.Model, features: FeatureRows, rows: np.ndarray) -> float | None:
        """The entropy of the smoothed labels, each of them by its weight."""
        num_labels, smoothing = max(model.output_shape[-1], 2), self._settings.label_smoothing
        weights = self.weights(features, rows, rows).astype(np.float64)
        masses = np.bincount(self._labels_of(rows), weights, num_labels)
        spread = np.full(num_labels, smoothing / num_labels)
        known = entropy(spread + (1 - smoothing) * np.eye(num_labels)[0])
        total = masses.sum()
        return constant_loss(masses * (1 - smoothing) + total * spread, total * known)

    def predict(
        self, model: keras.Model, features: FeatureRows, rows: np.ndarray, batch_size: int
    ) -> np.ndarray:
        """(texts of the rows, num_classes) probabilities; NaN where a logit is not finite."""
        logits = predict_logits(model, features, rows, batch_size)
        finite = np.isfinite(logits).all()
        proba = proba_from_logits(logits) if finite else np.full(logits.shape, np.nan)
        return self._rows.pool(rows, proba)

    def score(self, model: keras.Model, rows: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        return score_proba(self.labels[self._rows.of_texts(rows)], predicted)

    def has_learned(self, rows: np.ndarray, predicted: np.ndarray, metrics: Mapping[str, float]) -> bool:
        """By log loss, each text by its class's weight."""
        labels, weights = self.labels[self._rows.of_texts(rows)], np.ones(predicted.shape[1])
        if self._settings.class_weight is not None:
            weights = np.array(self._settings.class_weight)
        own = weights[labels] / weights[labels].sum()
        told = np.clip(predicted[np.arange(len(labels)), labels], 1e-15, 1)
        guess = entropy(np.bincount(labels, own, predicted.shape[1]))
        return is_learned(float(-(own * np.log(told)).sum()), guess)

    def oof_table(
        self, rows: np.ndarray, predicted: np.ndarray, ids: pa.Array, weights: Mapping[str, np.ndarray]
    ) -> pa.Table:
        """Row, id and a probability a label."""
        return fold_table(self._rows.of_texts(rows), predicted, ids)


class Tagging:
    """A tag a token, those of a text judged together.

    Args:
        tagged: Windows of the corpus, in the order of the features, and their tags.
        settings: Hyperparameters.
    """

    target_spec = tf.TensorSpec((None, None), tf.int32)

    def __init__(self, tagged: TaggedWindows, settings: TrainSettings):
        self._tagged = tagged
        self._targets = tagged.targets()

    def targets(self, features: FeatureRows, rows: np.ndarray, length: int | None = None) -> np.ndarray:
        return features.pad(self._targets, rows, length)

    def weights(self, features: FeatureRows, rows: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """A token weighs the same in every text of a batch."""
        num_tokens = int(self._tagged.windows.sizes[batch].sum())
        return np.full(len(rows), 1 / max(num_tokens, 1), np.float32)

    def losses(
        self, model: keras.Model, inputs: dict[str, tf.Tensor], outputs: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Negative log-likelihoods of the tags between [CLS] and [SEP]."""
        lengths = tf.reduce_sum(tf.cast(inputs["token_ids"] != 0, tf.int32), axis=1) - 2
        ends_text = tf.gather(targets, lengths + 1, batch_dims=1)
        whole = tf.cast(tf.stack([targets[:, 0], ends_text], axis=1), tf.float32)
        emissions, crf = outputs[:, 1:-1], crf_layer(model)
        num_tags = emissions.shape[-1]
        if crf is None:
            transitions = tf.zeros([num_tags]), tf.zeros([num_tags]), tf.zeros([num_tags, num_tags])
        else:
            transitions = tuple(tf.convert_to_tensor(part) for part in (crf.start, crf.end, crf.pairs))
        return tagging_losses(emissions, targets[:, 1:-1], lengths, whole, *transitions)

    def constant_loss(self, model: keras.Model, features: FeatureRows, rows: np.ndarray) -> float | None:
        """The entropy of a token's tag, which is that of a CRF without transitions, too."""
        return constant_loss(self._tag_shares(rows))

    def _tag_shares(self, rows: np.ndarray) -> np.ndarray:
        """Of the rows' tokens, without those before and behind a window's text."""
        sizes = self._tagged.windows.sizes
        begins = bounds_of(sizes + 2)[:-1] + 1
        tags = self._targets[ranges(begins[rows], sizes[rows])]
        return np.bincount(tags) / max(len(tags), 1)

    def predict(
        self, model: keras.Model, features: FeatureRows, rows: np.ndarray, batch_size: int
    ) -> np.ndarray:
        """(tokens of the rows' texts, num_tags) emissions."""
        emissions = predict_emissions(model, features, rows, batch_size)
        return self._tagged.windows.join(rows, emissions)

    def score(self, model: keras.Model, rows: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        transitions = transitions_of(read_variables(head_variables(model)), predicted.shape[1])
        texts = self._tagged.windows.of_texts(rows)
        _, counts = find_and_count(self._tagged, texts, predicted, transitions, confident=False)
        return score_tags(counts)

    def has_learned(self, rows: np.ndarray, predicted: np.ndarray, metrics: Mapping[str, float]) -> bool:
        """By the log loss of a token's tag."""
        return is_learned(metrics["log_loss"], entropy(self._tag_shares(rows)))

    def oof_table(
        self, rows: np.ndarray, predicted: np.ndarray, ids: pa.Array, weights: Mapping[str, np.ndarray]
    ) -> pa.Table:
        """Row (a text), id and the emissions of its tokens; in the metadata the transitions."""
        windows = self._tagged.windows
        texts = windows.of_texts(rows)
        transitions = transitions_of(weights, predicted.shape[1])
        return emissions_table(texts, predicted, windows.token_bounds(texts), ids, transitions)


# Each made of targets, settings and the text of each row, which a tagger's windows know themselves.
OBJECTIVES: dict[str, Any] = {
    "classify": Classification,
    "tag": lambda tagged, settings, rows: Tagging(tagged, settings),
}
