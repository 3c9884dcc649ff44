"""Which keys of the config two invocations of one run must have alike."""

from collections.abc import Sequence
from typing import Any

from raytrain.config.data import DataConfig
from raytrain.config.pretraining import PretrainCluster
from raytrain.config.schema import Config
from raytrain.config.sections import CacheConfig, ClusterConfig, WholeConfig

# What may change between two invocations of one run: where and how it is computed, and what is
# predicted or compared beside it, but never what the folds learn.
FREE_KEYS = (
    *(f"cache.{key}" for key in CacheConfig.model_fields),
    *(f"cluster.{key}" for key in ClusterConfig.model_fields if key != "workers_per_fold"),
    "baseline",
    "data.test",
    "distill.",
    "ensemble.",
    "folds.compare",
    "report",
    "storage",
    "sweep.",
    "train.compile",
    "tracking.",
)
# Keys that older configs lack, whose default is what was done before there were any.
NEWER_KEYS = (
    "data.columns",
    "data.encoding",
    "data.labels",
    "data.merge_labels",
    "data.quoting",
    "encoder.adapt",
    "encoder.adapt_epochs",
    "encoder.truncate",
    "encoder.windows",
    "folds.time",
    "model.pooling",
    "train.adversarial",
    "train.adversarial_size",
    "train.ema",
    "train.encoder_dropout",
    "train.layer_decay",
    "train.mixup",
    "train.multi_sample_dropout",
    "train.pseudo_labels",
    "train.r_drop",
    "train.restarts",
)
# Keys that older configs lack, whose default is another than what was done before there were any.
FORMER_VALUES: dict[str, Any] = {"folds.duplicates": "keep"}
# FREE_KEYS of a pre-training.
PRETRAIN_FREE_KEYS = (
    *(f"cluster.{key}" for key in PretrainCluster.model_fields if key != "workers"),
    "storage",
    "train.checkpoint_every",
    "train.compile",
)


def binding_keys(config: WholeConfig, free: Sequence[str] = FREE_KEYS) -> dict[str, Any]:
    """The flat config without the free keys: what two invocations of one run must have alike."""
    return {key: value for key, value in config.flat().items() if not key.startswith(tuple(free))}


def decisive_keys(config: Config) -> dict[str, Any]:
    """The binding keys that decide what the folds learn; of keywords and tags only where there are any.

    Nor newer keys by default, for what was trained before there were any is as good, nor former values.
    """
    unread = ["name"]
    if config.task != "tag":
        unread += ["data.spans", "data.scheme", "data.strict", "train.crf_learning_rate"]
    if config.words.keywords is None:
        unread += ["words.keywords", "words.num_keywords"]
    default = Config(data=DataConfig(path="")).flat()
    former = {key: default[key] for key in NEWER_KEYS} | FORMER_VALUES
    unread += [key for key, value in former.items() if config.flat()[key] == value]
    return {key: value for key, value in binding_keys(config).items() if key not in unread}
