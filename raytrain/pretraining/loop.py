"""A masked language model in training: steps, evaluation, resumable state."""

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from raytrain.errors import RaytrainError
from raytrain.network.weights import assign_variables, read_variables
from raytrain.pretraining.masking import MaskedBatch, mask_batch
from raytrain.pretraining.model import MaskedLanguageModel, TokenTelling, token_losses
from raytrain.pretraining.pieces import SpecialIds
from raytrain.pretraining.sequences import Sequences
from raytrain.pretraining.settings import PretrainSettings
from raytrain.storage.state import read_state, write_state
from raytrain.training.batches import Piece
from raytrain.training.settings import rate_factor
from raytrain.training.step import TrainStep

MASKS, HELD_MASKS = 2, 3  # beside the order, what is drawn from a seed
PREFETCHED = 2  # batches laid out while a step runs
SYNC_SECONDS = 0.25  # a GPU is kept busy while nobody asks for the loss
EVALUATED = 32  # sequences of a forward pass
ADVICE = "lower train.learning_rate or train.clip_norm"

StepCallback = Callable[[int, int, float], None]
Pause = Callable[[], bool]


class Pretraining:
    """A masked language model in training.

    Args:
        model: The model.
        sequences: What it learns.
        settings: Hyperparameters.
        special: The special tokens.
        seed: Of masks and dropout.
        strategy: A tf.distribute strategy where several workers share each batch.
        rank: This worker's number among `num_workers`.
        num_workers: How many workers share every batch.
        accumulation: Into how many pieces a worker cuts its batch, where memory is short.

    Attributes:
        step: Updates done.
        epoch: Always 0, as `restarts`: for `folds.result.save_checkpoint`, which names a state by both.
        history: The evaluations so far: step, epoch (passes over the sequences), loss of the steps since the
            one before, and what `evaluate` tells.
        seconds: That its steps took, evaluations among them, over all its starts.
        num_told: Masked tokens so far.
    """

    def __init__(
        self,
        model: MaskedLanguageModel,
        sequences: Sequences,
        settings: PretrainSettings,
        special: SpecialIds,
        seed: int,
        strategy: tf.distribute.Strategy | None = None,
        rank: int = 0,
        num_workers: int = 1,
        accumulation: int = 1,
    ):
        self.model, self.sequences, self.settings, self.special = model, sequences, settings, special
        self.seed, self.rank, self.num_workers, self.accumulation = seed, rank, num_workers, accumulation
        self.step, self.epoch, self.restarts = 0, 0, 0
        self.history: list[dict[str, float]] = []
        self.seconds, self.num_told = 0.0, 0
        self._loss, self._since = 0.0, 0
        self._update = TrainStep(model, TokenTelling(), settings.of_step(), strategy, accumulation)
        self._judge = tf.function(self._judge_batch, autograph=False)

    @property
    def refusal(self) -> str | None:
        """Why XLA compiles nothing although it might have, or None."""
        return self._update.refusal

    @property
    def passes(self) -> float:
        """Over the sequences so far."""
        return self.step * self.settings.batch_size / self.sequences.num_sequences

    @property
    def finished(self) -> bool:
        return self.step >= self.settings.steps

    def run(self, on_step: StepCallback | None = None, pause: Pause | None = None) -> bool:
        """Trains until the next evaluation or checkpoint is due.

        Args:
            on_step: Called some times a second with (steps done, steps in all, mean loss since the last
                evaluation).
            pause: Asked before every step whether to return.

        Returns:
            Whether it came so far; False where `pause` said so.

        Raises:
            RaytrainError: The loss is no longer finite.
        """
        until, began = self._next_stop(), time.monotonic()
        total, synced = tf.constant(self._loss), began
        with ThreadPoolExecutor(1) as prefetch:
            waiting = [
                prefetch.submit(self._lay, step)
                for step in range(self.step, min(self.step + PREFETCHED, until))
            ]
            while self.step < until and not (pause is not None and pause()):
                pieces, num_told = waiting.pop(0).result()
                if self.step + PREFETCHED < until:
                    waiting.append(prefetch.submit(self._lay, self.step + PREFETCHED))
                total += self._update(pieces, *self._schedule(len(pieces)))
                self.step, self._since, self.num_told = (
                    self.step + 1,
                    self._since + 1,
                    self.num_told + num_told,
                )
                if time.monotonic() - synced >= SYNC_SECONDS or self.step == until:
                    self._check_loss(float(total), on_step)
                    synced = time.monotonic()
        self._loss = float(total)
        self._check_loss(self._loss, None)  # a pause comes at any step
        self.seconds += time.monotonic() - began
        return self.step == until

    def _next_stop(self) -> int:
        every = (self.settings.evaluate_every, self.settings.checkpoint_every)
        return min(self.settings.steps, *((self.step // size + 1) * size for size in every))

    @property
    def evaluation_is_due(self) -> bool:
        """Whether its step is one to evaluate at, and it was not done."""
        at_stop = self.finished or self.step % self.settings.evaluate_every == 0
        return at_stop and not self.was_evaluated

    @property
    def was_evaluated(self) -> bool:
        """Whether it was, at this step."""
        return bool(self.history) and self.history[-1]["step"] == self.step

    def _lay(self, step: int) -> tuple[list[Piece], int]:
        """This worker's rows of a step's batch, masked, in as many pieces as each worker has.

        The whole batch is masked by every worker, so that what is learned does not depend on their number.
        """
        batch = self.sequences.batch(step, self.settings.batch_size)
        rng = np.random.default_rng([self.seed, MASKS, step])
        masked = mask_batch(batch, self.settings.mask, self.special, rng)
        num_told = int((masked.targets > 0).sum())
        size = -(-len(batch) // (self.num_workers * self.accumulation))
        own = np.arange(self.rank, len(batch), self.num_workers)
        pieces = []
        for start in range(0, size * self.accumulation, size):
            rows = own[start : start + size]
            weights = np.full(len(rows), 1 / max(num_told, 1), np.float32)
            missing = size - len(rows)  # each piece of the same shape, filled up with rows of no weight
            rows = np.concatenate([rows, np.zeros(missing, np.int64)])
            inputs = {"token_ids": masked.token_ids[rows], "positions": masked.positions[rows]}
            pieces.append((inputs, masked.targets[rows], np.pad(weights, (0, missing))))
        return pieces, num_told

    def _schedule(self, num_pieces: int) -> tuple[list[np.ndarray], np.float32, np.float32]:
        """Dropout seeds, factor of the rates and number of a step."""
        settings = self.settings
        factor = rate_factor("linear", self.step, settings.steps, settings.warmup)
        first = (self.step * self.num_workers + self.rank) * self.accumulation
        seeds = [np.array([self.seed, first + piece], np.int32) for piece in range(num_pieces)]
        return seeds, np.float32(factor), np.float32(self.step)

    def _check_loss(self, total: float, on_step: StepCallback | None) -> None:
        if not math.isfinite(total):
            raise RaytrainError(f"the loss is not finite by step {self.step}; {ADVICE}")
        if on_step is not None:
            on_step(self.step, self.settings.steps, total / self._since)

    def _check_weights(self) -> None:
        """A step's loss is of the weights before it: those of the last step are looked at themselves."""
        for name, variable in self.model.variables_by_name().items():
            if not bool(tf.reduce_all(tf.math.is_finite(variable))):
                raise RaytrainError(f"{name} is not finite after step {self.step}; {ADVICE}")

    def evaluate(self) -> dict[str, float]:
        """Tells the masked tokens of the sequences held back, the same ones every time, and notes how well.

        Returns:
            The new entry of `history`: `perplexity` and `accuracy` (NaN where nothing is held back), and
            `loss` (NaN before the first step).

        Raises:
            RaytrainError: The weights are not finite.
        """
        began = time.monotonic()
        self._check_weights()
        held = self.sequences.held_back()
        sums = np.zeros(3)
        for number, start in enumerate(range(0, len(held), EVALUATED)):
            rows = held[start : start + EVALUATED]
            rows = np.pad(rows, ((0, EVALUATED - len(rows)), (0, 0)))
            rng = np.random.default_rng([self.seed, HELD_MASKS, number])
            masked = mask_batch(rows, self.settings.mask, self.special, rng)
            for piece in np.array_split(np.arange(EVALUATED), min(self.accumulation, EVALUATED)):
                sums += np.array(self._judge_rows(masked.rows(piece)))
        losses, right, count = sums
        entry = {
            "step": self.step,
            "epoch": round(self.passes, 3),
            "loss": self._loss / self._since if self._since else math.nan,
            "perplexity": _exp(losses / count) if count else math.nan,
            "accuracy": float(right / count) if count else math.nan,
        }
        self.history.append(entry)
        self._loss, self._since = 0.0, 0
        self.seconds += time.monotonic() - began
        return entry

    def _judge_rows(self, masked: MaskedBatch) -> list[float]:
        inputs = {"token_ids": masked.token_ids, "positions": masked.positions}
        return [float(value) for value in self._judge(inputs, masked.targets)]

    def _judge_batch(self, inputs, targets):
        """Sum of losses, tokens told right, tokens to be told."""
        logits = self.model(inputs, training=False)  # not by XLA: it might refuse what a step does without
        asked = targets > 0
        right = asked & (tf.argmax(logits, axis=-1, output_type=tf.int32) == targets)
        counts = [tf.math.count_nonzero(values, dtype=tf.float32) for values in (right, asked)]
        return tf.reduce_sum(token_losses(logits, targets)), *counts

    def _variables(self) -> dict[str, dict[str, tf.Variable]]:
        """All that training changes, by what it is."""
        return {"weight": self.model.variables_by_name(), "optimizer": self._update.optimizer.state}

    def save(self, directory: str | Path) -> None:
        """Writes all that `load` needs to go on as if nothing had happened.

        Raises:
            RaytrainError: The weights are not finite: every start would go on from there and fail.
        """
        self._check_weights()
        values: dict[str, Any] = {
            "step": self.step,
            "history": self.history,
            "seconds": self.seconds,
            "num_told": self.num_told,
            "loss": self._loss,
            "since": self._since,
        }
        parts = {kind: read_variables(variables) for kind, variables in self._variables().items()}
        write_state(directory, parts, values)

    def load(self, directory: str | Path) -> None:
        """Continues from what `save` wrote."""
        parts, values = read_state(directory)
        for kind, variables in self._variables().items():
            assign_variables(variables, parts[kind], str(directory))
        self.step, self.history, self.seconds = values["step"], values["history"], values["seconds"]
        self.num_told, self._loss, self._since = values["num_told"], values["loss"], values["since"]


def _exp(loss: float) -> float:
    return math.exp(min(loss, 700.0))  # beyond, a float ends
