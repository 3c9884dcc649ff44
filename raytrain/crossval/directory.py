"""A run's own files: config.yaml, corpus.json and folds.parquet, written once and held to afterwards."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.config.defaults import reads_words
from raytrain.config.keys import FREE_KEYS, decisive_keys
from raytrain.config.schema import Config
from raytrain.config.sections import AUTO
from raytrain.config.stored import check_config, check_hashes
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.duplicates import join_groups
from raytrain.errors import ArtifactError, ConfigError, CorpusError
from raytrain.pretrained.directory import EncoderFiles
from raytrain.pretrained.start import hash_encoder, hash_input
from raytrain.scores.tables import is_complete
from raytrain.splits.assign import assign_folds
from raytrain.splits.by_time import assign_by_time, check_by_time
from raytrain.splits.duplicates import Duplicates
from raytrain.splits.folds import Folds, read_folds, write_folds
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
from raytrain.text.dictionary import finds_uncommon, read_user_dict

ROW_INPUTS = ("data.path", "data.labels")  # what decides the rows and their labels
_ENDS = 1 << 20  # a file beside the corpus is known by its size, first and last mebibyte


def check_inputs(
    run: Directory,
    config: Config,
    corpus: Corpus,
    encoder: EncoderFiles | None,
    binding: Collection[str] | None = None,
) -> dict[str, str]:
    """Hashes every input file and refuses those whose content changed since the run was begun.

    Args:
        run: The run's directory.
        config: Its config.
        corpus: Of the config.
        encoder: Of the config; None leaves it out, for a finished run, whose artifact has its own.
        binding: Keys of the inputs that must not have changed; None: all.

    Returns:
        Config key to hash.

    Raises:
        ConfigError: Naming the inputs that changed.
        ArtifactError: corpus.json cannot be read.
    """
    # What trains on the rows of a finished run need not read the texts that the run was to predict.
    is_gone = encoder is None and config.data.test is not None and not Path(config.data.test).exists()
    own = config.without_test() if is_gone else config
    inputs = {"data.path": corpus.sha256, **hash_inputs(own, encoder)}
    if not run.exists("config.yaml"):
        return inputs
    try:
        stored = json.loads(run.read_bytes("corpus.json"))["inputs"]
        if is_gone and "data.test" in stored:
            inputs["data.test"] = stored["data.test"]
        # A finished run may predict other texts than those that it learned from.
        left_out = {"encoder.checkpoint", "data.test"} if encoder is None else set()
        known, found = (
            {
                key: value
                for key, value in hashes.items()
                if key not in left_out and (binding is None or key in binding)
            }
            for hashes in (stored, inputs)
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{run}/corpus.json is damaged: {error!r}") from error
    check_hashes(run, known, found)
    return inputs


def identify(config: Config, inputs: dict[str, str]) -> str:
    """A hash of all that decides what the folds learn: a committed fold of another hash is not this run's."""
    return hashlib.sha256(json.dumps([decisive_keys(config), inputs], sort_keys=True).encode()).hexdigest()


def find_folds(run: Directory, config: Config, corpus: Corpus, duplicates: Duplicates | None = None) -> Folds:
    """Reads the folds of a run that was begun, else assigns them.

    Args:
        run: The run's directory.
        config: Its config.
        corpus: Of the config.
        duplicates: Near-duplicates that must not straddle folds, or in time must not be learned from and
            judged by in one, unless they were dropped.

    Raises:
        CorpusError: The rows cannot be folded so.
        ArtifactError: folds.parquet cannot be read, or is of other rows.
    """
    groups = corpus.table["group"].to_numpy() if config.folds.group else None
    near = duplicates.groups if duplicates is not None and duplicates.policy == "group" else None
    if near is not None:
        groups = near if groups is None else join_groups(groups, near)
    if run.exists("config.yaml"):
        if not run.exists("folds.parquet"):
            raise ArtifactError(
                f"{run}: folds.parquet is gone; bring it back, or delete the run to start anew"
            )
        ids = corpus.table["id"].combine_chunks()
        return _bound(read_folds(run.read_bytes("folds.parquet"), ids), groups)
    if config.folds.time is not None:
        return _fold_by_time(config, corpus, groups)
    folds, every_class = config.folds, config.task == "classify"
    strata = corpus.strata(folds.num_folds)
    try:
        valid = assign_folds(strata, folds.num_folds, folds.repeats, config.seed, groups, every_class)
    except CorpusError as error:
        if near is None or len(np.unique(near)) == len(near):
            raise
        advice = "near-duplicates stay in one fold; folds.duplicates=keep lets them straddle folds"
        raise CorpusError(error.summary, [*error.problems, advice]) from error
    return _bound(Folds(valid), groups)


