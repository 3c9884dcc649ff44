"""What the workers of one fold do: train, checkpoint, stop when told, commit.

The driver imports this module, so TensorFlow is imported inside the functions that workers run.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import ray
import ray.train
import ray.train.collective

from raytrain.devices import card_memory, quick_imports, set_up_tensorflow
from raytrain.errors import ClusterError, WorkerMemoryError
from raytrain.folds.build import Builder, begin_again, begin_round
from raytrain.folds.events import Labelled, Restarted
from raytrain.folds.reporter import FoldReporter, SilentReporter
from raytrain.folds.result import commit_fold, has_result, keep_result, load_checkpoint, save_checkpoint
from raytrain.folds.spec import FoldSpec
from raytrain.provenance import describe_worker, processor_name
from raytrain.storage.directory import Directory

if TYPE_CHECKING:
    from raytrain.training.loop import FoldTraining

Outcome = Literal["committed", "stopped"]
Commit = Callable[
    [bool], float
]  # of what was learned, whether it was stopped early; gives the fold's seconds

TIME_BUDGET = "time budget"
IDLE_SECONDS = 5.0  # a crew without work gives its resources back after that
WATCH_SECONDS = 1.0
WATCH_STEPS = 4  # several workers agree on a pause, which costs them a round trip


def train_folds(loop_config: dict[str, Any]) -> None:
    """The training function of a crew; each of its workers runs it.

    Args:
        loop_config: `launcher`, the actor that hands the folds out, and the number of the `crew`.
    """
    launcher, crew, last = loop_config["launcher"], loop_config["crew"], 0
    context = ray.train.get_context()
    builder = Builder(context.get_world_rank(), context.get_world_size())
    launcher.enter.remote(crew, ray.get_runtime_context().current_actor)
    while True:
        # A worker whose node is about to be taken away begins no other fold.
        patience = 0.0 if last and ray.train.get_preemption_info() is not None else IDLE_SECONDS
        if (given := ray.get(launcher.next_fold.remote(crew, last, patience))) is None:
            return
        last, spec = given
        outcome = train_fold(spec, builder)
        if builder.rank == 0:
            ray.get(launcher.tell.remote(crew, outcome))


def train_fold(spec: FoldSpec, builder: Builder) -> Outcome:
    """Trains one fold; every worker of it does.

    Args:
        spec: The fold.
        builder: This process's.

    Returns:
        `stopped` where the deadline came before the fold had learned anything; else it is committed.

    Raises:
        WorkerMemoryError: There was no memory for a piece of a batch.
        ClusterError: This node does not see the run's directory.
        RaytrainError: The loss is no longer finite.
    """
    try:
        return _train(spec, builder)
    except Exception as error:
        # Known by name, and passed on as text: with TensorFlow's own the driver would import TensorFlow.
        if type(error).__name__ == "ResourceExhaustedError":
            raise WorkerMemoryError(str(error).splitlines()[0]) from None
        raise


def _train(spec: FoldSpec, builder: Builder) -> Outcome:
    started = time.monotonic()
    if not Directory(spec.run).exists("config.yaml"):
        raise ClusterError(
            f"node {ray.util.get_node_ip_address()} does not see {spec.run}, which the driver writes",
            [
                "storage must be a place that all nodes reach: a shared directory, or a URI as s3://bucket/runs"
            ],
        )
    if spec.is_network and builder.is_new:
        with quick_imports():
            import raytrain.training.loop  # noqa: F401
        set_up_tensorflow(spec.threads, spec.gpu_share, spec.precision)
    is_chief = builder.rank == 0
    with FoldReporter(spec) if is_chief else SilentReporter() as reporter:
        training = builder.build(spec, ray.get(spec.data))
        load_checkpoint(spec.location, training)
        facts = describe_worker() if spec.is_network else describe_worker(processor_name())
        reporter.on_start(training.epoch, training.step, facts)

        def commit(stopped_early: bool) -> float:
            seconds = round(time.monotonic() - started, 3)
            _commit(spec, training, seconds, {**facts, "stopped_early": stopped_early})
            return seconds

        _run_epochs(spec, training, reporter, builder, commit)
        return _end(spec, training, reporter, is_chief, commit)


def _end(
    spec: FoldSpec,
    training: "FoldTraining",
    reporter: FoldReporter,
    is_chief: bool,
    commit: Commit,
) -> Outcome:
    """Commits what was learned."""
    if not (training.epoch or training.step or training.num_pseudo_labels):
        return "stopped"
    is_cut = not training.finished  # what is learned until now may be its last epoch, by early stopping
    if is_cut:
        if is_chief:
            save_checkpoint(spec.location, training)  # a later run goes on from here
        if (
            training.num_pseudo_labels
        ):  # until the second round has come to its end, the first's result stands
            return "committed" if has_result(spec.location) else "stopped"
        within_epoch = training.step > 0
        training.stop_early()
        if within_epoch:
            reporter.on_epoch(training.history[-1])
    if is_chief:
        reporter.on_commit(training.epoch, training.step, commit(is_cut))
    return "committed"


def _run_epochs(
    spec: FoldSpec, training: "FoldTraining", reporter: FoldReporter, builder: Builder, commit: Commit
) -> None:
    """Trains until the fold is finished or its deadline has come."""
    watch, is_chief = Watch(spec.deadline, builder.num_workers), builder.rank == 0
    agree = ray.train.collective.broadcast_from_rank_zero if builder.num_workers > 1 else float
    tells_memory, on_step = is_chief and bool(spec.gpu_share), tell_steps(training, reporter)
    while not training.finished:
        if training.has_another_round:
            if watch() and watch.reason == TIME_BUDGET:
                reporter.on_pause(watch.reason, training.epoch, training.step)
                return
            _begin_round(spec, training, reporter, commit)
            continue
        metrics = training.run_epoch(on_step, watch, agree)
        if training.guess.begins_again:
            _restart(spec, training, reporter, is_chief)
            continue
        if metrics is None and watch.reason == TIME_BUDGET:
            reporter.on_pause(watch.reason, training.epoch, training.step)
            return
        if is_chief and not training.finished:  # after the last epoch comes the result itself
            save_checkpoint(spec.location, training)
        if metrics is None:
            reporter.on_pause(watch.reason, training.epoch, training.step)
            continue
        reporter.on_epoch(metrics)
        memory = card_memory() if tells_memory else None
        tells_memory = False
        if memory is not None:
            reporter.on_memory(*memory)


def tell_steps(training: Any, reporter: FoldReporter) -> Callable[[int, int, float], None]:
    """Tells of the steps of a training, and once of XLA's refusal of them: not of one that is known."""
    tells_refusal = not training.refusal

    def on_step(step: int, num_steps: int, loss: float) -> None:
        nonlocal tells_refusal
        if tells_refusal and training.refusal:
            reporter.on_refusal(training.refusal)
            tells_refusal = False
        reporter.on_step(step, num_steps, loss, training.passes)

    return on_step


