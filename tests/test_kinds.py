"""Which kind of encoder a config describes, and how large it is."""

import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

import pytest
from encoder_kinds import OF_KIND
from hypothesis import given
from hypothesis import strategies as st

from raytrain.kinds import (
    KINDS,
    embedding_width,
    encoder_parameters,
    find_kind,
    most_positions,
    num_tasks,
)
from raytrain.network.build import build_model
from raytrain.network.weights import encoder_variables


@pytest.mark.parametrize("kind", KINDS)
def test_a_config_is_of_the_kind_that_it_says(kind):
    assert find_kind(KINDS[kind].said) == find_kind(OF_KIND[kind] | KINDS[kind].said) == kind


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({}, "bert"),
        ({"embedding_size": 128}, "albert"),
        ({"use_relative_position": True, "max_relative_position": 64}, "nezha"),
        ({"model_type": "bert", "embedding_size": 128, "directionality": "bidi"}, "bert"),
        ({"model_type": "roformer", "norm_type": "layer_norm"}, "roformer"),
        ({"model_type": "roformer_v2"}, "roformer_v2"),
        ({"model_type": ["bert"]}, "bert"),
    ],
)
def test_releases_say_it_in_several_ways(config, kind):
    assert find_kind(config) == kind


@given(st.dictionaries(st.sampled_from(["model_type", "norm_type", "embedding_size"]), st.none() | st.text()))
def test_every_config_has_a_kind(config):
    assert find_kind(config) in KINDS


def test_an_embedding_is_narrow_only_where_its_kind_may_have_one():
    config = {"hidden_size": 8, "embedding_size": 6}
    narrow = [kind for kind in KINDS if embedding_width(kind, config) == 6]
    assert narrow == ["albert", "electra", "roformer"]
    assert embedding_width("roformer", {"hidden_size": 8, "embedding_size": None}) == 8


def test_positions_that_are_not_learned_have_no_bound_but_the_configs_own():
    unbounded = [kind for kind in KINDS if most_positions(kind, {}) is None]
    assert unbounded == ["nezha", "roformer", "roformer_v2"]
    assert most_positions("bert", {}) == 512
    assert {most_positions(kind, {"max_position_embeddings": 40}) for kind in KINDS} == {40}


def test_tasks_are_ernies_where_it_uses_them():
    assert num_tasks("ernie", {"use_task_id": True}) == 3  # transformers' default
    assert num_tasks("ernie", {"use_task_id": True, "task_type_vocab_size": 16}) == 16
    assert num_tasks("ernie", {"task_type_vocab_size": 16}) == num_tasks("bert", {"use_task_id": True}) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_built_encoder(encoder_config, kind):
    config = encoder_config(kind)
    model = build_model("finetune", kind, config, 2, (2, 1), True, 0.1, seed=0)
    assert encoder_parameters(kind, config) == sum(
        int(variable.shape.num_elements()) for variable in encoder_variables(model).values()
    )
