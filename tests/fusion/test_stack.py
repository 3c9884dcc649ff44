import numpy as np
import pytest

from raytrain.fusion.stack import Stack, fit_stack
from raytrain.scores.classes import log_loss

RNG = np.random.default_rng(3)


def members(labels, num_classes, noise):
    """Softmaxes of the truth and noise, one member a value of `noise`."""
    truth = 2 * np.eye(num_classes)[labels]
    logits = np.stack([truth + scale * RNG.normal(size=truth.shape) for scale in noise])
    proba = np.exp(logits)
    return proba / proba.sum(axis=2, keepdims=True)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_better_member_counts_more_and_together_they_are_better(num_classes):
    labels = np.arange(900) % num_classes
    voices = members(labels, num_classes, (1.0, 4.0))
    stack = fit_stack(voices, labels)
    assert stack.coef.shape == (num_classes, 2 * num_classes) and stack.intercept.shape == (num_classes,)
    own = np.abs(stack.coef).reshape(num_classes, 2, num_classes).sum(axis=(0, 2))
    assert own[0] > own[1]
    proba = stack.proba(voices)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert log_loss(labels, proba) < min(log_loss(labels, voice) for voice in voices)


def test_of_two_classes_it_is_the_sigmoid_of_the_log_odds():
    stack = Stack(np.array([[0, 0, 0, 0], [-1, 1, -0.5, 0.5]]), np.array([0, 0.25]))
    voices = np.array([[[0.2, 0.8]], [[0.6, 0.4]]])
    log_odds = np.log(4) + 0.5 * np.log(2 / 3) + 0.25
    np.testing.assert_allclose(stack.proba(voices)[0, 1], 1 / (1 + np.exp(-log_odds)))
