"""What each fold of a run is told."""

import numpy as np
import ray

from raytrain.config.defaults import CRF_LEARNING_RATE, learning_rates, num_epochs, trains_encoder
from raytrain.crossval.directory import identify
from raytrain.crossval.plan import Plan
from raytrain.folds.spec import FoldSpec, ModelSettings, fold_name
from raytrain.tasks import reads_encoder
from raytrain.training.settings import TrainSettings


def build_specs(plan: Plan, data: ray.ObjectRef) -> list[FoldSpec]:
    """One spec per architecture, repeat and fold, in this order; `data` holds `plan.fold_data()`."""
    num_folds, keywords = plan.config.folds.num_folds, _choose_keywords(plan)
    identity = identify(plan.config, plan.hashes)
    specs = []
    for architecture in plan.config.model.architectures:
        settings, model = _train_settings(plan, architecture), _model_settings(plan, architecture)
        is_network = reads_encoder(architecture)
        shares_weights = is_network and (plan.pretrained or not model.train_encoder)
        for repeat in range(len(plan.folds.valid)):
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
                    precision=plan.config.train.precision,
                    task=plan.config.task,
                    keywords=keywords.get((repeat, fold)) if is_network else None,
                )
                specs.append(spec)
    return specs


def _choose_keywords(plan: Plan) -> dict[tuple[int, int], np.ndarray]:
    """The keywords of each (repeat, fold), of which its valid rows know nothing; {} where there are none."""
    keywords, num_classes = plan.shared.keywords, len(plan.corpus.labels)
    if keywords is None:
        return {}
    return {
        (repeat, fold): keywords.choose(
            np.flatnonzero(plan.folds.is_train(repeat, fold)), plan.targets, num_classes
        )
        for repeat in range(len(plan.folds.valid))
        for fold in range(plan.config.folds.num_folds)
    }


def _train_settings(plan: Plan, architecture: str) -> TrainSettings:
    """Hyperparameters of an architecture's folds, defaults filled in."""
    rates = learning_rates(plan.config, architecture, plan.start)
    told = plan.config.train.of(architecture)
    settings = {key: told[key] for key in told.keys() & TrainSettings.__dataclass_fields__} | {
        "epochs": num_epochs(plan.config, architecture, plan.pretrained, plan.num_train_rows),
        "learning_rate": rates[0],
        "encoder_learning_rate": rates[1],
        "crf_learning_rate": told["crf_learning_rate"] or CRF_LEARNING_RATE,
        "class_weight": plan.class_weight,
    }
    return TrainSettings(**settings)


def _dropouts(rate: float | None) -> dict[str, float]:
    """What of an encoder's config a run says otherwise than its checkpoint."""
    return {} if rate is None else {"hidden_dropout_prob": rate, "attention_probs_dropout_prob": rate}


def _model_settings(plan: Plan, architecture: str) -> ModelSettings:
    """What the models of an architecture's folds are built from."""
    encoder, embedding, num_labels = plan.shared.encoder, plan.shared.embedding, len(plan.corpus.labels)
    train = plan.config.train.of(architecture)
    counts_keywords = plan.shared.keywords is not None and reads_encoder(architecture)
    return ModelSettings(
        architecture=architecture,
        kind=encoder.kind,
        config=encoder.config | _dropouts(train["encoder_dropout"]),
        num_labels=num_labels,
        embedding=(embedding.shape[0], embedding.shape[1]) if embedding is not None else (2, 1),
        train_encoder=trains_encoder(plan.config, architecture, plan.pretrained),
        dropout=train["dropout"],
        num_keyword_classes=num_labels if counts_keywords else 0,
        pooling=plan.config.model.pooling if architecture == "finetune" else "first",
        multi_sample_dropout=train["multi_sample_dropout"],
    )
