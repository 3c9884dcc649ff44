import gzip
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.errors import CorpusError
from raytrain.text.vector_files import VectorFormat, check_vectors
from raytrain.text.words import read_vectors

HEAD = "3 2\n"
LINES = ["好 0.5 1\n", "店 -1 2e-3\n", "好吃 3 4\n"]


def text_file(tmp_path, *lines, head=HEAD, name="a.txt"):
    path = tmp_path / name
    path.write_text(head + "".join(lines), encoding="utf-8")
    return path


def binary(words):
    rows = [word.encode() + b" " + np.array(row, np.float32).tobytes() + b"\n" for word, row in words]
    return b"%d 2\n" % len(words) + b"".join(rows)


def complaint(path, most_bytes=1 << 20):
    with pytest.raises(CorpusError, match=r"^words\.vectors: .*") as caught:
        check_vectors(path, most_bytes)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_with_a_first_line_and_one_without(tmp_path):
    assert check_vectors(text_file(tmp_path, *LINES)) == VectorFormat(False, 3, 2)
    assert check_vectors(text_file(tmp_path, *LINES, head="")) == VectorFormat(False, None, 2)


@pytest.mark.parametrize("name", ["a.bin", "a.bin.gz"])
def test_a_binary_file_is_one_by_its_name(tmp_path, name):
    data = binary([("好", [1, 2]), ("店", [3, 4])])
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert check_vectors(path) == VectorFormat(True, 2, 2)


@pytest.mark.parametrize("word", ["扬\u3000姚", "a\tb", "nan", "\u00a0", "9:0.5"])
def test_a_word_may_hold_what_is_no_blank(tmp_path, word):
    path = text_file(tmp_path, f"{word} 1 2\n", *LINES[1:])
    check_vectors(path)
    assert read_vectors(str(path), [word]).by_word[word].tolist() == [1, 2]


def test_lines_behind_the_promised_ones_are_not_read(tmp_path):
    check_vectors(text_file(tmp_path, *LINES, "no vector\n"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("店 nan 1\n", ["'店'", "found nan", "leave such lines out"]),
        ("店 1 -inf\n", ["'店'", "found -inf"]),
        ("店 1 1e39\n", ["'店'", "found 1e39"]),  # no float32
        ("new york 1 2\n", ["'new york' with a blank", "write _"]),
        ("店\t1\t2\n", ["found tabs", "put a blank"]),
        ("店\t1 2\n", ["found tabs"]),
        ("店 1\n", ["expected a word and 2 numbers", "found 1 behind '店'"]),
        ("店 1 2 3\n", ["with a blank in it"]),
        ("店 一 2\n", ["'一' behind '店'"]),
        ("\n", ["found nothing"]),
        ("店 17:1.5 301:0.5\n", ["found 17:1.5: a sparse vector", "take dense ones"]),
    ],
)
def test_a_line_that_is_no_vector_is_told_with_its_number(tmp_path, line, expected):
    told = complaint(text_file(tmp_path, LINES[0], line, LINES[2]))
    assert "line 3: " in told and all(part in told for part in expected)


def test_without_a_first_line_lines_are_numbered_from_the_first_word(tmp_path):
    assert "line 2: " in complaint(text_file(tmp_path, LINES[0], "店 nan 1\n", head=""))


def test_all_wrong_lines_are_told_at_once(tmp_path):
    told = complaint(text_file(tmp_path, "店 nan 1\n", LINES[0], "a b 1 2\n"))
    assert "line 2: " in told and "line 4: " in told and "line 3: " not in told


def test_sparse_vectors_are_told_once(tmp_path):
    assert complaint(text_file(tmp_path, *["店 17:1.5 301:0.5\n"] * 3)).count("PPMI") == 1


def test_a_first_line_that_promises_more_than_there_is(tmp_path):
    told = complaint(text_file(tmp_path, *LINES, head="8824330 2\n"))
    assert "expected 8,824,330 words" in told and "found 3" in told and "`3 2`" in told
    path = tmp_path / "a.bin"
    path.write_bytes(binary([("好", [1, 2]), ("店", [3, 4])]).replace(b"2 2", b"9 2", 1))
    assert "expected 9 words" in complaint(path) and "found 2" in complaint(path)


