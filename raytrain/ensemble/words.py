"""What an ensemble artifact knows of words, read from its files and checked before it is used."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import TypeAdapter, ValidationError

from raytrain.ensemble.artifact import Ensemble
from raytrain.errors import ArtifactError
from raytrain.text.words import FIRST_WORD, vector_of

_KeywordFile = TypeAdapter(dict[str, int])
_Vocabulary = TypeAdapter(list[str])


@dataclass(frozen=True)
class ArtifactWords:
    """The words of an artifact.

    Attributes:
        vocabulary: Word i has row i + 2 of the word embeddings; None where no head reads words.
        user_dict: Text of a jieba dictionary, or None.
        characters: Single characters' pretrained vectors; {} where there were none.
        keywords: The words that folds count, word to class index, by the name of their file.
    """

    vocabulary: list[str] | None
    user_dict: str | None
    characters: dict[str, np.ndarray] = field(default_factory=dict)
    keywords: dict[str, dict[str, int]] = field(default_factory=dict)

    def lay_new(self, words: Sequence[str]) -> tuple[list[str], np.ndarray | None]:
        """Finds what stands behind the word embedding of each fold for the words of some texts.

        Training began with the mean of its characters' vectors for a word without a vector of its own; so
        does a word that no fold has seen, and stays there.

        Args:
            words: Words of the texts.

        Returns:
            The words that the vocabulary lacks and that have such a mean, and (words, columns) float32, or
            None where there are none.
        """
        known = set(self.vocabulary or [])
        found = {word: vector_of(word, self.characters) for word in words if word not in known}
        laid = {word: vector for word, vector in found.items() if vector is not None}
        return list(laid), np.stack(list(laid.values())).astype(np.float32) if laid else None

    @property
    def all_keywords(self) -> list[str]:
        return sorted(set().union(*self.keywords.values()))


def read_words(ensemble: Ensemble) -> ArtifactWords:
    """Reads the files that the manifest names.

    Raises:
        ArtifactError: A file holds something else, or not as much as the manifest says.
    """
    entry = ensemble.manifest.words
    return ArtifactWords(
        _read_vocabulary(ensemble, entry.vocabulary) if entry.vocabulary else None,
        ensemble.read_text(entry.user_dict) if entry.user_dict else None,
        _read_characters(ensemble, entry.characters) if entry.characters else {},
        _read_keywords(ensemble),
    )


def _read_vocabulary(ensemble: Ensemble, name: str) -> list[str]:
    try:
        vocabulary = _Vocabulary.validate_json(ensemble.read(name), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"{name}: expected words: {error}") from error
    for architecture, entry in ensemble.manifest.architectures.items():
        found = entry.model.embedding[0]
        if architecture != "finetune" and found != len(vocabulary) + FIRST_WORD:
            raise ArtifactError(
                f"{name}: expected {found - FIRST_WORD} words, as {architecture} has rows for; "
                f"found {len(vocabulary)}"
            )
    return vocabulary


def _read_characters(ensemble: Ensemble, name: str) -> dict[str, np.ndarray]:
    arrays = ensemble.read_arrays(name)
    columns = next(iter(ensemble.manifest.architectures.values())).model.embedding[1]
    codepoints, vectors = (arrays.get(part, np.zeros(0)) for part in ("codepoints", "vectors"))
    problems = []
    if codepoints.dtype != np.int32 or codepoints.ndim != 1:
        problems.append("expected codepoints, (characters,) int32")
    elif ((codepoints < 0) | (codepoints > sys.maxunicode)).any():
        problems.append("expected codepoints of Unicode")
    elif vectors.dtype != np.float32 or vectors.shape != (len(codepoints), columns):
        problems.append(f"expected vectors, ({len(codepoints)}, {columns}) float32")
    if problems:
        raise ArtifactError(f"{name} cannot be used", problems)
    return dict(zip(map(chr, codepoints.tolist()), vectors, strict=True))


def _read_keywords(ensemble: Ensemble) -> dict[str, dict[str, int]]:
    entries = ensemble.manifest.architectures.values()
    names = {fold.keywords for entry in entries for fold in entry.folds if fold.keywords is not None}
    keywords = {}
    for name in sorted(names):
        try:
            keywords[name] = _KeywordFile.validate_json(ensemble.read(name), strict=True)
        except ValidationError as error:
            raise ArtifactError(f"{name}: expected words and their classes: {error}") from error
        unknown = sorted(set(keywords[name].values()) - set(range(len(ensemble.labels))))
        if unknown:
            raise ArtifactError(f"{name}: expected classes below {len(ensemble.labels)}, found {unknown[:5]}")
    return keywords
