"""Training of one model on one fold's rows: epochs, schedule, evaluation, resumable state."""

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.errors import RaytrainError
from raytrain.network.weights import assign_variables, learned_variables, read_variables
from raytrain.scores.guess import ConstantGuess
from raytrain.text.batches import FeatureRows, plan_epoch
from raytrain.training.batches import Batches, Piece
from raytrain.training.objectives import Objective
from raytrain.training.rounds import NO_ROWS, Pseudo, Rounds, read_rounds
from raytrain.training.selection import Selection
from raytrain.training.settings import TrainSettings, rate_factor
from raytrain.training.state import read_state, write_state
from raytrain.training.step import TrainStep

keras = tf.keras

PREFETCHED = 2  # batches laid out while a step runs
SYNC_SECONDS = 0.25  # a GPU is kept busy while nobody asks for the loss
PREDICTED = 64  # valid rows of a forward pass
ADVICE = "lower train.learning_rate or train.clip_norm"
STATES_ADVICE = (
    "the frozen encoder's hidden states in the cache hold NaN or infinity: their file is damaged; delete the "
    "folder hidden_states of the cache, or cache.directory where that is set, to compute them again"
)


StepCallback = Callable[[int, int, float], None]
Pause = Callable[[], bool]
Agree = Callable[[float], float]


