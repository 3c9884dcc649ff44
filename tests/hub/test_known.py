import re

import pytest

from raytrain.hub.known import HUB, nearest_repository
from raytrain.pretrained.zoo import ZOO, find_entry, nearest_name


@pytest.mark.parametrize(
    ("name", "millions"),  # as the publishers' pages tell them, with the pooler (hidden², at most 1.1 M)
    [
        ("chinese-macbert-base", 102),
        ("chinese-macbert-large", 324),
        ("rbt3", 38),
        ("rbtl3", 61),
        ("chinese-electra-180g-small-discriminator", 12),
        ("chinese-electra-180g-base-discriminator", 102),
        ("chinese-lert-small", 15),
        ("chinese-lert-large", 325),
        ("ernie-3.0-base-zh", 118),
        ("ernie-3.0-medium-zh", 75),
        ("ernie-3.0-mini-zh", 27),
        ("ernie-3.0-micro-zh", 23),
        ("ernie-3.0-nano-zh", 18),
    ],
)
def test_parameters_are_those_that_are_published(name, millions):
    assert HUB[name].num_parameters / 1e6 == pytest.approx(millions, abs=1.3)


def test_a_base_has_one_layer_after_another():
    """BERT's, counted by hand: three embeddings and a norm, then layers of 7,087,872."""
    embeddings = (21128 + 512 + 2 + 2) * 768
    assert HUB["bert-base-chinese"].num_parameters == embeddings + 12 * 7_087_872
    assert HUB["rbt3"].num_parameters == embeddings + 3 * 7_087_872


@pytest.mark.parametrize("name", HUB)
def test_names_are_short_for_repositories_and_no_name_of_the_zoo(name):
    address = HUB[name].address
    assert str(address) == f"hf:{address.organisation}/{name}" and name not in ZOO
    assert find_entry(name) is HUB[name]
    if sizes := re.search(r"L-(\d+)_H-(\d+)", name):
        assert HUB[name].shape[:2] == tuple(map(int, sizes.groups()))


def test_what_was_likely_meant():
    assert nearest_name("chinese-roberta-wwm-ex") == "chinese-roberta-wwm-ext"
    assert nearest_repository("hfl/chinese-macbert-bas") == "hfl/chinese-macbert-base"
    assert nearest_repository("rbt3") == "hfl/rbt3"
    assert nearest_repository("x" * 30) is None
