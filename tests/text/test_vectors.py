import bz2
import gzip
import io
import lzma
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytrain.errors import CorpusError
from raytrain.text.vectors import Vectors, check_vectors, read_vectors
from raytrain.text.words import build_embedding

VECTORS = {"好吃": [1.0, 0.0, 0.5], "好": [0.0, 1.0, 0.25], "店": [-1.0, 2.0, 0.0]}
text_lines = [f"{len(VECTORS)} 3", *(f"{word} {' '.join(map(str, row))}" for word, row in VECTORS.items())]
TEXT = "".join(f"{line}\n" for line in text_lines).encode()
BINARY = f"{len(VECTORS)} 3\n".encode() + b"".join(
    f"{word} ".encode() + np.array(row, np.float32).tobytes() + b"\n" for word, row in VECTORS.items()
)


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def problems_of(path, words=("好",)):
    with pytest.raises(CorpusError) as caught:
        read_vectors(path, words)
    return caught.value.problems


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", TEXT),
        ("a.vec", TEXT),
        ("a.txt.gz", gzip.compress(TEXT, mtime=0)),
        ("a.txt.bz2", bz2.compress(TEXT)),
        ("a.bin", BINARY),
        ("a.bin.gz", gzip.compress(BINARY, mtime=0)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_vectors_read_the_wanted_words_and_all_single_characters(tmp_path, name, data):
    vectors = read_vectors(write(tmp_path / name, data), ["好吃", "没有"])
    assert vectors.dim == 3
    assert {word: row.tolist() for word, row in vectors.by_word.items()} == {
        word: VECTORS[word] for word in ("好", "好吃", "店")
    }
    assert sorted(vectors.characters) == ["好", "店"]
    assert all(row.dtype == np.float32 for row in vectors.by_word.values())


def test_missing_vectors_file_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"absent\.txt"):
        read_vectors(str(tmp_path / "absent.txt"), ["好"])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b""),
        ("a.txt", "好 1 2\n店 1\n".encode()),
        ("a.txt", "好\n".encode()),
        ("a.txt", "1 0\n好\n".encode()),
        ("a.txt", "2 3\n好 1 2\n".encode()),
        ("a.txt", "1 3\n好 一 二 三\n".encode()),
        ("a.txt", TEXT[:-20]),
        ("a.bin", BINARY[:-9]),
        ("a.bin", b"\x00\xff\x10"),
        ("a.txt.gz", TEXT),
        ("a.txt.gz", gzip.compress(TEXT, mtime=0)[:-12]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_file_that_is_no_word2vec_is_named(tmp_path, name, data):
    with pytest.raises(CorpusError, match=rf"words\.vectors: .*{name}"):
        read_vectors(write(tmp_path / name, data), ["好"])


@pytest.mark.parametrize(
    ("line", "found"),
    [("好 nan 1 2", "nan"), ("好 1 inf 2", "inf"), ("好 1 2 1e39", "inf"), ("好 1 2 1e", "1e")],
)
def test_number_that_is_none_is_told_with_word_and_line(tmp_path, line, found):
    [problem] = problems_of(write(tmp_path / "a.txt", f"2 3\n店 1 2 3\n{line}\n"))
    assert problem.startswith("line 3, 好: expected 3 finite numbers, found") and found in problem
    with pytest.raises(CorpusError, match="line 3, 好"):
        check_vectors(str(tmp_path / "a.txt"))


def test_number_that_is_none_is_told_of_binary_files(tmp_path):
    data = BINARY.replace(np.float32(0.25).tobytes(), np.float32(np.nan).tobytes())
    [problem] = problems_of(write(tmp_path / "a.bin", data))
    assert problem.startswith("word 2, 好: expected 3 finite numbers, found nan")


def test_vectors_without_a_first_line_are_read(tmp_path):
    path = write(tmp_path / "a.txt", TEXT.partition(b"\n")[2])
    assert read_vectors(path, ["好吃"]).by_word["好吃"].tolist() == VECTORS["好吃"]


def test_words_hold_blanks_of_any_kind(tmp_path):
    path = write(tmp_path / "a.txt", "4 2\nnew york 1 2\n\u3000 3 4\n \t5 6\n好\u3000吃\t7 8\n")
    words = read_vectors(path, ["new york", "好\u3000吃"]).by_word
    assert {word: row.tolist() for word, row in words.items()} == {
        **{"new york": [1, 2], "\u3000": [3, 4], " ": [5, 6], "好\u3000吃": [7, 8]}
    }


def test_of_a_word_that_stands_there_twice_the_first_counts(tmp_path):
    path = write(tmp_path / "a.txt", "2 2\n好 1 2\n好 3 4\n")
    assert read_vectors(path, ["好"]).by_word["好"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("9 2\n好 1 2\n", "says 9 words, and it ends after 1"),
        ("1 2\n好 0.5 1 2\n", "line 2: expected 2 numbers behind the word, found more"),
        ("1 500\n好 9:0.5 17:1.25\n", "sparse"),
        ("\x1b[2J\x00\n", r"found \x1b[2J\x00"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, text, told):
    path = write(tmp_path / "a.txt", text)
    assert told in problems_of(path)[0]
    with pytest.raises(CorpusError):
        check_vectors(path)


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_an_archive_is_to_be_unpacked(tmp_path, suffix, pack):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("vectors.txt")
        info.size = len(TEXT)
        archive.addfile(info, io.BytesIO(TEXT))
    path = write(tmp_path / f"a.tar{suffix}", pack(stream.getvalue()))
    assert problems_of(path)[0] == "found a tar archive: unpack it and name the file of vectors in it"
    with pytest.raises(CorpusError) as caught:
        check_vectors(path)
    assert all(line.isprintable() for line in str(caught.value).splitlines())


@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.bin"]))
def test_any_bytes_end_in_vectors_or_one_error(tmp_path_factory, data, name):
    path = write(tmp_path_factory.getbasetemp() / name, data)
    try:
        read_vectors(path, ["好"])
    except CorpusError as error:
        assert "words.vectors" in str(error)


def test_vectors_that_share_no_word(tmp_path):
    with pytest.raises(CorpusError, match="no word or character"):
        read_vectors(write(tmp_path / "a.txt", TEXT), ["天气"])


def test_words_covered_have_a_vector_or_a_character_with_one():
    vectors = Vectors(1, {"好吃": np.ones(1), "店": np.ones(1)})
    assert vectors.words_covered(["好吃", "小店", "好看", "店"]) == ["好吃", "小店", "店"]


@pytest.fixture
def embedding():
    vectors = Vectors(3, {word: np.array(row, np.float32) for word, row in VECTORS.items()})
    return build_embedding(["好吃", "好店", "小店", "天气"], dim=7, seed=3, vectors=vectors)


def test_embedding_takes_own_vector_characters_mean_or_none(embedding):
    rows, coverage = embedding
    assert rows.shape == (6, 3)
    assert rows[2].tolist() == VECTORS["好吃"]
    assert rows[3].tolist() == [-0.5, 1.5, 0.125]
    assert rows[4].tolist() == VECTORS["店"]
    assert coverage == {"own": 1, "characters": 2, "none": 1}


def test_padding_is_zeros_and_drawn_rows_are_small_and_not(embedding):
    rows, _ = embedding
    assert not rows[0].any()
    for row in (rows[1], rows[5]):
        assert 0 < np.abs(row).max() <= 0.05


def test_embedding_without_vectors_has_the_asked_size():
    rows, coverage = build_embedding(["好", "坏"], dim=7, seed=3)
    assert rows.shape == (4, 7)
    assert rows.dtype == np.float32
    assert coverage == {"own": 0, "characters": 0, "none": 2}


def test_seed_decides_the_drawn_rows():
    first, _ = build_embedding(["好"], dim=4, seed=3)
    assert np.array_equal(first, build_embedding(["好"], dim=4, seed=3)[0])
    assert not np.array_equal(first, build_embedding(["好"], dim=4, seed=4)[0])


@pytest.mark.parametrize("name", ["a.bin", "a.bin.gz"])
def test_text_that_is_named_as_binary_is_read_as_text(tmp_path, name):
    data = gzip.compress(TEXT, mtime=0) if name.endswith(".gz") else TEXT
    vectors = read_vectors(write(tmp_path / name, data), ["好吃"])
    assert {word: row.tolist() for word, row in vectors.by_word.items()} == VECTORS


def test_numbers_that_no_vector_has_are_refused(tmp_path):
    rows = {
        "好": [1e-38, -1e-39, 0.0],
        "店": [1e31, 0.0, 1e-32],
        "吃": [0.0, 0.0, 0.0],
        "天": [1e-35, 0.5, 0.0],
    }
    data = f"{len(rows)} 3\n".encode() + b"".join(
        f"{word} ".encode() + np.array(row, np.float32).tobytes() for word, row in rows.items()
    )
    first, second = problems_of(write(tmp_path / "a.bin", data))
    assert "word 1, 好: expected 3 finite numbers, found 1e-38; the file is text" in first and "店" in second


def test_a_mark_before_the_first_word_is_no_part_of_it(tmp_path):
    path = write(tmp_path / "a.txt", "\ufeff好 1.5 2 3\n店 1 2 3\n")
    assert read_vectors(path, ["好"]).by_word["好"].tolist() == [1.5, 2.0, 3.0]


def test_more_integers_than_the_dimension_are_no_word(tmp_path):
    [problem, _] = problems_of(write(tmp_path / "a.txt", "2 3\n好 1 2 3 4\n店 1 2 3\n"))
    assert problem == "line 2: expected 3 numbers behind the word, found more"
    path = write(tmp_path / "b.txt", "2 3\niphone 15 0.5 2 3\n店 1 2 3\n")
    assert read_vectors(path, ["iphone 15"]).by_word["iphone 15"].tolist() == [0.5, 2.0, 3.0]


def test_words_that_are_not_utf_8_are_told(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("3 2\n中国 1 2\n北京 1 2\nabc 1 2\n".encode("gb18030"))
    with pytest.raises(CorpusError, match="words in UTF-8, found 2 of 3 that are not"):
        check_vectors(str(path))
    path.write_bytes("3 2\n中国 1 2\n北京 1 2\n".encode() + b"\xe4\xb8 1 2\n")
    check_vectors(str(path))


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("Windows 10 4 5 6", "Windows 10"),
        ("QQ 1234567890123456789012 0.1 0.2 0.3", "QQ 1234567890123456789012"),
        (f"QQ {'7' * 200_000} 4 5 6", f"QQ {'7' * 200_000}"),
    ],
    ids=["integers", "decimals", "long"],
)
@pytest.mark.parametrize("others", ["店 1 2 0.5\n{}\n", "{}\n店 1 2 0.5\n"])
def test_a_words_own_integers_stay_with_it_where_vectors_have_decimals(tmp_path, line, word, others):
    path = write(tmp_path / "a.txt", "2 3\n" + others.format(line))
    check_vectors(path)
    assert set(read_vectors(path, [word]).by_word) == {word, "店"}
