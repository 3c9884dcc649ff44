"""One run, ready to train: what all folds share, and what each is told."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from raytrain.config import Config
from raytrain.corpus import Corpus
from raytrain.fold_result import FoldSpec, fold_name
from raytrain.hidden_states import EncoderSource
from raytrain.inputs import SharedInputs, learning_rates, trains_encoder
from raytrain.run_directory import identify
from raytrain.storage import Directory


@dataclass(frozen=True)
class Plan:
    """One run, ready to train.

    Attributes:
        run: Its directory.
        folds: (repeats, num_rows) the fold in which each row is valid.
        class_weight: Weight per label index, or None.
        hashes: Config key to hash of its input file.
        encoder_weights: ObjectRef of the encoder's arrays by name, or None where each fold draws its own.
        encoder_digest: Hash of these arrays.
    """

    run: Directory
    config: Config
    corpus: Corpus
    folds: np.ndarray
    inputs: SharedInputs
    class_weight: tuple[float, ...] | None
    hashes: dict[str, str]
    encoder_weights: ray.ObjectRef | None
    encoder_digest: str

    @property
    def labels(self) -> np.ndarray:
        return self.corpus.table["label"].to_numpy()

    @property
    def pretrained(self) -> bool:
        return self.inputs.encoder.weights is not None

    @property
    def encoder_source(self) -> EncoderSource | None:
        """The frozen encoder, where its weights are shared."""
        encoder, precision = self.inputs.encoder, self.config.train.precision
        if self.encoder_weights is None:
            return None
        return EncoderSource(
            encoder.kind, encoder.config, self.encoder_weights, self.encoder_digest, precision
        )


def build_specs(plan: Plan) -> list[FoldSpec]:
    """One spec per architecture, repeat and fold, in this order."""
    inputs, num_folds = plan.inputs, plan.config.folds.num_folds
    data = ray.put(
        {
            "features": inputs.features,
            "labels": plan.labels,
            "ids": plan.corpus.table["id"].combine_chunks(),
            "embedding": inputs.embedding,
        }
    )
    identity = identify(plan.config, plan.hashes)
    specs = []
    for architecture in plan.config.model.architectures:
        settings, model = _settings(plan, architecture), _model_arguments(plan, architecture)
        shares_weights = plan.pretrained or not model["train_encoder"]
        for repeat, assigned in enumerate(plan.folds):
            for fold in range(num_folds):
                name = f"{architecture}/{fold_name(repeat, fold)}"
                spec = FoldSpec(
                    name=name,
                    architecture=architecture,
                    fold=fold,
                    repeat=repeat,
                    seed=plan.config.seed + repeat * num_folds + fold,
                    location=f"{plan.run}/folds/{name}",
                    identity=identity,
                    settings=settings,
                    model=model,
                    data=data,
                    encoder_weights=plan.encoder_weights if shares_weights else None,
                    train_rows=np.flatnonzero(assigned != fold),
                    valid_rows=np.flatnonzero(assigned == fold),
                    precision=plan.config.train.precision,
                )
                specs.append(spec)
    return specs


def _settings(plan: Plan, architecture: str) -> dict[str, Any]:
    """Keyword arguments of training.TrainSettings."""
    rates = learning_rates(plan.config, architecture, plan.pretrained)
    settings = plan.config.train.model_dump(exclude={"dropout", "precision"})
    return settings | {
        "learning_rate": rates[0],
        "encoder_learning_rate": rates[1],
        "class_weight": plan.class_weight,
    }


def _model_arguments(plan: Plan, architecture: str) -> dict[str, Any]:
    """Keyword arguments of models.build_model, without the seed."""
    embedding = plan.inputs.embedding
    return {
        "architecture": architecture,
        "kind": plan.inputs.encoder.kind,
        "config": plan.inputs.encoder.config,
        "num_classes": len(plan.corpus.labels),
        "embedding": embedding.shape if embedding is not None else (2, 1),
        "train_encoder": trains_encoder(plan.config, architecture, plan.pretrained),
        "dropout": plan.config.train.dropout,
    }
