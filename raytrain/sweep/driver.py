"""The search for a good config: trials of a few folds each, run by Ray Tune, pruned across folds."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import ray
from rich.console import Console

from raytrain.cluster import check_storage, connect
from raytrain.config.defaults import UNTRAINED_RATE, EncoderStart, encoder_start, trains_encoder
from raytrain.config.names import trial_name
from raytrain.config.schema import Config
from raytrain.config.validate import validate_config
from raytrain.crossval.directory import ROW_INPUTS, check_inputs, check_taken_folds
from raytrain.crossval.driver import announce
from raytrain.crossval.inputs import class_weights, find_encoder, read_dictionary
from raytrain.crossval.plan import load_plan
from raytrain.crossval.prepare import PreparedRun, check_files, in_one, prepare_run
from raytrain.crossval.train import frozen_states
from raytrain.errors import ConfigError, InputError, SweepError
from raytrain.folds.resources import FoldResources, cluster_nodes, divide_resources
from raytrain.folds.tracking import tracking
from raytrain.messages import counted, logging_console
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.files import parquet_bytes
from raytrain.storage.lock import lock_run
from raytrain.sweep.pictures import StartOf, write_pictures
from raytrain.sweep.points import ListedPoints, OptunaPoints, PointSource
from raytrain.sweep.records import TrialRecord, begin_sweep, best_trial, read_trials, trials_table
from raytrain.sweep.space import SearchSpace, input_points, read_space, with_point
from raytrain.sweep.table import TrialTable, best_table, score_text
from raytrain.sweep.trial import TrialBasis, input_key
from raytrain.sweep.tune import run_trials


def run_sweep(config: Config, console: Console | None = None) -> Config:
    """Searches, and leaves trials.parquet, best.yaml and pictures/ in the sweep's directory.

    A sweep of the same name goes on where it stopped: folds that were trained are not trained again.

    Args:
        config: The config that every trial starts from, and under `sweep` what is searched.
        console: Where to draw progress and the best trials; None logs each line to the logger `raytrain`.

    Returns:
        The best config, as in best.yaml.

    Raises:
        InputError: Config, space, corpus, encoder or cluster cannot be used; no trial was started.
        SweepError: Not one trial trained all its folds.
    """
    console = console or logging_console()
    check_storage(config.storage)
    sweep = Directory(config.storage) / config.name
    with lock_run(sweep):
        _check_searched(config)
        check_taken_folds(sweep, config)
        prepared = prepare_run(sweep, config, Stages(console), ROW_INPUTS)
        space = read_space(config, _start_of(config, prepared))
        source = _point_source(space, config)
        variants = _prepare_variants(sweep, config, space, prepared, console)
        hashes = {f"{key} {name}": h for name, v in variants.items() for key, h in v[1].hashes.items()}
        begin_sweep(sweep, config, hashes)
        records = {record.number: record for record in read_trials(sweep)}
        connect(config.cluster.address)
        table = TrialTable(records, config, console)
        try:
            with (
                tracking(sweep, config) as tracker,
                _trial_bases(sweep, config, space, variants, console) as (bases, resources),
            ):
                run_trials(sweep, config, source, bases, resources, table, tracker)
        finally:
            starts = {key: _start_of(*variant) for key, variant in variants.items()}
            _sum_up(sweep, config, list(records.values()), lambda own: starts[input_key(own)], console)
    best = best_trial(list(records.values()), config.sweep.metric)
    if best is None:
        raise SweepError([f"trial {number}: {r.error}" for number, r in sorted(records.items()) if r.error])
    return best_config(config, best)


def _start_of(config: Config, prepared: PreparedRun) -> EncoderStart:
    pretrained = prepared.encoder.weights is not None or config.encoder.adapt
    return encoder_start(prepared.encoder.config, pretrained)


def _check_searched(config: Config) -> None:
    """Looks at the space, and at the files that it names, before anything slow.

    Raises:
        InputError: With all that is wrong with them.
    """
    # Of how the encoder begins, nothing that can be wrong depends.
    space = read_space(config, EncoderStart(config.encoder.pretrained, UNTRAINED_RATE))
    problems: list[str] = []
    points = input_points(space)
    for point in points:
        try:
            check_files(with_point(config, {**point, "model.architecture": list(space.architectures)}))
        except InputError as error:
            if len(points) == 1:
                raise
            problems += error.problems if isinstance(error, ConfigError) else [in_one(error)]
    if problems:
        raise ConfigError("the sweep cannot be started", list(dict.fromkeys(problems)))


def best_config(config: Config, best: TrialRecord) -> Config:
    """What jobs/kfold.py trains in full: the best trial's config, under a name of this trial's."""
    values = with_point(config, best.point).model_dump(mode="json")
    return validate_config(values | {"name": trial_name(config.name, best.number), "sweep": {}})


def _point_source(space: SearchSpace, config: Config) -> PointSource:
    options = config.sweep
    if options.search == "grid":
        return ListedPoints(space.grid())
    if options.search == "random":
        return ListedPoints(space.sample(options.num_trials, config.seed))
    return OptunaPoints(space, options.metric, config.seed)


def _prepare_variants(
    sweep: Directory, config: Config, space: SearchSpace, prepared: PreparedRun, console: Console
) -> dict[str, tuple[Config, PreparedRun]]:
    """The config of each set of features that trials read, and what it is made of.

    Raises:
        ConfigError: With every encoder, file and class weight that cannot be used.
    """
    whole: dict[str, Any] = {"model.architecture": list(space.architectures)}
    if space.searches("model.train_encoder"):
        # So that the encoder's weights are at hand; `layers`, which no frozen encoder takes, is each trial's.
        whole |= {"model.train_encoder": False, "model.pooling": "first"}
    variants: dict[str, tuple[Config, PreparedRun]] = {}
    problems: list[str] = []
    for point in input_points(space):
        own = with_point(config, {**point, **whole})
        try:
            dictionary = read_dictionary(own, prepared.corpus)
            encoder = find_encoder(own, prepared.corpus, console) if point else prepared.encoder
            hashes = check_inputs(sweep, own, prepared.corpus, encoder, ROW_INPUTS)
            made_of = replace(prepared, dictionary=dictionary, encoder=encoder, hashes=hashes)
            variants[input_key(own)] = own, made_of
        except InputError as error:
            problems.append(str(error))
    for value in space.values_of("train.class_weight"):
        try:
            class_weights(with_point(config, {"train.class_weight": value}), prepared.corpus)
        except InputError as error:
            problems += error.problems
    if problems:
        raise ConfigError("the sweep cannot be started", list(dict.fromkeys(problems)))
    return variants


def _resources(config: Config, space: SearchSpace) -> FoldResources:
    """What a trial takes, which trains one fold at a time on one worker."""
    options = config.sweep
    num_trials = len(space.grid()) if options.search == "grid" else options.num_trials
    most = options.max_concurrent_trials or config.cluster.max_concurrent_folds  # a trial trains one fold
    at_once = min(num_trials, most or num_trials)
    cluster = config.cluster.model_copy(update={"workers_per_fold": 1, "max_concurrent_folds": at_once})
    return divide_resources(cluster, at_once, at_once, cluster_nodes(cluster.autoscaler))


@contextlib.contextmanager
def _trial_bases(
    sweep: Directory,
    config: Config,
    space: SearchSpace,
    variants: dict[str, tuple[Config, PreparedRun]],
    console: Console,
) -> Iterator[tuple[dict[str, TrialBasis], FoldResources]]:
    """Encodes the corpus once for every set of features that trials read, and a frozen encoder's output."""
    resources, stages = _resources(config, space), Stages(console)
    bases: dict[str, TrialBasis] = {}
    with contextlib.ExitStack() as stack:
        for key, (own, prepared) in variants.items():
            plan = load_plan(sweep, own, prepared, stages)
            announce(plan, console)
            states = None
            if not all(trains_encoder(own, name, plan.pretrained) for name in space.architectures):
                states = stack.enter_context(frozen_states(plan, resources, stages))
            bases[key] = TrialBasis(plan, config, ray.put(plan.fold_data()), states)
        yield bases, resources


def _sum_up(
    sweep: Directory,
    config: Config,
    records: list[TrialRecord],
    start_of: StartOf,
    console: Console,
) -> None:
    """Writes what is known, and prints the best trials."""
    if not records:
        return
    records = sorted(records, key=lambda record: record.number)
    sweep.write_bytes("trials.parquet", parquet_bytes(trials_table(records, config)))
    pictures = write_pictures(sweep, records, config, start_of)
    best = best_trial(records, config.sweep.metric)
    if best is not None:
        metric = config.sweep.metric
        folds = counted(best.num_folds, "fold")
        comment = f"# trial {best.number}: {metric} {score_text(best, metric)}, {folds}\n"
        text = comment + best_config(config, best).to_yaml()
        sweep.write_bytes("best.yaml", text.encode())
    console.print("", best_table(records, config), "")
    for name in ["trials.parquet", *pictures]:
        console.print(f"{sweep}/{name}", highlight=False, markup=False, soft_wrap=True)
