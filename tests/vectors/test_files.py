import numpy as np
import pytest
from text_files import write_csv

from raytrain.errors import CorpusError
from raytrain.vectors.files import read_vectors, write_vectors
from raytrain.vectors.settings import VectorSettings

TEXTS = [f"{'好' * (number % 7)}{number}" for number in range(50)]


def embed(texts, pairs=None):
    """Vectors of lengths and digits, in which all texts differ."""
    seeds = [int("".join(filter(str.isdigit, text)) or 0) for text in texts]
    return np.stack([np.random.default_rng(seed).normal(3, 1, 5) for seed in seeds]).astype(np.float32)


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("raytrain.vectors.files.CHUNK_ROWS", 20)
    return write_csv(
        tmp_path / "a.csv", [(text, f"行{row}") for row, text in enumerate(TEXTS)], ("text", "id")
    )


def run(path, id=None, columns=("text",), **settings):
    output = path.with_name("out.parquet")
    told = list(write_vectors(embed, str(path), str(output), columns, id, VectorSettings(**settings)))
    return told, *read_vectors(output)


def test_each_text_has_its_vector_in_order(path):
    told, ids, vectors = run(path)
    assert told == [20, 40, 50] and ids == list(range(50)) and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, embed(TEXTS))


def test_ids_are_kept_and_half_precision_is_half_as_large(path):
    _, ids, vectors = run(path, "id", numbers="float16")
    assert ids[:2] == ["行0", "行1"] and vectors.dtype == np.float16
    np.testing.assert_allclose(vectors, embed(TEXTS), rtol=1e-3)


def test_whitened_vectors_have_length_one_and_the_size_that_was_asked_for(path):
    told, ids, vectors = run(path, whiten=True, size=3)
    assert told[-1] == 50 and ids == list(range(50)) and vectors.shape == (50, 3)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert {entry.name for entry in path.parent.iterdir()} == {"a.csv", "out.parquet"}


def test_too_few_texts_to_whiten_leave_nothing(path):
    write_csv(path, [("好1", "x"), ("好1", "y")], ("text", "id"))
    with pytest.raises(CorpusError, match="whitened") as caught:
        run(path, whiten=True)
    assert "expected vectors that differ" in caught.value.problems[0]
    assert {entry.name for entry in path.parent.iterdir()} == {"a.csv"}


def test_rows_that_repeat_are_not_more_texts(path):
    """Of 4 that differ in 3 directions all are as unlike as can be, however often each stands there."""
    texts = [(f"好{number % 4}", f"{number}") for number in range(200)]
    write_csv(path, texts, ("text", "id"))
    with pytest.raises(CorpusError, match="whitened") as caught:
        run(path, whiten=True)
    assert "expected more than 4 texts that differ, for in 3 directions" in caught.value.problems[0]
    assert run(path, whiten=True, size=2)[2].shape == (200, 2)


def test_what_is_wrong_with_the_texts_leaves_nothing(path):
    with pytest.raises(CorpusError, match="column 文"):
        run(path, columns=("文",))
    assert {entry.name for entry in path.parent.iterdir()} == {"a.csv"}


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_file_that_is_none_of_vectors_is_told(tmp_path, content):
    path = tmp_path / "a.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorpusError, match="expected a file of the command embed"):
        read_vectors(path)
