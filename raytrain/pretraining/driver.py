"""The driver of a pre-training: from files of texts to an encoder's directory."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import ray
from rich.console import Console

from raytrain.cluster import check_storage, connect
from raytrain.config.keys import PRETRAIN_FREE_KEYS, binding_keys
from raytrain.config.pretraining import PretrainConfig
from raytrain.config.stored import CONFIG_FILE, check_config, check_hashes
from raytrain.errors import ArtifactError, ConfigError, InputError, TimeBudgetError
from raytrain.files.reading import Reading
from raytrain.files.told import reading_lines
from raytrain.folds.resources import cluster_nodes, describe_nodes
from raytrain.messages import logging_console
from raytrain.pretrained.directory import EncoderFiles
from raytrain.pretrained.start import find_start, hash_encoder
from raytrain.pretraining.directory import ENCODER, SEQUENCES, is_finished, read_record
from raytrain.pretraining.launch import clear_work, fit_workers, launch
from raytrain.pretraining.lines import HeldBack, Source, Texts, counted_lines, open_sources, texts_of
from raytrain.pretraining.pieces import Encoding, SpecialIds, special_ids
from raytrain.pretraining.sequences import write_sequences
from raytrain.pretraining.settings import PretrainSpec, choose_settings
from raytrain.pretraining.start import load_start
from raytrain.pretraining.table import PretrainTable, announce, result_lines, result_table
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
from raytrain.storage.lock import lock_run

INPUTS = "inputs.json"
VERSION = 1  # of what is learned from the same config and texts


def pretrain(config: PretrainConfig, console: Console | None = None) -> dict[str, Any]:
    """Pre-trains an encoder and leaves its directory.

    A run of the same name goes on where it stopped; a finished one is only told again. Where
    `cluster.time_budget` ends it, the encoder is left as it is by then, and a later run goes on.

    Args:
        config: The whole config.
        console: Where progress is drawn; None logs each line to the logger `raytrain`.

    Returns:
        The record, as in pretraining.json.

    Raises:
        InputError: Config, texts, encoder or cluster cannot be used; nothing was learned.
        PretrainError: It failed for good; what its last checkpoint holds is kept.
        TimeBudgetError: It was used up before the first step.

    Example:
        >>> import raytrain
        >>> config = raytrain.load_pretrain_config(data__path="posts.txt")  # doctest: +SKIP
        >>> record = raytrain.pretrain(config)  # doctest: +SKIP
        >>> record["history"][-1]["accuracy"]  # doctest: +SKIP
        0.328
    """
    console = console or logging_console()
    budget = config.cluster.time_budget
    stages = Stages(console, None if budget is None else time.time() + budget)
    check_storage(config.storage)
    run = Directory(config.storage) / config.name
    with lock_run(run):
        check_config(run, config, PRETRAIN_FREE_KEYS)
        texts, encoder, special = _prepare(config, stages)
        hashes = {**texts.hashes, "encoder.checkpoint": hash_encoder(encoder)}
        if run.exists(INPUTS):
            check_hashes(run, _read_inputs(run), hashes)
        record = read_record(run)
        if is_finished(record):
            stages.say(f"{run} is finished; nothing to train")
            clear_work(run)  # where the driver died before it did
        else:
            connect(config.cluster.address)
            record = _train(run, config, texts, encoder, special, hashes, stages)
        assert record is not None
    tell_result(record, console)
    return record


def _prepare(config: PretrainConfig, stages: Stages) -> tuple[Texts, EncoderFiles, SpecialIds]:
    """Looks at all that can be wrong before Ray is started. Raises ConfigError with all of it."""
    problems: list[str] = []
    sources: list[Source] = []
    with stages.stage(f"reading {', '.join(config.data.paths)}") as stage:
        try:
            sources = open_sources(config.data.paths, config.data.text, Reading.of(config.data))
            for source in sources:
                for line in reading_lines(source.path, source.reading):
                    stages.say(f"{source.path}: {line}")
        except InputError as error:
            problems += error.problems
        stage.check()
    if config.train.batch_size < config.cluster.workers:
        wanted = f"expected at least cluster.workers={config.cluster.workers}"
        problems.append(f"train.batch_size: {wanted}; found {config.train.batch_size}")
    try:
        encoder = find_start(config.encoder, lambda: counted_lines(sources, stages), stages.console)
        special = special_ids(encoder.vocab)
    except InputError as error:
        problems += [error.summary, *error.problems]
    if problems:
        raise ConfigError("the pre-training cannot be started", problems)
    return texts_of(sources), encoder, special


def _read_inputs(run: Directory) -> dict[str, str]:
    try:
        return {str(key): str(value) for key, value in json.loads(run.read_bytes(INPUTS)).items()}
    except (ValueError, AttributeError) as error:
        raise ArtifactError(f"{run}/{INPUTS} is damaged: {error!r}") from error


def _train(
    run: Directory,
    config: PretrainConfig,
    texts: Texts,
    encoder: EncoderFiles,
    special: SpecialIds,
    hashes: Mapping[str, str],
    stages: Stages,
) -> dict[str, Any]:
    """Encodes the texts and trains on them."""
    # Told before anything slow starts.
    fit_workers(config.cluster, cluster_nodes(None))
    run.write_bytes(INPUTS, json_bytes(dict(hashes)))
    run.write_bytes(CONFIG_FILE, config.to_yaml().encode())
    keys = {k: v for k, v in binding_keys(config, PRETRAIN_FREE_KEYS).items() if k != "name"}
    identity = hash_of(VERSION, keys, dict(hashes))
    return train_encoder(run, config, identity, texts, encoder, special, stages)


def hash_of(*values: Any) -> str:
    """A hash of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def train_encoder(
    run: Directory,
    config: PretrainConfig,
    identity: str,
    texts: Texts,
    encoder: EncoderFiles,
    special: SpecialIds,
    stages: Stages,
) -> dict[str, Any]:
    """Encodes texts, and trains on them, once Ray is connected to.

    Args:
        run: Where all of it lies.
        config: The whole config.
        identity: Hash of all that decides what is learned.
        texts: What is learned from.
        encoder: Where it begins.
        special: Its special tokens.
        stages: Where it is told, and its deadline.

    Returns:
        The record.

    Raises:
        PretrainError: It failed for good.
        TimeBudgetError: It was used up before the first step.
    """
    weights, answer = None, None
    if encoder.weights is not None:
        weights, answer = load_start(encoder.kind, encoder.config, encoder.weights)
    index = _encode(run, config, identity, texts, encoder, special, stages)
    facts: dict[str, Any] = {"layout": None, "head": False}
    if answer is not None:
        with stages.stage("loading the encoder") as stage:
            facts = stage.wait(answer)
    encoded = {key: value for key, value in index.items() if key not in ("identity", "shards")}
    told: dict[str, Any] = {
        "encoder": config.encoder.model_dump(mode="json"),
        "mask": config.mask.model_dump(mode="json"),
    }
    told |= {
        "start": {"sha256": hash_encoder(encoder), **({"origin": encoder.origin} if encoder.origin else {})}
    }
    told |= {"texts": texts.told, "encoded": encoded}
    spec = PretrainSpec(
        name=config.name,
        location=run.location,
        identity=identity,
        seed=config.seed,
        settings=choose_settings(config, encoder, index["sequences"]),
        kind=encoder.kind,
        config=encoder.config,
        vocab=ray.put(encoder.vocab),
        start=weights,
        precision=config.train.precision,
        facts={**facts, **told},
        deadline=stages.deadline,
    )
    return _launch(spec, config, stages)


