import pytest

from raytrain.config.keys import FORMER_VALUES, FREE_KEYS, NEWER_KEYS, binding_keys, decisive_keys
from raytrain.config.load import load_config
from raytrain.config.validate import config_keys

OF_TAGGERS = {"data.spans", "data.scheme", "data.strict", "train.crf_learning_rate"}
OF_KEYWORDS = {"words.keywords", "words.num_keywords"}
NEWER = set(NEWER_KEYS)


def load(*overrides):
    return load_config(None, ["data.path=a.csv", *overrides])


def test_binding_keys_leave_out_what_may_change():
    keys = binding_keys(load())
    assert {"seed", "name", "data.path", "train.epochs", "folds.group"} <= keys.keys()
    free_keys = ("cluster.address", "cluster.max_failures", "baseline", "data.test", "storage")
    for free in (*free_keys, "ensemble.drop_dead"):
        assert free in config_keys()
        assert free not in keys


def test_each_free_key_is_a_key():
    assert all(any(key.startswith(free) for key in config_keys()) for free in FREE_KEYS)


def test_no_key_is_free_only_because_another_begins_its_name():
    for key in config_keys():
        if key not in binding_keys(load()):
            assert key in FREE_KEYS or f"{key.split('.')[0]}." in FREE_KEYS


def test_how_many_workers_share_a_batch_binds_for_it_changes_what_is_learned():
    assert binding_keys(load("cluster.workers_per_fold=2"))["cluster.workers_per_fold"] == 2


def test_binding_keys_have_the_configs_values():
    config = load("train.epochs=7", "train.class_weight={a: 2.0}")
    assert binding_keys(config).items() <= config.flat().items()
    assert binding_keys(config)["train.epochs"] == 7


def test_a_name_binds_but_decides_nothing():
    one, other = load("name=a"), load("name=b")
    assert binding_keys(one) != binding_keys(other)
    assert decisive_keys(one) == decisive_keys(other)


@pytest.mark.parametrize(
    ("overrides", "unread"),
    [
        ([], OF_TAGGERS | OF_KEYWORDS | NEWER),
        (["words.keywords=auto"], OF_TAGGERS | NEWER),
        (["words.keywords=kept.csv", "words.num_keywords=7"], OF_TAGGERS | NEWER),
        (["task=tag"], OF_KEYWORDS | NEWER),
        (["task=tag", "train.restarts=1"], OF_KEYWORDS | NEWER - {"train.restarts"}),
        (["train.ema=0.9"], OF_TAGGERS | OF_KEYWORDS | NEWER - {"train.ema"}),
        (["encoder.truncate=tail"], OF_TAGGERS | OF_KEYWORDS | NEWER - {"encoder.truncate"}),
        (["encoder.windows=2"], OF_TAGGERS | OF_KEYWORDS | NEWER - {"encoder.windows"}),
        (["folds.duplicates=keep"], OF_TAGGERS | OF_KEYWORDS | NEWER | {"folds.duplicates"}),
        (["folds.duplicates=drop"], OF_TAGGERS | OF_KEYWORDS | NEWER),
    ],
)
def test_keys_that_a_run_does_not_read_decide_nothing(overrides, unread):
    config = load(*overrides)
    assert binding_keys(config).keys() - decisive_keys(config).keys() == unread | {"name"}


def test_former_values_are_others_than_the_defaults():
    assert not NEWER & FORMER_VALUES.keys()
    assert all(load().flat()[key] != value for key, value in FORMER_VALUES.items())
    load(*(f"{key}={value}" for key, value in FORMER_VALUES.items()))


NEWER_CHANGED = (
    "train.restarts=0",
    "train.r_drop=1",
    "train.adversarial=fgm",
    "model.pooling=mean",
    "train.encoder_dropout=0",
)


@pytest.mark.parametrize(
    "override", ["seed=1", "data.label=y", "train.epochs=9", "task=tag", "words.dim=8", *NEWER_CHANGED]
)
def test_what_the_folds_learn_from_is_decisive(override):
    assert decisive_keys(load(override)) != decisive_keys(load())
