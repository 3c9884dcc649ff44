"""Candidates found by the words and characters that they share with a query, weighed by BM25."""

import itertools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from raytrain.matching.best import Best, Found, joined
from raytrain.text.ragged import bounds_of, chunks_of
from raytrain.text.segmentation import cut_texts
from raytrain.text.words import build_segmenter

# The usual constants of BM25 (Robertson & Zaragoza 2009, The Probabilistic Relevance Framework).
SATURATION, LENGTH_SHARE = 1.2, 0.75
_BLOCK_SCORES = 4_000_000  # scored at once


def terms_of(texts: Sequence[str]) -> Iterator[list[str]]:
    """The terms of each text: its characters, its pairs of neighbours, and jieba's words.

    Full-width letters are plain ones and capitals small ones; blanks are no terms. A word is told from the
    same characters as a pair by a blank behind it.
    """
    plain = [unicodedata.normalize("NFKC", text).lower() for text in texts]
    for part in chunks_of(plain):
        cut = cut_texts(plain[part], build_segmenter())
        words = [f"{word} " for word in cut.words]
        edges = itertools.pairwise(cut.bounds.tolist())
        for text, (start, end) in zip(plain[part], edges, strict=True):
            pairs = [a + b for a, b in itertools.pairwise(text) if not (a.isspace() or b.isspace())]
            own = [words[index] for index in cut.numbers[start:end].tolist() if index >= 0]
            yield [*(char for char in text if not char.isspace()), *pairs, *own]


class WordSearch:
    """Finds candidates by the terms that they share with a query.

    Args:
        candidates: The candidates' texts.
        queries: The queries' texts.
    """

    def __init__(self, candidates: Sequence[str], queries: Sequence[str]):
        self._columns: dict[str, int] = {}
        counts = self._count(candidates, learn=True)
        self._postings = bm25(counts).T.tocsr()
        self._queries = queries

    def find(self, part: slice, most: int) -> Found:
        """The candidates of these queries that score highest, `most` or as many as there are."""
        queries = self._count(self._queries[part])
        at_once = max(1, _BLOCK_SCORES // self._postings.shape[1])
        parts = []
        for start in range(0, queries.shape[0], at_once):
            scores = (queries[start : start + at_once] @ self._postings).toarray()
            best = Best(len(scores), most)
            best.add(scores, 0)
            parts.append(best.found())
        return joined(parts)

    def _count(self, texts: Sequence[str], learn: bool = False) -> Any:
        """(len(texts), num_terms) how often each text has each term; what no candidate has says nothing."""
        known, sizes, columns = self._columns, [], []
        for terms in terms_of(texts):
            if learn:
                own = [known.setdefault(term, len(known)) for term in terms]
            else:
                own = [known[term] for term in terms if term in known]
            sizes.append(len(own))
            columns.append(np.array(own, np.int32))
        indices = np.concatenate(columns)
        shape = (len(sizes), len(known))
        counts = csr_matrix((np.ones(len(indices), np.float32), indices, bounds_of(sizes)), shape)
        counts.sum_duplicates()
        return counts


def bm25(counts: Any) -> Any:
    """The weight of each term in each text.

    A term's rarity is taken as log(1 + …), so that one in most texts does not speak against them.

    Args:
        counts: (num_texts, num_terms) csr_matrix of float32; some text may have none.

    Returns:
        The same in float32 weights; a query's score is the sum over its terms.
    """
    num_texts, num_terms = counts.shape
    having = np.bincount(counts.indices, minlength=num_terms)
    rarity = np.log(1 + (num_texts - having + 0.5) / (having + 0.5))
    sizes = np.asarray(counts.sum(axis=1)).ravel()
    lengths = 1 - LENGTH_SHARE + LENGTH_SHARE * sizes / max(sizes.mean(), 1)
    often, length = counts.data, np.repeat(lengths, np.diff(counts.indptr))
    weights = counts.copy()
    saturated = often * (SATURATION + 1) / (often + SATURATION * length)
    weights.data = (rarity[counts.indices] * saturated).astype(np.float32)
    return weights
