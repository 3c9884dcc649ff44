import bz2
import contextlib
import csv
import gzip
import io
import itertools
import json
import lzma
import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_files import csv_bytes, jsonl_bytes, kinds
from text_files import write_bytes as write

from raytrain.errors import CorpusError
from raytrain.files.encodings import CHUNK_BYTES
from raytrain.files.marks import lines_to_end, without_end
from raytrain.files.reading import Reading
from raytrain.files.tables import FIRST_OBJECTS, iter_rows, read_column_names

TEXTS = ["今天天气很好", "这家店,不好吃", '他说"谢谢"就走了', "第一行\n第二行", "火锅🍲 abc"]
COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


def read(path, columns=("text",)):
    problems = []
    return list(iter_rows(path, columns, problems)), problems


def values(path, column="text"):
    rows, problems = read(path, [column])
    assert problems == []
    return [row[column] for _, row in rows]


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".csv", csv_bytes(TEXTS)),
        (".CSV", csv_bytes(TEXTS)),
        (".tsv", csv_bytes(TEXTS, "\t")),
        (".jsonl", jsonl_bytes(TEXTS)),
        (".ndjson", jsonl_bytes(TEXTS, ensure_ascii=True)),
    ],
)
def test_text_formats_and_compressions_read_back(tmp_path, suffix, data, compression):
    path = write(tmp_path / f"a.b{suffix}{compression}", COMPRESS[compression](data))
    assert values(path) == TEXTS


@pytest.mark.parametrize("compression", COMPRESS)
def test_txt_is_a_text_a_line(tmp_path, compression):
    path = write(tmp_path / f"a.txt{compression}", COMPRESS[compression]("好\r\n\n不好".encode()))
    assert read(path) == ([(1, {"text": "好"}), (2, {"text": ""}), (3, {"text": "不好"})], [])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_line_endings(tmp_path, line_end):
    assert values(write(tmp_path / "a.csv", csv_bytes(["好", "坏"], line_end=line_end))) == ["好", "坏"]
    assert values(write(tmp_path / "a.txt", f"好{line_end}坏{line_end}")) == ["好", "坏"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b""),
        ("a.csv", b"\xef\xbb\xbf"),
        ("a.csv", b"text,label\n"),
        ("a.tsv", b"\n\n"),
        ("a.jsonl", b"\n"),
        ("a.txt.xz", b""),
        ("a.csv.gz", gzip.compress(b"", mtime=0)),
        ("a.txt.gz", gzip.compress(b"", mtime=0)),
        ("a.txt", b"\xef\xbb\xbf"),
        ("a.txt", b"\xff\xfe"),
        ("a.parquet", b""),
    ],
)
def test_empty_file(tmp_path, name, data):
    rows, problems = read(write(tmp_path / name, data))
    assert rows == []
    assert kinds(problems) == ["empty_file"]


@pytest.mark.parametrize("name", ["a", "a.xlsx", "a.gz", "a.csv.zip", "a.parquet.gz", ".csv"])
def test_unknown_suffix_lists_the_known_ones(tmp_path, name):
    with pytest.raises(CorpusError, match=r"\.csv .*\.parquet.*\.zst"):
        read(write(tmp_path / name, "text\n甲\n"))


@pytest.mark.parametrize("suffix", [".csv", ".csv.zst", ".csv.gz", ".parquet"])
def test_missing_file_and_directory(tmp_path, suffix):
    (tmp_path / f"dir{suffix}").mkdir()
    for name in (f"absent{suffix}", f"dir{suffix}"):
        with pytest.raises(CorpusError, match=name):
            read(tmp_path / name)


@pytest.mark.parametrize("compression", [".gz", ".bz2", ".xz", ".zst"])
@pytest.mark.parametrize("damage", [lambda data: data[:-6], lambda data: b"text\n" + data])
def test_truncated_or_corrupt_compression(tmp_path, compression, damage):
    path = write(tmp_path / f"a.csv{compression}", damage(COMPRESS[compression](csv_bytes(TEXTS * 1000))))
    with pytest.raises(CorpusError, match=path.name):
        read(path)


@pytest.mark.parametrize("cut", [slice(0, 100), slice(0, -20), slice(20, None)])
def test_damaged_parquet(tmp_path, cut):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": TEXTS}), path)
    write(path, path.read_bytes()[cut])
    with pytest.raises(CorpusError, match=r"a\.parquet"):
        read(path)


