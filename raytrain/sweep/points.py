"""Which point a trial gets: random, from a grid, or where the trials before it did well."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import optuna
from ray.tune.search import Searcher

from raytrain.sweep.domain import Domain
from raytrain.sweep.space import Point, SearchSpace
from raytrain.tasks import LOWER_IS_BETTER


class PointSource(Protocol):
    """Gives points one after another, and hears how they did."""

    def next_point(self, number: int, recorded: Point | None) -> Point | None:
        """The point of a trial, which an earlier session may have `recorded`; None where all are out."""

    def hear(self, number: int, score: float | None) -> None:
        """Takes a trial's last mean score; None where it failed."""


class ListedPoints:
    """Points known beforehand: a random sample or a grid."""

    def __init__(self, points: Sequence[Point]):
        self._points = list(points)

    def next_point(self, number: int, recorded: Point | None) -> Point | None:
        return self._points[number] if number < len(self._points) else None

    def hear(self, number: int, score: float | None) -> None:
        pass


class OptunaPoints:
    """Points by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

    Args:
        space: What is searched.
        metric: One of `tasks.TASK_METRICS`.
        seed: The first ten points are random and depend on it alone, later ones on how trials ended, too.
    """

    def __init__(self, space: SearchSpace, metric: str, seed: int):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        direction: Literal["minimize", "maximize"] = "minimize" if metric in LOWER_IS_BETTER else "maximize"
        self._space, self._seed = space, seed
        self._study = optuna.create_study(direction=direction)
        self._trials: dict[int, optuna.Trial] = {}

    def next_point(self, number: int, recorded: Point | None) -> Point | None:
        # Anew for each number, so that points do not depend on how many were drawn in this session.
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        if recorded is not None:
            self._study.enqueue_trial(self._parameters(recorded))
        trial = self._trials[number] = self._study.ask()

        def draw(name: str, domain: Domain) -> Any:
            # A key that an earlier version did not draw: the trial goes on without it.
            is_absent = recorded is not None and _key_of(name) not in recorded
            return None if is_absent else _suggest(trial, name, domain)

        return self._space.draw(draw)

    def _parameters(self, point: Point) -> dict[str, Any]:
        """A point as Optuna's parameters, of which a choice is its place in the list."""
        parameters: dict[str, Any] = {}

        def read(name: str, domain: Domain) -> Any:
            if _key_of(name) not in point:
                return None
            value = point[_key_of(name)]
            parameters[name] = domain.values.index(value) if domain.kind == "choice" else value
            return value

        self._space.draw(read)
        return parameters

    def hear(self, number: int, score: float | None) -> None:
        failed = score is None or score != score
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        self._study.tell(self._trials.pop(number), None if failed else score, state)


def _key_of(name: str) -> str:
    """The config's key of a name that `SearchSpace.draw` draws by."""
    return name.split(" (")[0]


def _suggest(trial: optuna.Trial, name: str, domain: Domain) -> Any:
    if domain.kind == "choice":
        return domain.values[trial.suggest_categorical(name, list(range(len(domain.values))))]
    low, high = domain.values
    if domain.kind == "randint":
        return trial.suggest_int(name, low, high - 1)
    return trial.suggest_float(name, low, high, log=domain.kind == "loguniform")


class PointSearcher(Searcher):
    """Hands a point source to Ray Tune, which asks for a trial whenever one fits.

    Args:
        source: Where points come from.
        recorded: Points of the trials of an earlier session, by number.
        metric: What `hear` is told of.
    """

    def __init__(self, source: PointSource, recorded: dict[int, Point], metric: str):
        super().__init__(metric=metric, mode="min" if metric in LOWER_IS_BETTER else "max")
        self._source, self._recorded = source, recorded
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> Any:
        number = len(self._numbers)
        point = self._source.next_point(number, self._recorded.get(number))
        if point is None:
            return Searcher.FINISHED
        # Its folds so far were trained with what is recorded, whatever the source gives now.
        point = self._recorded.get(number, point)
        self._numbers[trial_id] = number
        return {"number": number, "point": point}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        score = None if error or result is None else result.get(self.metric)
        self._source.hear(self._numbers[trial_id], score)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a sweep goes on from its own records, which are no pickles."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, likewise."""
