"""Each task's way from the folds' predictions to scores and to oof.parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from raytrain.corpus.tags import type_names
from raytrain.scores.decoding import Transitions, mean_transitions
from raytrain.scores.oof import Parts, assemble_oof, mean_oof, oof_table, score_oof
from raytrain.scores.spans import TagCounts, score_tags, score_types, tag_intervals
from raytrain.scores.tagging import find_and_count, read_emissions
from raytrain.text.ragged import bounds_of, ranges
from raytrain.text.windows import TaggedWindows


class Scoring(Protocol):
    """What the driver asks of a task once folds are committed."""

    def assemble(self, parts: Parts) -> Any:
        """Puts together what folds said: repeats are averaged, then architectures."""

    def score(self, oof: Any, seed: int, groups: np.ndarray | None = None) -> dict[str, Any]:
        """Scores of the rows that folds covered, with their 95 % bootstrap interval.

        Args:
            oof: As of `assemble`.
            seed: Of the bootstrap.
            groups: (num_rows,) integers, equal ones of rows that belong together; None: each stands alone.
        """

    def table(self, ids: pa.Array, folds: np.ndarray, oof: Mapping[str, Any], whole: Any) -> pa.Table:
        """The ensemble's oof.parquet, of the `whole` and, where there are several, of each architecture."""


class ClassScoring:
    """Of a classifier's probabilities.

    Args:
        names: The labels in order.
        labels: (num_rows,) label indices.
    """

    def __init__(self, names: Sequence[Any], labels: np.ndarray):
        self._names, self._labels = names, labels

    def assemble(self, parts: Parts) -> np.ndarray:
        """(num_rows, num_classes) probabilities, NaN where no fold covered the row."""
        size = len(self._labels), len(self._names)
        return mean_oof({name: assemble_oof(map(_probabilities, own), *size) for name, own in parts.items()})

    def score(self, oof: np.ndarray, seed: int, groups: np.ndarray | None = None) -> dict[str, Any]:
        return score_oof(self._labels, oof, seed, groups=groups)

    def table(
        self, ids: pa.Array, folds: np.ndarray, oof: Mapping[str, np.ndarray], whole: np.ndarray
    ) -> pa.Table:
        return oof_table(ids, folds, self._names, self._labels, oof, whole)


