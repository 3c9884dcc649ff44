"""An encoder adapted to a run's own texts before its folds, kept in the user's cache.

Masked language modelling on the texts of a task, test texts among them and labels not, is Gururangan et al.'s
(2020) task-adaptive pre-training. Labels are never read, so that out-of-fold scores stay what they are.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from raytrain.characters import is_blank
from raytrain.config.data import DataConfig
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.schema import Config
from raytrain.config.sections import AUTO
from raytrain.corpus.corpus import Corpus
from raytrain.corpus.unlabelled import iter_texts
from raytrain.errors import StorageError, TimeBudgetError
from raytrain.files.reading import Reading
from raytrain.home import home_directory
from raytrain.pretrained.directory import EncoderFiles, read_encoder
from raytrain.pretrained.start import hash_encoder
from raytrain.pretraining.directory import ENCODER, GOOGLE, RECORD, is_finished, read_record
from raytrain.pretraining.driver import VERSION, hash_of, train_encoder
from raytrain.pretraining.launch import clear_work
from raytrain.pretraining.lines import Texts
from raytrain.pretraining.pieces import special_ids
from raytrain.pretraining.table import summarize
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.folders import is_whole, keep_folder, take_folder

FOLDER = "adapted"  # in the cache, and in the run's directory
MOST_KEPT = 16  # adapted encoders in the cache; the longest unused give way
# Of the texts of a run a larger share than of large files: these are few.
HELD_BACK, MOST_HELD_BACK = 0.05, 500


def adapt_encoder(
    run: Directory, config: Config, corpus: Corpus, encoder: EncoderFiles, stages: Stages
) -> EncoderFiles:
    """The run's encoder after it has learned of the run's texts; as it is where the config does not ask.

    Args:
        run: The run's directory; where it stopped before, it goes on there.
        config: Of the run.
        corpus: Its texts.
        encoder: With which it begins.
        stages: Where progress is told, and the deadline.

    Raises:
        PretrainError: It failed for good.
        TimeBudgetError: It was used up before the end.
        StorageError: The cache cannot be written.
    """
    if not _is_asked(config):
        return encoder
    texts, own = _texts_of(config, corpus), _pretraining_of(config)
    identity = _identify(own, texts, encoder)
    kept = home_directory() / FOLDER / identity[:32]
    # The run's own goes before the cache's: folds that go on must find the encoder that they began with, and
    # elsewhere it would be another to the last bits.
    place = run / FOLDER / identity[:32]
    record = read_record(place, identity)
    if is_finished(record):
        stages.say(f"encoder: adapted to these texts before ({place})")
    elif (record := _take(kept, place, identity)) is not None:
        stages.say(f"encoder: adapted to these texts before ({kept})")
    else:
        _check_cache()
        stages.say(f"encoder: adapting it to {texts.count:,} texts of this run, their labels unread")
        record = _train(place, own, identity, texts, encoder, stages)
    assert record is not None
    clear_work(place)
    (place / GOOGLE).delete()  # nothing reads it here
    stages.say(summarize(record))
    directory = _readable(place / ENCODER, kept, stages)
    return replace(read_encoder(str(directory), True, config.encoder.maxlen), origin=encoder.origin)


def is_adapted(run: Directory, config: Config, corpus: Corpus, encoder: EncoderFiles) -> bool:
    """Whether `adapt_encoder` has nothing to write in the run's directory."""
    if not _is_asked(config):
        return True
    identity = _identify(_pretraining_of(config), _texts_of(config, corpus), encoder)
    return is_finished(read_record(run / FOLDER / identity[:32], identity))


def _is_asked(config: Config) -> bool:
    return config.encoder.adapt and config.model.has_networks


def _identify(own: PretrainConfig, texts: Texts, encoder: EncoderFiles) -> str:
    """A hash of all that decides what the encoder learns."""
    plain = own.model_dump(mode="json", exclude={"name", "storage", "data", "cluster"})
    # As of folds: it may change between two invocations, and those that are there go on with their encoder.
    plain["train"]["compile"] = AUTO
    return hash_of(VERSION, plain, hash_encoder(encoder), hash_vocab(encoder), dict(texts.hashes))


def _test_tables(data: DataConfig) -> Iterator[pa.Table]:
    if data.test is not None:
        yield from iter_texts(data.test, data.text_columns, reading=Reading.of(data))


