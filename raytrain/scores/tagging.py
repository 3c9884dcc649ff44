"""From what taggers say of each token to spans in the characters of texts, and how sure they are."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from raytrain.corpus.tags import Spans, find_spans, lay_tags
from raytrain.scores.decoding import Transitions, best_tags, no_transitions, weigh
from raytrain.scores.spans import TagCounts, count_tags
from raytrain.text.ragged import bounds_of, ranges
from raytrain.text.windows import TaggedWindows, Windows

BLOCK_SCORES = 1 << 22  # scores of tokens that are decoded at once: 32 MiB, and some arrays of the same size


@dataclass(frozen=True)
class TaggedTexts:
    """What was found in some texts.

    Attributes:
        bounds: (num_texts + 1,); the characters of text i are bounds[i]:bounds[i + 1].
        spans: In the characters of the texts.
        confidences: (num_spans,) probability of each span.
        tags: (num_characters,) int32, valid BIO: the same spans as tags.
        tag_confidences: (num_characters,) probability of its token's tag; a character that no token
            covers goes with the token before it.
        surprise: (num_texts,) negative log-likelihood of the true tags; NaN where they are not known.
    """

    bounds: np.ndarray
    spans: Spans
    confidences: np.ndarray
    tags: np.ndarray
    tag_confidences: np.ndarray
    surprise: np.ndarray


def transitions_of(weights: Mapping[str, np.ndarray], num_tags: int) -> Transitions:
    """A fold model's transitions, by the names of `network.build.head_variables`."""
    parts = [weights.get(f"crf.{place}.{name}") for place, name in enumerate(("start", "end", "pairs"))]
    if any(part is None for part in parts):
        return no_transitions(num_tags)
    return Transitions(*(np.asarray(part, np.float64) for part in parts))


def find_tagged(
    windows: Windows,
    texts: np.ndarray,
    emissions: np.ndarray,
    transitions: Transitions,
    tags: np.ndarray | None = None,
    confident: bool = True,
) -> TaggedTexts:
    """Decodes texts, each in one piece, however many windows it was read in.

    Args:
        windows: Of all texts.
        texts: (num_texts,) which of them, in order.
        emissions: (tokens of these texts, num_tags), as `Windows.join` puts them together.
        transitions: Of the CRF.
        tags: (tokens of these texts,) true tags, where they are known.
        confident: Whether to weigh how sure each span and tag is; else the confidences are NaN.
    """
    token_bounds = windows.token_bounds(texts)
    number = token_bounds[:-1] * emissions.shape[1] // BLOCK_SCORES
    cuts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(texts)]
    found = []
    for first, last in itertools.pairwise(cuts):
        here = slice(token_bounds[first], token_bounds[last])
        own = tags[here] if tags is not None else None
        found.append(_find_some(windows, texts[first:last], emissions[here], transitions, own, confident))
    return found[0] if len(found) == 1 else _join(found)


def _find_some(
    windows: Windows,
    texts: np.ndarray,
    emissions: np.ndarray,
    transitions: Transitions,
    tags: np.ndarray | None,
    confident: bool,
) -> TaggedTexts:
    """As `find_tagged`, all at once."""
    token_bounds = windows.token_bounds(texts)
    found = best_tags(emissions, token_bounds, transitions)
    token_spans = find_spans(found, token_bounds)
    spans, kept = windows.character_spans(replace(token_spans, rows=texts[token_spans.rows]))
    own = replace(spans, rows=token_spans.rows[kept])
    bounds = bounds_of(windows.lengths[texts])
    surprise, sure = np.full(len(texts), np.nan), np.full(len(found), np.nan)
    confidences = np.full(len(own), np.nan)
    if tags is not None or confident:
        lattice = weigh(emissions, token_bounds, transitions)
    if tags is not None:
        surprise = -lattice.log_likelihoods(tags)
    if confident:
        sure = lattice.marginals()[np.arange(len(found)), found]
        confidences = lattice.span_probabilities(token_spans)[kept]
    on_characters = _on_characters(windows, texts, sure, bounds)
    return TaggedTexts(bounds, own, confidences, lay_tags(own, bounds), on_characters, surprise)


