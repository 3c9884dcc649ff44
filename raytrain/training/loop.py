"""Training of one model on one fold's rows: epochs, schedule, evaluation, resumable state."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.network.weights import assign_variables, learned_variables, read_variables
from raytrain.scores.guess import ConstantGuess
from raytrain.storage.state import read_state, write_state
from raytrain.text.batches import FeatureRows, plan_epoch
from raytrain.training.judging import Judge
from raytrain.training.objectives import Objective
from raytrain.training.rounds import NO_ROWS, Pseudo, Rounds, read_rounds
from raytrain.training.selection import Selection
from raytrain.training.settings import TrainSettings
from raytrain.training.updates import Updates

keras = tf.keras

SYNC_SECONDS = 0.25  # a GPU is kept busy while nobody asks for the loss

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
        updates: Of the model.
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
        self.rounds = Rounds(objective, unlabelled_rows, settings.pseudo_labels)
        self._begin(train_rows, valid_rows, seed)
        self.updates = Updates(
            model, features, objective, settings, strategy, rank, num_workers, accumulation
        )
        self._average, self._optimizer = self.updates.step.average, self.updates.step.optimizer
        self._judge = Judge(model, features, objective, self._average, accumulation)

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

    def read(self, features: FeatureRows) -> None:
        """Takes other features of the same rows: of the words that a fold counts."""
        self.features = self.updates.features = self._judge.features = features

    @property
    def refusal(self) -> str | None:
        """Why XLA compiles nothing although it might have, or None."""
        return self.updates.step.refusal

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
        with self._judge.averaged():
            if self._selection.weights:
                assign_variables(learned_variables(self.model), self._selection.weights, "the best epoch")
            pseudo = self.rounds.label(self.model, self.features, self._judge.batch_size)
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
            agree: Makes of each worker's number the one by which all of them judge.

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
        return self._end_epoch(self.epoch, loss, agree)

    def _run_steps(
        self, plan: list[np.ndarray], on_step: StepCallback | None, pause: Pause | None, agree: Agree
    ) -> bool:
        """Trains on the batches of an epoch that are left. Returns whether it has come to their end."""
        total, synced = tf.constant(self._loss), time.monotonic()
        run = self.updates.run(plan, self.epoch, self.step, self.seed, self._selection.factor)
        with contextlib.closing(run) as losses:
            while self.step < len(plan):
                if pause is not None and pause():
                    break
                total += next(losses)
                self.step += 1
                if time.monotonic() - synced >= SYNC_SECONDS or self.step == len(plan):
                    self._tell_loss(float(total), len(plan), on_step)
                    synced = time.monotonic()
                if self._learns_nothing(total, agree):
                    break
            else:
                self._loss = float(total)
                return True
        self._loss = float(total)
        return False

    def _tell_loss(self, total: float, num_steps: int, on_step: StepCallback | None) -> None:
        self._judge.check_loss(total, self.epoch, self.step)
        if on_step is not None:
            on_step(self.step, num_steps, total / self.step)

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

    def _end_epoch(self, epoch: float, loss: float, agree: Agree = float) -> dict[str, float]:
        metrics = {"epoch": epoch, "loss": loss, **self.evaluate()}
        # Unlike machines differ in the last bits, and one that ended alone would leave the others waiting.
        metrics[self.settings.monitor] = agree(metrics[self.settings.monitor])
        if self.guess.dead and self._has_learned(metrics):
            self.guess.spare()
        self.history.append(metrics)
        self._selection.watch(self.history, self._judge.weights, self.predicted)
        return metrics

    def evaluate(self) -> dict[str, float]:
        """Scores the valid rows and keeps what the model says of them in `predicted`."""
        running = self.epoch + (self.step > 0)  # at an epoch's end it is counted already
        self.predicted, metrics = self._judge.evaluate(self.valid_rows, running)
        return metrics

    def weights(self) -> dict[str, np.ndarray]:
        """What the fold leaves."""
        return self._judge.weights()

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
