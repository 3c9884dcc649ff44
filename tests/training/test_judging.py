import raytrain  # noqa: F401, I001 (sets the Keras variables before TensorFlow is imported)

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from raytrain.errors import RaytrainError
from raytrain.training.averaging import WeightAverage
from raytrain.training.judging import PREDICTED, Judge

ROWS = np.array([4, 7])


class Objective:
    """Says of each row what the model's only weight is, and scores the first."""

    def __init__(self):
        self.batch_sizes = []

    def predict(self, model, features, rows, batch_size):
        self.batch_sizes.append(batch_size)
        return np.full((len(rows), 2), model.weight.numpy())

    def score(self, model, rows, predicted):
        return {"said": float(predicted[0, 0]), "rows": float(rows.sum())}


@pytest.fixture
def judge(monkeypatch):
    """Makes a judge of a model of one weight."""
    monkeypatch.setattr("raytrain.training.judging.learned_variables", lambda model: {"weight": model.weight})

    def make(weight=1.0, average=None, states_are_finite=True, accumulation=1):
        model = SimpleNamespace(weight=tf.Variable(weight), output_shape=(None, 3))
        if average is not None:
            value, average = average, WeightAverage({"weight": model.weight}, 0.5)
            average.state["weight"].assign(value)
        features = SimpleNamespace(has_finite_states=lambda: states_are_finite)
        return Judge(model, features, Objective(), average, accumulation)

    return make


def test_rows_are_predicted_and_scored(judge):
    predicted, metrics = judge(0.5).evaluate(ROWS, 1)
    assert predicted.tolist() == [[0.5, 0.5]] * 2
    assert metrics == {"said": 0.5, "rows": 11.0}


def test_where_there_is_an_average_it_is_judged_and_kept_and_training_goes_on_beside_it(judge):
    own = judge(1.0, average=3.0)
    assert own.evaluate(ROWS, 1)[1]["said"] == 3.0
    assert own.weights() == {"weight": 3.0}
    with own.averaged():
        assert own._model.weight.numpy() == 3.0
    assert own._model.weight.numpy() == 1.0


def test_without_rows_there_are_no_metrics_but_the_weights_are_looked_at(judge):
    predicted, metrics = judge().evaluate(ROWS[:0], 1)
    assert predicted.shape == (0, 3) and metrics == {}
    with pytest.raises(RaytrainError, match=r"weights are not finite in epoch 2; lower train\.learning_rate"):
        judge(np.nan).evaluate(ROWS[:0], 2)


@pytest.mark.parametrize(
    ("states_are_finite", "advice"), [(True, r"lower train\.learning_rate"), (False, "hidden states")]
)
def test_what_is_not_finite_is_an_error_with_what_to_do(judge, states_are_finite, advice):
    own = judge(np.inf, states_are_finite=states_are_finite)
    with pytest.raises(RaytrainError, match=rf"logits are not finite in epoch 3; .*{advice}"):
        own.evaluate(ROWS, 3)
    with pytest.raises(RaytrainError, match=rf"loss is not finite in epoch 3, by step 5; .*{advice}"):
        own.check_loss(float("nan"), 2, 5)
    own.check_loss(1.0, 2, 5)


def test_where_memory_is_short_fewer_rows_are_predicted_at_once(judge):
    sizes = [judge(accumulation=count).batch_size for count in (1, 4, 1000)]
    assert sizes == [PREDICTED, PREDICTED // 4, 1]
    own = judge(accumulation=4)
    own.evaluate(ROWS, 1)
    assert own._objective.batch_sizes == [own.batch_size]