def test_a_first_line_that_is_none(tmp_path):
    told = complaint(text_file(tmp_path, *LINES, head="好 坏\n"))
    assert "line 1: expected `number-of-words dimension`" in told and "'好 坏'" in told
    for head in ("0 2\n", "3 0\n"):
        assert "line 1: " in complaint(text_file(tmp_path, *LINES, head=head))


def archive_of(kind):
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("a.txt", HEAD + "".join(LINES))
    else:
        with tarfile.open(fileobj=stream, mode="w:gz" if kind == "tar.gz" else "w") as archive:
            archive.addfile(tarfile.TarInfo("a.txt"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.tar.gz", archive_of("tar.gz"), "is a tar archive"),
        ("a.tar", archive_of("tar"), "is a tar archive"),
        ("a.tgz", archive_of("tar.gz"), "is compressed by gzip"),
        ("a.zip", archive_of("zip"), "is a zip archive"),
        ("a.txt", gzip.compress(b"1 1\na 1\n"), "is compressed by gzip"),
        ("a.model", pickle.dumps({}), "is a Python pickle"),
        ("a.bin", b"\xba\x16\x4f\x2f" + bytes(40), "is a model of fastText"),
        ("a.txt", "1 1\na 1\n".encode("utf-16"), "is UTF-16"),
        ("a.txt", "1 1\na 1\n".encode("utf-8-sig"), "byte order mark"),
        ("a.txt", b"", "is empty"),
        ("a.txt", binary([("a", [1, 2])]), "found binary numbers"),
        ("a.bin", b"2 2\na 1 2\nb 1 2\n", "found text"),
        ("a.bin", b"a 1 2\nb 1 2\n", "because its name says binary"),
    ],
)
def test_another_kind_of_file_is_told_without_its_bytes(tmp_path, name, data, expected):
    path = tmp_path / name
    path.write_bytes(data)
    told = complaint(path)
    assert expected in told
    assert all(char.isprintable() or char == "\n" for char in told)


def test_what_is_not_there_or_no_file(tmp_path):
    assert "No such file" in complaint(tmp_path / "absent.txt")
    assert "directory" in complaint(tmp_path)


def test_a_beginning_is_looked_through_and_the_rest_when_it_is_read(tmp_path):
    path = text_file(tmp_path, *LINES, "坏 nan 1\n", head="4 2\n")
    check_vectors(path, 8)
    assert "line 5: " in complaint(path, None)
    assert "line 5: " in complaint(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_binary_numbers_that_are_not_finite_are_told_with_their_word(tmp_path, bad):
    path = tmp_path / "a.bin"
    path.write_bytes(binary([("好", [1, 2]), ("店", [3, bad]), ("吃", [1, 2])]))
    told = complaint(path)
    assert "word 2: " in told and "'店'" in told and "'吃'" not in told


def test_reading_finds_behind_the_beginning_what_is_not_finite(tmp_path, monkeypatch):
    path = text_file(tmp_path, *LINES, "坏 1 nan\n", head="4 2\n")
    monkeypatch.setattr(check_vectors, "__defaults__", (8,))
    with pytest.raises(CorpusError, match=r"line 5: .*'坏'"):
        read_vectors(str(path), ["好"])


WORDS = st.lists(st.text("好店吃a\u3000\t7.-", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)


@given(WORDS, st.integers(2, 4), st.booleans(), st.booleans())
def test_what_is_written_well_is_no_problem_and_is_read(tmp_path_factory, words, dim, as_binary, has_head):
    rows = np.arange(len(words) * dim, dtype=np.float32).reshape(len(words), dim) / 8
    path = tmp_path_factory.mktemp("vectors") / ("a.bin" if as_binary else "a.txt")
    head = f"{len(words)} {dim}\n"
    if as_binary:
        parts = [w.encode() + b" " + row.tobytes() + b"\n" for w, row in zip(words, rows, strict=True)]
        path.write_bytes(head.encode() + b"".join(parts))
    else:
        lines = [f"{w} {' '.join(map(str, row))}\n" for w, row in zip(words, rows.tolist(), strict=True)]
        path.write_text((head if has_head else "") + "".join(lines), encoding="utf-8")
    assert check_vectors(path).dim == dim
    read = read_vectors(str(path), words)
    assert all(np.array_equal(read.by_word[word], row) for word, row in zip(words, rows, strict=True))
