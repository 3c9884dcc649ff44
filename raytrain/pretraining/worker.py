"""What the workers of a pre-training do: train, evaluate, checkpoint, stop when told, leave the encoder.

The driver imports this module, so TensorFlow is imported inside the functions that workers run.
"""

import contextlib
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ray
import ray.train

from raytrain.devices import quick_imports, set_up_tensorflow
from raytrain.errors import ClusterError, WorkerMemoryError
from raytrain.folds.reporter import FoldReporter, SilentReporter
from raytrain.folds.result import load_checkpoint, save_checkpoint
from raytrain.folds.worker import TIME_BUDGET, Watch, tell_steps
from raytrain.pretraining.directory import SEQUENCES, write_encoders, write_record
from raytrain.pretraining.pieces import special_ids
from raytrain.pretraining.sequences import Sequences
from raytrain.pretraining.settings import PretrainSpec
from raytrain.provenance import describe_worker
from raytrain.storage.directory import Directory

if TYPE_CHECKING:
    from raytrain.pretraining.loop import Pretraining


def pretrain_encoder(arguments: Mapping[str, Any]) -> None:
    """The training function of a pre-training's Ray Train run; each of its workers runs it.

    Args:
        arguments: `spec`, what is learned, and `launcher`, the actor that is told who the workers are.

    Raises:
        WorkerMemoryError: There was no memory for a piece of a batch.
        ClusterError: This node does not see the run's directory.
        RaytrainError: The loss is no longer finite.
    """
    spec: PretrainSpec = arguments["spec"]
    arguments["launcher"].enter.remote(ray.get_runtime_context().current_actor)
    try:
        _pretrain(spec)
    except Exception as error:
        # Known by name, and passed on as text: with TensorFlow's own the driver would import TensorFlow.
        if type(error).__name__ == "ResourceExhaustedError":
            raise WorkerMemoryError(str(error).splitlines()[0]) from None
        raise


def _pretrain(spec: PretrainSpec) -> None:
    if not (Directory(spec.location) / SEQUENCES).exists():
        raise ClusterError(
            f"node {ray.util.get_node_ip_address()} does not see {spec.location}, which the driver writes",
            [
                "storage must be a place that all nodes reach: a shared directory, or a URI as s3://bucket/runs"
            ],
        )
    with quick_imports():
        import raytrain.pretraining.loop  # noqa: F401
    set_up_tensorflow(spec.threads, spec.gpu_share, spec.precision)
    context = ray.train.get_context()
    is_chief = context.get_world_rank() == 0
    with FoldReporter(spec) if is_chief else SilentReporter() as reporter:
        training = build_pretraining(spec, context.get_world_rank(), context.get_world_size())
        load_checkpoint(spec.location, training)
        facts = describe_worker()
        reporter.on_start(0, training.step, facts)
        watch = Watch(spec.deadline, context.get_world_size())
        stopped_early = _run_steps(spec, training, reporter, watch, is_chief)
        _end(spec, training, reporter, is_chief, stopped_early, facts)


def build_pretraining(spec: PretrainSpec, rank: int = 0, num_workers: int = 1) -> "Pretraining":
    """The model with all it starts from, ready to train.

    Args:
        spec: What is learned.
        rank: This worker's number among `num_workers`.
        num_workers: How many share each batch.
    """
    import tensorflow as tf

    from raytrain.pretraining.loop import Pretraining
    from raytrain.pretraining.model import MaskedLanguageModel

    sequences = Sequences(Directory(spec.location) / SEQUENCES, spec.seed)
    special = special_ids(ray.get(spec.vocab))
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if num_workers > 1 else None
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = MaskedLanguageModel(spec.kind, spec.config, spec.seed)
        for name, array in (ray.get(spec.start) if spec.start is not None else {}).items():
            model.variables_by_name()[name].assign(array)
        return Pretraining(
            model,
            sequences,
            spec.settings,
            special,
            spec.seed,
            strategy,
            rank,
            num_workers,
            spec.accumulation,
        )


def _run_steps(
    spec: PretrainSpec, training: "Pretraining", reporter: FoldReporter, watch: Watch, is_chief: bool
) -> bool:
    """Trains until all is done or the deadline has come. Returns whether that was so."""
    _evaluate(training, reporter)
    on_step = tell_steps(training, reporter)
    while not training.finished:
        reached = training.run(on_step, watch)
        if not reached and watch.reason == TIME_BUDGET:
            reporter.on_pause(watch.reason, 0, training.step)
            return True
        if training.evaluation_is_due:
            _evaluate(training, reporter)
        if is_chief and not training.finished:  # after the last step comes the encoder itself
            save_checkpoint(spec.location, training)
        if not reached:
            reporter.on_pause(watch.reason, 0, training.step)
    return False


def _evaluate(training: "Pretraining", reporter: FoldReporter) -> None:
    if training.evaluation_is_due:
        reporter.on_epoch(training.evaluate())


def _end(
    spec: PretrainSpec,
    training: "Pretraining",
    reporter: FoldReporter,
    is_chief: bool,
    stopped_early: bool,
    facts: dict[str, Any],
) -> None:
    """Leaves the encoder as it is, and its provenance last."""
    if stopped_early and is_chief:
        save_checkpoint(spec.location, training)  # a later run goes on from here
    if not training.step:
        return
    if stopped_early and not training.was_evaluated:
        reporter.on_epoch(training.evaluate())
    if is_chief:
        run = Directory(spec.location)
        write_encoders(run, training.model, ray.get(spec.vocab))
        told = {
            "steps": training.step,
            "stopped_early": stopped_early,
            "tokens_told": training.num_told,
            "sequences": training.step * spec.settings.batch_size,
            "seconds": round(training.seconds, 1),
            "history": training.history,
            "ended": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_record(run, spec, {**told, **facts})
        reporter.on_commit(0, training.step, round(training.seconds, 3))
