"""What a fold tells the driver while it trains."""

from collections.abc import Mapping
from dataclasses import dataclass

from raytrain.messages import counted


@dataclass(frozen=True)
class Started:
    """A fold's worker runs on a node.

    Attributes:
        node: Its address.
        goes_on: Whether an earlier start has trained a part of the fold.
    """

    node: str
    goes_on: bool = False


@dataclass(frozen=True)
class Stepped:
    """How far an epoch is.

    Attributes:
        loss: Mean training loss of the epoch so far, in nats.
        rate: Training texts a second.
    """

    step: int
    num_steps: int
    loss: float
    rate: float


@dataclass(frozen=True)
class EpochEnded:
    """An epoch's number from 1, its training loss, and the scores of the valid rows."""

    metrics: Mapping[str, float]


@dataclass(frozen=True)
class MemoryTaken:
    """What a fold took of its card at most, and the card's whole memory."""

    peak_bytes: int
    card_bytes: int


@dataclass(frozen=True)
class Retried:
    """A fold is tried again; why and how."""

    what: str


@dataclass(frozen=True)
class Restarted:
    """A fold that learned nothing begins again.

    Attributes:
        loss: Mean training loss that it stayed at, in nats.
        constant_loss: Of the best constant guess.
        seed: With which it begins again.
        restarts: How often it has begun again, now included.
        allowed: How often it may.
    """

    loss: float | None
    constant_loss: float | None
    seed: int
    restarts: int
    allowed: int

    @property
    def what(self) -> str:
        return (
            f"learns nothing (loss {self.loss:.3f}, a constant guess has {self.constant_loss:.3f}): "
            f"begun again with another seed, {self.restarts} of {self.allowed}"
        )


@dataclass(frozen=True)
class Labelled:
    """A fold begins its second round, with texts that it labelled itself.

    Attributes:
        texts: How many.
    """

    texts: int

    @property
    def what(self) -> str:
        if not self.texts:
            return "is sure of no text without a label: it stays as it is"
        return (
            f"is sure of {counted(self.texts, 'text')} without a label: learns these, too, from the beginning"
        )


Event = Started | Stepped | EpochEnded | MemoryTaken | Retried | Restarted | Labelled
