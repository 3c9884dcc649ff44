"""The loss of a batch and its gradients: of one forward pass, or of what adversarial training, R-Drop, mixup
and several samples of dropout make of it."""

from collections.abc import Mapping

import tensorflow as tf

from raytrain.network.taps import Tap, disturbed_tap, mixing_tap
from raytrain.network.transformer import compiled_layers
from raytrain.training.disturbance import Attack, Mixture
from raytrain.training.objectives import Objective
from raytrain.training.settings import TrainSettings

keras = tf.keras

Inputs = Mapping[str, tf.Tensor]


class Gradients:
    """How a model's loss over some rows, and its gradients, are found.

    Args:
        model: Of `network.build.build_model` or `build_head`.
        objective: What it learns.
        settings: Hyperparameters.
        variables: What is to be learned, by name.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        settings: TrainSettings,
        variables: Mapping[str, tf.Variable],
    ):
        self._model, self._objective, self._settings = model, objective, settings
        self._variables = dict(variables)
        self._disturbed: Tap | None = disturbed_tap(model) if settings.adversarial else None
        self._mixed: Tap | None = mixing_tap(model) if settings.mixup else None
        self._passes = 2 if settings.r_drop else 1
        self._copies = self._passes * settings.multi_sample_dropout

    def __call__(
        self, inputs: Inputs, targets: tf.Tensor, weights: tf.Tensor, seed: tf.Tensor, compiles: bool
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Differentiates the loss of some rows.

        Args:
            inputs: Of the model.
            targets: Of the rows.
            weights: (rows,) of their losses.
            seed: (2,) int32, of all that is drawn.
            compiles: Whether XLA compiles the encoder's layers.

        Returns:
            The rows' weighted loss, undisturbed, and the gradients by name, dense.
        """
        if self._passes > 1:
            inputs = {name: tf.concat([values] * self._passes, axis=0) for name, values in inputs.items()}
        batch = inputs, targets, weights, seed
        with compiled_layers(compiles):
            if self._disturbed is None:
                return self._differentiate(*batch)
            return self._differentiate_attacked(self._disturbed, *batch)

    def _differentiate(self, *batch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        with tf.GradientTape() as tape:
            loss, total = self._losses(*batch)
        return loss, self._dense(tape.gradient(total, list(self._variables.values())))

    def _differentiate_attacked(self, tap: Tap, *batch) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """The mean of the gradients of the rows as they are and as an attack makes them.

        The attack and what it is learned from see the same dropout.
        """
        settings, sources = self._settings, list(self._variables.values())
        attack = Attack(settings.adversarial, settings.adversarial_size, batch[0]["token_ids"] != 0)
        with tap.changing(attack):
            with tf.GradientTape() as attack.tape:
                loss, total = self._losses(*batch)
            *own, slope = attack.tape.gradient(total, [*sources, attack.disturbance])
            for _ in range(attack.num_steps - 1):
                attack.climb(slope)
                with tf.GradientTape() as attack.tape:
                    _, total = self._losses(*batch)
                slope = attack.tape.gradient(total, attack.disturbance)
            attack.climb(slope)
            with tf.GradientTape() as attack.tape:
                _, total = self._losses(*batch)
            attacked = self._dense(attack.tape.gradient(total, sources))
        return loss, {name: (value + attacked[name]) / 2 for name, value in self._dense(own).items()}

    def _dense(self, gradients: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        """By name. The norm of IndexedSlices would count a token's occurrences apart, not their sum."""
        named = zip(self._variables, gradients, strict=True)
        return {name: tf.convert_to_tensor(gradient) for name, gradient in named}

    def _losses(self, inputs, targets, weights, seed) -> tuple[tf.Tensor, tf.Tensor]:
        """The weighted loss, and what is made as small as can be: with R-Drop's divergence on top."""
        self._model.dropout_seed.begin_step(seed)
        if self._mixed is None:
            outputs = tf.cast(self._model(inputs, training=True), tf.float32)
            loss = self._weighted(self._of_copies(inputs, outputs, targets), weights)
        else:
            mixture = Mixture(self._settings.mixup, weights, seed)
            with self._mixed.changing(mixture):
                outputs = tf.cast(self._model(inputs, training=True), tf.float32)
            own, other = (
                self._of_copies(inputs, outputs, values)
                for values in (targets, tf.gather(targets, mixture.partners))
            )
            loss = self._weighted(own, weights * mixture.shares)
            loss += self._weighted(other, tf.gather(weights, mixture.partners) * (1 - mixture.shares))
        if not self._settings.r_drop:
            return loss, loss
        apart = divergences(*tf.unstack(self._by_pass(outputs), axis=1))
        return loss, loss + self._settings.r_drop * self._weighted(tf.reduce_mean(apart, axis=0), weights)

    def _of_copies(self, inputs, outputs, targets) -> tf.Tensor:
        """(rows,) losses, each the mean over a row's copies."""
        if self._copies == 1:
            return self._objective.losses(self._model, inputs, outputs, targets)
        repeated = tf.concat([targets] * self._copies, axis=0)
        losses = self._objective.losses(self._model, inputs, outputs, repeated)
        return tf.reduce_mean(tf.reshape(losses, [self._copies, -1]), axis=0)

    def _by_pass(self, outputs: tf.Tensor) -> tf.Tensor:
        """(samples, passes, rows, units) of (samples × passes × rows, units)."""
        shape = [self._settings.multi_sample_dropout, self._passes, -1, outputs.shape[-1]]
        return tf.reshape(outputs, shape)

    @staticmethod
    def _weighted(losses: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(losses * weights)


def divergences(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The mean of both Kullback-Leibler divergences between what two logits say (R-Drop: Liang et al. 2021).

    Args:
        one: (…, units) logits; a single unit is the first class's against the second's.
        other: The same shape.

    Returns:
        (…,) in nats.
    """
    first, second = _log_proba(one), _log_proba(other)
    return tf.reduce_sum((tf.exp(first) - tf.exp(second)) * (first - second), axis=-1) / 2


def _log_proba(logits: tf.Tensor) -> tf.Tensor:
    if logits.shape[-1] == 1:
        return tf.concat([tf.math.log_sigmoid(-logits), tf.math.log_sigmoid(logits)], axis=-1)
    return tf.nn.log_softmax(logits)