def _encode(
    run: Directory,
    config: PretrainConfig,
    identity: str,
    texts: Texts,
    encoder: EncoderFiles,
    special: SpecialIds,
    stages: Stages,
) -> dict[str, Any]:
    """Encodes the texts. Returns the index of `write_sequences`."""
    held_back = HeldBack(config.data.held_back, config.data.max_held_back, texts.count)
    again = "the next start encodes from the beginning: give it more time"
    with stages.stage("encoding", texts.count, "texts", again) as stage:
        return write_sequences(
            run / SEQUENCES,
            identity,
            texts,
            held_back,
            Encoding(encoder.vocab, special, config.encoder.maxlen, config.mask.words),
            stage,
        )


def _launch(spec: PretrainSpec, config: PretrainConfig, stages: Stages) -> dict[str, Any]:
    nodes = cluster_nodes(None)
    resources = fit_workers(config.cluster, nodes)
    announce(spec, stages)
    share = f"{resources.cpus} CPU" + (f" and {resources.gpus:g} GPU" if resources.gpus else "")
    workers = "a worker takes" if resources.workers == 1 else f"{resources.workers} workers take, each,"
    stages.say(f"{workers} {share}; the cluster has {describe_nodes(nodes)}")
    table = PretrainTable(spec.settings.steps, spec.settings.batch_size, stages.console)
    record = launch(spec, resources, config.cluster.max_failures, table, len(nodes) == 1)
    if record is None:
        raise TimeBudgetError(
            "cluster.time_budget was used up before the first step; the same command goes on, or give it more"
        )
    return record


def tell_result(record: Mapping[str, Any], console: Console) -> None:
    """Prints how good it is."""
    console.print("", result_table(dict(record)), "")
    for line in result_lines(dict(record)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def encoder_location(config: PretrainConfig) -> str:
    """Where a run leaves its encoder: a path, and of a storage that is no disk a URI."""
    storage = config.storage
    if storage.startswith("file:"):
        storage = Directory(storage).path
    return f"{storage.rstrip('/')}/{config.name}/{ENCODER}"
