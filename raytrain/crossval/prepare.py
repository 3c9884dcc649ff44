"""Reading and checking what a run is made of, before Ray is started."""

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytrain.config.defaults import reads_words
from raytrain.config.schema import Config
from raytrain.config.sections import AUTO
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.tagged import read_tagged_corpus
from raytrain.corpus.unlabelled import count_texts
from raytrain.crossval.directory import check_inputs, find_folds
from raytrain.crossval.inputs import Dictionary, class_weights, find_encoder, lines_beside, read_dictionary
from raytrain.errors import ConfigError, CorpusError, InputError
from raytrain.files.reading import Reading
from raytrain.files.told import reading_lines
from raytrain.folds.tracking import check_tracking
from raytrain.fusion.costs import cost_matrix
from raytrain.fusion.fit import FusionSettings
from raytrain.pretrained.directory import EncoderFiles
from raytrain.pretrained.start import check_start
from raytrain.pretraining.pieces import special_ids
from raytrain.splits.duplicates import Duplicates, treat_duplicates
from raytrain.splits.folds import Folds
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.suspects.corrections import correct_labels
from raytrain.text.dictionary import read_user_dict
from raytrain.text.vectors import check_vectors
from raytrain.text.words import dictionary_notes


@dataclass(frozen=True)
class PreparedRun:
    """What can be known, and wrong, before Ray is started.

    Attributes:
        corpus: The labelled texts, without near-duplicates where these are dropped.
        dictionary: The words that jieba must know.
        encoder: The encoder's files, fetched where need be.
        class_weight: Weight per label index, or None.
        hashes: Config key to hash of its input file.
        folds: Which rows each fold is judged by and learns from.
        duplicates: The near-duplicates that were found, or None where none were looked for.
    """

    corpus: Corpus
    dictionary: Dictionary
    encoder: EncoderFiles
    class_weight: tuple[float, ...] | None
    hashes: dict[str, str]
    folds: Folds
    duplicates: Duplicates | None = None


def prepare_run(
    run: Directory, config: Config, stages: Stages, binding: Collection[str] | None = None
) -> PreparedRun:
    """Reads and checks all that a run is made of.

    Args:
        run: Its directory.
        config: Its config.
        stages: Where progress is told.
        binding: As of `check_inputs`.

    Raises:
        InputError: The corpus, a dictionary, the encoder, a weight per class or a cost cannot be used, or
            the run was begun with other inputs.
        TimeBudgetError: Before all was read.
    """
    check_files(config)
    check_tracking(config)
    corpus, duplicates = treat_duplicates(config, read_texts(config, stages), stages)
    if config.task == "classify":
        fusion_settings(config, corpus.labels)  # what does not fit them is told now, not after the folds
    dictionary = read_dictionary(config, corpus)
    for note in (*lines_beside(config), *dictionary_notes(dictionary.text)):
        stages.say(note)
    encoder = find_encoder(config, corpus, stages.console)
    if config.encoder.adapt:
        special_ids(encoder.vocab)  # it cannot be without a [MASK]
    class_weight = class_weights(config, corpus)
    hashes = check_inputs(run, config, corpus, encoder, binding)
    folds = find_folds(run, config, corpus, duplicates)
    return PreparedRun(corpus, dictionary, encoder, class_weight, hashes, folds, duplicates)


def check_files(config: Config) -> None:
    """Looks at each file and encoder that the config names, in a moment and before anything slow.

    Raises:
        InputError: What is wrong with the one, or a ConfigError with what is wrong with several.
    """
    words, data = config.words, config.data
    reads = any(reads_words(name) for name in config.model.architectures)
    checks: list[Callable[[], Any]] = [
        functools.partial(_check_file, key, path)
        for key, paths in (
            ("data.path", [data.path]),
            ("data.labels", data.labels_files),
            ("data.test", [data.test]),
            ("words.keywords", [None if words.keywords == AUTO else words.keywords]),
        )
        for path in paths
        if path is not None
    ]
    if words.vectors is not None and reads:
        checks.append(functools.partial(check_vectors, words.vectors))
    if words.user_dict is not None and (reads or words.keywords is not None):
        checks.append(functools.partial(read_user_dict, words.user_dict))
    if config.model.has_networks:
        checks.append(functools.partial(check_start, config.encoder))
    errors: list[InputError] = []
    for check in checks:
        try:
            check()
        except InputError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConfigError("what the config names cannot be used", list(map(in_one, errors)))


def _check_file(key: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise CorpusError(f"{key}: cannot read {path}: {error.strerror or error}") from error


def in_one(error: InputError) -> str:
    """An error as one problem of several."""
    return "\n    ".join([error.summary, *error.problems])


def read_texts(config: Config, stages: Stages) -> Corpus:
    """Reads the corpus, and looks through the texts to predict. Raises CorpusError as `read_corpus` does."""
    with stages.stage(f"reading {config.data.path}") as stage:
        corpus = _READERS[config.task](config)
        stage.check()
    if config.data.test is not None:
        with stages.stage(f"reading {config.data.test}") as stage:
            reading = Reading.of(config.data)
            count_texts(config.data.test, config.data.text_columns, config.data.id, reading)
            for line in reading_lines(config.data.test, reading):
                stages.say(f"{config.data.test}: {line}")
            stage.check()
    return corpus


def _read_labelled(config: Config) -> Corpus:
    data, folds = config.data, config.folds
    corpus = read_corpus(
        data.path,
        data.text_columns,
        data.label,
        data.id,
        folds.group,
        folds.num_folds,
        data.drop,
        folds.time,
        Reading.of(data),
        data.merge_labels,
    )
    if not data.labels_files:
        return corpus
    return correct_labels(corpus, data.labels_files, folds.num_folds, data.id is not None)


def _read_tagged(config: Config) -> Corpus:
    data, folds = config.data, config.folds
    [text] = data.text_columns
    return read_tagged_corpus(
        data.path,
        text,
        data.spans,
        data.id,
        folds.group,
        data.scheme,
        data.strict,
        data.drop,
        folds.time,
        Reading.of(data),
        data.merge_labels,
    )


_READERS = {"classify": _read_labelled, "tag": _read_tagged}


def fusion_settings(config: Config, names: Sequence[Any]) -> FusionSettings:
    """What the section `ensemble` asks for.

    Args:
        config: The run's.
        names: The corpus's labels in order.

    Raises:
        ConfigError: It does not fit the labels.
    """
    wanted = config.ensemble
    if wanted.threshold == "f1" and len(names) != 2:
        expected = f"expected another than f1, which is of two labels, where the corpus has {len(names)}"
        raise ConfigError(
            "the threshold cannot be used",
            [f"ensemble.threshold: {expected}; take macro_f1, the mean over labels"],
        )
    return FusionSettings(
        wanted.weights,
        wanted.metric,
        wanted.average,
        wanted.calibrate,
        wanted.threshold,
        None if wanted.costs is None else cost_matrix(wanted.costs, names),
    )