def _probabilities(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    names = [name for name in table.column_names if name.startswith("proba_")]
    return table["row"].to_numpy(), np.stack([table[name].to_numpy() for name in names], axis=1)


@dataclass(frozen=True)
class TagOof:
    """Tags of a corpus, each text decoded once from the mean of the models that had not seen it.

    Attributes:
        covered: (num_texts,) bool; whether any model was asked.
        tags: (num_characters,) int32, of all texts.
        confidences: (num_characters,) the probability of each.
        counts: Of the covered texts, in order.
    """

    covered: np.ndarray
    tags: np.ndarray
    confidences: np.ndarray
    counts: TagCounts


class TagScoring:
    """Of a tagger's spans.

    Args:
        names: The tags in order.
        tagged: Windows of the corpus, and their tags.
    """

    def __init__(self, names: Sequence[Any], tagged: TaggedWindows):
        self._names, self._tagged = [str(name) for name in names], tagged
        self._char_bounds = bounds_of(tagged.windows.lengths)

    def assemble(self, parts: Parts) -> TagOof:
        """Averages emissions and transitions, then decodes."""
        windows = self._tagged.windows
        emissions, groups = self._average(parts)
        tags = np.zeros(self._char_bounds[-1], np.int32)
        confidences, covered = np.zeros(len(tags)), np.zeros(len(windows.lengths), bool)
        counted, order = [], []
        for texts, transitions in groups:
            tokens = ranges(windows.bounds[texts], np.diff(windows.bounds)[texts])
            found, counts = find_and_count(self._tagged, texts, emissions[tokens], transitions)
            places = ranges(self._char_bounds[texts], windows.lengths[texts])
            tags[places], confidences[places] = found.tags, found.tag_confidences
            covered[texts] = True
            counted.append(counts)
            order.append(texts)
        sorted_ = np.argsort(np.concatenate(order))
        together = {
            field.name: np.concatenate([getattr(counts, field.name) for counts in counted])[sorted_]
            for field in fields(TagCounts)
        }
        return TagOof(covered, tags, confidences, TagCounts(**together))

    def _average(self, parts: Parts) -> tuple[np.ndarray, list[tuple[np.ndarray, Transitions]]]:
        """Mean emissions of all tokens; and texts that the same models covered, with mean transitions."""
        windows = self._tagged.windows
        num_texts, num_tags = len(windows.lengths), len(self._names)
        sizes = np.diff(windows.bounds)
        emissions = np.zeros((windows.bounds[-1], num_tags))
        num_architectures = np.zeros(num_texts)
        masks: list[np.ndarray] = []
        models: list[tuple[str, Transitions]] = []
        for name, tables in parts.items():
            own, counts = np.zeros_like(emissions), np.zeros(num_texts)
            for table in tables:
                texts, said, transitions = read_emissions(table, num_tags)
                own[ranges(windows.bounds[texts], sizes[texts])] += said
                counts[texts] += 1
                masks.append(np.isin(np.arange(num_texts), texts))
                models.append((name, transitions))
            emissions += own / np.repeat(np.maximum(counts, 1), sizes)[:, None]
            num_architectures += counts > 0
        emissions /= np.repeat(np.maximum(num_architectures, 1), sizes)[:, None]
        patterns, group = np.unique(np.stack(masks, axis=1), axis=0, return_inverse=True)
        groups = [
            (np.flatnonzero(group == number), _mean_by_architecture(models, pattern))
            for number, pattern in enumerate(patterns)
            if pattern.any()
        ]
        return emissions, groups

    def score(self, oof: TagOof, seed: int, groups: np.ndarray | None = None) -> dict[str, Any]:
        groups = None if groups is None else groups[oof.covered]
        intervals = tag_intervals(oof.counts, seed, groups=groups)
        return {
            "rows": int(oof.covered.sum()),
            "oof": score_tags(oof.counts),
            "interval": {name: list(ends) for name, ends in intervals.items()},
            "types": score_types(oof.counts, type_names(self._names)),
        }

    def table(self, ids: pa.Array, folds: np.ndarray, oof: Mapping[str, TagOof], whole: TagOof) -> pa.Table:
        """Id, fold (of repeat 0), tags, predicted and confidence, these three a list: a value a character."""
        everywhere = np.ones(len(ids), bool)
        columns = {
            "id": ids,
            "fold": pa.array(folds[0], pa.int32()),
            "tags": self._lists(self._tag_names(self._tagged.char_tags), everywhere),
            "predicted": self._lists(self._tag_names(whole.tags), whole.covered),
            "confidence": self._lists(pa.array(whole.confidences, pa.float32()), whole.covered),
        }
        if len(oof) > 1:
            for name, own in oof.items():
                columns[f"{name}_predicted"] = self._lists(self._tag_names(own.tags), own.covered)
        return pa.table(columns)

    def _tag_names(self, tags: np.ndarray) -> pa.Array:
        return pa.array(self._names).take(pa.array(tags))

    def _lists(self, values: pa.Array, covered: np.ndarray) -> pa.Array:
        """A list a text, null where no model was asked."""
        whole = pa.LargeListArray.from_arrays(pa.array(self._char_bounds), values)
        return whole.take(pa.array(np.arange(len(covered)), mask=~covered))


def _mean_by_architecture(models: Sequence[tuple[str, Transitions]], mask: np.ndarray) -> Transitions:
    """The mean over the folds of each architecture, then over these."""
    chosen = [model for model, is_in in zip(models, mask, strict=True) if is_in]
    return mean_transitions(
        [
            mean_transitions([own for other, own in chosen if other == name])
            for name in dict.fromkeys(name for name, _ in chosen)
        ]
    )


SCORINGS: dict[str, Any] = {"classify": ClassScoring, "tag": TagScoring}
