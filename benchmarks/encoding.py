"""Texts to token and word ids: a plain loop over bert4keras's Tokenizer and jieba, and ours, also on Ray."""

import argparse
import json
import lzma
import os
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

os.environ.update(TF_KERAS="1", TF_USE_LEGACY_KERAS="1", TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import jieba
import numpy as np
import psutil
import ray
from bert4keras.tokenizers import Tokenizer
from rich.console import Console
from rich.table import Table

from raytrain.corpus.example import generate_posts
from raytrain.crossval.encode import encode_on_ray
from raytrain.stages import Stages
from raytrain.text.encode import EncodedTexts, encode_texts
from raytrain.text.vocab import Vocab
from raytrain.text.wordpiece import build_vocab
from raytrain.text.words import build_segmenter

REPOSITORY = Path(__file__).parents[1]
REPOSTS = REPOSITORY / "../shared/data/ced_reposts.txt.xz"
RESULTS = REPOSITORY / "benchmarks/results/encoding.json"
MAXLEN = 128
PLAIN = "plain loop"

Ids = list[list[int]]


def read_texts(count: int) -> tuple[list[str], str]:
    """Returns texts, and where they are from: the generator of examples where the reposts are absent."""
    if not REPOSTS.exists():
        return [post["text"] for post in generate_posts(count)], "raytrain.corpus.example"
    with lzma.open(REPOSTS, "rt", encoding="utf-8") as file:
        return [line.rstrip("\n") for line in islice(file, count)], REPOSTS.name


def plain_loop(
    texts: Sequence[str], tokenizer: Tokenizer, segmenter: jieba.Tokenizer
) -> tuple[Ids, Ids, Ids, dict[str, int]]:
    """Token ids, segment ids and word ids, text after text, and the words."""
    token_ids: Ids = []
    segment_ids: Ids = []
    word_ids: Ids = []
    index: dict[str, int] = {}
    for text in texts:
        tokens = tokenizer.tokenize(text)
        ids, segments = tokenizer.encode(tokens, maxlen=MAXLEN)  # it shortens the tokens too
        word_of_char: list[int] = []
        for word in segmenter.cut(text):
            number = 1 if word.isspace() else index.setdefault(word.lower(), len(index) + 2)
            word_of_char += [number] * len(word)
        places = tokenizer.rematch(text, tokens)
        token_ids.append(ids)
        segment_ids.append(segments)
        word_ids.append([word_of_char[place[0]] if place else 1 for place in places])
    return token_ids, segment_ids, word_ids, index


def measure(run: Callable[[], object], processes: Callable[[], float]) -> tuple[float, float]:
    """Returns the CPU seconds, as counted by `processes`, and the wall seconds of one run."""
    cpu, wall = processes(), time.perf_counter()
    run()
    return processes() - cpu, time.perf_counter() - wall


def cpu_with_children() -> float:
    """CPU seconds of this process and of all below it: Ray's own and its workers."""
    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def run_all(texts: list[str], vocab: list[str], repeats: int) -> dict[str, dict[str, list[float]]]:
    """Measures each way `repeats` times, in turn, so that a busy minute of the machine meets all of them.

    Returns:
        The CPU and wall seconds of each way. The first call on Ray starts its workers and is apart.
    """
    tokenizer = Tokenizer({token: index for index, token in enumerate(vocab)}, do_lower_case=True)
    segmenter = build_segmenter()
    encode_texts(texts[:100], None, Vocab(vocab), MAXLEN, True)  # loads the dictionary

    def on_ray() -> EncodedTexts:
        return encode_on_ray(texts, None, Vocab(vocab), MAXLEN, True, None, Stages(Console()))

    ways: dict[str, tuple[Callable[[], object], Callable[[], float]]] = {
        PLAIN: (lambda: plain_loop(texts, tokenizer, segmenter), time.process_time),
        "encode_texts": (lambda: encode_texts(texts, None, Vocab(vocab), MAXLEN, True), time.process_time),
        "encode_on_ray": (on_ray, cpu_with_children),
    }
    taken: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in ways}
    first = dict(zip(("cpu", "wall"), ([x] for x in measure(on_ray, cpu_with_children)), strict=True))
    for _ in range(repeats):
        for name, (run, processes) in ways.items():
            cpu, wall = measure(run, processes)
            taken[name]["cpu"].append(cpu)
            taken[name]["wall"].append(wall)
    return {**taken, "encode_on_ray, first call": first}


def check_equal(texts: list[str], vocab: list[str]) -> None:
    """Raises ValueError where the plain loop and ours disagree on a text that is not cut short."""
    tokenizer = Tokenizer({token: index for index, token in enumerate(vocab)}, do_lower_case=True)
    texts = [text for text in texts if len(tokenizer.tokenize(text)) <= MAXLEN]
    tokens, segments, words, _ = plain_loop(texts, tokenizer, build_segmenter())
    encoded = encode_texts(texts, None, Vocab(vocab), MAXLEN, True)
    pairs = {"token ids": (tokens, encoded.token_ids), "segment ids": (segments, encoded.segment_ids)}
    for name, (plain, ours) in pairs.items():
        if not np.array_equal(np.concatenate(plain), ours):
            raise ValueError(f"{name} differ")
    if not np.array_equal(encoded.word_ids > 1, np.concatenate(words) > 1):
        raise ValueError("word ids differ")


def print_table(texts: Sequence[str], source: str, medians: dict[str, dict[str, float]]) -> None:
    chars = statistics.mean(map(len, texts))
    table = Table(title=f"{len(texts)} texts of {source}, {chars:.1f} characters on average")
    for column in ("", "CPU s", "wall s", "texts per CPU s", "gain per CPU s", "gain in wall"):
        table.add_column(column, justify="right" if column else "left")
    plain = medians[PLAIN]
    for name, took in medians.items():
        gains = [f"{plain[kind] / took[kind]:.2f}" for kind in ("cpu", "wall")]
        rate = f"{len(texts) / took['cpu']:.0f}"
        table.add_row(name, f"{took['cpu']:.2f}", f"{took['wall']:.2f}", rate, *gains)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    texts, source = read_texts(arguments.texts)
    vocab = build_vocab(texts)
    check_equal(texts[:2000], vocab)
    # Workers import from this checkout, not from wherever the environment has the package.
    ray.init(log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": str(REPOSITORY)}})
    taken = run_all(texts, vocab, arguments.repeats)
    medians = {
        name: {kind: statistics.median(values) for kind, values in took.items()}
        for name, took in taken.items()
    }
    print_table(texts, source, medians)
    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "texts": len(texts),
        "source": source,
        "cpus": os.cpu_count(),
        "medians": medians,
        "runs": taken,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
