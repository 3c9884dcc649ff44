"""A fold's model and training, built from what it is told. TensorFlow is imported where workers run this."""

from typing import TYPE_CHECKING, Any

import ray

from raytrain.folds.spec import FoldData, FoldSpec
from raytrain.text.batches import FeatureRows

if TYPE_CHECKING:
    from raytrain.network.loop import FoldTraining


def build_training(spec: FoldSpec, data: FoldData, rank: int, num_workers: int) -> "FoldTraining":
    """The fold's model with all it starts from, ready to train.

    Args:
        spec: The fold.
        data: What `spec.data` refers to.
        rank: This worker's number among `num_workers`.
        num_workers: Workers of the fold.
    """
    import contextlib

    import tensorflow as tf

    from raytrain.network.loop import FoldTraining
    from raytrain.network.objectives import OBJECTIVES

    strategy = tf.distribute.MultiWorkerMirroredStrategy() if num_workers > 1 else None
    with strategy.scope() if strategy else contextlib.nullcontext():
        return FoldTraining(
            build_initial_model(spec, data),
            fold_features(spec, data),
            OBJECTIVES[spec.task](data.targets, spec.settings),
            *spec.rows(data),
            spec.settings,
            spec.seed,
            strategy,
            rank,
            num_workers,
            spec.accumulation,
        )


def fold_features(spec: FoldSpec, data: FoldData) -> FeatureRows:
    """The whole corpus as the fold's head reads it: the keywords it counts are the fold's own."""
    states = spec.hidden_states.open() if spec.hidden_states else None
    counts = None
    if spec.keywords is not None and data.held_words is not None:
        counts = data.held_words.count(spec.keywords, spec.model.num_keyword_classes)
    return FeatureRows(data.features, states, counts)


def build_initial_model(spec: FoldSpec, data: FoldData) -> Any:
    """The fold's model before its first step; the head alone where the encoder's output is at hand."""
    from raytrain.network.build import WORD_EMBEDDING, build_head, build_model
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
        )
    else:
        model = build_model(**vars(spec.model), seed=spec.seed)
        if spec.encoder_weights is not None:
            assign_variables(encoder_variables(model), ray.get(spec.encoder_weights), "the encoder")
    head = head_variables(model)
    if data.embedding is not None and WORD_EMBEDDING in head:
        head[WORD_EMBEDDING].assign(data.embedding)
    return model
