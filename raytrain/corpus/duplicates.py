"""Near-duplicates among texts: MinHash and its bands find candidates, their exact similarity decides."""

import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from raytrain.characters import without_unseen

THRESHOLD = 0.8  # Jaccard similarity of two texts' n-grams: one character in fifty is another one
NGRAM = 3  # characters, which fit into one number of 64 bits
_CODE_BITS = 21  # of a code point
# Of pairs as similar as THRESHOLD one in 4,500 meets in no band; of those at 0.3 one in eight meets in some.
_BANDS, _BAND_SIZE = 16, 4
_NEIGHBOURS = 8  # of a text in its bucket, with which it is compared: buckets of a template may be large
_CHUNK = 1 << 18  # n-grams that are hashed at once: they stay in a core's cache
_COMPARED = 1 << 22  # n-grams of candidates that are compared at once
_SEPARATOR = "\0"  # of a pair's texts; it stands in neither, being a character that cannot be seen


def find_duplicates(columns: Sequence[Sequence[str]], threshold: float = THRESHOLD) -> np.ndarray:
    """Finds groups of texts that are the same but for a few characters.

    Case, width, blanks and what cannot be seen do not count. Two texts are near-duplicates where the Jaccard
    similarity of their sets of character n-grams is `threshold` or more; a group is what such pairs connect.
    Candidates are found by MinHash (Broder 1997) in bands (Leskovec, Rajaraman, Ullman 2014, chapter 3) and
    then compared exactly: what is grouped is similar, and few similar pairs are missed. Equal texts, however
    short, never are; those shorter than an n-gram are near-duplicates of their equals alone. Groups depend on
    the texts, not on their order.

    Args:
        columns: (num_rows,) texts; of pairs the first and the second ones.
        threshold: Least similarity, above 0.

    Returns:
        (num_rows,) int64, the group of each row: the number of its first row.

    Example:
        >>> find_duplicates([["今天停水", "明天停电", "今天 停水"]]).tolist()
        [0, 1, 0]
    """
    rows = normalise_rows(columns)
    # Sorted, so that nothing below depends on the order of the rows; equal ones are one from here on.
    distinct = sorted(set(rows))
    number_of = {text: number for number, text in enumerate(distinct)}
    numbers = np.fromiter((number_of[row] for row in rows), np.int64, len(rows))
    del rows, number_of
    return _first_rows(_connect(distinct, threshold)[numbers])


def find_equal(columns: Sequence[Sequence[str]]) -> np.ndarray:
    """Groups of texts that are the same but for what `find_duplicates` does not count, which finds them, too.

    Args:
        columns: (num_rows,) texts; of pairs the first and the second ones.

    Returns:
        (num_rows,) int64, the group of each row: the number of its first row.
    """
    first_row: dict[str, int] = {}
    rows = normalise_rows(columns)
    return np.array([first_row.setdefault(text, row) for row, text in enumerate(rows)], np.int64)


def normalise_rows(columns: Sequence[Sequence[str]]) -> list[str]:
    """Each row's text without what `find_duplicates` does not count; of pairs both, by what neither has."""
    return [_SEPARATOR.join(map(_normalise, parts)) for parts in zip(*columns, strict=True)]


