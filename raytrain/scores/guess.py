"""The best guess that knows nothing of a text, and whether a training ever gets below its loss."""

from collections.abc import Callable
from typing import Any

import numpy as np

# A fold that learns nothing stays at the loss of a constant guess, or above it where it has not even
# found the labels' shares. A hundredth below is soon passed by whatever learns, and more than a model
# gains that says nearly the same of all texts.
LEARNS_NOTHING = 0.99


def entropy(masses: np.ndarray) -> float:
    """The least loss of one distribution guessed for everything, in nats.

    Args:
        masses: (num_labels,) what the targets of each label weigh together; where they weigh 1 in all, this
            is the entropy of their shares.
    """
    held = masses[masses > 0]
    return float((held * (np.log(held.sum()) - np.log(held))).sum()) if len(held) else 0.0


def constant_loss(masses: np.ndarray, floor: float = 0.0) -> float | None:
    """The loss of the best constant guess; None where a model that knew all would hardly be below it.

    Args:
        masses: As in `entropy`.
        floor: Loss of a model that knew every target; above 0 where targets are smoothed.
    """
    loss = entropy(masses)
    return loss if floor < LEARNS_NOTHING * loss else None


def is_learned(loss: float, guess: float) -> bool:
    """Whether a loss is well below that of a constant guess."""
    return loss < LEARNS_NOTHING * guess


class ConstantGuess:
    """What a training's loss is held against: once within the first epoch, and from then on after epochs.

    Of the sum of the losses, which lies on a device, it reads what it needs at the check alone: each look
    waits for the device.

    Args:
        loss: Of the best constant guess, as the training's losses are averaged; None: nothing is judged.
        epochs: Of the training.
        steps_per_epoch: Steps of each.
        may_restart: Whether the training may be begun again.

    Attributes:
        check: Step of the first epoch after which the loss is judged: its last, or a third of all steps.
        reached: Mean loss over the last half of the steps by the check; None before.
        dead: Whether the training has been no better than the guess so far; False before the check.
        begins_again: Whether it was so at the check, and may be begun again.
    """

    def __init__(self, loss: float | None, epochs: int, steps_per_epoch: int, may_restart: bool = False):
        self.loss, self._may_restart, self._num_steps = loss, may_restart, steps_per_epoch
        self.check = min(steps_per_epoch, -(-epochs * steps_per_epoch // 3))
        self.reached: float | None = None
        self.dead = self.begins_again = False
        self._lived = False  # in a whole epoch after the first
        self._mark: tuple[int, Any] = (0, 0.0)  # a step, and the sum of the losses up to it

    def ends(self, step: int, total: Any, agree: Callable[[float], float] = float) -> bool:
        """Told of every step of the first epoch; judges at the check.

        Args:
            step: How many are done.
            total: Sum of their losses; a tensor, or what else `float` takes.
            agree: Makes of each worker's mean loss the one by which all of them judge.

        Returns:
            Whether the training, judged just now, is to begin again.
        """
        if self.loss is None:
            return False
        if step == self.check // 2:
            self._mark = step, total
        if step != self.check:
            return False
        self.reached = agree(self._since(step, total))
        self.dead, self._mark = self._is_no_better(self.reached), (step, total)
        self.begins_again = self.dead and self._may_restart
        return self.begins_again

    def end_epoch(self, step: int, total: Any) -> None:
        """Told where an epoch ends, or the training within it: what learns after the check is not dead.

        But what seemed alive at the check may have met rare labels early: a whole epoch has each row once.
        """
        marked, _ = self._mark
        if self.loss is not None and step > marked:
            is_better = not self._is_no_better(self._since(step, total))
            if step - marked == self._num_steps:
                self._lived |= is_better
                self.dead = not self._lived
            elif is_better:
                self.dead = False
        self._mark = 0, 0.0

    def spare(self) -> None:
        """Told that rows which were not learned from speak for the training."""
        self.dead = self.begins_again = False
        self._lived = True

    def _since(self, step: int, total: Any) -> float:
        """Mean loss of the steps since the mark."""
        marked, before = self._mark
        return (float(total) - float(before)) / (step - marked)

    def _is_no_better(self, loss: float) -> bool:
        return self.loss is not None and loss >= LEARNS_NOTHING * self.loss

    def state(self) -> dict[str, Any] | None:
        """What `load` needs, as JSON holds it; None where nothing is judged."""
        if self.loss is None:
            return None
        step, total = self._mark
        mark = [step, float(total)]
        return {"reached": self.reached, "dead": self.dead, "lived": self._lived, "mark": mark}

    def load(self, state: dict[str, Any] | None, may_restart: bool = False) -> None:
        """Goes on from a `state`; from None, as of a training begun before there was one, judges nothing."""
        self._may_restart = may_restart
        if state is None:
            self.loss = None
            return
        step, total = state["mark"]
        self.reached, self.dead, self._lived = state["reached"], state["dead"], state["lived"]
        self._mark = step, total
