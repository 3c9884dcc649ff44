import gzip
from pathlib import Path

import pytest

from raytrain.bulk.inputs import list_inputs, on_this_disk, stem_of
from raytrain.errors import InputError
from raytrain.storage.directory import Directory


def test_a_directory_gives_its_files_of_texts_and_no_marks(tmp_path):
    for name in ("b.csv", "a.jsonl.gz", "c.parquet", "_asked.json", ".hidden.csv", "_x.csv", "notes.md"):
        (tmp_path / name).write_text("text\n一\n", encoding="utf-8")
    (tmp_path / "d.csv").mkdir()
    directory, names = list_inputs(str(tmp_path))
    assert names == ["a.jsonl.gz", "b.csv", "c.parquet"] and directory.path == str(tmp_path)


def test_names_in_capitals_and_tagged_texts_are_read_too(tmp_path):
    for name in ("A.CSV", "b.bio", "c.bio.GZ"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert list_inputs(str(tmp_path))[1] == ["A.CSV", "b.bio", "c.bio.GZ"]
    assert list_inputs(f"{tmp_path}/A.CSV")[1] == ["A.CSV"]
    assert [stem_of(name) for name in ("A.CSV", "c.bio.GZ")] == ["A", "c"]


def test_a_directory_may_be_called_like_a_file(tmp_path):
    (tmp_path / "x.parquet").mkdir()
    (tmp_path / "x.parquet" / "part-0.parquet").write_bytes(b"x")
    directory, names = list_inputs(f"{tmp_path}/x.parquet")
    assert names == ["part-0.parquet"] and directory.path == f"{tmp_path}/x.parquet"


def test_a_file_is_one_of_its_directory(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("text\n一\n", encoding="utf-8")
    assert list_inputs(f"{tmp_path}/a.csv")[1] == ["a.csv"]
    monkeypatch.chdir(tmp_path)
    directory, names = list_inputs("a.csv")
    assert names == ["a.csv"] and directory.path == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "told"), [("absent.csv", "expected a file, found none"), ("", "files of texts")]
)
def test_what_is_not_there_is_told(tmp_path, name, told):
    with pytest.raises(InputError, match=told):
        list_inputs(f"{tmp_path}/{name}")


@pytest.mark.parametrize("name", ["_posts.csv", ".posts.csv"])
def test_a_file_named_as_a_mark_is_refused(tmp_path, name):
    """What its predictions would be called is looked at by nobody."""
    (tmp_path / name).write_text("text\n好\n", encoding="utf-8")
    with pytest.raises(InputError, match="dot or an underscore"):
        list_inputs(str(tmp_path / name))
    (tmp_path / "_made.parquet").mkdir()
    (tmp_path / "_made.parquet" / "part-0.csv").write_text("text\n好\n", encoding="utf-8")
    assert list_inputs(str(tmp_path / "_made.parquet"))[1] == ["part-0.csv"]


def test_names_whose_predictions_would_have_one_name_are_refused(tmp_path):
    for name in ("a.csv", "a.jsonl", "b.csv"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"found a\.csv, a\.jsonl"):
        list_inputs(str(tmp_path))


def test_a_name_that_is_anothers_piece_is_refused(tmp_path):
    """What is predicted of the one would be taken for a piece of the other."""
    for name in ("a.csv", "a-00001.csv", "b-00001.csv"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"piece of another, found a-00001\.csv; rename it"):
        list_inputs(str(tmp_path))


def test_stems_are_without_all_suffixes():
    names = ["a.csv", "a.b.jsonl.gz", "x.parquet", "y.ndjson.zst"]
    assert [stem_of(name) for name in names] == ["a", "a.b", "x", "y"]


def test_a_file_from_elsewhere_is_copied_for_a_while(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"x" * 100))
    directory = Directory(tmp_path)
    with on_this_disk(directory, "a.txt.gz") as path:
        assert path == f"{tmp_path}/a.txt.gz"
    directory.is_local = False
    with on_this_disk(directory, "a.txt.gz") as path:
        assert path != f"{tmp_path}/a.txt.gz"
        assert gzip.decompress(Path(path).read_bytes()) == b"x" * 100
    assert not Path(path).exists()
