"""A fold's model and training, built from what it is told. TensorFlow is imported where workers run this."""

from typing import TYPE_CHECKING, Any

import numpy as np
import ray

from raytrain.folds.spec import FoldData, FoldSpec
from raytrain.text.batches import FeatureRows

if TYPE_CHECKING:
    from raytrain.training.loop import FoldTraining


class Builder:
    """Builds one fold's training after another; what is compiled for one serves the next that is alike.

    Args:
        rank: This worker's number among `num_workers`.
        num_workers: Workers of a fold.
    """

    def __init__(self, rank: int = 0, num_workers: int = 1):
        self.rank, self.num_workers = rank, num_workers
        self._built_for: Any = None
        self._training: FoldTraining | None = None
        self._states: np.ndarray | None = None  # opened once: where a node has no room, that is a copy

    @property
    def is_new(self) -> bool:
        """Whether nothing was built yet."""
        return self._built_for is None

    def build(self, spec: FoldSpec, data: FoldData) -> "FoldTraining":
        """The fold's model with all it starts from, ready to train; equal to one in a fresh process.

        Args:
            spec: The fold.
            data: What `spec.data` refers to.
        """
        if not spec.is_network:
            return _build_ngram_training(spec, data, self.rank)
        alike = (spec.model, spec.settings, spec.task, spec.accumulation, spec.data, spec.hidden_states)
        if self._training is not None and alike == self._built_for:
            self._training.read(fold_features(spec, data, self._states))
            self._training.restart(*spec.rows(data), spec.seed, build_initial_model(spec, data))
            return self._training
        self._training = self._states = None  # before the next is built: there may be memory for one
        self._states = spec.hidden_states.open() if spec.hidden_states else None
        features = fold_features(spec, data, self._states)
        self._training = _build_training(spec, data, features, self.rank, self.num_workers)
        self._built_for = alike
        return self._training


def begin_again(training: "FoldTraining", spec: FoldSpec, data: FoldData) -> None:
    """Begins a fold's round again with another seed: of initial weights, shuffles and dropout.

    Args:
        training: The fold's.
        spec: The fold.
        data: What `spec.data` refers to.
    """
    number = training.restarts + 1
    again = spec.again(number)
    pseudo = training.rounds.pseudo if training.rounds.number else None
    training.restart(*spec.rows(data), again.seed, build_initial_model(again, data), number, pseudo)


def begin_round(training: "FoldTraining", spec: FoldSpec, data: FoldData) -> int:
    """Begins a fold's second round, if it is sure of any text without a label. Returns of how many."""
    again = spec.again(training.restarts) if training.restarts else spec
    return training.begin_round(build_initial_model(again, data))


def _build_training(
    spec: FoldSpec, data: FoldData, features: FeatureRows, rank: int, num_workers: int
) -> "FoldTraining":
    import contextlib

    import tensorflow as tf

    from raytrain.training.loop import FoldTraining

    strategy = tf.distribute.MultiWorkerMirroredStrategy() if num_workers > 1 else None
    with strategy.scope() if strategy else contextlib.nullcontext():
        return FoldTraining(
            build_initial_model(spec, data),
            features,
            _build_objective(spec, data),
            *spec.rows(data),
            spec.settings,
            spec.seed,
            strategy,
            rank,
            num_workers,
            spec.accumulation,
            spec.unlabelled_rows(data),
        )


def _build_objective(spec: FoldSpec, data: FoldData) -> Any:
    from raytrain.training.distillation import Distillation
    from raytrain.training.objectives import OBJECTIVES

    if data.teacher is not None:
        return Distillation(data.targets, data.teacher, spec.settings, data.rows)
    return OBJECTIVES[spec.task](data.targets, spec.settings, data.rows)


def _build_ngram_training(spec: FoldSpec, data: FoldData, rank: int) -> Any:
    """A training without TensorFlow, with all that a worker asks of a `FoldTraining`."""
    from raytrain.ngrams.training import NgramTraining

    num_labels, weights = spec.model.num_labels, spec.settings.class_weight
    return NgramTraining(
        data.texts, data.targets, *spec.rows(data), num_labels, weights, spec.seed, rank=rank
    )


def fold_features(spec: FoldSpec, data: FoldData, states: np.ndarray | None) -> FeatureRows:
    """The whole corpus as the fold's head reads it: the keywords it counts are the fold's own.

    Args:
        spec: The fold.
        data: What `spec.data` refers to.
        states: What `spec.hidden_states` opened, or None.
    """
    counts = None
    if spec.keywords is not None and data.held_words is not None:
        counts = data.held_words.count(spec.keywords, spec.model.num_keyword_classes)
        counts = counts if data.rows is None else counts[data.rows.rows]
    return FeatureRows(data.features, states, counts)


def build_initial_model(spec: FoldSpec, data: FoldData) -> Any:
    """The fold's model before its first step; the head alone where the encoder's output is at hand."""
    from raytrain.network.build import build_model
    from raytrain.network.heads import WORD_EMBEDDING, build_head
    from raytrain.network.weights import assign_variables, encoder_variables, head_variables

    if spec.hidden_states is not None:
        own = spec.model
        model = build_head(
            own.architecture,
            own.config["hidden_size"],
            own.num_labels,
            own.embedding,
            own.dropout,
            spec.seed,
            num_keyword_classes=own.num_keyword_classes,
            pooling=own.pooling,
            multi_sample_dropout=own.multi_sample_dropout,
        )
    else:
        model = build_model(**vars(spec.model), seed=spec.seed)
        if spec.encoder_weights is not None:
            assign_variables(encoder_variables(model), ray.get(spec.encoder_weights), "the encoder")
    head = head_variables(model)
    if data.embedding is not None and WORD_EMBEDDING in head:
        head[WORD_EMBEDDING].assign(data.embedding)
    return model
