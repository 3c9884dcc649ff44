"""An ensemble in the process that predicts with it: loaded, warmed, and exchanged for a newer one."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raytrain.ensemble.artifact import load_ensemble, manifest_digest
from raytrain.errors import InputError
from raytrain.serving.answers import Answer, Facts, Row
from raytrain.serving.batching import Batcher, Predict
from raytrain.storage.directory import Directory

# Of a pass: as many as keep it short on a processor, and a card busy.
PROCESSOR_CHARACTERS, CARD_CHARACTERS = 4096, 32768
WATCH_SECONDS = 2.0  # between two looks at the manifest
DAMAGED_SECONDS = 10.0  # after a newer artifact that cannot be used: it may still be on its way
VERSION_DIGITS = 12
WARM_TEXT = "预热"

Cut = Callable[[str], list[str]]


@dataclass(frozen=True)
class Model:
    """A predictor that is ready.

    Attributes:
        facts: Of its ensemble.
        batcher: Through which it is asked.
        predictor: What `ensemble.load` gives.
        cut: A text to its words.
    """

    facts: Facts
    batcher: Batcher
    predictor: Any
    cut: Cut

    async def answer(self, texts: list[str], pairs: list[str] | None) -> Answer:
        self.check(pairs)
        return Answer(self.facts, await self.batcher.ask(texts, pairs))

    def check(self, pairs: list[str] | None) -> None:
        """Raises InputError where texts come without their pairs, or pairs to who reads none."""
        if self.facts.pairs != (pairs is not None):
            expected, found = ("pairs", "none") if self.facts.pairs else ("no pairs", "some")
            raise InputError(
                f"expected {expected} beside the texts, as this ensemble was trained; found {found}"
            )


def manifest_version(location: str) -> str:
    """By what versions of an artifact are told apart. Raises StorageError or OSError where there is none."""
    return manifest_digest(Directory(location))[:VERSION_DIGITS]


def load_model(location: str, on_card: bool) -> Model:
    """Verifies an artifact, loads all of it, and predicts once, so that no client waits for what is lazy.

    Imports TensorFlow, unless all its models are tfidf.

    Raises:
        InputError: There is no artifact, or it is damaged.
    """
    from raytrain.devices import hushed_stderr
    from raytrain.ensemble.load import build_predictor
    from raytrain.ensemble.words import read_words
    from raytrain.text.segmentation import cut_text
    from raytrain.text.words import build_segmenter

    version = manifest_version(location)
    ensemble = load_ensemble(location)
    with hushed_stderr():
        predictor: Any = build_predictor(ensemble, None)
    config = ensemble.manifest.config
    tags = ensemble.task == "tag"
    labels: tuple[int | str, ...] = tuple(ensemble.labels)
    labels = _span_types(labels) if tags else labels
    facts = Facts(ensemble.task, labels, ensemble.reads_pairs, version)
    predict = _span_rows(predictor) if tags else _label_rows(predictor)
    predict([WARM_TEXT], [WARM_TEXT] if facts.pairs else None)
    # A tagger reads texts to their end.
    longest = sys.maxsize if tags else config.encoder.maxlen * max(config.encoder.windows, 1)
    batcher = Batcher(predict, CARD_CHARACTERS if on_card else PROCESSOR_CHARACTERS, longest)
    segmenter = build_segmenter(read_words(ensemble).user_dict)
    return Model(facts, batcher, predictor, lambda text: cut_text(text, segmenter))


def _span_types(labels: Sequence[int | str]) -> tuple[str, ...]:
    from raytrain.corpus.tags import type_names

    return tuple(type_names([str(label) for label in labels]))


def _span_rows(predictor: Any) -> Predict:
    """Has a tagger say each text's spans."""
    return lambda texts, pairs: predictor.predict(texts)


def _label_rows(predictor: Any) -> Predict:
    """Has a classifier say, of each text, the index of its label and all probabilities."""

    def predict(texts: list[str], pairs: list[str] | None) -> list[Row]:
        proba: np.ndarray = predictor.predict_proba(texts, pairs)
        return list(zip(predictor.decide(proba).tolist(), proba.tolist(), strict=True))

    return predict


class RenewedModel:
    """The newest good version of an artifact.

    Args:
        load: Loads a location's artifact as it is.
        location: Its directory or URI.
        version: Tells what lies there now.
    """

    def __init__(
        self, load: Callable[[str], Model], location: str, version: Callable[[str], str] = manifest_version
    ):
        self._load, self._location, self._version = load, location, version
        self.current = load(location)
        self._problem: str | None = None

    @property
    def facts(self) -> Facts:
        return replace(self.current.facts, problem=self._problem)

    async def watch(self) -> None:
        """Rolls newer artifacts in, for ever."""
        while True:
            await asyncio.sleep(DAMAGED_SECONDS if self._problem else WATCH_SECONDS)
            await self.renew()

    async def renew(self) -> bool:
        """Exchanges the model where a newer artifact lies there and is whole.

        What was asked of the old one is answered by the old one. Of an artifact that is damaged, or on its
        way, the problem is kept and the old model stays.
        """
        try:
            if await asyncio.to_thread(self._version, self._location) == self.current.facts.version:
                self._problem = None
                return False
            self.current = await asyncio.to_thread(self._load, self._location)
        except Exception as error:  # also what TensorFlow raises where a card has no room for both
            self._problem = str(error) or repr(error)
            return False
        self._problem = None
        return True
