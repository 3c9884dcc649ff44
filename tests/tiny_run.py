"""A corpus, an encoder directory and a config so small that a whole run takes seconds."""

import csv
import io
import json
import random
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from raytrain.config.load import load_config
from raytrain.config.schema import Config
from raytrain.stages import Stage, Stages

CHARACTERS = [chr(code) for code in range(0x4E00, 0x4E20)]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS]


def make_rows(num_rows: int, num_classes: int = 2, seed: int = 0) -> list[dict[str, str]]:
    """Rows whose class shows in which characters are frequent."""
    rng = random.Random(seed)
    rows = []
    for number in range(num_rows):
        label = number % num_classes
        own = CHARACTERS[label * 8 : label * 8 + 8]
        text = "".join(
            rng.choice(own if rng.random() < 0.7 else CHARACTERS) for _ in range(rng.randrange(3, 28))
        )
        rows.append({"id": f"row-{number}", "text": text, "label": "abc"[label]})
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_encoder(directory: Path, dropout: float = 0.1) -> Path:
    """An ALBERT of two layers in Google's layout, without weights."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(VOCAB) + "\n", encoding="utf-8")
    config = {
        "vocab_size": len(VOCAB),
        "embedding_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "hidden_act": "gelu",
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "max_position_embeddings": 64,
        "type_vocab_size": 2,
    }
    (directory / "albert_config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def tiny_overrides(
    directory: Path, num_rows: int = 48, dropout: float = 0.1, **overrides: object
) -> list[str]:
    """Writes corpus and encoder below `directory`; returns config overrides as on a command line."""
    corpus = directory / "corpus.csv"
    if not corpus.exists():
        write_csv(corpus, make_rows(num_rows))
    encoder = write_encoder(directory / f"encoder-{dropout}", dropout)
    values: dict[str, object] = {
        "name": "tiny",
        "storage": directory / "runs",
        "data.path": corpus,
        "data.id": "id",
        "folds.num_folds": 2,
        "encoder.checkpoint": encoder,
        "encoder.pretrained": "false",
        "encoder.maxlen": 32,
        "words.dim": 8,
        "train.epochs": 2,
        "train.batch_size": 8,
        "train.precision": "float32",
        "train.restarts": 0,  # a few steps are too few to leave a constant guess
        "ensemble.drop_dead": "false",
        "cache.directory": directory / "cache",
        "baseline": "false",
        "cluster.cpus_per_fold": 1,
        "cluster.max_concurrent_folds": 1,  # a second worker would cost more than a second tiny fold
        "cluster.max_failures": 0,
    }
    values |= {key.replace("__", "."): value for key, value in overrides.items()}
    return [f"{key}={value}" for key, value in values.items()]


def tiny_config(directory: Path, **overrides: object) -> Config:
    return load_config(None, tiny_overrides(directory, **overrides))


def silent_console() -> Console:
    return Console(file=io.StringIO(), width=120)


def silent_stages(deadline: float | None = None) -> Stages:
    return Stages(silent_console(), deadline)


def silent_stage() -> Stage:
    return Stage("testing", None, "", "", None)


def read_oof(run: Path) -> tuple[list[str], np.ndarray]:
    """The ids and probabilities of a finished run."""
    table = pq.read_table(run / "ensemble" / "oof.parquet")
    columns = [name for name in table.column_names if name.startswith("proba_")]
    return table["id"].to_pylist(), np.stack([table[name].to_numpy() for name in columns], axis=1)


def make_tagged(num_texts: int, seed: int = 0) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Texts and their spans (start, end, type), each of which its first character gives away."""
    rng = random.Random(seed)
    made = []
    for _ in range(num_texts):
        text, spans = "", []
        for _ in range(rng.randrange(1, 4)):
            text += "".join(rng.choice(CHARACTERS[8:]) for _ in range(rng.randrange(1, 5)))
            kind = rng.randrange(2)
            span = CHARACTERS[kind] + "".join(rng.choice(CHARACTERS[2:8]) for _ in range(kind + 1))
            spans.append((len(text), len(text) + len(span), ("LOC", "PER")[kind]))
            text += span
        made.append((text, spans))
    return made


def write_bio(path: Path, tagged: list[tuple[str, list[tuple[int, int, str]]]]) -> Path:
    lines = []
    for text, spans in tagged:
        tags = ["O"] * len(text)
        for start, end, kind in spans:
            tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
        lines += [f"{char} {tag}" for char, tag in zip(text, tags, strict=True)] + [""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def tiny_tag_config(directory: Path, **overrides: object) -> Config:
    """As `tiny_config`, of a tagger whose longer texts need several windows."""
    corpus = directory / "files.bio"
    if not corpus.exists():
        write_bio(corpus, make_tagged(60))
    values = {
        "task": "tag",
        "data__path": corpus,
        "data__id": "null",
        "encoder__maxlen": 14,
        "train__epochs": 6,
        "train__learning_rate": 1e-2,
    }
    return tiny_config(directory, **values | overrides)
