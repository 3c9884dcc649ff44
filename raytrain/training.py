"""Training of one model on one fold's rows: epochs, schedule, evaluation, resumable state."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from raytrain.batches import FeatureRows, plan_epoch
from raytrain.errors import RaytrainError
from raytrain.inference import predict_logits
from raytrain.metrics import is_better, proba_from_logits, score_proba
from raytrain.models import (
    assign_variables,
    head_variables,
    input_specs,
    learned_variables,
    read_variables,
)
from raytrain.optimizer import Adam
from raytrain.schedule import TrainSettings, rate_factor

keras = tf.keras

PLATEAU_FACTOR = 0.5  # an epoch without a better `monitor` halves the rates
PREFETCHED = 2  # batches laid out while a step runs
SYNC_SECONDS = 0.25  # a GPU is kept busy while nobody asks for the loss
ADVICE = "lower train.learning_rate or train.clip_norm"


StepCallback = Callable[[int, int, float], None]


class FoldTraining:
    """A model in training on one fold.

    Args:
        model: Of `models.build_model`.
        features: The whole corpus.
        labels: (num_rows,) label indices.
        train_rows: Rows to learn from.
        valid_rows: Rows to evaluate on.
        settings: Hyperparameters.
        seed: Of shuffles and dropout.
        strategy: A tf.distribute strategy where several workers share the fold.
        rank: This worker's number among `num_workers`.
        num_workers: How many workers share every batch.
    """

    def __init__(
        self,
        model: keras.Model,
        features: FeatureRows,
        labels: np.ndarray,
        train_rows: np.ndarray,
        valid_rows: np.ndarray,
        settings: TrainSettings,
        seed: int,
        strategy: tf.distribute.Strategy | None = None,
        rank: int = 0,
        num_workers: int = 1,
    ):
        self.model, self.features, self.labels = model, features, labels
        self.settings = settings
        self.strategy, self.rank, self.num_workers = strategy, rank, num_workers
        self._begin(train_rows, valid_rows, seed)
        self._optimizer = self._build_optimizer()
        # Nothing here is Python control flow on tensors, and reading every layer's source takes seconds.
        self._step = tf.function(self._distributed_step, input_signature=self._signature(), autograph=False)

    def _begin(self, train_rows: np.ndarray, valid_rows: np.ndarray, seed: int) -> None:
        self.train_rows, self.valid_rows, self.seed = train_rows, valid_rows, seed
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.valid_proba: np.ndarray | None = None
        self._plateau = 1.0
        self._stale_epochs = 0
        self._best: dict[str, np.ndarray] = {}
        self._best_proba: np.ndarray | None = None

    def restart(
        self, train_rows: np.ndarray, valid_rows: np.ndarray, seed: int, initial: keras.Model
    ) -> None:
        """Begins another fold with what is compiled already; the result is that of a new training.

        Args:
            train_rows: Rows to learn from.
            valid_rows: Rows to evaluate on.
            seed: Of shuffles and dropout.
            initial: A model of the same architecture, whose weights this one takes.
        """
        self._begin(train_rows, valid_rows, seed)
        assign_variables(
            learned_variables(self.model), read_variables(learned_variables(initial)), "the fold"
        )
        for moment in self._optimizer.state.values():
            moment.assign(tf.zeros_like(moment))

    def _build_optimizer(self) -> Adam:
        settings, head = self.settings, head_variables(self.model)
        learned = {name: v for name, v in learned_variables(self.model).items() if v.trainable}
        rates = {
            name: settings.learning_rate if name in head else settings.encoder_learning_rate
            for name in learned
        }
        return Adam(learned, rates, settings.weight_decay)

    def _signature(self):
        return [
            input_specs(self.model),
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((2,), tf.int32),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec((), tf.float32),
        ]

    def _distributed_step(self, *batch):
        if self.strategy is None:
            return self._train_step(*batch)
        total = self.strategy.run(self._train_step, args=batch)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, total, axis=None)

    def _train_step(self, inputs, labels, weights, seed, factor, step):
        """One update; `weights` already hold the division by the rows of the whole batch."""
        self.model.dropout_seed.begin_step(seed)
        with tf.GradientTape() as tape:
            losses = self._losses(labels, tf.cast(self.model(inputs, training=True), tf.float32))
            loss = tf.reduce_sum(losses * weights)
        variables = self._optimizer.variables
        # Dense: the norm of IndexedSlices would count a token's occurrences apart, not their sum.
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, list(variables.values()))]
        if self.strategy is not None:
            replica = tf.distribute.get_replica_context()
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        if self.settings.clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self.settings.clip_norm)
        self._optimizer.apply(dict(zip(variables, gradients, strict=True)), factor, step)
        return loss

    def _losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """(batch,) cross-entropies in nats, against targets smoothed towards the even spread."""
        smoothing = self.settings.label_smoothing
        if logits.shape[-1] == 1:
            targets = tf.cast(labels, tf.float32) * (1 - smoothing) + smoothing / 2
            return tf.nn.sigmoid_cross_entropy_with_logits(targets, logits[:, 0])
        targets = tf.one_hot(labels, logits.shape[-1]) * (1 - smoothing) + smoothing / logits.shape[-1]
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)

    @property
    def finished(self) -> bool:
        patience = self.settings.early_stopping
        stopped = patience is not None and self._stale_epochs >= patience
        return self.epoch >= self.settings.epochs or stopped

    def run_epoch(self, on_step: StepCallback | None = None) -> dict[str, float]:
        """Trains one epoch and evaluates.

        Args:
            on_step: Called some times a second with (steps done, steps in all, mean loss so far).

        Returns:
            Metrics of the epoch as plain floats.

        Raises:
            RaytrainError: The loss or the valid rows' logits are no longer finite.
        """
        settings = self.settings
        rng = np.random.default_rng([self.seed, self.epoch])
        plan = plan_epoch(self.train_rows, self.features.lengths, settings.batch_size, rng)
        total, synced = tf.constant(0.0), time.monotonic()
        with ThreadPoolExecutor(1) as prefetch:
            batches = [prefetch.submit(self._share, rows) for rows in plan[:PREFETCHED]]
            for number in range(len(plan)):
                batch = batches.pop(0).result()
                if number + PREFETCHED < len(plan):
                    batches.append(prefetch.submit(self._share, plan[number + PREFETCHED]))
                total += self._step(*batch, *self._schedule(self.epoch * len(plan) + number, len(plan)))
                if time.monotonic() - synced >= SYNC_SECONDS or number + 1 == len(plan):
                    self._check_loss(float(total), number + 1, len(plan), on_step)
                    synced = time.monotonic()
        self.epoch += 1
        metrics = {"epoch": self.epoch, "loss": float(total) / len(plan), **self.evaluate()}
        self.history.append(metrics)
        self._watch(metrics)
        return metrics

    def _share(self, rows: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """This worker's rows of a batch; a worker left without any takes one of weight 0."""
        own = rows[self.rank :: self.num_workers]
        weights = np.full(len(own), 1 / len(rows), np.float32)
        if not len(own):
            own, weights = rows[:1], np.zeros(1, np.float32)
        labels = self.labels[own].astype(np.int32)
        if self.settings.class_weight is not None:
            weights = weights * np.array(self.settings.class_weight, np.float32)[labels]
        return self.features.collate(own), labels, weights

    def _schedule(self, step: int, steps_per_epoch: int) -> tuple[np.ndarray, np.float32, np.float32]:
        """Dropout seed, factor of the rates and number of a step, counted over all epochs."""
        settings = self.settings
        num_steps = settings.epochs * steps_per_epoch
        factor = rate_factor(settings.schedule, step, num_steps, settings.warmup) * self._plateau
        seed = np.array([self.seed, step * self.num_workers + self.rank], np.int32)
        return seed, np.float32(factor), np.float32(step)

    def _check_loss(self, total: float, number: int, num_steps: int, on_step: StepCallback | None) -> None:
        if not np.isfinite(total):
            raise RaytrainError(
                f"the loss is not finite in epoch {self.epoch + 1}, by step {number}; {ADVICE}"
            )
        if on_step is not None:
            on_step(number, num_steps, total / number)

    def evaluate(self) -> dict[str, float]:
        """Scores the valid rows and keeps their probabilities in `valid_proba`."""
        logits = predict_logits(self.model, self.features, self.valid_rows)
        if not np.isfinite(logits).all():  # the last update of the epoch may have done it
            raise RaytrainError(f"the valid rows' logits are not finite in epoch {self.epoch}; {ADVICE}")
        self.valid_proba = proba_from_logits(logits)
        return score_proba(self.labels[self.valid_rows], self.valid_proba)

    def _watch(self, metrics: dict[str, float]) -> None:
        """Feeds the monitored metric to best-epoch selection, early stopping and the plateau rule."""
        name = self.settings.monitor
        better = is_better(name)
        if np.isnan(metrics[name]):  # not defined on these rows, which says nothing about the epoch
            return
        earlier = [epoch[name] for epoch in self.history[:-1] if not np.isnan(epoch[name])]
        if not earlier or all(better(metrics[name], value) for value in earlier):
            self._stale_epochs = 0
            if self.settings.select == "best":
                self._best, self._best_proba = self.weights(), self.valid_proba
        else:
            self._stale_epochs += 1
            if self.settings.schedule == "plateau":
                self._plateau *= PLATEAU_FACTOR

    def weights(self) -> dict[str, np.ndarray]:
        return read_variables(learned_variables(self.model))

    def selected(self) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, float]]:
        """Weights, valid probabilities and metrics of the selected epoch."""
        if self._best:
            proba = self._best_proba
            name = self.settings.monitor
            epochs = [e for e in self.history if not np.isnan(e[name])] or self.history
            sign = 1 if is_better(name)(1.0, 0.0) else -1
            return self._best, proba, max(epochs, key=lambda epoch: sign * epoch[name])
        if self.valid_proba is None:
            self.evaluate()
        return self.weights(), self.valid_proba, self.history[-1]

    def save(self, directory: str | Path) -> None:
        """Writes all that `load` needs to go on as if nothing had happened."""
        directory = Path(directory)
        arrays = {f"weight/{name}": value for name, value in self.weights().items()}
        arrays |= {
            f"optimizer/{name}": value for name, value in read_variables(self._optimizer.state).items()
        }
        arrays |= {f"best/{name}": value for name, value in self._best.items()}
        if self._best_proba is not None:
            arrays["best_proba"] = self._best_proba
        save_file(arrays, directory / "state.safetensors")
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "history": self.history,
            "plateau": self._plateau,
            "stale_epochs": self._stale_epochs,
        }
        (directory / "state.json").write_text(json.dumps(state), encoding="utf-8")

    def load(self, directory: str | Path) -> None:
        """Continues from what `save` wrote."""
        directory = Path(directory)
        arrays = load_file(directory / "state.safetensors")
        state = json.loads((directory / "state.json").read_text(encoding="utf-8"))

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {
                name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)
            }

        assign_variables(learned_variables(self.model), part("weight/"), str(directory))
        assign_variables(self._optimizer.state, part("optimizer/"), str(directory))
        self._best, self._best_proba = part("best/"), arrays.get("best_proba")
        self.epoch, self.history = state["epoch"], state["history"]
        self._plateau, self._stale_epochs = state["plateau"], state["stale_epochs"]
