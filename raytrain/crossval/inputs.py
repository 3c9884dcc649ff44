"""What a config names beside its texts: the encoder, the dictionary, the class weights."""

from dataclasses import dataclass

import numpy as np
from rich.console import Console

from raytrain.config.defaults import reads_words
from raytrain.config.schema import Config
from raytrain.config.sections import AUTO
from raytrain.corpus.corpus import Corpus
from raytrain.errors import CheckpointError, ConfigError
from raytrain.files.reading import without_keys
from raytrain.files.told import reading_lines
from raytrain.keywords.marks import extend_dictionary, read_kept_words
from raytrain.pretrained.config import unfit_pairs
from raytrain.pretrained.directory import KEY, EncoderFiles, untrained_mini
from raytrain.pretrained.start import find_start
from raytrain.text.dictionary import dictionary_lines, read_user_dict
from raytrain.text.vocab import Vocab


@dataclass(frozen=True)
class Dictionary:
    """The words that jieba must know.

    Attributes:
        text: Of a jieba dictionary; None where no head reads words, or no file names some.
        kept: Words that a person kept as keywords, and the class of each; None where no file says.
    """

    text: str | None
    kept: dict[str, int] | None


def find_encoder(config: Config, corpus: Corpus, console: Console) -> EncoderFiles:
    """The encoder that the config names, fetched where it is not here yet.

    Raises:
        CheckpointError: There is none of that name, or it cannot be fetched or used.
    """
    if not config.model.has_networks:
        return untrained_mini(Vocab(()), config.encoder.maxlen)  # nobody reads it: nothing is fetched
    encoder = find_start(config.encoder, corpus.all_texts, console)
    if len(corpus.text_names) > 1 and (problems := unfit_pairs(encoder.config)):
        raise CheckpointError(f"{KEY}{config.encoder.checkpoint}: cannot read pairs (data.text)", problems)
    return encoder


def class_weights(config: Config, corpus: Corpus) -> tuple[float, ...] | None:
    """Weight per label index.

    `balanced` is scikit-learn's rows / (classes × rows of the class).

    Raises:
        ConfigError: A label that the corpus does not have.
    """
    wanted = config.train.class_weight
    if wanted is None:
        return None
    names = [str(label) for label in corpus.labels]
    if wanted == "balanced":
        counts = np.bincount(corpus.table["label"].to_numpy(), minlength=len(names))
        return tuple(float(corpus.num_rows / (len(names) * count)) for count in counts)
    problems = [
        f"train.class_weight.{name}: no such label; the corpus has {', '.join(names)}"
        for name in wanted
        if name not in names
    ]
    problems += [
        f"train.class_weight.{name}: expected a weight above 0, found {weight}"
        for name, weight in wanted.items()
        if weight <= 0
    ]
    if problems:
        raise ConfigError("the class weights cannot be used", problems)
    return tuple(wanted.get(name, 1.0) for name in names)


def lines_beside(config: Config) -> list[str]:
    """How the files beside the corpus that a person wrote were read, a line each where that is to be said."""
    words = config.words
    tables = [("data.labels", path) for path in config.data.labels_files]
    if words.keywords is not None and words.keywords != AUTO:
        tables.append(("words.keywords", words.keywords))
    lines = [f"{key}: {path}: {without_keys(line)}" for key, path in tables for line in reading_lines(path)]
    return lines + (dictionary_lines(words.user_dict) if words.user_dict and _segments(config) else [])


def _segments(config: Config) -> bool:
    """Whether texts are cut into words."""
    return config.words.keywords is not None or any(map(reads_words, config.model.architectures))


def read_dictionary(config: Config, corpus: Corpus) -> Dictionary:
    """The words that jieba must know, and those of them that a person kept as keywords.

    Raises:
        CorpusError: The user dictionary or the kept keywords cannot be used.
    """
    words = config.words
    user_dict = read_user_dict(words.user_dict) if words.user_dict is not None and _segments(config) else None
    if words.keywords is None or words.keywords == AUTO:
        return Dictionary(user_dict, None)
    kept = read_kept_words(words.keywords, corpus.labels)
    return Dictionary(extend_dictionary(user_dict, kept), kept)
