"""Training one model of each architecture on all rows, and the artifact of them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray

from raytrain.config.schema import Config
from raytrain.crossval.directory import check_inputs, find_folds
from raytrain.crossval.inputs import class_weights, find_encoder, read_dictionary
from raytrain.crossval.plan import Plan
from raytrain.crossval.prepare import PreparedRun, check_files, read_texts
from raytrain.crossval.specs import build_specs
from raytrain.crossval.train import prepare_cluster, train_missing
from raytrain.ensemble.write import write_ensemble
from raytrain.errors import TimeBudgetError
from raytrain.folds.result import FoldResult, read_fold
from raytrain.folds.spec import FoldData, FoldSpec
from raytrain.fusion.rule import FusionRule
from raytrain.messages import counted
from raytrain.refit.finished import FinishedRun
from raytrain.refit.place import Place
from raytrain.splits.duplicates import treat_duplicates
from raytrain.splits.folds import learn_all
from raytrain.stages import Stages

ALL_ROWS = "all"  # in the place of a fold's name
UNSCORED = (
    "every labelled row was learned, so that this artifact has no out-of-fold scores; those under `folds` "
    "are of the run's folds, on rows that these had not seen"
)


def prepare_rows(run: FinishedRun, config: Config, same_encoder: bool, stages: Stages) -> PreparedRun:
    """Reads a finished run's corpus again, of which no row is held out.

    Args:
        run: The run.
        config: Of the training to come.
        same_encoder: Whether its encoder must be the run's.
        stages: Where progress is told.

    Raises:
        InputError: The corpus, a dictionary or the encoder cannot be used, or is not what the run was
            begun with.
    """
    check_files(config)
    corpus, duplicates = treat_duplicates(config, read_texts(config, stages), stages)
    dictionary = read_dictionary(config, corpus)
    encoder = find_encoder(config, corpus, stages.console)
    hashes = check_inputs(run.directory, run.config, corpus, encoder if same_encoder else None)
    find_folds(run.directory, run.config, corpus, duplicates)  # which tells where rows are others
    weights, folds = class_weights(config, corpus), learn_all(corpus.num_rows)
    return PreparedRun(corpus, dictionary, encoder, weights, hashes, folds)


def build_specs_of_all(plan: Plan, data: FoldData, epochs: dict[str, int], **settings: Any) -> list[FoldSpec]:
    """A fold run of each architecture whose valid rows are none.

    Args:
        plan: The training.
        data: What it reads.
        epochs: Of each network; n-grams are fitted at once.
        **settings: Other hyperparameters.
    """
    firsts: dict[str, FoldSpec] = {}
    for spec in build_specs(plan, ray.put(data)):
        firsts.setdefault(spec.architecture, spec)
    return [_learn_all(spec, epochs.get(name, 1), settings) for name, spec in firsts.items()]


def _learn_all(spec: FoldSpec, epochs: int, settings: dict[str, Any]) -> FoldSpec:
    """The last epoch is kept, for no score says which is best; the schedule `plateau` watches the loss."""
    name = f"{spec.architecture}/{ALL_ROWS}"
    own: dict[str, Any] = {"epochs": epochs, "monitor": "loss", "select": "last", "early_stopping": None}
    return replace(
        spec,
        name=name,
        location=f"{spec.run}/folds/{name}",
        settings=replace(spec.settings, **own | settings),
    )


def single_rule(rule: FusionRule | None, architectures: Sequence[str]) -> FusionRule | None:
    """How a run's ensemble decides, for one model of each architecture; None: by the plain mean."""
    own = None if rule is None else rule.of_single_models(architectures)
    return None if own is None or own.is_plain else own


def train_artifact(
    plan: Plan,
    specs: Sequence[FoldSpec],
    place: Place,
    facts: dict[str, Any],
    rule: FusionRule | None,
    stages: Stages,
) -> dict[str, Any]:
    """Trains what is not committed yet, then writes the artifact.

    Args:
        plan: The training; its directory is the place's.
        specs: Its fold runs.
        place: Where it goes.
        facts: What the manifest is to tell beside what was trained.
        rule: Of `single_rule`.
        stages: Where it is told.

    Returns:
        The manifest's `metrics`.

    Raises:
        FoldError: A model failed for good.
        TimeBudgetError: It was used up before all was trained; the same command goes on.
    """
    results = _train(plan, list(specs), stages)
    summary = facts | {
        "name": plan.config.name,
        "task": plan.config.task,
        "rows": plan.corpus.num_rows,
        "labels": plan.corpus.labels,
        "scores": UNSCORED,
        "training": {spec.architecture: _told(results[spec.name]) for spec in specs},
        "dead": [spec.name for spec in specs if results[spec.name].dead],
    }
    is_frozen = any(spec.model.freezes_encoder for spec in specs)
    frozen = ray.get(plan.encoder_weights) if is_frozen and plan.encoder_weights is not None else None
    records = [results[spec.name].record for spec in specs]
    with stages.stage("writing the artifact", len(specs), "models") as stage:
        labels, shared = plan.corpus.labels, plan.shared
        write_ensemble(
            place.artifact, plan.config, shared, labels, specs, records, summary, None, frozen, stage, rule
        )
    return summary


def _train(plan: Plan, specs: list[FoldSpec], stages: Stages) -> dict[str, FoldResult]:
    found = {spec.name: read_fold(spec.location, spec.identity) for spec in specs}
    kept = {name: result for name, result in found.items() if result is not None and not result.stopped_early}
    capacity = prepare_cluster(plan, specs, kept, stages)
    results, _ = train_missing(plan, specs, kept, capacity, stages)
    unfinished = [spec.name for spec in specs if spec.name not in results or results[spec.name].stopped_early]
    if unfinished:
        raise TimeBudgetError(
            f"cluster.time_budget was used up before {', '.join(unfinished)} had learned all; the same "
            "command goes on, or give it more"
        )
    return results


def _told(result: FoldResult) -> dict[str, Any]:
    last = result.record["history"][-1]
    return {"epochs": last["epoch"], "loss": last["loss"], "seconds": result.record["seconds"]}


def result_lines(summary: dict[str, Any]) -> list[str]:
    """What a person is told of an artifact that was made."""
    lines = []
    for architecture, told in summary["training"].items():
        epochs = f"{told['epochs']:g} epoch{'' if told['epochs'] == 1 else 's'}"
        loss = f"training loss {told['loss']:.4f}"
        lines.append(
            f"{architecture}: {counted(summary['rows'], 'row')}, {epochs}, {loss}, {told['seconds']:.0f} s"
        )
    if summary["dead"]:
        dead = ", ".join(summary["dead"])
        lines.append(f"learned nothing, by its loss: {dead}. Try another train.learning_rate or seed")
    scores = summary["folds"]["ensemble"]["oof"]
    shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if value is not None)
    lines.append(f"no row was held out: no scores of it; the run's ensemble, out of fold: {shown}")
    return lines
