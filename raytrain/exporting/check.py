"""How an export compares with predict: the greatest difference, accuracy, size and speed."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from raytrain.corpus.labelled import read_corpus
from raytrain.ensemble.artifact import Ensemble
from raytrain.errors import InputError
from raytrain.exporting.settings import CheckFile

# Of what an export is tried with where no file is given: short and long, and what tokenizers read otherwise.
_OWN_TEXTS = (
    *(
        "网传明天停水，快转给家人",
        "记者核实后说，停水的消息不是真的",
        "房间干净，早餐好吃",
        "店家说今天不开门",
        "",
    ),
    *(
        "ＯＫ，3.5万人转发了！！",
        "Café 的 iPhone15 涨价？",
        "[SEP]是什么",
        "😷😱🙏 #求证#",
        " 空 格\t和\n换行 ",
    ),
    "警方提醒：先别转发，转发前先看看来源；没有通报，也没有公告，群里说的不能信。" * 6,
)


@dataclass(frozen=True)
class CheckTexts:
    """What an export is tried with.

    Attributes:
        texts: The texts.
        pairs: The second ones, or None.
        labels: (num_texts,) label indices of the ensemble; None where there are none.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: np.ndarray | None = None

    def parts(self, size: int) -> Iterator[tuple[list[str], list[str] | None]]:
        """Texts and their pairs, so many at a time."""
        for start in range(0, len(self.texts), size):
            part = slice(start, start + size)
            yield self.texts[part], None if self.pairs is None else self.pairs[part]


@dataclass(frozen=True)
class Check:
    """What was found of one way to predict.

    Attributes:
        model: Which.
        bytes: Of the model's files.
        accuracy: Of its decisions, None without labels.
        difference: Greatest of a probability from predict's in float32.
        texts_per_second: From texts to probabilities, on all of this machine's cores.
    """

    model: str
    bytes: int
    accuracy: float | None
    difference: float
    texts_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def check_texts(ensemble: Ensemble, asked: CheckFile | None) -> CheckTexts:
    """The texts of a file, or a few of our own.

    Raises:
        InputError: With all that is wrong with the file, or labels that the ensemble does not know.
    """
    columns = ensemble.manifest.config.data.text_columns
    if asked is None:
        reading = ensemble.manifest.config.encoder
        longest = _OWN_TEXTS[-1] * (1 + reading.maxlen * reading.windows // len(_OWN_TEXTS[-1]))
        texts = [*_OWN_TEXTS, longest]
        return CheckTexts(texts, texts[::-1] if len(columns) > 1 else None)
    if asked.text_columns and len(asked.text_columns) != len(columns):
        found = f"found {len(asked.text_columns)}: {', '.join(asked.text_columns)}"
        raise InputError(f"column: the ensemble was trained on {len(columns)} text column(s); {found}")
    trained = ensemble.manifest.config.data.model_extra or {}
    label = asked.label or str(trained.get("label", "label"))
    corpus = read_corpus(
        *(asked.path, asked.text_columns or columns, label),
        num_folds=1,
        least_classes=1,
        reading=asked.reading,
        merge_labels=bool(trained.get("merge_labels", False)),
    )
    known = {str(name): index for index, name in enumerate(ensemble.labels)}
    unknown = [str(name) for name in corpus.labels if str(name) not in known]
    if unknown:
        expected = f"expected {', '.join(known)}; found {', '.join(unknown[:9])}"
        raise InputError(f"{asked.path}: labels that the ensemble does not know: {expected}")
    places = np.array([known[str(name)] for name in corpus.labels])
    table = corpus.table
    pairs = table["text_pair"].to_pylist() if "text_pair" in table.column_names else None
    return CheckTexts(table["text"].to_pylist(), pairs, places[table["label"].to_numpy()])


def judge(
    model: str,
    size: int,
    predict: Callable[[Sequence[str], Sequence[str] | None], np.ndarray],
    decide: Callable[[np.ndarray], np.ndarray],
    texts: CheckTexts,
    at_once: int,
    expected: np.ndarray | None = None,
) -> tuple[Check, np.ndarray]:
    """Runs one way to predict.

    Args:
        model: What it is called.
        size: Bytes of its files.
        predict: From texts and their pairs to (texts, classes) probabilities.
        decide: From probabilities to label indices.
        texts: What it is given.
        at_once: So many at a time: what is laid out of them is in memory.
        expected: What predict says; None for predict itself.

    Returns:
        What was found, and the probabilities.
    """
    few = None if texts.pairs is None else texts.pairs[:8]
    predict(texts.texts[:8], few)  # a first pass plans, and allocates
    start = time.perf_counter()
    proba = np.concatenate([predict(*part) for part in texts.parts(at_once)])
    seconds = time.perf_counter() - start
    accuracy = None if texts.labels is None else float((decide(proba) == texts.labels).mean())
    difference = 0.0 if expected is None else float(np.abs(proba - expected).max())
    return Check(model, size, accuracy, difference, len(texts.texts) / seconds), proba


def check_table(checks: Sequence[Check]) -> list[str]:
    """The lines that tell checks."""
    rows = [("", "size", "accuracy", "difference", "texts/s")]
    for check in checks:
        accuracy = "–" if check.accuracy is None else f"{check.accuracy:.4f}"
        size = f"{check.bytes / 1e6:.1f} MB" if check.bytes else "–"
        rows.append(
            (check.model, size, accuracy, f"{check.difference:.1e}", f"{check.texts_per_second:,.0f}")
        )
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
