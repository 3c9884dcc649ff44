"""What is known of a sweep's trials: one file each, written after every fold, and the table of them all."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.config.keys import binding_keys
from raytrain.config.schema import Config
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory
from raytrain.storage.files import json_bytes
from raytrain.sweep.space import Point, with_point
from raytrain.tasks import LOWER_IS_BETTER, TASK_METRICS

_BOUND = ("sweep.space", "sweep.search", "sweep.num_folds", "sweep.metric")
STATES = ("waiting", "running", "stopped", "pruned", "finished", "failed")
ENDED = ("pruned", "finished", "failed")  # not run again when a sweep goes on


@dataclass
class TrialRecord:
    """A trial so far.

    Attributes:
        number: Its place in the order of points.
        point: Its values by config key.
        state: One of `STATES`; `stopped` where the time budget, Ctrl-C or the end of its process ended it.
        scores: Metric to its value on each fold trained so far.
        seconds: Each fold's training time.
        ended: Seconds of sweep, over all sessions, after which the last of this was known.
        error: Why it failed or its process ended, or None.
    """

    number: int
    point: Point
    state: str = "waiting"
    scores: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    ended: float = 0.0
    error: str | None = None

    @property
    def num_folds(self) -> int:
        return len(self.seconds)

    def mean(self, metric: str) -> float:
        """Over the folds so far; NaN where there are none."""
        values = self._defined(metric)
        return float(np.mean(values)) if values else float("nan")

    def sd(self, metric: str) -> float:
        """The sample standard deviation over the folds so far; NaN of one, as in a run's summary."""
        values = self._defined(metric)
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def _defined(self, metric: str) -> list[float]:
        """Without folds on which the metric is not defined; JSON has null for NaN."""
        values = self.scores.get(metric, [])
        return [value for value in values if value is not None and not np.isnan(value)]


def begin_sweep(sweep: Directory, config: Config, hashes: dict[str, str]) -> None:
    """Writes sweep.json, the config and what the inputs were, or holds a sweep that was begun to them.

    How many trials there are, how long they run and how many at once may change between sessions.

    Raises:
        ConfigError: Naming the keys and inputs that differ.
        ArtifactError: The stored ones cannot be read.
    """
    bound = {**binding_keys(config), **{key: config.flat()[key] for key in _BOUND}}
    found = {key: json.loads(json.dumps(value)) for key, value in {**bound, "inputs": hashes}.items()}
    if not sweep.exists("sweep.json"):
        sweep.write_bytes("sweep.json", json_bytes(found))
        return
    try:
        stored = dict(json.loads(sweep.read_bytes("sweep.json")))
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{sweep}/sweep.json is damaged: {error!r}") from error
    problems = [
        f"{key}: the sweep was begun with {stored.get(key)!r}, found {found.get(key)!r}"
        for key in found.keys() | stored.keys()
        if stored.get(key) != found.get(key)
    ]
    problems += _another_order(stored, found)
    if problems:
        problems = [*sorted(problems), "choose another name, or delete the sweep to start anew"]
        raise ConfigError(f"{sweep} exists with another config", problems)


def _another_order(stored: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Says that the space's keys stand in another order, on which random points and a grid's depend."""
    key = "sweep.space"
    began, now = stored.get(key), found[key]
    if found["sweep.search"] == "optuna" or began != now or _drawn(began) == _drawn(now):
        return []
    order = "its points follow the order of the keys; give them in that order"
    return [f"{key}: the sweep was begun with {', '.join(began)}, found {', '.join(now)}; {order}"]


def _drawn(space: dict[str, Any]) -> list[str]:
    """Its keys in the order in which they are drawn; the architecture is the first wherever it stands."""
    return [key for key in space if key != "model.architecture"]


def write_trial(sweep: Directory, record: TrialRecord) -> None:
    sweep.write_bytes(f"trials/{record.number:04d}.json", json_bytes(asdict(record)))


def read_trials(sweep: Directory) -> list[TrialRecord]:
    """The trials of an earlier session, by number; those that had not ended are `stopped`.

    Raises:
        ArtifactError: A record is damaged.
    """
    records = []
    for name in (sweep / "trials").files():
        if not name.endswith(".json"):  # of a process that was killed while it wrote
            continue
        try:
            values = json.loads((sweep / "trials").read_bytes(name))
            record = TrialRecord(**values)
            sizes = {len(values) for values in record.scores.values()} or {0}
            if record.state not in STATES or sizes != {record.num_folds}:
                raise ValueError("states or scores do not fit")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(
                f"{sweep}/trials/{name} is damaged: {error!r}; delete it to run it anew"
            ) from error
        if record.state not in ENDED:
            record.state = "stopped"
        records.append(record)
    return sorted(records, key=lambda record: record.number)


def rank_trials(records: Sequence[TrialRecord], metric: str) -> list[TrialRecord]:
    """Best first: trials with more folds before those pruned or stopped earlier; ties by number."""
    sign = 1 if metric in LOWER_IS_BETTER else -1
    known = [record for record in records if not np.isnan(record.mean(metric)) and record.state != "failed"]
    return sorted(known, key=lambda record: (-record.num_folds, sign * record.mean(metric), record.number))


def best_trial(records: Sequence[TrialRecord], metric: str) -> TrialRecord | None:
    """The best of those with all folds; None where none has."""
    ranked = rank_trials([record for record in records if record.state == "finished"], metric)
    return ranked[0] if ranked else None


def trials_table(records: Sequence[TrialRecord], config: Config) -> pa.Table:
    """trials.parquet: a row a trial, its config as JSON, its point's values, scores, how it ended."""
    keys = list(dict.fromkeys(key for record in records for key in record.point))
    columns: dict[str, Any] = {
        "trial": [record.number for record in records],
        "state": [record.state for record in records],
        "error": pa.array([record.error for record in records], pa.string()),
        "folds": [record.num_folds for record in records],
        "seconds": [float(sum(record.seconds)) for record in records],
        "ended": [record.ended for record in records],
        "config": pa.array([_config_of(config, record) for record in records], pa.string()),
    }
    for key in keys:
        columns[key] = _column([record.point.get(key) for record in records])
    for metric in TASK_METRICS[config.task]:
        columns[metric] = [record.mean(metric) for record in records]
        columns[f"{metric}_sd"] = [record.sd(metric) for record in records]
        columns[f"{metric}_per_fold"] = pa.array(
            [record.scores.get(metric, []) for record in records], pa.list_(pa.float64())
        )
    return pa.table(columns)


def _config_of(config: Config, record: TrialRecord) -> str | None:
    """As JSON; None of a trial that failed because its values do not go together."""
    try:
        return json.dumps(with_point(config, record.point).model_dump(mode="json"), ensure_ascii=False)
    except ConfigError:
        return None


def _column(values: list[Any]) -> pa.Array:
    """Numbers stay numbers; what has no one type in Arrow becomes JSON."""
    try:
        return pa.array(values)
    except pa.ArrowException:
        return pa.array(
            [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        )
