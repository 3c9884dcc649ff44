"""Groups of vectors: k-means, or the dense places by HDBSCAN; how many there are."""

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import HDBSCAN, KMeans, MiniBatchKMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from raytrain.groups.settings import Method

NUMBERS = (2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 30)  # of groups that are tried where none is given
SPLITS, HALF, JUDGED = 3, 3000, 2000  # pairs of halves, the most texts of each and of those judged
LEAST_TEXTS = 4
AS_STABLE = 0.02  # less apart than splits differ by
AT_ONCE = 20_000  # more vectors than these are grouped by k-means in small batches
DENSE_DIRECTIONS, DENSE_TEXTS = 10, 20_000  # density needs few directions, and compares all pairs


@dataclass(frozen=True)
class Found:
    """Which group each text is in.

    Attributes:
        groups: (n,) from 0, the largest first; -1 of texts in none.
        likeness: (n,) float32, the cosine to the mean of the own group; 0 of texts in none.
        stability: To each number that was tried, how alike groups of two halves were; empty where the
            number was given.
    """

    groups: np.ndarray
    likeness: np.ndarray
    stability: dict[int, float]

    @property
    def num_groups(self) -> int:
        return int(self.groups.max(initial=-1)) + 1


def find_groups(
    vectors: np.ndarray,
    method: Method = "kmeans",
    num_groups: int | None = None,
    least_size: int | None = None,
    seed: int = 0,
) -> Found:
    """Groups vectors.

    Args:
        vectors: (n, dim), two or more.
        method: `kmeans` puts each text into a group; `hdbscan` finds dense places and leaves the rest out.
        num_groups: Of `kmeans`; None takes the number whose groups two halves of the texts agree on most.
        least_size: Of `hdbscan`, the fewest texts of a group; None is a two-hundredth, at least 5.
        seed: Of what is drawn.

    Raises:
        ValueError: There are fewer texts that differ than groups, or too few to find how many there are.
    """
    if method == "hdbscan":
        return _order(vectors, _dense_groups(vectors, least_size, seed), {})
    stability: dict[int, float] = {}
    different = len({vector.tobytes() for vector in vectors})
    if num_groups is None:
        if len(vectors) < LEAST_TEXTS:
            found = f"{LEAST_TEXTS} texts or more of which halves are grouped apart, found {len(vectors)}"
            raise ValueError(f"expected {found}; say how many groups there are")
        stability = compare_numbers(vectors, seed, different)
        best = max(stability.values(), default=0)
        # Where groups lie far apart, some of them together are as stable: the finest such number is meant.
        finest = (number for number, value in stability.items() if value >= best - AS_STABLE)
        num_groups = max(finest, default=NUMBERS[0])
    if different < num_groups:
        raise ValueError(f"expected texts that differ, {num_groups} or more, found {different}")
    return _order(vectors, _fit(vectors, num_groups, 5, seed).labels_, stability)


def _fit(vectors: np.ndarray, num_groups: int, starts: int, seed: int) -> KMeans | MiniBatchKMeans:
    kind = KMeans if len(vectors) <= AT_ONCE else MiniBatchKMeans
    own = {} if kind is KMeans else {"batch_size": 4096}
    return kind(num_groups, n_init=starts, random_state=seed, **own).fit(vectors)


def compare_numbers(vectors: np.ndarray, seed: int, different: int) -> dict[int, float]:
    """How stable groups of each number are: two halves of the texts, grouped apart, put others alike.

    The silhouette rises with the number where groups have no gaps between them, as those of texts; the
    stability does not. Source: Lange, Roth, Braun and Buhmann (2004), "Stability-Based Validation of
    Clustering Solutions", Neural Computation 16(6), 1299–1323; here by the adjusted Rand index.

    Args:
        vectors: (n, dim).
        seed: Of the halves.
        different: How many vectors differ. More groups than these would be as stable as can be, for each of
            them is a group of its own in every half.

    Returns:
        To each number of `NUMBERS` that so many texts allow the mean over `SPLITS` splits.
    """
    rng, half = np.random.default_rng(seed), min(len(vectors) // 2, HALF)
    orders = [rng.permutation(len(vectors)) for _ in range(SPLITS)]
    stability = {}
    for number in NUMBERS:
        if number > min(max(2, half // 5), different):
            break
        alike = []
        for split, order in enumerate(orders):
            parts = order[:half], order[half : 2 * half]
            first, second = (_fit(vectors[part], number, 2, seed + split) for part in parts)
            judged = vectors[order[:JUDGED]]
            alike.append(adjusted_rand_score(first.predict(judged), second.predict(judged)))
        stability[number] = float(np.mean(alike))
    return stability


def _dense_groups(vectors: np.ndarray, least_size: int | None, seed: int) -> np.ndarray:
    """HDBSCAN (Campello et al. 2013) in the widest directions; of many texts, of some of them.

    Those that were not among them are in the group of their nearest neighbour.
    """
    directions = min(DENSE_DIRECTIONS, *vectors.shape)
    flat = PCA(directions, random_state=seed).fit_transform(vectors)
    order = np.random.default_rng(seed).permutation(len(flat))
    some, others = order[:DENSE_TEXTS], order[DENSE_TEXTS:]
    least_size = least_size or max(5, len(some) // 200)
    groups = np.full(len(flat), -1)
    # Leaves: the excess of mass takes one group of nearly everything where topics touch.
    finder = HDBSCAN(least_size, min_samples=5, cluster_selection_method="leaf", copy=False)
    groups[some] = finder.fit_predict(flat[some])
    if len(others):
        nearest = NearestNeighbors(n_neighbors=1).fit(flat[some])
        groups[others] = groups[some][nearest.kneighbors(flat[others], return_distance=False)[:, 0]]
    return groups


def _order(vectors: np.ndarray, groups: np.ndarray, stability: dict[int, float]) -> Found:
    """Numbers groups by falling size, and says how like its own each text is."""
    is_in = groups >= 0
    sizes = np.bincount(groups[is_in])
    held = np.flatnonzero(sizes)
    numbers = np.full(len(sizes) + 1, -1)  # the last is of -1
    numbers[held[np.argsort(-sizes[held], kind="stable")]] = np.arange(len(held))
    groups = numbers[groups]
    likeness = np.zeros(len(groups), np.float32)
    for group in range(len(held)):
        own = np.flatnonzero(groups == group)
        mean = vectors[own].mean(axis=0)
        lengths = np.linalg.norm(vectors[own], axis=1) * np.linalg.norm(mean)
        likeness[own] = vectors[own] @ mean / np.where(lengths > 0, lengths, 1)
    return Found(groups, likeness, stability)
