"""What an ensemble artifact knows of words: its files, written, and read and checked before they are used."""

import functools
import sys
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import TypeAdapter, ValidationError

from raytrain.config.defaults import reads_words
from raytrain.ensemble.artifact import Ensemble
from raytrain.ensemble.manifest import WHOLE_WORDS
from raytrain.errors import ArtifactError
from raytrain.folds.result import save_weights
from raytrain.folds.spec import FoldSpec, Shared, fold_name
from raytrain.storage.files import json_bytes
from raytrain.text.dictionary import CUT_AS_JIEBA, finds_uncommon
from raytrain.text.encode import number_words
from raytrain.text.vectors import vector_of
from raytrain.text.words import FIRST_WORD

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
        found = {word: vector_of(word, self.characters) for word in words if word not in self._numbers}
        laid = {word: vector for word, vector in found.items() if vector is not None}
        return list(laid), np.stack(list(laid.values())).astype(np.float32) if laid else None

    def number_with(self, new_words: Sequence[str]) -> Mapping[str, int]:
        """Each word's row of the word embeddings: of the vocabulary, and behind it those of `lay_new`."""
        behind = enumerate(new_words, start=len(self.vocabulary or []) + FIRST_WORD)
        return ChainMap({word: number for number, word in behind}, self._numbers)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        """Of the vocabulary, once for all texts: one text must not cost as much as all words."""
        return number_words(self.vocabulary or [])

    @functools.cached_property
    def all_keywords(self) -> list[str]:
        """All that some fold counts, in order."""
        return sorted(set().union(*self.keywords.values()))


def keyword_entry(spec: FoldSpec, shared: Shared) -> dict[str, str]:
    """The file of the words that a fold counts; {} where it counts none."""
    if shared.keywords is None or spec.keywords is None:
        return {}
    chosen = f"{fold_name(spec.repeat, spec.fold)}.keywords"
    return {"keywords": f"words/{'keywords' if shared.keywords.given is not None else chosen}.json"}


def keyword_files(specs: Sequence[FoldSpec], shared: Shared) -> dict[str, bytes]:
    """Word to class index, in one file where a person chose, else in one per repeat and fold."""
    if shared.keywords is None:
        return {}
    held = shared.keywords.held
    return {
        keyword_entry(spec, shared)["keywords"]: json_bytes(held.kept(spec.keywords))
        for spec in specs
        if spec.keywords is not None
    }


def _pack_characters(characters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Lays characters' vectors into arrays."""
    return {
        "codepoints": np.array([ord(char) for char in characters], np.int32),
        "vectors": np.stack(list(characters.values())).astype(np.float32),
    }


def add_words(add: Callable[[str, bytes], str], shared: Shared) -> dict[str, str | None] | None:
    """Writes what prediction needs of words. Returns the manifest's entry, None where heads read none.

    Args:
        add: Writes a file of the artifact; returns its name.
        shared: What the folds share.
    """
    if shared.vocabulary is None and shared.keywords is None:
        return None
    vocabulary, user_dict, characters = shared.vocabulary, shared.user_dict, shared.characters
    entry = {
        "vocabulary": None if vocabulary is None else add("words/vocabulary.json", json_bytes(vocabulary)),
        "user_dict": None if user_dict is None else add("words/user_dict.txt", user_dict.encode()),
    }
    if characters:
        entry["characters"] = add("words/characters.safetensors", save_weights(_pack_characters(characters)))
    return entry


def read_words(ensemble: Ensemble) -> ArtifactWords:
    """Reads the files that the manifest names.

    Raises:
        ArtifactError: A file holds something else, or not as much as the manifest says.
    """
    entry = ensemble.manifest.words
    return ArtifactWords(
        _read_vocabulary(ensemble, entry.vocabulary) if entry.vocabulary else None,
        _read_user_dict(ensemble, entry.user_dict) if entry.user_dict else None,
        _read_characters(ensemble, entry.characters) if entry.characters else {},
        _read_keywords(ensemble),
    )


def _read_user_dict(ensemble: Ensemble, name: str) -> str:
    text = ensemble.read_text(name)
    is_older = ensemble.manifest.schema_version < WHOLE_WORDS
    return f"{CUT_AS_JIEBA}{text}" if is_older and finds_uncommon(text) else text


def _read_vocabulary(ensemble: Ensemble, name: str) -> list[str]:
    try:
        vocabulary = _Vocabulary.validate_json(ensemble.read(name), strict=True)
    except ValidationError as error:
        raise ArtifactError(f"{name}: expected words: {error}") from error
    for architecture, entry in ensemble.manifest.architectures.items():
        found = entry.model.embedding[0]
        if reads_words(architecture) and found != len(vocabulary) + FIRST_WORD:
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