class FoldTraining:
    """A model in training on one fold.

    Args:
        model: Of `network.build.build_model`.
        features: The whole corpus.
        objective: What is to be learned of its rows.
        train_rows: Rows to learn from.
        valid_rows: Rows to evaluate on; without any, epochs have no scores but their loss, by which alone it
            is judged whether anything is learned.
        settings: Hyperparameters.
        seed: Of shuffles and dropout.
        strategy: A tf.distribute strategy where several workers share the fold.
        rank: This worker's number among `num_workers`.
        num_workers: How many workers share every batch.
        accumulation: Into how many pieces a worker cuts its batch, where memory is short.
        unlabelled_rows: Rows without a label. Where `settings.pseudo_labels` says so, those of which the
            model is sure once it is trained are learned in a second round, from the beginning.

    Attributes:
        restarts: How often it was begun again with another seed, because it learned nothing.
        guess: What its loss is held against to know that.
        rounds: In which round it is, and what that learns.
    """

    def __init__(
        self,
        model: keras.Model,
        features: FeatureRows,
        objective: Objective,
        train_rows: np.ndarray,
        valid_rows: np.ndarray,
        settings: TrainSettings,
        seed: int,
        strategy: tf.distribute.Strategy | None = None,
        rank: int = 0,
        num_workers: int = 1,
        accumulation: int = 1,
        unlabelled_rows: np.ndarray = NO_ROWS,
    ):
        self.model, self.features, self.objective = model, features, objective
        self.settings = settings
        self.accumulation = accumulation
        self.rounds = Rounds(objective, unlabelled_rows, settings.pseudo_labels)
        self._begin(train_rows, valid_rows, seed)
        self._update = TrainStep(model, objective, settings, strategy, accumulation)
        self._average, self._optimizer = self._update.average, self._update.optimizer
        self._batches = Batches(features.lengths, objective, settings, rank, num_workers, accumulation)

    def _begin(
        self,
        train_rows: np.ndarray,
        valid_rows: np.ndarray,
        seed: int,
        restarts: int = 0,
        pseudo: Pseudo | None = None,
    ) -> None:
        self.valid_rows, self.seed, self.restarts = valid_rows, seed, restarts
        self._labelled_rows = train_rows
        self.train_rows = np.concatenate([train_rows, self.rounds.begin(pseudo)])
        loss = self.objective.constant_loss(self.model, self.features, self.train_rows)
        num_steps, may_restart = self._num_steps(), restarts < self.settings.restarts
        self.guess = ConstantGuess(loss, self.settings.epochs, num_steps, may_restart)
        self.epoch, self.step = 0, 0
        self._loss = 0.0
        self.history: list[dict[str, float]] = []
        self.predicted: np.ndarray | None = None
        self._selection = Selection(self.settings)

    def restart(
        self,
        train_rows: np.ndarray,
        valid_rows: np.ndarray,
        seed: int,
        initial: keras.Model,
        restarts: int = 0,
        pseudo: Pseudo | None = None,
    ) -> None:
        """Begins another fold, or this one again, with what is compiled; the result is a new training's.

        Args:
            train_rows: Rows to learn from.
            valid_rows: Rows to evaluate on.
            seed: Of shuffles and dropout.
            initial: A model of the same architecture, whose weights this one takes.
            restarts: How often this fold was begun again, now included.
            pseudo: Of its second round: texts, and the label of each.
        """
        self._begin(train_rows, valid_rows, seed, restarts, pseudo)
        assign_variables(
            learned_variables(self.model), read_variables(learned_variables(initial)), "the fold"
        )
        for moment in self._optimizer.state.values():
            moment.assign(tf.zeros_like(moment))
        if self._average is not None:
            self._average.begin()

    @property
    def refusal(self) -> str | None:
        """Why XLA compiles nothing although it might have, or None."""
        return self._update.refusal

    @property
    def passes(self) -> float:
        """Over the training rows so far, the share of the current one among them."""
        return self.epoch + self.step / self._num_steps()

    @property
    def finished(self) -> bool:
        return self._has_ended and not self.has_another_round

    @property
    def _has_ended(self) -> bool:
        return self.epoch >= self.settings.epochs or self._selection.stops

    @property
    def has_another_round(self) -> bool:
        """Whether `begin_round` comes next."""
        return self._has_ended and not self.rounds.is_last and not self.guess.dead

    @property
    def num_pseudo_labels(self) -> int:
        """How many texts are learned that had no label."""
        return len(self.rounds.pseudo[0])

    def begin_round(self, initial: keras.Model) -> int:
        """Labels what has no label and of which the model is sure, and begins again with that, too.

        Args:
            initial: As in `restart`.

        Returns:
            How many texts are learned from now on that had no label. With none the fold is finished.
        """
        with self._judged():
            if self._selection.weights:
                assign_variables(learned_variables(self.model), self._selection.weights, "the best epoch")
            pseudo = self.rounds.label(self.model, self.features, self._predicted_rows)
        if len(pseudo[0]):
            rows = self._labelled_rows, self.valid_rows
            self.restart(*rows, self.seed, initial, self.restarts, pseudo)
        else:
            self.rounds.begin(pseudo)
        return len(pseudo[0])

    def run_epoch(
        self, on_step: StepCallback | None = None, pause: Pause | None = None, agree: Agree = float
    ) -> dict[str, float] | None:
        """Trains one epoch, or what is left of it, and evaluates.

        Args:
            on_step: Called some times a second with (steps done, steps in all, mean loss so far).
            pause: Asked before every step whether to return.
            agree: Makes of each worker's number the one by which all of them judge the loss.

        Returns:
            Metrics of the epoch as plain floats; None where `pause` said so, or where `guess.begins_again`
            asks for a restart: the next call goes on.

        Raises:
            RaytrainError: The loss or the valid rows' logits (without any, the weights) are not finite.
        """
        rng = np.random.default_rng([self.seed, self.epoch])
        plan = plan_epoch(self.train_rows, self.features.lengths, self.settings.batch_size, rng)
        if not self._run_steps(plan, on_step, pause, agree):
            return None
        loss = self._loss / len(plan)
        self.guess.end_epoch(len(plan), self._loss)
        self.epoch, self.step, self._loss = self.epoch + 1, 0, 0.0
        return self._end_epoch(self.epoch, loss)

    def _run_steps(
        self, plan: list[np.ndarray], on_step: StepCallback | None, pause: Pause | None, agree: Agree
    ) -> bool:
        """Trains on the batches of an epoch that are left. Returns whether it has come to their end."""
        total, synced = tf.constant(self._loss), time.monotonic()
        with ThreadPoolExecutor(1) as prefetch:
            ahead = plan[self.step : self.step + PREFETCHED]
            batches = [prefetch.submit(self._lay, rows) for rows in ahead]
            while self.step < len(plan):
                if pause is not None and pause():
                    break
                pieces = batches.pop(0).result()
                if self.step + PREFETCHED < len(plan):
                    batches.append(prefetch.submit(self._lay, plan[self.step + PREFETCHED]))
                number = self.epoch * len(plan) + self.step
                total += self._update(pieces, *self._schedule(number, len(plan), len(pieces)))
                self.step += 1
                if time.monotonic() - synced >= SYNC_SECONDS or self.step == len(plan):
                    self._check_loss(float(total), self.step, len(plan), on_step)
                    synced = time.monotonic()
                if self._learns_nothing(total, agree):
                    break
            else:
                self._loss = float(total)
                return True
        self._loss = float(total)
        return False

    def _learns_nothing(self, total: tf.Tensor, agree: Agree) -> bool:
        """Judges the fold where it is time to.

        By its losses first; where these have not fallen, by the valid rows: of an epoch's losses the early
        ones are those of a model that knew nothing yet, and dropout makes all of them larger.
        """
        if self.epoch or not self.guess.ends(self.step, total, agree):
            return False
        if agree(float(self._has_learned(self.evaluate()))):
            self.guess.spare()
        return self.guess.begins_again

    def _has_learned(self, metrics: dict[str, float]) -> bool:
        if not len(self.valid_rows):
            return False
        return self.objective.has_learned(self.valid_rows, self.predicted, metrics)

    def stop_early(self) -> None:
        """Ends the fold within an epoch: evaluates what has been learned, as an epoch of its own."""
        if self.step:
            self.guess.end_epoch(self.step, self._loss)
            self._end_epoch(round(self.passes, 3), self._loss / self.step)

    def _num_steps(self) -> int:
        """Of an epoch."""
        return -(-len(self.train_rows) // self.settings.batch_size)

    def _end_epoch(self, epoch: float, loss: float) -> dict[str, float]:
        metrics = {"epoch": epoch, "loss": loss, **self.evaluate()}
        if self.guess.dead and self._has_learned(metrics):
            self.guess.spare()
        self.history.append(metrics)
        self._selection.watch(self.history, self.weights, self.predicted)
        return metrics

    def _lay(self, rows: np.ndarray) -> list[Piece]:
        return self._batches.lay(self.features, rows, filled=self._update.compiles)

    def _schedule(
        self, step: int, steps_per_epoch: int, num_pieces: int
    ) -> tuple[list[np.ndarray], np.float32, np.float32]:
        """Seeds, factor of the rates and number of a step, counted over all epochs."""
        settings = self.settings
        num_steps = settings.epochs * steps_per_epoch
        factor = rate_factor(settings.schedule, step, num_steps, settings.warmup)
        seeds = self._batches.seeds(self.seed, step, num_pieces)
        return seeds, np.float32(factor * self._selection.factor), np.float32(step)

    def _check_loss(self, total: float, number: int, num_steps: int, on_step: StepCallback | None) -> None:
        if not np.isfinite(total):
            raise RaytrainError(
                f"the loss is not finite in epoch {self.epoch + 1}, by step {number}; {self._advice()}"
            )
        if on_step is not None:
            on_step(number, num_steps, total / number)

    def _advice(self) -> str:
        """What to do about a number that is not finite."""
        return ADVICE if self.features.has_finite_states() else STATES_ADVICE

    @property
    def _predicted_rows(self) -> int:
        """Of a forward pass without a gradient, fewer where memory is short."""
        return max(1, PREDICTED // self.accumulation)

    def evaluate(self) -> dict[str, float]:
        """Scores the valid rows and keeps what the model says of them in `predicted`."""
        if not len(self.valid_rows):
            self._check_weights()
            self.predicted = np.zeros((0, max(self.model.output_shape[-1], 2)), np.float32)
            return {}
        with self._judged():
            predicted = self.objective.predict(
                self.model, self.features, self.valid_rows, self._predicted_rows
            )
            if not np.isfinite(predicted).all():  # the last update of the epoch may have done it
                raise RaytrainError(
                    f"the valid rows' logits are not finite in epoch {self.epoch}; {self._advice()}"
                )
            self.predicted = predicted
            return self.objective.score(self.model, self.valid_rows, predicted)

    def _check_weights(self) -> None:
        """Looks for what the last update may have done, where no logits of valid rows would show it."""
        if not all(np.isfinite(value).all() for value in self.weights().values()):
            raise RaytrainError(f"the weights are not finite in epoch {self.epoch}; {ADVICE}")

    def _judged(self) -> contextlib.AbstractContextManager[None]:
        """The model as it is judged and kept: with its weights' average, where there is one."""
        return contextlib.nullcontext() if self._average is None else self._average.used()

    def weights(self) -> dict[str, np.ndarray]:
        """What the fold leaves."""
        with self._judged():
            return read_variables(learned_variables(self.model))

    def selected(self) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, float]]:
        """Weights, `predicted` and metrics of the selected epoch."""
        kept = self._selection
        if kept.weights:
            return kept.weights, kept.predicted, kept.best(self.history)
        if self.predicted is None:
            self.evaluate()
        return self.weights(), self.predicted, self.history[-1]

    def _variables(self) -> dict[str, dict[str, tf.Variable]]:
        """All that training changes, by what it is."""
        return {
            "weight": learned_variables(self.model),
            "optimizer": self._optimizer.state,
            "average": {} if self._average is None else self._average.state,
        }

    def save(self, directory: str | Path) -> None:
        """Writes all that `load` needs to go on as if nothing had happened."""
        parts = {kind: read_variables(variables) for kind, variables in self._variables().items()}
        values: dict[str, Any] = {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self._loss,
            "history": self.history,
            "seed": self.seed,
            "restarts": self.restarts,
            "guess": self.guess.state(),
        }
        for own_values, own_parts in (self._selection.state(), self.rounds.state()):
            values |= own_values
            parts |= own_parts
        write_state(directory, parts, values)

    def load(self, directory: str | Path) -> None:
        """Continues from what `save` wrote."""
        parts, values = read_state(directory)
        seed, restarts = values.get("seed", self.seed), values.get("restarts", 0)
        self._begin(self._labelled_rows, self.valid_rows, seed, restarts, read_rounds(values, parts))
        for kind, variables in self._variables().items():
            assign_variables(variables, parts.get(kind, {}), str(directory))
        self._selection.load(values, parts)
        self.epoch, self.history = values["epoch"], values["history"]
        self.step, self._loss = values.get("step", 0), values.get("loss", 0.0)
        self.guess.load(values.get("guess"), self.restarts < self.settings.restarts)
