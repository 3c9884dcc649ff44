"""From texts to groups: their vectors, the space in which they are grouped, the groups as they are told."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from raytrain.corpus.given import given_texts
from raytrain.errors import CorpusError
from raytrain.groups.find import Found, find_groups
from raytrain.groups.settings import GroupSettings
from raytrain.groups.space import HeldWords, join_spaces
from raytrain.groups.tell import Group, tell_groups
from raytrain.messages import logging_console
from raytrain.stages import Stages
from raytrain.vectors.whitening import Moments, Whitening

DIRECTIONS = 64  # of vectors that are kept: the rest is noise to k-means, and time
CHUNK = 4096


@dataclass(frozen=True)
class Grouped:
    """Texts in groups.

    Attributes:
        vectors: (num_texts, dim) float32 in which they were grouped.
        found: Which group each is in.
        groups: What each group is, the largest first.
    """

    vectors: np.ndarray
    found: Found
    groups: list[Group]


def group_texts(
    texts: Sequence[str],
    embed: Callable[[Sequence[str]], np.ndarray],
    settings: GroupSettings | None = None,
    stages: Stages | None = None,
) -> Grouped:
    """Groups texts, and tells each group.

    Args:
        texts: Two or more; to find how many groups there are, four.
        embed: Gives (n, dim) vectors of texts.
        settings: How; None takes what `GroupSettings` says, as suits the vectors of a pretrained encoder.
            Those of an ensemble want `whiten=False`.
        stages: Where progress is told; None logs it to `raytrain`.

    Raises:
        InputError: There is something else than texts among them.
        CorpusError: There are too few texts that differ.

    Example:
        >>> import raytrain
        >>> encoder = raytrain.load_encoder("mini")  # doctest: +SKIP
        >>> grouped = raytrain.group_texts(texts, encoder.embed)  # doctest: +SKIP
        >>> grouped.found.groups[:4]  # of each text; -1 is none  # doctest: +SKIP
        array([2, 0, 0, 1])
        >>> [(group.size, group.words[:2]) for group in grouped.groups][:1]  # doctest: +SKIP
        [(412, ['房间', '酒店'])]
    """
    settings, stages = settings or GroupSettings(), stages or Stages(logging_console())
    texts = given_texts(texts)
    if len(texts) < 2:
        raise CorpusError("these texts cannot be grouped", [f"expected two or more, found {len(texts)}"])
    vectors = _embed(texts, embed, settings.whiten, stages)
    with stages.stage("cutting words", len(texts), "texts") as stage:
        held = HeldWords(texts)
        space = join_spaces([vectors, *([held.vectors(settings.seed)] if settings.words else [])])
        stage.advance(len(texts))
    try:
        with stages.stage("grouping"):
            given = settings.method, settings.num_groups, settings.least_size, settings.seed
            found = find_groups(space, *given)
    except ValueError as error:
        raise CorpusError("these texts cannot be grouped", [str(error)]) from error
    return Grouped(space, found, tell_groups(texts, held, found))


def _embed(
    texts: Sequence[str], embed: Callable[[Sequence[str]], np.ndarray], whiten: bool, stages: Stages
) -> np.ndarray:
    """(num_texts, up to `DIRECTIONS`) float32 of length 1: the widest directions of the texts' vectors."""
    parts: list[np.ndarray] = []
    moments: Moments | None = None
    with stages.stage("embedding", len(texts), "texts") as stage:
        for first in range(0, len(texts), CHUNK):
            vectors = embed(texts[first : first + CHUNK])
            moments = moments or Moments(vectors.shape[1])
            moments.add(vectors)
            parts.append(vectors.astype(np.float16))  # of an ensemble a text has thousands of numbers
            stage.advance(len(vectors))
    assert moments is not None
    with stages.stage("finding directions"):  # of an ensemble's thousands of numbers that takes a while
        white = _widest(moments, whiten)
        return np.concatenate([white(part) for part in parts])


def _widest(moments: Moments, whiten: bool) -> Whitening:
    try:
        # Of few texts the narrow directions are chance: widths are held the more, the fewer there are.
        held = moments.mean.size / moments.count if whiten else math.inf
        white = Whitening.of(moments, None, held)
    except ValueError as error:
        raise CorpusError("these texts cannot be grouped", [f"their vectors: {error}"]) from error
    return Whitening(white.mean, white.kernel[:, :DIRECTIONS])
