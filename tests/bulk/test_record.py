import pytest

from raytrain.bulk.record import ASKED, Record, mark_of
from raytrain.errors import ArtifactError, ConfigError
from raytrain.storage.directory import Directory

ASKS = {"ensemble": "abc", "columns": None}
FILES = {"a.csv": [10, 1], "b.jsonl": [20, 2]}


def record(folder, asked=ASKS, files=FILES, suffix=".parquet"):
    return Record(Directory(folder), asked, files, suffix)


def predicted(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"x")


def problems_of(folder, *asked):
    with pytest.raises(ConfigError, match="holds something else") as raised:
        record(folder, *asked)
    return raised.value.problems


def test_what_is_done_is_known_to_the_next_command(tmp_path):
    first = record(tmp_path)
    assert first.done("a") is None
    predicted(tmp_path, "a-00000.parquet", "a-00001.parquet")
    first.finish("a", {"rows": 3, "pieces": 2})
    again = record(tmp_path)
    assert again.done("a") == {"rows": 3, "pieces": 2} and again.done("b") is None
    (tmp_path / "a-00001.parquet").unlink()
    assert record(tmp_path).done("a") is None


def test_an_input_that_has_changed_since_is_refused_also_half_done(tmp_path):
    record(tmp_path)
    predicted(tmp_path, "a-00000.parquet")
    changed = {"a.csv": [10, 3], "b.jsonl": [21, 2]}
    assert problems_of(tmp_path, ASKS, changed) == [
        "a.csv: has changed since a-00000.parquet was predicted of it"
    ]
    (tmp_path / "a-00000.parquet").unlink()
    record(tmp_path, files=changed)  # of what nothing is predicted yet may change


@pytest.mark.parametrize("name", ["a.parquet", "a-00000.parquet"])
def test_files_that_were_there_before_are_no_predictions(tmp_path, name):
    predicted(tmp_path, name, "b.csv", "notes.md")
    assert problems_of(tmp_path) == [
        f"{name}: was not predicted here, and would be taken for a prediction of a.csv"
    ]
    assert not (tmp_path / ASKED).exists()


def test_a_piece_of_one_file_is_no_prediction_of_another(tmp_path):
    record(tmp_path, files={"a.csv": [10, 1]})
    predicted(tmp_path, "a-00000.parquet", "a-00001.parquet")
    [problem, _] = problems_of(tmp_path, ASKS, {"a-00000.csv": [5, 5]})
    assert problem.startswith("a-00000.parquet: was not predicted here")


def test_an_output_of_something_else_is_refused_with_what_differs(tmp_path):
    record(tmp_path)
    predicted(tmp_path, "b.parquet")
    assert problems_of(tmp_path, {"ensemble": "def", "columns": ["文"]}) == [
        'ensemble: it was begun with "abc", found "def"',
        'columns: it was begun with null, found ["文"]',
    ]


def test_what_was_asked_in_vain_keeps_nobody_from_asking_anew(tmp_path):
    record(tmp_path, {"ensemble": "abc", "columns": ["content"]})
    record(tmp_path)
    predicted(tmp_path, "a.parquet")
    record(tmp_path)


def test_a_mark_that_was_left_behind_is_none_of_what_comes_later(tmp_path):
    """Somebody removed the predictions and not the marks; the next run was killed after as many pieces."""
    first = record(tmp_path)
    predicted(tmp_path, "a.parquet")
    first.finish("a", {"rows": 5, "pieces": 1})
    assert record(tmp_path).done("a") == {"rows": 5, "pieces": 1}
    (tmp_path / "a.parquet").unlink()
    for asked, files in ((ASKS, {"a.csv": [99, 9]}), ({**ASKS, "ensemble": "def"}, FILES)):
        record(tmp_path, asked, files)
        predicted(tmp_path, "a-00000.parquet")
        assert record(tmp_path, asked, files).done("a") is None
        (tmp_path / "a-00000.parquet").unlink()


@pytest.mark.parametrize(("first", "later"), [("a.csv", "a-00001.csv"), ("a-00001.csv", "a.csv")])
def test_a_file_named_as_a_piece_of_another_is_refused_though_it_comes_later(tmp_path, first, later):
    record(tmp_path, files={first: [10, 1]})
    predicted(tmp_path, "a-00000.parquet" if first == "a.csv" else "a-00001.parquet")
    assert "a-00001.csv: its predictions would pass for a piece of those of a.csv; rename it" in problems_of(
        tmp_path, ASKS, {later: [5, 5]}
    )


def test_files_may_come_later(tmp_path):
    record(tmp_path, files={"a.csv": [10, 1]})
    predicted(tmp_path, "a.parquet")
    record(tmp_path, files={"b.jsonl": [20, 2]})
    predicted(tmp_path, "b.parquet")
    record(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"files": 3}'])
def test_a_damaged_mark_is_told(tmp_path, content):
    first = record(tmp_path)
    predicted(tmp_path, "a.parquet")
    (tmp_path / mark_of("a")).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"_a\.done\.json"):
        first = record(tmp_path)
        first.done("a")
    (tmp_path / ASKED).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"_asked\.json"):
        record(tmp_path)