def test_damaged_page_of_parquet(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": TEXTS}), path)
    data = path.read_bytes()
    write(path, data[:4] + b"\xff" * 40 + data[44:])
    with pytest.raises(CorpusError, match=r"a\.parquet"):
        read(path)


def test_concatenated_zst_frames_are_read_whole(tmp_path):
    frames = b"".join(COMPRESS[".zst"](line.encode()) for line in ("甲\n", "乙\n"))
    assert values(write(tmp_path / "a.txt.zst", frames)) == ["甲", "乙"]


@pytest.mark.parametrize("compression", COMPRESS)
def test_rows_stream(tmp_path, monkeypatch, compression):
    path = write(tmp_path / f"a.csv{compression}", COMPRESS[compression](csv_bytes(["字" * 10] * 20_000)))
    num_lines = 0
    plain_next = io.TextIOWrapper.__next__

    class Counted(io.TextIOWrapper):
        def __next__(self):
            nonlocal num_lines
            num_lines += 1
            return plain_next(self)

    monkeypatch.setattr("raytrain.files.encodings.io.TextIOWrapper", Counted)
    assert len(list(itertools.islice(iter_rows(path, ["text"], []), 10))) == 10
    assert num_lines < 20


# Nul and surrogates are in no text; a blank line, which is what a lone empty field may become, is no row.
some_texts = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=0), min_size=1
)


@settings(max_examples=60)
@given(some_texts, st.sampled_from(["csv", "tsv", "jsonl", "ndjson", "parquet"]))
def test_any_texts_read_back_equal(texts, suffix):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        if suffix == "parquet":
            pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), path)
        elif suffix in ("csv", "tsv"):
            write(path, csv_bytes(texts, "," if suffix == "csv" else "\t"))
        else:
            write(path, jsonl_bytes(texts, ensure_ascii=suffix == "ndjson"))
        assert values(path) == texts


@settings(max_examples=60)
@given(st.binary(), st.sampled_from(["a.csv", "a.jsonl", "a.txt", "a.parquet", "a.csv.zst", "a.txt.gz"]))
def test_any_bytes_give_rows_or_problems_or_one_kind_of_error(data, name):
    with tempfile.TemporaryDirectory() as folder:
        try:
            rows, problems = read(write(Path(folder) / name, data))
        except CorpusError:
            return
        assert rows or problems


# ── the names of columns ───────────────────────────────────────────────────────────────────────────

NAMES = ["编号", "text", "a,b"]


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".ndjson"])
def test_column_names_are_those_of_the_beginning(tmp_path, suffix, compression):
    if suffix in (".csv", ".tsv"):
        buffer = io.StringIO()
        writer = csv.writer(buffer, delimiter="," if suffix == ".csv" else "\t")
        writer.writerows([NAMES, ["甲", "乙", "丙"]])
        content = f"\n{buffer.getvalue()}"
    else:
        rows = [{NAMES[0]: "甲"}, dict.fromkeys(NAMES, "甲"), *[{}] * FIRST_OBJECTS, {"only later": 1}]
        content = "\n" + "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = write(tmp_path / f"a{suffix}{compression}", COMPRESS[compression](content.encode()))
    assert read_column_names(path) == NAMES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_column_names_are_decoded_as_the_rows_are(tmp_path, encoding):
    path = write(tmp_path / "a.csv", "编号,正文\r\n一,甲\r\n".encode(encoding))
    assert read_column_names(path) == ["编号", "正文"]
    assert values(path, "正文") == ["甲"]


def test_column_names_of_json_lines_are_those_of_the_first_objects(tmp_path):
    lines = [b'{"text": "\xe7\x94\xb2"}', b"", b'{"id": 2, "text": "b"}', b'{"text": "c", "source": "d"}']
    assert read_column_names(write(tmp_path / "a.jsonl", b"\n".join(lines))) == ["text", "id", "source"]


def test_column_names_of_utf_8_whose_first_part_ends_inside_a_character(tmp_path):
    start = "编号,正文\n一,".encode()
    path = write(tmp_path / "a.csv", start + b"a" * (CHUNK_BYTES - len(start) - 1) + "甲\n".encode())
    assert read_column_names(path) == ["编号", "正文"]


def test_column_names_of_parquet_are_its_schema(tmp_path):
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in NAMES}), tmp_path / "a.parquet")
    assert read_column_names(tmp_path / "a.parquet") == NAMES


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.bio", "a.bio.gz"])
def test_plain_text_and_bio_name_no_columns(tmp_path, name):
    assert read_column_names(write(tmp_path / name, b"text\n")) == []