def hash_vocab(encoder: EncoderFiles) -> str:
    """Of a vocabulary that no file holds: an untrained mini's is counted in the texts."""
    tokens = encoder.vocab.tokens
    data = tokens if isinstance(tokens, bytes) else "\n".join(tokens).encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


def _texts_of(config: Config, corpus: Corpus) -> Texts:
    """The corpus's texts and those to predict, of pairs both."""
    data, own = config.data, [text for text in corpus.all_texts() if not is_blank(text)]

    def lines() -> Iterator[str]:
        yield from own
        for table in _test_tables(data):
            for name in corpus.text_names:
                yield from (text for text in table[name].to_pylist() if not is_blank(text))

    digest, count = hashlib.sha256(), 0
    for text in lines():
        digest.update(text.encode("utf-8", "surrogatepass") + b"\n")
        count += 1
    told: list[dict[str, Any]] = [{"path": data.path, "texts": len(own)}]
    told += [{"path": data.test, "texts": count - len(own)}] if data.test is not None else []
    return Texts(lines, count, told, {"texts": digest.hexdigest()})


def _pretraining_of(config: Config) -> PretrainConfig:
    """The config of a pre-training on one worker, which takes what a fold does, else a machine's CPUs."""
    share, cpus = config.cluster.gpus_per_fold, config.cluster.cpus_per_fold
    return PretrainConfig.model_validate(
        {
            "name": config.name,
            "seed": config.seed,
            "data": {"path": config.data.path, "held_back": HELD_BACK, "max_held_back": MOST_HELD_BACK},
            "encoder": config.encoder.model_dump(include={"checkpoint", "pretrained", "maxlen"}),
            "train": {
                "epochs": config.encoder.adapt_epochs,
                "precision": config.train.precision,
                "compile": config.train.compile,
            },
            "cluster": {
                "gpus_per_worker": share if isinstance(share, float | int) else None,
                "cpus_per_worker": cpus,
                "max_failures": config.cluster.max_failures,
            },
        }
    )


def _check_cache() -> None:
    """Raises StorageError where nothing can be kept, which would else be known after the training."""
    folder = home_directory() / FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    if not os.access(folder, os.W_OK):
        raise _unwritable(folder, "permission denied")


def _unwritable(path: Path, reason: object) -> StorageError:
    advice = "make room there, or name another place by RAYTRAIN_HOME"
    return StorageError(f"{path} cannot be written: {reason}; {advice}")


def _train(
    place: Directory,
    own: PretrainConfig,
    identity: str,
    texts: Texts,
    encoder: EncoderFiles,
    stages: Stages,
) -> dict[str, Any]:
    """Trains in a folder of the run, of these texts alone and which all nodes reach, or goes on there."""
    record = train_encoder(place, own, identity, texts, encoder, special_ids(encoder.vocab), stages)
    if not is_finished(record):
        kept = "what it has learned is kept, the same command goes on there"
        raise TimeBudgetError(f"cluster.time_budget was used up: adapting the encoder; {kept}")
    return record


def _take(kept: Path, place: Directory, identity: str) -> dict[str, Any] | None:
    """Copies the cache's encoder into the run; its record comes last. Returns that; None without one."""
    if not take_folder(kept, place / ENCODER):
        return None
    place.write_bytes(RECORD, (place / ENCODER).read_bytes(RECORD))
    return read_record(place, identity)


def _readable(trained: Directory, kept: Path, stages: Stages) -> Path:
    """Where the run's encoder can be read in place; the cache has a copy of it, or else of another's.

    Raises:
        StorageError: The run's storage is none that is read in place, and the cache cannot be written.
    """
    own = Path(str(trained))
    if own.is_dir():
        if not is_whole(kept):
            try:
                keep_folder(trained, kept, MOST_KEPT)
            except OSError as error:
                stages.say(f"other runs must adapt it anew: {_unwritable(kept, error)}")
        return own
    try:
        # The cache is read while the folds train: it must hold this run's own, and not as the longest unused.
        if not (is_whole(kept) and _read_bytes(kept / RECORD) == trained.read_bytes(RECORD)):
            keep_folder(trained, kept, MOST_KEPT)
        os.utime(kept)
    except StorageError:
        raise
    except OSError as error:
        raise _unwritable(kept, error) from error
    return kept


def _read_bytes(path: Path) -> bytes | None:
    """Of a file of the cache, which another run may just replace."""
    try:
        return path.read_bytes()
    except OSError:
        return None
