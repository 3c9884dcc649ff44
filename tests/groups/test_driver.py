import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from tiny_run import silent_stages

from raytrain.errors import CorpusError
from raytrain.groups.driver import group_texts
from raytrain.groups.settings import GroupSettings

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
