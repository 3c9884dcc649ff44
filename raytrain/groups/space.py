"""The space in which texts are grouped: what an encoder says of them beside the words that they hold."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from raytrain.text.segmentation import cut_texts
from raytrain.text.words import build_segmenter

DIRECTIONS = 100  # of the words' counts that are kept, as is usual for latent semantic analysis
LEAST_TEXTS = 3  # that hold a word: rarer ones join no texts


class HeldWords:
    """Which words each text holds.

    Args:
        texts: The texts.

    Attributes:
        words: The distinct words, of two characters and more; of single ones the frequent ones mean
            anything.
        counts: (num_texts, num_words) how often each text holds each.
    """

    def __init__(self, texts: Sequence[str]):
        cut = cut_texts(texts, build_segmenter())
        is_told = np.array([len(word) > 1 and any(map(str.isalnum, word)) for word in cut.words], bool)
        rows = np.repeat(np.arange(len(texts)), np.diff(cut.bounds))
        inside = cut.numbers >= 0
        inside[inside] = is_told[cut.numbers[inside]]
        columns = (np.cumsum(is_told) - 1)[cut.numbers[inside]]
        ones = np.ones(len(columns), np.float32)
        self.words = [word for word, told in zip(cut.words, is_told.tolist(), strict=True) if told]
        self.counts = csr_matrix((ones, (rows[inside], columns)), (len(texts), len(self.words)))

    def vectors(self, seed: int) -> np.ndarray:
        """The texts by latent semantic analysis (Deerwester et al. 1990): TF-IDF, its widest directions.

        Returns:
            (num_texts, up to `DIRECTIONS`) float32 of length 1; 0 where a text holds no word of several.
        """
        common = np.flatnonzero((self.counts > 0).sum(axis=0).A1 >= LEAST_TEXTS)
        size = min(DIRECTIONS, len(common) - 1, self.counts.shape[0] - 1)
        if size < 1:
            return np.zeros((self.counts.shape[0], 0), np.float32)
        weighed = TfidfTransformer(sublinear_tf=True).fit_transform(self.counts[:, common])
        with np.errstate(
            invalid="ignore", divide="ignore"
        ):  # of shares that are not read, where all are alike
            vectors = TruncatedSVD(size, random_state=seed).fit_transform(weighed)
        return normalize(vectors).astype(np.float32)


def join_spaces(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Vectors of length 1 side by side, each part with the same say.

    Args:
        parts: Of (n, dim), each of length 1.

    Returns:
        (n, sum of dims) float32; the product of two rows is the mean of their cosines in the parts.
    """
    kept = [part for part in parts if part.shape[1]]
    return np.concatenate(kept, axis=1) / np.float32(np.sqrt(len(kept)))
