"""What one searched key may be: a range or a list."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.config.defaults import EncoderStart

_LARGEST = 10**18  # of a number that is drawn
RANGES = ("uniform", "loguniform", "randint")


@dataclass(frozen=True)
class Domain:
    """Values of one key.

    Attributes:
        kind: `choice`, `uniform`, `loguniform`, or `randint`, whose upper end is left out as in Ray Tune.
        values: The choices, or the two ends.
        only_with: Values of `model.train_encoder` that a trial must have to have this key, too; None: any.
    """

    kind: str
    values: tuple[Any, ...]
    only_with: tuple[Any, ...] | None = None

    def belongs_to(self, point: Mapping[str, Any]) -> bool:
        """Whether a trial with these values, drawn so far, has the key."""
        return self.only_with is None or point["model.train_encoder"] in self.only_with

    def extremes(self) -> tuple[Any, ...]:
        """Values which, if they are valid, all are: of a range of numbers one that is no integer, too."""
        if self.kind == "choice":
            return self.values
        low, high = self.values
        return (low, high - 1) if self.kind == "randint" else (low, high, low + (high - low) / math.pi)


def random_value(domain: Domain, rng: np.random.Generator) -> Any:
    if domain.kind == "choice":
        return domain.values[int(rng.integers(len(domain.values)))]
    low, high = domain.values
    if domain.kind == "randint":
        return int(rng.integers(low, high))
    if domain.kind == "loguniform":
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))
    return float(rng.uniform(low, high))


def default_rates(architecture: str, start: EncoderStart, train_encoder: bool) -> dict[str, Domain]:
    """Learning rates worth searching: a frozen encoder's head wants a hundred times a finetuned encoder's."""
    below, above = (2, 10) if start.pretrained else (5, 4)
    encoder = Domain("loguniform", (start.rate / below, start.rate * above))
    rates = {"train.encoder_learning_rate": encoder} if train_encoder else {}
    if architecture != "finetune" or not train_encoder:
        rates["train.learning_rate"] = Domain("loguniform", (3e-4, 1e-2))
    if architecture.endswith("crf"):
        rates["train.crf_learning_rate"] = Domain("loguniform", (1e-3, 1e-1))
    return rates


def read_domain(value: Any, where: str, problems: list[str]) -> Domain | None:
    if isinstance(value, list):
        value = {"choice": value}
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in ("choice", *RANGES):
        kinds = ", ".join(f"{{{kind}: [a, b]}}" for kind in RANGES)
        problems.append(f"{where}: expected a list of values, or {kinds}; found {value!r}")
        return None
    [(kind, values)] = value.items()
    if isinstance(values, list) and any(isinstance(v, float) and not math.isfinite(v) for v in values):
        problems.append(f"{where}: expected finite numbers, found {values!r}")
        return None
    if kind == "choice":
        if isinstance(values, list) and values:
            return Domain(kind, tuple(values))
        problems.append(f"{where}: expected at least one value, found {values!r}")
        return None
    number = int if kind == "randint" else int | float
    is_pair = isinstance(values, list) and len(values) == 2
    if not is_pair or not all(isinstance(v, number) and not isinstance(v, bool) for v in values):
        problems.append(f"{where}.{kind}: expected two numbers, both ends; found {values!r}")
    elif not all(abs(v) < _LARGEST for v in values):  # NaN is not, either
        expected = "integers of at most 18 digits" if kind == "randint" else "finite numbers below 1e18"
        problems.append(f"{where}.{kind}: expected {expected}, found {values!r:.80}")
    elif not values[0] < values[1]:
        problems.append(f"{where}.{kind}: the range is empty: {values[0]} is not below {values[1]}")
    elif kind == "loguniform" and values[0] <= 0:
        problems.append(f"{where}.{kind}: has no logarithm at {values[0]}; expected an end above 0")
    else:
        return Domain(kind, tuple(values))
    return None
