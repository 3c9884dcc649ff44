"""A process on Ray that holds one ensemble and predicts with it."""

import asyncio
from typing import Any

from raytrain.serving.answers import Answer, Facts
from raytrain.serving.model import Model, RenewedModel, load_model


class Replica:
    """What Serve runs, as often as is asked; TensorFlow is imported here and nowhere else.

    Args:
        location: The artifact's directory or URI.
        threads: CPUs that it computes on.
        on_card: Whether it owns a GPU, or a share of one.
    """

    async def __init__(self, location: str, threads: int, on_card: bool):  # type: ignore[misc]
        def load(place: str) -> Model:
            return _load(place, threads, on_card)

        self._model = await asyncio.to_thread(RenewedModel, load, location)
        self._watching = asyncio.create_task(self._model.watch())

    async def predict(self, texts: list[str], pairs: list[str] | None) -> Answer:
        """Raises InputError where pairs are missing, or are too many."""
        return await self._model.current.answer(texts, pairs)

    async def words(self, text: str, pair: str | None) -> dict[str, Any]:
        """What each word of a text does to the probability of its label. Raises as `predict`."""
        from raytrain.serving.words import weigh_text

        return await weigh_text(self._model.current, text, pair)

    async def facts(self) -> Facts:
        return self._model.facts


def _load(location: str, threads: int, on_card: bool) -> Model:
    from raytrain.ensemble.artifact import load_ensemble

    if load_ensemble(location).has_networks:
        from raytrain.devices import hushed_stderr, quick_imports, set_up_tensorflow

        with hushed_stderr(), quick_imports():
            set_up_tensorflow(threads, 1.0 if on_card else None, "float32", side_by_side=not on_card)
    return load_model(location, on_card)
