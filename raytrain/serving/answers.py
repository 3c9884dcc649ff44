"""What a model says of texts, on its way to a client."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# Of a classifier (index of the label, probabilities in the labels' order); of a tagger the text's spans.
Row = Any


@dataclass(frozen=True)
class Facts:
    """What there is to know of an ensemble that is served.

    Attributes:
        task: `classify` or `tag`.
        labels: Of a classifier, in order; of a tagger the types of spans.
        pairs: Whether it reads two texts at a time.
        version: Of its manifest; another one after an artifact was rolled in.
        problem: Why a newer artifact was not rolled in, or None.
    """

    task: str
    labels: tuple[int | str, ...]
    pairs: bool
    version: str
    problem: str | None = None

    def record(self, name: str) -> dict[str, Any]:
        """As JSON tells it."""
        return {"name": name, **vars(self), "labels": list(self.labels)}


@dataclass(frozen=True)
class Answer:
    """What one version of an ensemble says of texts, in their order."""

    facts: Facts
    rows: Sequence[Row]

    def records(self) -> list[dict[str, Any]]:
        """As JSON tells it, text by text."""
        if self.facts.task == "tag":
            return [{"spans": spans} for spans in self.rows]
        names = [str(label) for label in self.facts.labels]
        return [
            {
                "label": self.facts.labels[decided],
                "probabilities": dict(zip(names, proba, strict=True)),
            }
            for decided, proba in self.rows
        ]


class Backend(Protocol):
    """Who is asked: replicas on Ray, or what stands in for them."""

    async def predict(self, ensemble: str, texts: list[str], pairs: list[str] | None) -> Answer:
        """Raises RefusedError where there is no room, InputError where texts are not what it reads."""

    async def words(self, ensemble: str, text: str, pair: str | None) -> dict[str, Any]:
        """What each word of a text does; raises as `predict`."""

    async def facts(self, ensemble: str) -> Facts:
        """Raises as `predict`."""
