"""Reading and checking what a run is made of, before Ray is started."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raytrain.config.schema import Config
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.tagged import read_tagged_corpus
from raytrain.corpus.unlabelled import count_texts
from raytrain.crossval.directory import check_inputs, find_folds
from raytrain.crossval.duplicates import Duplicates, treat_duplicates
from raytrain.crossval.inputs import Dictionary, class_weights, find_encoder, read_dictionary
from raytrain.errors import ConfigError
from raytrain.files.reading import Reading
from raytrain.files.told import reading_lines
from raytrain.fusion.costs import cost_matrix
from raytrain.fusion.fit import FusionSettings
from raytrain.pretrained.directory import EncoderFiles
from raytrain.pretraining.pieces import special_ids
from raytrain.splits.folds import Folds
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.suspects.corrections import correct_labels


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


def prepare_run(run: Directory, config: Config, stages: Stages) -> PreparedRun:
    """Reads and checks all that a run is made of.

    Raises:
        InputError: The corpus, a dictionary, the encoder, a weight per class or a cost cannot be used, or
            the run was begun with other inputs.
        TimeBudgetError: Before all was read.
    """
    corpus, duplicates = treat_duplicates(config, read_texts(config, stages), stages)
    if config.task == "classify":
        fusion_settings(config, corpus.labels)  # what does not fit them is told now, not after the folds
    dictionary = read_dictionary(config, corpus)
    encoder = find_encoder(config, corpus, stages.console)
    if config.encoder.adapt:
        special_ids(encoder.vocab)  # it cannot be without a [MASK]
    class_weight = class_weights(config, corpus)
    hashes = check_inputs(run, config, corpus, encoder)
    folds = find_folds(run, config, corpus, duplicates)
    return PreparedRun(corpus, dictionary, encoder, class_weight, hashes, folds, duplicates)


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