def join_groups(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Groups of which each holds whole groups of both kinds: what either one connects.

    Args:
        one: (num_rows,) values; rows of equal values belong together.
        other: (num_rows,) values of another kind.

    Returns:
        (num_rows,) int64, the number of each group's first row.

    Example:
        >>> join_groups(np.array(["甲", "甲", "乙", "丙"]), np.array([0, 1, 1, 3])).tolist()
        [0, 0, 0, 3]
    """
    left, right = (np.unique(values, return_inverse=True)[1].reshape(-1) for values in (one, other))
    num_left = int(left.max(initial=-1)) + 1
    size = num_left + int(right.max(initial=-1)) + 1
    return _first_rows(_components(size, left, right + num_left)[left])


def _normalise(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", without_unseen(text)).casefold().split())


def _first_rows(values: np.ndarray) -> np.ndarray:
    """(num_rows,) int64, the first row that has each row's value."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def _components(size: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(size,) the connected component of each node, by edges from left to right."""
    edges = coo_matrix((np.ones(len(left), bool), (left, right)), (size, size))
    return connected_components(edges, directed=False)[1]


def _connect(texts: Sequence[str], threshold: float) -> np.ndarray:
    """(num_texts,) the component of each of the texts, which are sorted and distinct."""
    long = np.array([number for number, text in enumerate(texts) if len(text) >= NGRAM], np.int64)
    components = np.arange(len(texts))
    if not len(long):
        return components
    sets = _ngram_sets([texts[number] for number in long.tolist()])
    for keys in _band_keys(sets):
        left, right = _candidates(keys)
        # What is connected already need not be compared: of 10,000 alike all but the first band is free.
        is_new = components[long[left]] != components[long[right]]
        left, right = left[is_new], right[is_new]
        similar = _are_similar(sets, left, right, threshold)
        one, other = components[long[left[similar]]], components[long[right[similar]]]
        components = _components(len(texts), one, other)[components]
    return components


def _ngram_sets(texts: Sequence[str]) -> csr_matrix:
    """(num_texts, …) bool: the n-grams, as numbers, are the columns. Each text has one at least."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    parts, sizes = [], np.zeros(len(texts), np.int64)
    for first, last in _chunks(lengths, _CHUNK):
        ngrams = ngram_codes(texts[first:last], NGRAM)
        counts = lengths[first:last] - (NGRAM - 1)
        rows = np.repeat(np.arange(last - first), counts)
        order = np.lexsort((ngrams, rows))
        ngrams, rows = ngrams[order], rows[order]
        is_first = np.ones(len(rows), bool)
        is_first[1:] = (ngrams[1:] != ngrams[:-1]) | (rows[1:] != rows[:-1])
        parts.append(ngrams[is_first])
        sizes[first:last] = np.bincount(rows[is_first], minlength=last - first)
    columns = np.concatenate(parts)
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    shape = (len(texts), np.iinfo(np.int64).max)
    return csr_matrix((np.ones(len(columns), bool), columns, bounds), shape)


def ngram_codes(texts: Sequence[str], size: int) -> np.ndarray:
    """The n-grams of the texts in order, each as a number: its code points, one behind the other.

    Args:
        texts: Each of `size` characters at least.
        size: Characters of an n-gram, 3 at most.

    Returns:
        int64, of each text len(text) - size + 1.
    """
    data = "".join(texts).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(data, np.uint32).astype(np.int64)
    ends = np.cumsum([len(text) for text in texts])
    begins_one = np.ones(len(codes), bool)
    packed = np.zeros(len(codes), np.int64)
    for offset in range(size):
        packed[: len(codes) - offset] |= codes[offset:] << (_CODE_BITS * offset)
        if offset:
            begins_one[ends - offset] = False
    return packed[begins_one]


def _chunks(sizes: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """Yields first and last + 1 of runs of items, of about `most` together, or of one that is larger."""
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    edges = np.searchsorted(bounds, np.arange(0, bounds[-1], most), "right") - 1
    edges = np.unique(np.append(edges, len(sizes)))
    yield from zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)


def _band_keys(sets: csr_matrix) -> np.ndarray:
    """(bands, num_texts) uint64: where two texts have the same key, all the band's minima are the same."""
    # Odd: a permutation of the numbers of 64 bits. High bits of a product depend on all bits of its factors.
    factors = np.random.default_rng(0).integers(1 << 63, size=(_BANDS, _BAND_SIZE), dtype=np.uint64) * 2 + 1
    keys = np.zeros((_BANDS, sets.shape[0]), np.uint64)
    for first, last in _chunks(np.diff(sets.indptr), _CHUNK):
        bounds = sets.indptr[first : last + 1]
        ngrams = mix_bits(sets.indices[bounds[0] : bounds[-1]].astype(np.uint64))
        starts, product = bounds[:-1] - bounds[0], np.empty_like(ngrams)
        for band in range(_BANDS):
            for factor in factors[band]:
                np.multiply(ngrams, factor, out=product)
                minima = np.minimum.reduceat(product, starts)
                keys[band, first:last] = mix_bits(keys[band, first:last] ^ minima)
    return keys


def mix_bits(numbers: np.ndarray) -> np.ndarray:
    """Spreads numbers of 64 bits over all such numbers, each to another (Steele, Lea, Flood 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def _candidates(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of texts with the same key: all of a small bucket, of a large one each with a few, and the first.

    Args:
        keys: (num_texts,) of texts that are sorted: what begins alike lies side by side in its bucket.
    """
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    left, right = [], []
    for step in range(1, _NEIGHBOURS + 1):
        same = np.flatnonzero(keys[step:] == keys[:-step])
        left.append(same)
        right.append(same + step)
    places = np.arange(len(keys))
    begins = np.append(True, keys[1:] != keys[:-1])
    start = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    far = np.flatnonzero(places - start > _NEIGHBOURS)
    return order[np.concatenate([*left, start[far]])], order[np.concatenate([*right, far])]


def _are_similar(sets: csr_matrix, left: np.ndarray, right: np.ndarray, threshold: float) -> np.ndarray:
    """Which pairs of texts have a Jaccard similarity of `threshold` or more: their numbers, in order."""
    sizes = np.diff(sets.indptr)
    small, large = np.minimum(sizes[left], sizes[right]), np.maximum(sizes[left], sizes[right])
    possible = np.flatnonzero(small >= threshold * large - 1e-9)
    common = np.zeros(len(possible), np.int64)
    left, right = left[possible], right[possible]
    for first, last in _chunks(sizes[left] + sizes[right], _COMPARED):
        both = sets[left[first:last]].multiply(sets[right[first:last]])
        common[first:last] = np.diff(both.indptr)
    union = sizes[left] + sizes[right] - common
    return possible[common / union >= threshold]
