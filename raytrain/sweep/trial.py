"""One trial of a sweep: its folds one after another in one process, with one model."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray import tune

from raytrain.config.schema import Config
from raytrain.crossval.inputs import class_weights
from raytrain.crossval.plan import Plan
from raytrain.crossval.specs import build_specs
from raytrain.devices import quick_imports, set_up_tensorflow
from raytrain.errors import RaytrainError
from raytrain.folds.build import Builder
from raytrain.folds.spec import FoldSpec
from raytrain.hidden_states.cache import HiddenStates
from raytrain.sweep.records import ENDED, TrialRecord
from raytrain.sweep.space import INPUT_SECTIONS, Point, with_point
from raytrain.tasks import TASK_METRICS


@dataclass(frozen=True)
class TrialBasis:
    """What all trials that read the same features share.

    Attributes:
        plan: What the folds need beside a config.
        config: The sweep's, from which every trial starts.
        data: ObjectRef of `plan.fold_data`.
        hidden_states: The frozen encoder's output, or None.
    """

    plan: Plan
    config: Config
    data: ray.ObjectRef
    hidden_states: HiddenStates | None


def trial_specs(basis: TrialBasis, point: Point, num_folds: int) -> list[FoldSpec]:
    """`num_folds` folds of the run that the point's config would make, none begun again.

    The first ones; of folds by time the last ones, which learn from the most, as the run in the end will.

    That a fold learns nothing with a point is what a sweep is to know. Nor has any a second round: it would
    cost as much as another point.
    """
    config = with_point(basis.config, point)
    plan = replace(basis.plan, config=config, class_weight=class_weights(config, basis.plan.corpus))
    specs = build_specs(plan, basis.data)
    specs = specs[:num_folds] if config.folds.time is None else specs[-num_folds:]
    specs = [replace(spec, settings=replace(spec.settings, restarts=0, pseudo_labels=None)) for spec in specs]
    if specs[0].model.train_encoder:
        return specs
    return [replace(spec, hidden_states=basis.hidden_states) for spec in specs]


def input_key(config: Config) -> str:
    """Names what the features of a config depend on."""
    flat = config.flat()
    return repr([(key, value) for key, value in flat.items() if key.startswith(INPUT_SECTIONS)])


def run_trial(
    config: dict[str, Any],
    bases: dict[str, TrialBasis],
    earlier: dict[int, TrialRecord],
    num_folds: int,
    threads: int,
    gpu_share: float | None,
) -> None:
    """Trains a trial's folds and reports the means so far after each of them; a function for Ray Tune.

    Folds of an earlier session are reported as they were, so that the scheduler knows them.

    Args:
        config: The trial's `number` and its `point`.
        bases: By `input_key`.
        earlier: What is known of trials, by number.
        num_folds: How many folds it trains, unless the scheduler ends it before.
        threads: CPUs that it owns.
        gpu_share: Share of a card that it owns, or None.

    Raises:
        RaytrainError: The loss is no longer finite; or an earlier session said so.
    """
    known = earlier.get(config["number"], TrialRecord(config["number"], config["point"]))
    task = next(iter(bases.values())).config.task
    scores = {name: list(known.scores.get(name, [])) for name in TASK_METRICS[task]}
    seconds = list(known.seconds)
    for count in range(1, known.num_folds + 1):
        tune.report(fold_report({name: values[:count] for name, values in scores.items()}, seconds[:count]))
    if known.error is not None and known.state in ENDED:
        raise RaytrainError(known.error)
    if known.state in ENDED or known.num_folds >= num_folds:
        return
    with quick_imports():
        import raytrain.training.loop  # noqa: F401
    full = with_point(next(iter(bases.values())).config, config["point"])
    specs = trial_specs(bases[input_key(full)], config["point"], num_folds)[known.num_folds :]
    set_up_tensorflow(threads, gpu_share, specs[0].precision)
    for metrics, duration in _train_folds(specs):
        for name, values in scores.items():
            values.append(metrics[name])
        seconds.append(duration)
        tune.report(fold_report(scores, seconds))


def _train_folds(specs: Sequence[FoldSpec]) -> Iterator[tuple[dict[str, float], float]]:
    """Trains folds with one model, compiled once. Yields each one's metrics and seconds."""
    data = ray.get(specs[0].data)
    builder = Builder()
    for spec in specs:
        started = time.monotonic()
        training = builder.build(spec, data)
        while not training.finished:
            training.run_epoch()
        _, _, metrics = training.selected()
        scores = {name: float(metrics[name]) for name in TASK_METRICS[spec.task]}
        yield scores, round(time.monotonic() - started, 3)


def fold_report(scores: dict[str, list[float]], seconds: list[float]) -> dict[str, Any]:
    """What a trial reports: means over its folds so far, and each fold's own numbers."""
    record = TrialRecord(0, {}, scores=scores)
    means = {name: record.mean(name) for name in scores}
    return {"folds": len(seconds), **means, "scores": scores, "seconds": seconds}
