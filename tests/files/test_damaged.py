"""Whatever its bytes are, a file is read or refused in the one family of errors."""

import bz2
import gzip
import io
import json
import lzma
import os
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.corpus.labelled import read_corpus
from raytrain.corpus.tagged import read_tagged_corpus
from raytrain.corpus.unlabelled import count_texts
from raytrain.errors import CheckpointError, CorpusError, RaytrainError
from raytrain.files.reading import AS_FOUND, Reading
from raytrain.files.tables import read_column_names
from raytrain.files.told import reading_lines
from raytrain.keywords.marks import read_kept_words
from raytrain.suspects.corrections import count_marked
from raytrain.text.dictionary import read_user_dict
from raytrain.text.tokenizer_files import read_vocab
from raytrain.text.vectors import check_vectors, read_vectors

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))
ROWS = 'text,label\n"甲\n""乙""",1\n丙,0\n"丁,戊",1\n己,0\n'
JSON = '{"text": "甲", "label": 1}\n{"text": "乙", "label": "0"}\n{"text": "丙", "label": 1.0}\n'
ENCODINGS = ["utf-8", "gb18030", "big5", "utf-16"]
READINGS = [
    AS_FOUND,
    Reading("gb18030", "none"),
    Reading("utf-16"),
    Reading(columns=("text", "label"), quoting="csv"),
]
PLAIN = {
    ".csv": ROWS,
    ".tsv": ROWS.replace(",", "\t"),
    ".jsonl": JSON,
    ".bio": "甲0 B-X\n乙1 I-X\n\n丙0 O\n",
    ".txt": "甲\n乙\n",
}
COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


def parquet():
    sink = io.BytesIO()
    times = pa.array([0, 1, 2**30, 3], pa.date32())
    pq.write_table(pa.table({"text": ["甲", "乙", "丙", ""], "label": [1, 0, 1, None], "time": times}), sink)
    return sink.getvalue()


@st.composite
def damaged(draw, sound):
    data = bytearray(draw(sound))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1)) if data else 0
        match draw(st.sampled_from(["cut", "double", "flip"])):
            case "cut":
                del data[at:]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 20))]
            case "flip" if data:
                data[at] ^= draw(st.integers(1, 255))
    return bytes(data)


def written(text):
    return st.sampled_from(ENCODINGS).map(text.encode)


def read_each_way(path, reading):
    """Each reader by itself: what one refuses another may still meet."""
    ways = [
        lambda: count_texts(path, ["text"], "label", reading=reading),
        lambda: (
            read_corpus(path, ["text"], "label", time="time", num_folds=1)
            if path.suffix == ".parquet"
            else None
        ),
        lambda: count_texts(path, ["text"], reading=reading),
        lambda: read_column_names(path, reading),
        lambda: reading_lines(path, reading),
        lambda: (
            read_tagged_corpus(path, "text", "label", reading=reading)
            if path.suffix == ".bio"
            else read_corpus(path, ["text"], "label", reading=reading)
        ),
    ]
    for way in ways:
        try:
            way()
        except CorpusError as error:
            assert str(error)


@pytest.mark.parametrize("suffix", PLAIN)
def test_damaged_bytes_end_in_rows_or_in_one_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"

    @settings(max_examples=EXAMPLES)
    @given(damaged(written(PLAIN[suffix])), st.sampled_from(READINGS))
    def check(data, reading):
        path.write_bytes(data)
        read_each_way(path, reading)

    check()


@pytest.mark.parametrize("compression", COMPRESS)
def test_damaged_archives_end_in_rows_or_in_one_error(tmp_path, compression):
    path = tmp_path / f"a.jsonl{compression}"

    @settings(max_examples=EXAMPLES)
    @given(damaged(written(JSON).map(COMPRESS[compression])))
    def check(data):
        path.write_bytes(data)
        read_each_way(path, AS_FOUND)

    check()


def test_damaged_parquet_ends_in_rows_or_in_one_error(tmp_path):
    path, sound = tmp_path / "a.parquet", parquet()

    @settings(max_examples=EXAMPLES)
    @given(damaged(st.just(sound)))
    def check(data):
        path.write_bytes(data)
        read_each_way(path, AS_FOUND)

    check()


VOCAB = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "甲", "乙", "##b", ""])
TOKENIZER = json.dumps(
    {
        "model": {"type": "WordPiece", "vocab": {token: i for i, token in enumerate(VOCAB.split()[:8])}},
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "added_tokens": [{"id": 2, "content": "[CLS]", "special": True}],
    }
)
BINARY = b"2 3\n" + b"".join(word.encode() + b" " + struct.pack("<3f", 0.5, -1, 2) + b"\n" for word in "甲乙")


def vocab_of(path):
    problems = []
    read_vocab(path, problems, [])
    if problems:
        raise CheckpointError("not to be used", problems)


# What lies beside a corpus: its bytes, and who reads it.
BESIDE = {
    "user.dict": ("云计算 100 n\n甲·乙\nleap motion 3\n".encode(), lambda path: read_user_dict(str(path))),
    "vectors.txt": (
        "2 3\n甲 0.5 1.0 -2e-1\n乙 1 2 3\n".encode(),
        lambda path: (check_vectors(str(path)), read_vectors(str(path), ["甲", "乙"])),
    ),
    "vectors.bin": (BINARY, lambda path: (check_vectors(str(path)), read_vectors(str(path), ["甲", "乙"]))),
    "vocab.txt": (VOCAB.encode(), vocab_of),
    "tokenizer.json": (TOKENIZER.encode(), vocab_of),
    "keywords.csv": (
        "word,keep,class\n甲,x,1\n乙,,0\n丙,yes,0\n".encode(),
        lambda path: read_kept_words(path, [0, 1]),
    ),
    "suspects.csv": ("id,text,label,new_label\n1,甲,0,1\n2,乙,1,\n".encode(), count_marked),
}


@pytest.mark.parametrize("name", BESIDE)
def test_damaged_files_beside_a_corpus_end_in_what_they_hold_or_in_one_error(tmp_path, name):
    path, (sound, read) = tmp_path / name, BESIDE[name]
    path.write_bytes(sound)
    read(path)

    @settings(max_examples=EXAMPLES)
    @given(damaged(st.just(sound)))
    def check(data):
        path.write_bytes(data)
        try:
            read(path)
        except RaytrainError as error:
            assert str(error)

    check()
