"""Which keys of the config two invocations of one run must have alike."""

from typing import Any

from raytrain.config.schema import Config
from raytrain.config.sections import CacheConfig, ClusterConfig, DataConfig

# What may change between two invocations of one run: where and how it is computed, and what is
# predicted or compared beside it, but never what the folds learn.
FREE_KEYS = (
    *(f"cache.{key}" for key in CacheConfig.model_fields),
    *(f"cluster.{key}" for key in ClusterConfig.model_fields if key != "workers_per_fold"),
    "baseline",
    "data.test",
    "ensemble.",
    "storage",
    "sweep.",
    "train.compile",
    "tracking.",
)
# Keys that older configs lack, whose default is what was done before there were any.
NEWER_KEYS = (
    "encoder.truncate",
    "encoder.windows",
    "model.pooling",
    "train.adversarial",
    "train.adversarial_size",
    "train.ema",
    "train.layer_decay",
    "train.mixup",
    "train.multi_sample_dropout",
    "train.pseudo_labels",
    "train.r_drop",
    "train.restarts",
)


def binding_keys(config: Config) -> dict[str, Any]:
    """The flat config without FREE_KEYS: what two invocations of one run must have alike."""
    bound = {key: value for key, value in config.flat().items() if not key.startswith(FREE_KEYS)}
    if config.train.pseudo_labels is not None:  # the texts to predict are learned from, then
        bound["data.test"] = config.data.test
    return bound


def decisive_keys(config: Config) -> dict[str, Any]:
    """The binding keys that decide what the folds learn; of keywords and tags only where there are any.

    Nor newer keys by default: what was trained before there were any is as good.
    """
    unread = ["name"]
    if config.task != "tag":
        unread += ["data.spans", "data.scheme", "data.strict", "train.crf_learning_rate"]
    if config.words.keywords is None:
        unread += ["words.keywords", "words.num_keywords"]
    default = Config(data=DataConfig(path="")).flat()
    unread += [key for key in NEWER_KEYS if config.flat()[key] == default[key]]
    return {key: value for key, value in binding_keys(config).items() if key not in unread}
