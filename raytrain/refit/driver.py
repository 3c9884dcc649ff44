"""The refit of a run: one model of each architecture, on all labelled rows, with the run's config."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from raytrain.cluster import connect
from raytrain.config.load import as_overrides, override_values
from raytrain.config.schema import Config
from raytrain.config.training import TrainConfig
from raytrain.crossval.adapt import adapt_encoder, is_adapted
from raytrain.crossval.driver import announce
from raytrain.crossval.plan import Plan, load_plan
from raytrain.crossval.prepare import PreparedRun
from raytrain.ensemble.artifact import load_ensemble
from raytrain.errors import ConfigError
from raytrain.folds.tracking import check_tracking
from raytrain.messages import logging_console
from raytrain.pretrained.directory import EncoderFiles
from raytrain.refit.finished import FinishedRun, change_config, keys_unread_by, read_finished, without_test
from raytrain.refit.model import OneModel, read_model
from raytrain.refit.place import take_place
from raytrain.refit.train import build_specs_of_all, prepare_rows, result_lines, single_rule, train_artifact
from raytrain.stages import Stages
from raytrain.storage.directory import Directory
from raytrain.storage.lock import lock_run
from raytrain.tasks import reads_encoder

CHANGEABLE = ("train.", "seed", "model.architecture")


def refit_run(
    run: str,
    output: str | None = None,
    overrides: Sequence[str] = (),
    console: Console | None = None,
    **values: Any,
) -> OneModel:
    """Trains one model of each architecture of a finished run on all its labelled rows.

    Each learns for as many epochs as the folds' models had learned: the median over the folds of the epoch
    that was kept; `train.epochs` among the overrides says otherwise.

    Args:
        run: The run's directory or URI.
        output: Where the artifact is to lie; None: `refit` in the run's directory.
        overrides: `key.path=value` over the run's config.
        console: Where progress is drawn; None logs each line to the logger `raytrain`.
        **values: The same as overrides from Python, laid over them; two underscores stand for the dot.

    Returns:
        The model; where its artifact was there already nothing is trained.

    Raises:
        InputError: Run, config, corpus, encoder or cluster cannot be used; nothing was trained.
        FoldError: A model failed for good; the others are committed.
        TimeBudgetError: It was used up before the end.

    Example:
        >>> import raytrain
        >>> model = raytrain.refit_run("runs/mine", train__epochs=5)  # doctest: +SKIP
        >>> model.artifact  # doctest: +SKIP
        'runs/mine/refit'
        >>> model.predictor().predict(["网传明天停水，快转给家人"])  # doctest: +SKIP
        ['rumor']
    """
    console, finished = console or logging_console(), read_finished(run)
    given = [*overrides, *as_overrides(values)]
    config = refit_config(finished, given)
    epochs = choose_epochs(finished, config.model.architectures, told_epochs(given))
    budget = config.cluster.time_budget
    stages = Stages(console, None if budget is None else time.time() + budget)
    with take_place(output or f"{finished.directory}/refit", config) as place:
        rule = single_rule(load_ensemble(finished.ensemble).manifest.rule, config.model.architectures)
        prepared = prepare_rows(finished, config, config.model.has_networks, stages)
        made_of = {"refit": ", ".join(f"{name} {number}" for name, number in epochs.items())}
        prepared = replace(prepared, hashes=prepared.hashes | made_of)
        if place.is_made(prepared.hashes, rule):
            console.print(f"{place.artifact} is there; nothing to train", highlight=False, markup=False)
            return read_model(place.artifact)
        check_tracking(config)
        connect(config.cluster.address)
        plan = refit_plan(finished, config, prepared, place.training, stages)
        announce(plan, console)
        specs = build_specs_of_all(plan, plan.fold_data(), epochs)
        facts = {"made_by": "refit", "folds": finished.scores(config.model.architectures)}
        summary = train_artifact(plan, specs, place, facts, rule, stages)
    for line in result_lines(summary):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return OneModel(str(place.artifact), summary)


def refit_plan(
    run: FinishedRun, config: Config, prepared: PreparedRun, training: Directory, stages: Stages
) -> Plan:
    """`load_plan` of a refit in its own directory, with the run's encoder."""
    prepared = replace(prepared, encoder=own_encoder(run, config, prepared, stages))
    return replace(load_plan(training, config.without_adapting(), prepared, stages), config=config)


def own_encoder(run: FinishedRun, config: Config, prepared: PreparedRun, stages: Stages) -> EncoderFiles:
    """The run's encoder: where the run adapted it, as adapted there, whatever seed and precision are now.

    Args:
        run: The run.
        config: Of the refit.
        prepared: With the encoder as it was before.
        stages: Where progress is told.

    Raises:
        ConfigError: It must be adapted anew, and another driver holds the run's directory.
        PretrainError: It failed for good.
        TimeBudgetError: It was used up before the end.
    """
    train = config.train.model_copy(update={"precision": run.config.train.precision})
    own = config.model_copy(update={"seed": run.config.seed, "train": train})
    corpus, encoder = prepared.corpus, prepared.encoder
    is_there = is_adapted(run.directory, own, corpus, encoder)
    with contextlib.nullcontext() if is_there else lock_run(run.directory):
        return adapt_encoder(run.directory, own, corpus, encoder, stages)


def refit_config(run: FinishedRun, overrides: Sequence[str]) -> Config:
    """The run's config for the architectures that vote, or are asked for, and what those read of it.

    Raises:
        ConfigError: As of `change_config`.
    """
    voting = f"model.architecture=[{','.join(run.voting)}]"
    unread = keys_unread_by([voting, *overrides])
    given = [voting, *as_overrides(unread), *overrides]
    return without_test(change_config(run, given, (*CHANGEABLE, *unread)))


def told_epochs(overrides: Sequence[str]) -> TrainConfig | None:
    """With `train.epochs` as the overrides alone say it, not the run's own config; None where they do not."""
    said = override_values(overrides)
    return TrainConfig(epochs=said["train.epochs"]) if "train.epochs" in said else None


def choose_epochs(run: FinishedRun, architectures: Sequence[str], told: TrainConfig | None) -> dict[str, int]:
    """Epochs of each architecture.

    Args:
        run: The run.
        architectures: Those that are trained.
        told: With `train.epochs` where it was said now; None, there or instead: the folds say how many.

    Raises:
        ConfigError: The run has no such architecture.
    """
    known = run.config.model.architectures
    unknown = [name for name in architectures if name not in known]
    if unknown:
        expected = f"expected some of {', '.join(known)}, which the run has"
        raise ConfigError(f"model.architecture: {expected}; found {', '.join(unknown)}")
    said = {name: told.of(name)["epochs"] for name in architectures if told and reads_encoder(name)}
    return {name: said.get(name) or run.kept_epochs(name) for name in architectures}
