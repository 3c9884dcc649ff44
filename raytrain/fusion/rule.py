"""How members' probabilities become one, and that a decision: what an artifact keeps of it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raytrain.fusion.average import Average, average_proba
from raytrain.fusion.costs import decide
from raytrain.fusion.stack import Stack
from raytrain.fusion.temperature import scale
from raytrain.fusion.weights import equal_weights

_KEYS = {"members", "average", "stack", "temperature", "costs"}
# Of what others wrote: beyond these, sums and quotients are no finite numbers any more.
_MOST, _LEAST_TEMPERATURE = 1e9, 1e-6


def member_name(architecture: str, repeat: int) -> str:
    """Of a member: an architecture in one repeat, whose folds are averaged."""
    return f"{architecture}/r{repeat}"


@dataclass(frozen=True)
class FusionRule:
    """From what members say to one decision.

    Attributes:
        weights: Member to its weight, in order; they sum to 1. Where there is a stack they are not read.
        average: What is averaged: probabilities, or their logarithms.
        stack: Says what the members mean together, in the average's place; None averages.
        temperature: By which log-probabilities are divided at last.
        costs: (num_classes, num_classes) by true and predicted label; None takes the most probable label.
    """

    weights: Mapping[str, float]
    average: Average = "proba"
    stack: Stack | None = None
    temperature: float = 1.0
    costs: np.ndarray | None = None

    def proba(self, members: Mapping[str, np.ndarray]) -> np.ndarray:
        """(num_rows, num_classes) of each member's (num_rows, num_classes); each row sums to 1."""
        voices = np.stack([members[name] for name in self.weights])
        if self.stack is not None:
            return scale(self.stack.proba(voices), self.temperature)
        fused = average_proba(voices, np.array([*self.weights.values()]), self.average)
        return scale(fused, self.temperature)

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """(num_rows,) label indices of fused probabilities."""
        return decide(proba, self.costs)

    @property
    def is_plain(self) -> bool:
        """Whether it is the mean of probabilities and its most probable label, as without any rule."""
        others = self.stack is not None or self.costs is not None or self.temperature != 1
        same = np.allclose([*self.weights.values()], equal_weights([*self.weights]), rtol=0, atol=1e-12)
        return not others and bool(same) and (self.average == "proba" or len(self.weights) == 1)

    def trimmed(self) -> "FusionRule":
        """Without members of weight 0; a stack reads all."""
        if self.stack is not None:
            return self
        return replace(self, weights={name: weight for name, weight in self.weights.items() if weight > 0})

    def of_single_models(self, architectures: Sequence[str]) -> "FusionRule":
        """The rule for one model of each architecture, which stands for all of its repeats.

        Architectures that it gives no weight have none; where one of its own is missing, only the temperature
        and the costs are taken over.

        Args:
            architectures: Their names, in order.
        """
        names = [member_name(name, 0) for name in architectures]
        own = [member.partition("/")[0] for member in self.weights]
        if not set(own) <= set(architectures):
            weights, stack = equal_weights(names).tolist(), None
        else:
            belongs = np.array([[name == other for other in own] for name in architectures], np.float64)
            weights = (belongs @ [*self.weights.values()]).tolist()
            stack = None if self.stack is None else self.stack.summed(belongs)
        return replace(self, weights=dict(zip(names, weights, strict=True)), stack=stack)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        stack = self.stack
        return {
            "members": dict(self.weights),
            "average": self.average,
            "stack": stack and {"coef": stack.coef.tolist(), "intercept": stack.intercept.tolist()},
            "temperature": self.temperature,
            "costs": None if self.costs is None else self.costs.tolist(),
        }


def read_rule(values: Any, num_classes: int) -> FusionRule:
    """Reads what `FusionRule.to_dict` made, from whoever wrote it.

    Raises:
        ValueError: With everything that does not fit.
    """
    if not isinstance(values, dict) or values.keys() != _KEYS:
        raise ValueError(f"expected the keys {', '.join(sorted(_KEYS))}")
    weights, average, temperature = values["members"], values["average"], values["temperature"]
    problems = _unfit_weights(weights)
    if average not in ("proba", "logits"):
        problems.append(f"average: expected proba or logits, found {average!r}")
    if not _is_number(temperature) or temperature < _LEAST_TEMPERATURE:
        problems.append(f"temperature: expected a number above 0, found {temperature!r}")
    stack, costs = None, None
    if values["costs"] is not None:
        costs = _read_array(values["costs"], (num_classes, num_classes), "costs", problems)
        if costs is not None and ((costs < 0).any() or np.diag(costs).any()):
            problems.append("costs: expected none below 0, and 0 where a label is right")
    if values["stack"] is not None and not problems:
        stack = _read_stack(values["stack"], len(weights), num_classes, problems)
    if problems:
        raise ValueError("; ".join(problems))
    own = {name: float(weight) for name, weight in weights.items()}
    return FusionRule(own, average, stack, float(temperature), costs)


def _unfit_weights(weights: Any) -> list[str]:
    if not isinstance(weights, dict) or not weights:
        return ["members: expected names and their weights"]
    problems = [
        f"members: {name!r} is not an architecture and a repeat, as finetune/r0"
        for name in weights
        if not re.fullmatch(r"[a-z_]+/r(0|[1-9][0-9]{0,8})", name)
    ]
    if not all(_is_number(weight) and weight >= 0 for weight in weights.values()):
        problems.append("members: expected weights of 0 or more")
    elif not math.isclose(sum(weights.values()), 1, abs_tol=1e-6):
        problems.append(f"members: expected weights that sum to 1, found {sum(weights.values()):g}")
    return problems


def _read_stack(values: Any, num_members: int, num_classes: int, problems: list[str]) -> Stack | None:
    if not isinstance(values, dict) or values.keys() != {"coef", "intercept"}:
        problems.append("stack: expected coef and intercept")
        return None
    size = num_classes, num_members * num_classes
    coef = _read_array(values["coef"], size, "stack.coef", problems)
    intercept = _read_array(values["intercept"], size[:1], "stack.intercept", problems)
    return None if coef is None or intercept is None else Stack(coef, intercept)


def _read_array(values: Any, shape: Sequence[int], key: str, problems: list[str]) -> np.ndarray | None:
    """Finite numbers of this shape; else None, and a problem more."""
    rows = values if len(shape) == 2 else [values]
    fits = isinstance(rows, list) and len(rows) == (shape[0] if len(shape) == 2 else 1)
    fits = fits and all(isinstance(row, list) and len(row) == shape[-1] for row in rows)
    if not fits or not all(_is_number(value) for row in rows for value in row):
        problems.append(f"{key}: expected {' × '.join(map(str, shape))} finite numbers")
        return None
    return np.array(values, np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MOST
