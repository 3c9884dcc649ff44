"""What was found judged by a pair classifier: how probable it is that query and candidate belong together."""

from collections.abc import Callable, Sequence

import numpy as np

from raytrain.ensemble.artifact import Ensemble
from raytrain.errors import ConfigError
from raytrain.matching.best import Found, best_of

PredictMatch = Callable[[Sequence[str], Sequence[str]], np.ndarray]
# No and yes, as labels say it; any other labels are to be told.
KNOWN_LABELS = ({"0": "1", "false": "true", "no": "yes", "否": "是"}).items()
PAIRS_AT_ONCE = 4096


def match_label(labels: Sequence[int | str], asked: str | None) -> int:
    """Which label says that two texts match.

    Args:
        labels: Of the ensemble.
        asked: The label that a person named; None guesses it where it is plain.

    Raises:
        ConfigError: There is no such label, or it is not plain.
    """
    names = [str(label) for label in labels]
    if asked is not None:
        if asked in names:
            return names.index(asked)
        raise ConfigError(f"--label: expected one of {', '.join(names)}; found {asked}")
    lowered = [name.lower() for name in names]
    for no, yes in KNOWN_LABELS:
        if sorted(lowered) == sorted((no, yes)):
            return lowered.index(yes)
    raise ConfigError(
        f"--label: say which label means that two texts match; the ensemble has {', '.join(names)}"
    )


def check_pairs(ensemble: Ensemble, location: str) -> None:
    """Refuses an ensemble that does not judge pairs.

    Raises:
        ConfigError: It finds spans, or was trained on single texts.
    """
    if ensemble.task != "classify":
        raise ConfigError(f"{location}: expected a classifier of pairs, found one of task={ensemble.task}")
    columns = ensemble.manifest.config.data.text_columns
    if len(columns) != 2:
        raise ConfigError(
            f"{location}: expected a classifier of pairs, trained with data.text=[query,candidate]; found "
            f"one of a single column, {columns[0]}"
        )


class Judge:
    """Puts what was found into the order of its probability.

    Args:
        predict_match: Gives (n,) probabilities that first and second texts match.
        candidates: The candidates' texts.
    """

    def __init__(self, predict_match: PredictMatch, candidates: Sequence[str]):
        self._predict_match, self._candidates = predict_match, candidates

    def order(self, queries: Sequence[str], found: Found) -> Found:
        """The same candidates, the most probable first; of equal ones the one that was found before.

        Args:
            queries: (num_queries,) texts, the first ones of the pairs.
            found: What was found of them.

        Returns:
            Scores are probabilities.
        """
        width = found.rows.shape[1]
        firsts = [query for query in queries for _ in range(width)]
        seconds = [self._candidates[row] for row in found.rows.ravel().tolist()]
        parts = [
            self._predict_match(firsts[start : start + PAIRS_AT_ONCE], seconds[start : start + PAIRS_AT_ONCE])
            for start in range(0, len(firsts), PAIRS_AT_ONCE)
        ]
        said = np.concatenate(parts).astype(np.float32).reshape(found.rows.shape)
        places = np.broadcast_to(np.arange(width), said.shape)
        ordered = best_of(said, places, width)
        return Found(np.take_along_axis(found.rows, ordered.rows, axis=1), ordered.scores)
