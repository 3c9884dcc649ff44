"""What the benchmarks train on: a subset of a corpus in one file for all, and encoders of a given shape."""

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from fold_loop import take_rows

from raytrain.corpus.example import write_example
from raytrain.text.wordpiece import build_vocab

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
DEFAULT_DATA = SHARED / "data" / "ced_rumors.csv"
TINY_ENCODER = SHARED / "checkpoints" / "albert_tiny_zh"

# albert_tiny_zh, weibo_bert_small, Google's BERT-base, and one for what a run costs beside its training.
SHAPES: dict[str, dict[str, int | None]] = {
    "mini": {"embedding_size": 16, "hidden": 16, "layers": 2, "heads": 2},
    "tiny": {"embedding_size": 128, "hidden": 312, "layers": 4, "heads": 12},
    "small": {"embedding_size": None, "hidden": 384, "layers": 6, "heads": 6},
    "base": {"embedding_size": None, "hidden": 768, "layers": 12, "heads": 12},
}
INVENTED = [chr(code) * 2 for code in range(0x4E00, 0x9E00)]  # texts of a vocabulary as large as a real one


def write_corpus(
    target: Path, source: str | None, text: str, label: str, num_rows: int | None, seed: int
) -> list[str]:
    """Writes the rows that all peers read, as columns text and label; returns the texts.

    Args:
        target: The CSV to write.
        source: A CSV; None takes the default corpus, or invented posts where that is not there.
        text: The source's text column.
        label: Its label column.
        num_rows: How many rows, of a seeded shuffle; None takes all.
        seed: Of the shuffle.
    """
    if source is None and not DEFAULT_DATA.exists():
        write_example(target, max(num_rows or 0, 2000), seed)
        source = str(target)
    with Path(source or DEFAULT_DATA).open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row[text].strip()]
    rows = take_rows(rows, num_rows, seed)
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows([row[text], row[label]] for row in rows)
    return [row[text] for row in rows]


def write_encoder(directory: Path, shape: str, texts: Iterable[str]) -> Path:
    """Writes config and vocabulary of an untrained encoder, with a real vocabulary where it is there."""
    directory.mkdir(parents=True, exist_ok=True)
    vocab_file = directory / "vocab.txt"
    if shape != "mini" and (TINY_ENCODER / "vocab.txt").exists():
        shutil.copyfile(TINY_ENCODER / "vocab.txt", vocab_file)
    else:
        vocab_file.write_text("".join(f"{token}\n" for token in build_vocab(list(texts))), encoding="utf-8")
    sizes = SHAPES[shape]
    hidden = sizes["hidden"] or 0
    dropout = 0.0 if sizes["embedding_size"] else 0.1  # as the published ones
    config = {
        "vocab_size": len(vocab_file.read_text(encoding="utf-8").rstrip("\n").split("\n")),
        "embedding_size": sizes["embedding_size"],
        "hidden_size": hidden,
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "intermediate_size": 4 * hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
    }
    config = {key: value for key, value in config.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    return directory
