"""The moving average of what a model learns: a fold is judged by it, while training goes on beside."""

import contextlib
from collections.abc import Iterator, Mapping

import tensorflow as tf


class WeightAverage:
    """An exponential moving average of variables (Polyak & Juditsky 1992).

    It begins as the variables are, and forgets that beginning quickly: after n updates the decay is
    (1 + n) / (10 + n) at most, as in TensorFlow's ExponentialMovingAverage.

    Args:
        variables: What is averaged, by name.
        decay: Share of the average that stays at an update, in [0, 1).

    Attributes:
        state: The averages, by name.
    """

    def __init__(self, variables: Mapping[str, tf.Variable], decay: float):
        self._variables, self._decay = dict(variables), decay
        self.state = {
            name: tf.Variable(variable, trainable=False, name="average")
            for name, variable in self._variables.items()
        }

    def begin(self) -> None:
        """Takes the variables as they are."""
        for name, variable in self._variables.items():
            self.state[name].assign(variable)

    def update(self, number: tf.Tensor) -> None:
        """Takes the variables in; `number` is a scalar float, 0 at the first update."""
        taken = 1 - tf.minimum(self._decay, (1 + number) / (10 + number))
        for name, average in self.state.items():
            away = tf.convert_to_tensor(average) - tf.convert_to_tensor(self._variables[name])
            # As the optimizer does: in a strategy's scope a variable's own methods would ask other workers.
            tf.raw_ops.AssignSubVariableOp(resource=average.handle, value=taken * away)

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Puts the averages in the variables' place while the block runs."""
        kept = {name: variable.numpy() for name, variable in self._variables.items()}
        for name, variable in self._variables.items():
            variable.assign(self.state[name])
        try:
            yield
        finally:
            for name, variable in self._variables.items():
                variable.assign(kept[name])
