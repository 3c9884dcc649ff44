"""The texts that are most like some others, by the cosine of their character bigrams' TF-IDF."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.preprocessing import normalize

from raytrain.corpus.duplicates import mix_bits, ngram_codes, normalise_rows

_NGRAM = 2  # characters
_EDGE = "\1"  # on both sides of a text, so that one of a single character has bigrams too
_COLUMNS = 1 << 20  # bigrams are hashed to; of a text of a thousand two meet in one of two such texts
_CHUNK_CHARACTERS = 1 << 20  # of texts that are counted at once
_CHUNK_PAIRS = 1 << 22  # of texts that are compared at once
_CHUNK_ROWS = 4096


def find_neighbours(
    columns: Sequence[Sequence[str]], rows: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the texts that are most like those of some rows. As `normalise_rows` has them.

    Memory is bounded, whatever the number of texts: they are compared chunk by chunk.

    Args:
        columns: (num_rows,) texts; of pairs the first and the second ones.
        rows: (num_asked,) rows whose neighbours are sought.
        most: How many of each.

    Returns:
        (num_asked, most) their rows, the nearest first, -1 where there are no more that share a bigram; and
        (num_asked, most) cosines, 0 to 1. Of equally near ones the first rows come first.
    """
    nearest = np.full((len(rows), most), -1, np.int64)
    cosines = np.zeros((len(rows), most))
    if not len(rows) or not most:
        return nearest, cosines
    texts = [f"{_EDGE}{text}{_EDGE}" for text in normalise_rows(columns)]
    idf = _idf(texts)
    asked = _weigh(_count([texts[row] for row in rows.tolist()]), idf).T.tocsr()
    for first, last in _chunks(texts, len(rows)):
        similar = np.asarray((_weigh(_count(texts[first:last]), idf) @ asked).todense()).T
        inside = (rows >= first) & (rows < last)
        similar[inside, rows[inside] - first] = 0  # no text is its own neighbour
        both = np.concatenate([cosines, similar], axis=1)
        # The nearest so far lie in the first columns, the chunk's texts behind them.
        places, cosines = _take_largest(both, most)
        so_far = np.take_along_axis(nearest, np.minimum(places, most - 1), axis=1)
        nearest = np.where(places < most, so_far, first + places - most)
    nearest[cosines == 0] = -1
    return nearest, np.minimum(cosines, 1.0)


def _take_largest(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, most) places and values of the largest of each row, the first of equal ones first."""
    everyone, places, largest = np.arange(len(values)), [], []
    for _ in range(most):  # a few passes are less than a sort
        place = values.argmax(axis=1)
        places.append(place)
        largest.append(values[everyone, place])
        values[everyone, place] = -1
    return np.stack(places, axis=1), np.stack(largest, axis=1)


def _chunks(texts: Sequence[str], num_asked: int) -> Iterator[tuple[int, int]]:
    """Yields first and last + 1 of runs of texts that are few and short enough to be compared at once."""
    most = max(1, min(_CHUNK_ROWS, _CHUNK_PAIRS // max(num_asked, 1)))
    first = characters = 0
    for place, text in enumerate(texts):
        if place > first and (place - first == most or characters + len(text) > _CHUNK_CHARACTERS):
            yield first, place
            first, characters = place, 0
        characters += len(text)
    if texts:
        yield first, len(texts)


def _idf(texts: Sequence[str]) -> np.ndarray:
    """(columns,) how rare each bigram is, smoothed as scikit-learn's TfidfTransformer does."""
    frequencies = np.zeros(_COLUMNS)
    for first, last in _chunks(texts, 1):
        frequencies += np.bincount(_count(texts[first:last]).indices, minlength=_COLUMNS)
    return np.log((1 + len(texts)) / (1 + frequencies)) + 1


def _count(texts: Sequence[str]) -> csr_matrix:
    """(len(texts), columns) how often each bigram is in each text, each column of a row once."""
    columns = mix_bits(ngram_codes(texts, _NGRAM).astype(np.uint64)) % np.uint64(_COLUMNS)
    bounds = np.concatenate([[0], np.cumsum([len(text) - (_NGRAM - 1) for text in texts])])
    counts = csr_matrix((np.ones(len(columns), np.float32), columns, bounds), (len(texts), _COLUMNS))
    counts.sum_duplicates()
    return counts


def _weigh(counts: csr_matrix, idf: np.ndarray) -> csr_matrix:
    """Sublinear counts × idf, each row of length 1."""
    counts.data = ((np.log(counts.data) + 1) * idf[counts.indices]).astype(np.float32)
    return normalize(counts, copy=False)
