"""Near-duplicates: what finding and folding them takes, and how far they move the score of TF-IDF.

On made-up short texts, of which a share are copies of others with a character or two changed; or, where a
file is named, the accuracy of the baseline with near-duplicates in any folds, in one fold, and left out.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from raytrain.corpus.corpus import Corpus
from raytrain.corpus.duplicates import NGRAM, THRESHOLD, find_duplicates
from raytrain.corpus.labelled import read_corpus
from raytrain.ngrams.baseline import predict_baselines
from raytrain.ngrams.tfidf import join_texts
from raytrain.splits.assign import assign_folds

NUM_CHARACTERS, ZIPF = 5000, 1.3  # as often as in Chinese, roughly
SHORTEST, LONGEST = 20, 80
NUM_FOLDS, SEED = 10, 42


def make_texts(num_rows: int, num_copies: int) -> list[str]:
    """Texts of random characters; the last ones are copies of the first, with one or two others in them."""
    rng = np.random.default_rng(SEED)
    sizes = rng.integers(SHORTEST, LONGEST + 1, num_rows - num_copies)
    codes = (rng.zipf(ZIPF, sizes.sum()) % NUM_CHARACTERS + ord("一")).astype(np.uint32)
    whole, ends = codes.tobytes().decode("utf-32-le"), np.cumsum(sizes)
    texts = [whole[end - size : end] for size, end in zip(sizes.tolist(), ends.tolist(), strict=True)]
    for number, text in enumerate(texts[:num_copies]):
        places = rng.integers(0, len(text), 1 + number % 2)
        texts.append("".join("々" if place in places else char for place, char in enumerate(text)))
    return texts


def similarity(one: str, other: str) -> float:
    """Jaccard's, of the sets of n-grams, plainly."""
    both = [{text[start : start + NGRAM] for start in range(len(text) - NGRAM + 1)} for text in (one, other)]
    return len(both[0] & both[1]) / len(both[0] | both[1])


def measure(num_rows: int, copies: float) -> dict[str, float]:
    """Seconds and peak memory of finding and folding, and the share of the copies that were found."""
    num_copies = int(num_rows * copies)
    texts = make_texts(num_rows, num_copies)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    groups = find_duplicates([texts])
    found = time.perf_counter()
    labels = np.random.default_rng(SEED).integers(0, 2, num_rows)
    assign_folds(labels, NUM_FOLDS, 1, SEED, groups)
    folded = time.perf_counter()
    num_texts = num_rows - num_copies
    copied = np.array([similarity(texts[row], texts[num_texts + row]) for row in range(num_copies)])
    is_found = groups[num_texts:] == np.arange(num_copies)
    return {
        "rows": num_rows,
        "characters": sum(map(len, texts)),
        "seconds_finding": round(found - started, 1),
        "seconds_folding": round(folded - found, 1),
        "texts_mb": round(before / 1024),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "copies": num_copies,
        "copies_similar": int((copied >= THRESHOLD).sum()),  # in a short text two characters are much
        "copies_found": int(is_found.sum()),
        "found_wrongly": int((groups[:num_texts] != np.arange(num_texts)).sum()),
    }


def accuracy(corpus: Corpus, groups: np.ndarray | None, seed: int) -> float:
    """Of the baseline by TF-IDF, out of fold."""
    texts = join_texts([corpus.table[name].to_pylist() for name in corpus.text_names])
    labels = corpus.table["label"].to_numpy()
    [folds] = assign_folds(labels, NUM_FOLDS, 1, seed, groups)
    right = 0
    for fold in range(NUM_FOLDS):
        is_valid = folds == fold
        proba = predict_baselines(texts, labels, ~is_valid, is_valid, len(corpus.labels))["tfidf_logistic"]
        right += int((proba.argmax(axis=1) == labels[is_valid]).sum())
    return right / len(labels)


def compare_policies(path: Path, text: str, label: str, repeats: int) -> dict[str, list[float]]:
    """The accuracy by each `folds.duplicates`, of each seed."""
    corpus = read_corpus(path, [text], label, num_folds=NUM_FOLDS, drop=["empty_text"])
    groups = find_duplicates([corpus.table["text"].to_pylist()])
    fewer = corpus.without(groups != np.arange(corpus.num_rows), "near_duplicate")
    return {
        policy: [round(accuracy(of, own, SEED + repeat), 4) for repeat in range(repeats)]
        for policy, of, own in (("keep", corpus, None), ("group", corpus, groups), ("drop", fewer, None))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--copies", type=float, default=0.05, help="share of the rows that are copies")
    parser.add_argument("--data", type=Path, help="a CSV of labelled texts: TF-IDF on it instead")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--repeats", type=int, default=3, help="with --data: seeds")
    options = parser.parse_args()
    if options.data is not None:
        print(json.dumps(compare_policies(options.data, options.text, options.label, options.repeats)))
    else:
        print(json.dumps(measure(options.rows, options.copies)))


if __name__ == "__main__":
    main()