def _restart(spec: FoldSpec, training: "FoldTraining", reporter: FoldReporter, is_chief: bool) -> None:
    """Begins a fold that learns nothing again, and notes it: from now on it goes on with the new seed."""
    guess = training.guess
    begin_again(training, spec, ray.get(spec.data))
    if is_chief:
        save_checkpoint(spec.location, training)
    reporter.on_restart(
        Restarted(guess.reached, guess.loss, training.seed, training.restarts, spec.settings.restarts)
    )


def _begin_round(spec: FoldSpec, training: "FoldTraining", reporter: FoldReporter, commit: Commit) -> None:
    """Begins the second round, of one worker; until that has ended, the first one's result stands."""
    commit(True)
    num_texts = begin_round(training, spec, ray.get(spec.data))
    save_checkpoint(spec.location, training)
    reporter.on_labels(Labelled(num_texts))


class Watch:
    """Says when training should pause: at the deadline, and once when its node is about to be taken away.

    Args:
        deadline: Unix time, or None.
        num_workers: Workers of the fold; several must pause at the same step.

    Attributes:
        reason: Of the last pause.
    """

    def __init__(self, deadline: float | None, num_workers: int):
        self.reason = ""
        self._deadline, self._num_workers = deadline, num_workers
        self._asked, self._looked, self._warned = 0, 0.0, False

    def __call__(self) -> bool:
        """Asked before every step, by all workers alike."""
        self._asked += 1
        if self._num_workers > 1:
            if self._asked % WATCH_STEPS:
                return False
            self.reason = self._look(ray.train.collective.broadcast_from_rank_zero(self._is_over()))
        else:
            over = self._is_over()
            if not over and time.monotonic() - self._looked < WATCH_SECONDS:
                return False
            self._looked = time.monotonic()
            self.reason = self._look(over)
        return bool(self.reason)

    def _is_over(self) -> bool:
        return self._deadline is not None and time.time() >= self._deadline

    def _look(self, over: bool) -> str:
        if over:
            return TIME_BUDGET
        if not self._warned and ray.train.get_preemption_info() is not None:
            self._warned = True
            return "preemption"
        return ""


def _commit(spec: FoldSpec, training: "FoldTraining", seconds: float, facts: dict[str, Any]) -> None:
    if training.num_pseudo_labels and training.guess.dead and has_result(spec.location):
        keep_result(spec.location, seconds, facts)  # the first round's, which is there
        return
    data = ray.get(spec.data)
    judged = {"seed": training.seed, "restarts": training.restarts, "dead": training.guess.dead}
    if training.num_pseudo_labels:
        judged["pseudo_labels"] = training.num_pseudo_labels
    weights, predicted, metrics = training.selected()
    oof = training.objective.oof_table(training.valid_rows, predicted, data.ids, weights)
    commit_fold(spec, data, weights, oof, metrics, training.history, seconds, {**judged, **facts})
