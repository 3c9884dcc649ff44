"""What the config leaves open."""

import pytest

from raytrain.config.load import read_config
from raytrain.config.pretraining import PretrainConfig
from raytrain.pretrained.directory import read_encoder
from raytrain.pretrained.zoo import MINI
from raytrain.pretraining.settings import choose_settings


def choose(*overrides, pretrained=True, num_sequences=1000):
    config = read_config(PretrainConfig, None, ["data.path=posts.txt", *overrides])
    return choose_settings(config, read_encoder(str(MINI), pretrained, 128), num_sequences)


@pytest.mark.parametrize(
    ("overrides", "steps"),
    [
        ([], 94),
        (["train.epochs=0.5"], 16),
        (["train.epochs=0.001"], 1),
        (["train.steps=7", "train.epochs=100"], 7),
        (["train.batch_size=1000"], 3),
    ],
)
def test_steps_are_those_given_or_what_the_epochs_take(overrides, steps):
    assert choose(*overrides).steps == steps


def test_it_is_evaluated_ten_times_and_kept_as_often():
    settings = choose("train.steps=95")
    assert settings.evaluate_every == settings.checkpoint_every == 10
    settings = choose("train.steps=95", "train.evaluate_every=40", "train.checkpoint_every=7")
    assert (settings.evaluate_every, settings.checkpoint_every) == (40, 7)


def test_a_small_encoder_has_a_large_rate_and_an_untrained_one_a_larger():
    assert 2e-4 < choose().learning_rate < choose(pretrained=False).learning_rate <= 1e-3
    assert choose("train.learning_rate=0.01").learning_rate == 0.01


def test_a_training_step_has_one_rate_for_all():
    own = choose().of_step()
    assert own.learning_rate == own.encoder_learning_rate == choose().learning_rate
