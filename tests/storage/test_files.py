"""What files hold, and how they come to be."""

import hashlib
import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytrain.storage.files import (
    UNFINISHED,
    hash_file,
    is_inside,
    json_bytes,
    parquet_bytes,
    read_parquet,
    sha256,
    whole_or_not,
)

characters = st.characters(exclude_categories=["Cs"])

# ── hashes ─────────────────────────────────────────────────────────────────────────────────────────


def test_sha256_is_the_known_one():
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@settings(max_examples=20)
@given(st.binary(max_size=100), st.sampled_from([1, 5000]))
def test_a_files_hash_is_that_of_its_content(tmp_path_factory, part, count):
    path = tmp_path_factory.mktemp("hash") / "文件"
    path.write_bytes(part * count)
    assert hash_file(path) == sha256(part * count) == hashlib.sha256(part * count).hexdigest()


def test_a_file_that_is_not_there_has_no_hash(tmp_path):
    with pytest.raises(FileNotFoundError):
        hash_file(tmp_path / "absent")


# ── names ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("a", True),
        ("a/b.txt", True),
        ("a/..b/c...", True),
        (".hidden", True),
        ("", False),
        ("/a", False),
        ("..", False),
        ("../a", False),
        ("a/../b", False),
        ("a/..", False),
        ("a\\..\\b", False),
        ("C:\\a", False),
    ],
)
def test_a_name_stays_inside_or_does_not(name, inside):
    assert is_inside(name) == inside


@pytest.mark.parametrize("name", ["a\0b", "\0", "a\ud800", "x/\udfff.txt"])
def test_a_name_that_no_file_can_have_is_nowhere_inside(name):
    assert not is_inside(name)


@given(st.text(st.sampled_from("ab./\\"), max_size=8))
def test_what_is_called_inside_never_leads_out(name):
    if is_inside(name):
        depth, root = 0, Path("/root")
        for part in (root / name).parts[len(root.parts) :]:
            depth += -1 if part == ".." else 1
            assert depth > 0
        assert (root / name).is_relative_to(root)


# ── JSON ───────────────────────────────────────────────────────────────────────────────────────────


def test_json_is_strict_and_keeps_characters():
    data = json_bytes({"分数": [math.nan, (1.5, math.inf)], "n": -math.inf})
    assert json.loads(data) == {"分数": [None, [1.5, None]], "n": None}
    assert "分数" in data.decode()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text("键ab"), children, max_size=3),
    max_leaves=10,
)


@given(json_values)
def test_json_without_nan_round_trips(value):
    assert json.loads(json_bytes(value)) == value


@given(json_values)
def test_json_of_one_line_has_one_line_end(value):
    data = json_bytes(value, indent=None)
    assert data.count(b"\n") == 1 and data.endswith(b"\n")
    assert json.loads(data) == value


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, Path("a")])
def test_what_json_has_no_form_for_is_refused(value):
    with pytest.raises(TypeError):
        json_bytes({"a": [value]})


# ── Parquet ────────────────────────────────────────────────────────────────────────────────────────

columns = st.fixed_dictionaries(
    {
        "文本": st.none() | st.text(characters, max_size=5),
        "row": st.integers(-(2**63), 2**63 - 1),
        "emissions": st.none() | st.lists(st.floats(width=32, allow_nan=False), max_size=3),
    }
)


@settings(max_examples=50)
@given(st.lists(columns, max_size=5), st.dictionaries(st.text(characters, min_size=1), st.text(characters)))
def test_a_table_comes_back_with_its_types_and_metadata(rows, metadata):
    schema = pa.schema(
        {"文本": pa.string(), "row": pa.int64(), "emissions": pa.large_list(pa.float32())}, metadata=metadata
    )
    table = pa.Table.from_pylist(rows, schema)
    found = read_parquet(parquet_bytes(table))
    assert found.equals(table)
    assert (found.schema.metadata or {}) == {key.encode(): value.encode() for key, value in metadata.items()}


@pytest.mark.parametrize("data", [b"", b"no parquet", parquet_bytes(pa.table({"a": [1]}))[:-9]])
def test_what_is_no_parquet_is_refused(data):
    with pytest.raises(pa.ArrowInvalid):
        read_parquet(data)


# ── whole or not ───────────────────────────────────────────────────────────────────────────────────


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_under_its_name_when_the_block_ends(tmp_path):
    with whole_or_not(tmp_path / "a.csv") as place:
        assert place.parent == tmp_path and place.suffix == ".csv" and UNFINISHED in place.name
        place.write_text("内容", encoding="utf-8")
        assert not (tmp_path / "a.csv").exists()
    assert names_in(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "内容"


def test_a_directory_appears_with_all_that_is_in_it(tmp_path):
    with whole_or_not(tmp_path / "saved") as place:
        (place / "deep").mkdir(parents=True)
        (place / "deep" / "a").write_text("1")
        assert names_in(tmp_path) == [place.name]
    assert names_in(tmp_path) == ["saved"]
    assert (tmp_path / "saved" / "deep" / "a").read_text() == "1"


def test_a_file_that_is_there_is_the_old_one_to_the_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    with whole_or_not(str(path)) as place:
        place.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and names_in(tmp_path) == ["a.csv"]


def make_file(place):
    place.write_text("half")


def make_directory(place):
    (place / "deep").mkdir(parents=True)
    (place / "deep" / "a").write_text("half")


def make_nothing(place):
    pass


@pytest.mark.parametrize("make", [make_file, make_directory, make_nothing])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, make, error):
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), whole_or_not(tmp_path / "a") as place:
        make(place)
        raise error
    assert names_in(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


def test_a_block_that_fails_where_nothing_was_leaves_nothing(tmp_path):
    with pytest.raises(ValueError), whole_or_not(tmp_path / "a") as place:
        place.write_text("half")
        raise ValueError
    assert names_in(tmp_path) == []


def test_a_block_that_writes_nothing_is_told(tmp_path):
    with pytest.raises(FileNotFoundError), whole_or_not(tmp_path / "a"):
        pass
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("make", [make_file, make_directory])
def test_a_directory_that_is_there_is_never_replaced(tmp_path, make):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "a").write_text("old")
    with pytest.raises(OSError), whole_or_not(tmp_path / "saved") as place:
        make(place)
    assert names_in(tmp_path) == ["saved"] and names_in(tmp_path / "saved") == ["a"]


def test_two_that_write_at_once_do_not_meet(tmp_path):
    with whole_or_not(tmp_path / "a") as one, whole_or_not(tmp_path / "a") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "a").read_text() == "one"  # which ended last
    assert names_in(tmp_path) == ["a"]