def _join(parts: Sequence[TaggedTexts]) -> TaggedTexts:
    """One after the other."""

    def together(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    before = bounds_of(np.array([len(part.bounds) - 1 for part in parts]))
    spans = Spans(
        np.concatenate([part.spans.rows + first for part, first in zip(parts, before[:-1], strict=True)]),
        *(
            np.concatenate([getattr(part.spans, name) for part in parts])
            for name in ("starts", "ends", "types")
        ),
    )
    bounds = bounds_of(np.concatenate([np.diff(part.bounds) for part in parts]))
    rest = (together(name) for name in ("confidences", "tags", "tag_confidences", "surprise"))
    return TaggedTexts(bounds, spans, *rest)


def _on_characters(windows: Windows, texts: np.ndarray, values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """A value of each token, (tokens,), laid on its characters and those up to the next token."""
    sizes = np.diff(windows.bounds)[texts]
    places = windows.tokens.begins[ranges(windows.bounds[texts], sizes)] + np.repeat(bounds[:-1], sizes)
    laid = np.ones(bounds[-1])
    behind = np.append(places[1:], bounds[-1])[: len(places)]
    is_last = np.zeros(len(places), bool)
    is_last[bounds_of(sizes)[1:][sizes > 0] - 1] = True
    behind = np.where(is_last, np.repeat(bounds[1:], sizes), behind)
    stretch = np.maximum(behind - places, 0)
    laid[ranges(places, stretch)] = np.repeat(values, stretch)
    return laid


def count_inexpressible(tagged: TaggedWindows) -> tuple[int, int]:
    """How many spans do not begin and end with a token: no tagger can find just them. And of how many."""
    windows = tagged.windows
    bounds = bounds_of(windows.lengths)
    there, _ = windows.character_spans(find_spans(tagged.tags, windows.bounds))
    num_texts = len(windows.lengths)
    counts = count_tags(
        tagged.char_tags,
        lay_tags(there, bounds),
        bounds,
        len(tagged.names) // 2,
        np.zeros(num_texts),
        np.diff(windows.bounds),
    )
    total = int(counts.there.sum())
    return total - int(counts.hits.sum()), total


def find_and_count(
    tagged: TaggedWindows,
    texts: np.ndarray,
    emissions: np.ndarray,
    transitions: Transitions,
    confident: bool = True,
) -> tuple[TaggedTexts, TagCounts]:
    """Decodes texts of a corpus and holds them against its tags; arguments as of `find_tagged`."""
    windows = tagged.windows
    sizes = np.diff(windows.bounds)[texts]
    own = tagged.tags[ranges(windows.bounds[texts], sizes)]
    found = find_tagged(windows, texts, emissions, transitions, own, confident)
    characters = ranges(bounds_of(windows.lengths)[texts], windows.lengths[texts])
    num_types = len(tagged.names) // 2
    there = tagged.char_tags[characters]
    return found, count_tags(there, found.tags, found.bounds, num_types, found.surprise, sizes)


def emissions_table(
    texts: np.ndarray, emissions: np.ndarray, bounds: np.ndarray, ids: pa.Array, transitions: Transitions
) -> pa.Table:
    """A tagger's oof.parquet: row (a text), id, the emissions of its tokens; in the metadata the transitions.

    Args:
        texts: (num_texts,) indices.
        emissions: (tokens of these texts, num_tags).
        bounds: (num_texts + 1,); the tokens of text i are bounds[i]:bounds[i + 1].
        ids: Of the whole corpus.
        transitions: Of the model that said so.
    """
    lists = pa.LargeListArray.from_arrays(
        pa.array(bounds * emissions.shape[1]), pa.array(emissions.reshape(-1))
    )
    columns = {"row": pa.array(texts, pa.int64()), "id": ids.take(pa.array(texts)), "emissions": lists}
    scores = [part.tolist() for part in (transitions.start, transitions.end, transitions.pairs)]
    return pa.table(columns).replace_schema_metadata({"transitions": json.dumps(scores)})


def read_emissions(table: pa.Table, num_tags: int) -> tuple[np.ndarray, np.ndarray, Transitions]:
    """The texts, the emissions of their tokens, and the transitions that `emissions_table` laid down."""
    start, end, pairs = json.loads(table.schema.metadata[b"transitions"])
    emissions = table["emissions"].combine_chunks().flatten().to_numpy().reshape(-1, num_tags)
    transitions = Transitions(np.array(start), np.array(end), np.array(pairs))
    return table["row"].to_numpy(), emissions, transitions