@pytest.mark.parametrize("compression", COMPRESS)
def test_no_more_than_the_beginning_is_read(tmp_path, compression):
    # Drawn at random, so that compressed it is cut off as far behind the beginning.
    texts = [random.Random(row).randbytes(500).hex() for row in range(3_000)]
    data = COMPRESS[compression](csv_bytes(texts))
    data = data[: len(data) * 3 // 4] + (b"" if compression else b"\xff")
    path = write(tmp_path / f"a.csv{compression}", data)
    assert read_column_names(path) == ["label", "text"]
    with pytest.raises(CorpusError) if compression else contextlib.nullcontext():
        assert read(path)[1]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b""),
        ("a.parquet", b""),
        ("a.csv", b"\n\n"),
        ("a.csv", b'"te"xt,label\nb,c\n'),
        ("a.jsonl", b"\n"),
        ("a.jsonl", b"text\n"),
        ("a.jsonl", b"[1]\n"),
    ],
)
def test_a_damaged_beginning_names_no_columns_and_is_told_with_the_rows(tmp_path, name, data):
    path = write(tmp_path / name, data)
    assert read_column_names(path) == []
    assert read(path)[1]


def test_a_column_twice_is_named_twice(tmp_path):
    assert read_column_names(write(tmp_path / "a.csv", "id,id\n1,2\n")) == ["id", "id"]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("absent.csv", None),
        ("absent.txt", None),
        ("a.xlsx", b"text"),
        ("a.csv.gz", b"text"),
        ("a.parquet", b"text"),
        ("a.csv.xz", lzma.compress(b"text\n")[:-20]),
    ],
)
def test_column_names_of_what_cannot_be_read_are_refused(tmp_path, name, data):
    if data is not None:
        write(tmp_path / name, data)
    with pytest.raises(CorpusError, match=name):
        read_column_names(tmp_path / name)


JOINED = {
    ".csv": "今天天气很好,1\n\"第一行\n第二行\",2\n'谢谢',3\n",
    ".tsv": "今天天气很好\t1\n火锅 abc\t2\n价格公道\t3\n",
    ".jsonl": jsonl_bytes(TEXTS).decode(),
    ".txt": "今天天气很好\n火锅 abc\n价格公道\n",
}
NAMES_SAID = {".csv": ("text", "label"), ".tsv": ("text", "label"), ".jsonl": None, ".txt": ("text",)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "gb18030"])
@pytest.mark.parametrize("suffix", JOINED)
def test_the_byte_order_marks_of_joined_files_are_no_characters(tmp_path, suffix, encoding):
    data = f"\ufeff{JOINED[suffix]}".encode(encoding)
    reading = Reading(encoding, columns=NAMES_SAID[suffix])
    path, once = write(tmp_path / f"a{suffix}", data * 3), write(tmp_path / f"b{suffix}", data)
    problems = []
    found = [row["text"] for _, row in iter_rows(path, ["text"], problems, reading)]
    expected = [row["text"] for _, row in iter_rows(once, ["text"], problems, reading)]
    assert found == expected * 3 and len(expected) >= 3 and problems == []


@pytest.mark.parametrize("rest", ["\x1a", "\x1a\r\n", "\x1a\x1a \n\n", "\n\x1a"])
@pytest.mark.parametrize("suffix", JOINED)
def test_the_mark_of_dos_s_end_is_no_row_and_no_character(tmp_path, suffix, rest):
    reading = Reading(columns=NAMES_SAID[suffix])
    sound = JOINED[suffix].rstrip("\n")
    found = []
    for name, data in (("a", sound), ("b", sound + rest), ("c", f"{sound}\n{rest}")):
        problems = []
        path = write(tmp_path / f"{name}{suffix}", data.encode())
        found.append([row["text"] for _, row in iter_rows(path, ["text"], problems, reading)])
        assert problems == []
    assert found[0] == [text for text in found[1] if text] == [text for text in found[2] if text]


def test_a_control_of_dos_that_is_not_the_end_stays(tmp_path):
    path = write(tmp_path / "a.txt", "甲\x1a\n\x1a\n乙\n".encode())
    assert values(path) == ["甲\x1a", "\x1a", "乙"]


@given(st.lists(st.text("甲\x1a \n", max_size=6).map(lambda line: f"{line}\n")))
def test_lines_lose_nothing_but_the_end_of_dos(lines):
    assert "".join(lines_to_end(lines)) == without_end("".join(lines))
