"""Which words move an ensemble: what it says of a text without each of its words in turn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raytrain.cluster import WITHOUT_GPU, connect, on_this_node
from raytrain.stages import Stages

MOST_WORDS = 60  # of a text that are left out in turn
MOST_TEXTS = 100
MOST_CHARACTERS = 600  # of a part of a text; of the rest no word is tried

Parts = tuple[str, ...]  # of a text: one, or two of a pair


@dataclass(frozen=True)
class WordEffects:
    """What a text's words do to the probability of one class.

    Attributes:
        parts: Of each part of the text, its words in order, each with how far the probability falls without
            it; None of a word that was not tried, and of the … of a part whose end is not here.
        probability: Of the class, by the whole ensemble, for the text as it stands.
        num_tried: Words that were left out in turn.
        is_cut: Whether there are more.
    """

    parts: tuple[tuple[tuple[str, float | None], ...], ...]
    probability: float
    num_tried: int
    is_cut: bool


@dataclass(frozen=True)
class _Variant:
    """A text without one word: which text, which of its parts, which word there."""

    text: int
    part: int
    word: int


def weigh_words(predict: Any, cut: Any, texts: Sequence[Parts], classes: Sequence[int]) -> list[WordEffects]:
    """Leaves out one word after another; all variants of all texts are predicted together.

    A word that stands several times is left out where it stands, so that what repeats counts for less.

    Args:
        predict: Texts and, of pairs, second texts, to (num_texts, num_classes) probabilities.
        cut: A text to its words, which joined are the text.
        texts: Each text's parts.
        classes: Of each text, the class whose probability is followed.
    """
    words = [[cut(part[:MOST_CHARACTERS]) for part in parts] for parts in texts]
    variants = [
        variant
        for number, parts in enumerate(words)
        for variant in [
            _Variant(number, part, place)
            for part, own in enumerate(parts)
            for place, word in enumerate(own)
            if _is_word(word)
        ][:MOST_WORDS]
    ]
    asked = [*texts, *(_without(words, texts, variant) for variant in variants)]
    proba = predict(
        [parts[0] for parts in asked], [parts[1] for parts in asked] if len(asked[0]) > 1 else None
    )
    falls = {
        variant: float(proba[variant.text, classes[variant.text]] - said[classes[variant.text]])
        for variant, said in zip(variants, proba[len(texts) :], strict=True)
    }
    return [
        _effects(number, words[number], texts[number], falls, float(proba[number, classes[number]]))
        for number in range(len(texts))
    ]


def _is_word(word: str) -> bool:
    """Punctuation and blanks are left in: without them a text is another one."""
    return any(char.isalnum() for char in word)


def _without(words: Sequence[Sequence[Sequence[str]]], texts: Sequence[Parts], variant: _Variant) -> Parts:
    parts = list(texts[variant.text])
    own, rest = words[variant.text][variant.part], parts[variant.part][MOST_CHARACTERS:]
    parts[variant.part] = "".join([*own[: variant.word], *own[variant.word + 1 :], rest])
    return tuple(parts)


def _effects(
    number: int,
    words: Sequence[Sequence[str]],
    text: Parts,
    falls: dict[_Variant, float],
    probability: float,
) -> WordEffects:
    parts = tuple(
        tuple((word, falls.get(_Variant(number, part, place))) for place, word in enumerate(own))
        for part, own in enumerate(words)
    )
    parts = tuple(
        (*part, ("…", None)) if len(whole) > MOST_CHARACTERS else part
        for part, whole in zip(parts, text, strict=True)
    )
    tried = sum(fall is not None for part in parts for _, fall in part)
    wanted = sum(_is_word(word) for own in words for word in own)
    is_cut = wanted > tried or any(len(part) > MOST_CHARACTERS for part in text)
    return WordEffects(parts, probability, tried, is_cut)


def weigh_by_ensemble(location: str, texts: Sequence[Parts], classes: Sequence[int]) -> list[WordEffects]:
    """As `weigh_words`, by an artifact and with the words that it knows. Imports TensorFlow for networks."""
    from raytrain.devices import predict_side_by_side
    from raytrain.ensemble.artifact import load_ensemble
    from raytrain.ensemble.load import build_predictor
    from raytrain.ensemble.words import read_words
    from raytrain.text.segmentation import cut_text
    from raytrain.text.words import build_segmenter

    ensemble = load_ensemble(location)
    if ensemble.has_networks:
        predict_side_by_side()
    predictor = build_predictor(ensemble, None)
    segmenter = build_segmenter(read_words(ensemble).user_dict)
    predict: Any = predictor.predict_proba  # type: ignore[union-attr]
    return weigh_words(predict, lambda text: cut_text(text, segmenter), texts, classes)


def ask_ensemble(
    run: str, texts: Sequence[Parts], classes: Sequence[int], stages: Stages
) -> list[WordEffects]:
    """As `weigh_by_ensemble`, in a Ray task on this machine: TensorFlow stays out of this process.

    The cluster that the run's config names is not asked: it may be gone, or be another's.

    Args:
        run: The run's directory.
        texts: The first `MOST_TEXTS` are asked about.
        classes: Of each text.
        stages: Where it is told.
    """
    import ray

    connect(None)
    task: Any = ray.remote(num_cpus=0, runtime_env=WITHOUT_GPU)(weigh_by_ensemble)
    task = task.options(scheduling_strategy=on_this_node())
    own = list(texts[:MOST_TEXTS])
    with stages.stage(f"leaving words out of {len(own)} texts") as stage:
        told: list[WordEffects] = stage.wait(
            task.remote(f"{run}/ensemble", own, list(np.asarray(classes[: len(own)]).tolist()))
        )
    return told
