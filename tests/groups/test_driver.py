import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score
from tiny_run import silent_stages

from raytrain.errors import ConfigError, CorpusError
from raytrain.groups.driver import group_texts
from raytrain.groups.settings import GroupSettings
from raytrain.vectors.whitening import Whitening

TOPICS = ("记者核实消息", "早餐好吃", "明天停水")
TEXTS = [f"{TOPICS[number % 3]}，第{number}条" for number in range(60)]
TRUTH = np.arange(60) % 3


def embed(texts):
    """Vectors that tell the first topic from the others, and no more."""
    rng = np.random.default_rng(len(texts))
    is_first = np.array([text.startswith(TOPICS[0]) for text in texts])
    return rng.normal(0, 0.1, (len(texts), 5)) + is_first[:, None] * 3


@pytest.mark.parametrize("whiten", [True, False])
def test_vectors_and_words_together_find_what_vectors_alone_do_not(whiten):
    settings = GroupSettings(num_groups=3, whiten=whiten)
    grouped = group_texts(TEXTS, embed, settings, silent_stages())
    assert adjusted_rand_score(TRUTH, grouped.found.groups) == 1
    assert {"停水", "记者", "早餐"} <= {word for group in grouped.groups for word in group.words}


def test_what_is_done_with_vectors_is_a_stage_of_its_own(monkeypatch):
    """Their covariance and its directions may take long: an ensemble gives a text thousands of numbers."""
    stages, told, during = silent_stages(), [], []
    tell, fit = stages.stage, Whitening.of

    def stage(what, *others):
        told.append(what)
        return tell(what, *others)

    def of(*given):
        during.append(told[-1])
        return fit(*given)

    monkeypatch.setattr(stages, "stage", stage)
    monkeypatch.setattr(Whitening, "of", of)
    group_texts(TEXTS, embed, GroupSettings(num_groups=3), stages)
    assert during == ["finding directions"]
    assert told == ["embedding", "finding directions", "cutting words", "grouping"]


def test_without_words_the_vectors_say_all():
    settings = GroupSettings(num_groups=2, words=False, whiten=False)
    grouped = group_texts(TEXTS, embed, settings, silent_stages())
    assert adjusted_rand_score(TRUTH == 0, grouped.found.groups) == 1
    assert grouped.vectors.shape[1] <= 5


@pytest.mark.parametrize("texts", [["一样"] * 5, ["一", "二"], ["一"], []])
def test_too_few_texts_that_differ_are_refused(texts):
    def same(texts):
        return np.array([[float(text == "一样"), len(text)] for text in texts])

    with pytest.raises(CorpusError, match="cannot be grouped"):
        group_texts(texts, same, GroupSettings(num_groups=3), silent_stages())


def test_the_directions_of_few_vectors_are_not_stretched_to_chance():
    """Of 40 texts in 64 directions all would else lie as far apart as all others."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(0, 0.3, (40, 64)) + np.repeat(np.eye(64)[:2] * 4, 20, axis=0)
    texts = [f"第{number}条" for number in range(40)]

    def embed(some):
        return vectors[[texts.index(text) for text in some]]

    grouped = group_texts(texts, embed, GroupSettings(num_groups=2, words=False), silent_stages())
    assert adjusted_rand_score(np.repeat([0, 1], 20), grouped.found.groups) == 1


def test_a_column_of_a_table_is_read_in_its_order():
    rows = pd.Series(TEXTS, index=np.random.default_rng(0).permutation(len(TEXTS)))
    settings = GroupSettings(num_groups=3)
    found = [group_texts(texts, embed, settings, silent_stages()) for texts in (rows, TEXTS)]
    assert [group.typical for group in found[0].groups] == [group.typical for group in found[1].groups]
    assert found[0].found.groups.tolist() == found[1].found.groups.tolist()


def test_settings_that_do_not_fit_each_other_are_refused():
    for told, wrong in {
        "found HDBSCAN": {"method": "HDBSCAN"},
        "num_groups: hdbscan finds": {"method": "hdbscan", "num_groups": 12},
        "least_size: of hdbscan alone": {"least_size": 5},
        "num_groups: expected 2 or more, found 1": {"num_groups": 1},
        "least_size: expected 2 or more, found 0": {"method": "hdbscan", "least_size": 0},
    }.items():
        with pytest.raises(ConfigError, match=told):
            GroupSettings(**wrong)