def _bound(folds: Folds, groups: np.ndarray | None) -> Folds:
    """Random folds with what holds rows together in them; of a run of before that was kept, too."""
    if groups is None or folds.groups is not None:
        return folds
    numbers = _numbers(groups)
    stand_alone = int(numbers.max(initial=-1)) + 1 == len(numbers)
    first = np.unique(numbers, return_index=True)[1][numbers]
    straddle = bool((folds.valid != folds.valid[:, first]).any())
    return folds if stand_alone or straddle else replace(folds, groups=numbers)


def _fold_by_time(config: Config, corpus: Corpus, groups: np.ndarray | None) -> Folds:
    """Folds in the order of `folds.time`, with enough to learn from before each."""
    numbers = np.arange(corpus.num_rows) if groups is None else _numbers(groups)
    times = corpus.table["time"].to_numpy()
    folds = Folds(assign_by_time(times, config.folds.num_folds)[None], numbers)
    labels = corpus.table["label"].to_numpy() if config.task == "classify" else None
    check_by_time(folds, labels, corpus.labels)
    return folds


def _numbers(groups: np.ndarray) -> np.ndarray:
    """Groups by number, from 0 on."""
    return np.unique(groups, return_inverse=True)[1].reshape(-1).astype(np.int64)


def check_taken_folds(run: Directory, config: Config) -> None:
    """Refuses a config of other rows or folds than a run's, for what trains on the folds that lie there.

    Raises:
        ConfigError: Naming the keys that differ, and how.
        ArtifactError: The run's config cannot be read.
    """
    own = ("data.", "folds.", "seed", "task")
    others = [key for key in config.flat() if not key.startswith(own)]
    check_config(run, config, (*FREE_KEYS, *others), "its folds are taken: choose another name, or its keys")


def begin_run(run: Directory, config: Config, corpus: Corpus, inputs: dict[str, str], folds: Folds) -> None:
    """Writes corpus.json and folds.parquet, and config.yaml last: from then on the run is held to them.

    Only called once all that can be wrong with the inputs has been looked at, so that a corrected
    mistake is not another config.
    """
    if not run.exists("config.yaml"):
        run.write_bytes("corpus.json", json_bytes({**corpus.summary(), "inputs": inputs}))
        run.write_bytes("folds.parquet", write_folds(folds, corpus.table["id"].combine_chunks()))
    run.write_bytes("config.yaml", config.to_yaml().encode())


def hash_inputs(config: Config, encoder: EncoderFiles | None) -> dict[str, str]:
    """A hash of each input file beside the corpus; of dictionaries, every byte."""
    prints, words = hash_labels(config), config.words
    reads = any(reads_words(name) for name in config.model.architectures)
    if words.vectors is not None and reads:
        prints["words.vectors"] = _fingerprint("words.vectors", Path(words.vectors))
    if words.user_dict is not None and (reads or words.keywords is not None):
        prints["words.user_dict"] = _fingerprint("words.user_dict", Path(words.user_dict), ends=None)
        if finds_uncommon(read_user_dict(words.user_dict)):  # earlier runs cut such words apart
            prints["words.user_dict"] += "-whole"
    if words.keywords is not None and words.keywords != AUTO:
        prints["words.keywords"] = hash_input("words.keywords", Path(words.keywords))
    learns_test = config.encoder.adapt or config.train.pseudo_labels is not None
    if learns_test and config.data.test is not None:
        prints["data.test"] = hash_input("data.test", Path(config.data.test))
    if encoder is not None and encoder.files:
        prints["encoder.checkpoint"] = hash_encoder(encoder)
    return prints


def hash_labels(config: Config) -> dict[str, str]:
    """`data.labels` to a hash of its files; {} where there are none."""
    hashes = [hash_input("data.labels", Path(path)) for path in config.data.labels_files]
    if len(hashes) < 2:
        return dict.fromkeys(["data.labels"] if hashes else [], "".join(hashes))
    return {"data.labels": hashlib.sha256("".join(hashes).encode()).hexdigest()}


def _fingerprint(key: str, path: Path, ends: int | None = _ENDS) -> str:
    """Hashes name, size and both ends of a file; None takes the whole."""
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            head = stream.read(size if ends is None else ends)
            stream.seek(max(size - len(head), 0))
            return hashlib.sha256(f"{path.name} {size} ".encode() + head + stream.read()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{key}: cannot read {path}: {error.strerror or error}") from error


def read_summary(run: Directory) -> dict[str, Any] | None:
    """The summary of a finished run; None where folds are missing or were stopped early."""
    if not run.exists("ensemble/manifest.json") or not run.exists("summary.json"):
        return None
    try:
        summary: dict[str, Any] = json.loads(run.read_bytes("summary.json"))
    except ValueError as error:
        raise ArtifactError(f"{run}/summary.json is damaged: {error}; delete it to sum up anew") from error
    return summary if is_complete(summary) else None
