import tempfile
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import write_csv

from raytrain.bulk.pieces import Asked, cut_file, output_name, tables_of
from raytrain.errors import CorpusError
from raytrain.files.reading import AS_FOUND
from raytrain.storage.directory import Directory


def ensemble(chunk=3):
    """As much of an artifact as is read: its columns, and windows that make chunks of so many texts."""
    data = SimpleNamespace(text_columns=["text"], id="id")
    encoder = SimpleNamespace(windows=4096 // chunk)
    return SimpleNamespace(manifest=SimpleNamespace(config=SimpleNamespace(data=data, encoder=encoder)))


def asked_of(folder, piece_rows):
    output = Directory(Path(folder) / "out")
    where = Directory(folder)
    return Asked("ensemble", "digest", where, output, ".csv", None, None, None, AS_FOUND, piece_rows)


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 7))
def test_pieces_hold_every_row_once_and_the_chunks_as_they_were(num_rows, piece_rows, chunk):
    rows = [{"id": f"r{number}", "text": f"第{number}条"} for number in range(num_rows)]
    with tempfile.TemporaryDirectory() as folder:
        write_csv(Path(folder) / "a.csv", rows)
        pieces = [
            piece.to_pylist()[0] for piece in cut_file(asked_of(folder, piece_rows), ensemble(chunk), "a.csv")
        ]
    tables = [table for piece in pieces for table in tables_of(piece["data"])]
    assert pa.concat_tables(tables).select(["id", "text"]).to_pylist() == rows
    size = min(4096 // (4096 // chunk), piece_rows)
    assert [table.num_rows for table in tables] == [
        min(size, num_rows - start) for start in range(0, num_rows, size)
    ]
    assert [piece["piece"] for piece in pieces] == list(range(len(pieces)))
    assert [piece["is_last"] for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert sum(piece["rows"] for piece in pieces) == num_rows
    assert all(piece["rows"] <= piece_rows for piece in pieces)
    alone = len(pieces) == 1
    assert [piece["output"] for piece in pieces] == [
        output_name("a", number, alone, ".csv") for number in range(len(pieces))
    ]


def test_a_piece_that_is_predicted_already_carries_no_texts(tmp_path):
    write_csv(tmp_path / "a.csv", [{"id": str(number), "text": "一"} for number in range(9)])
    asked = asked_of(tmp_path, 3)
    asked.output.write_bytes("a-00001.csv", b"done")
    pieces = [piece.to_pylist()[0] for piece in cut_file(asked, ensemble(), "a.csv")]
    assert [bool(piece["data"]) for piece in pieces] == [True, False, True]
    assert [piece["rows"] for piece in pieces] == [3, 3, 3]


def test_empty_texts_are_counted_and_how_a_file_was_read_is_told_once(tmp_path):
    rows = "".join(f"{number},{text}\n" for number, text in enumerate(["停水了", " ", "", "明天不开门"]))
    (tmp_path / "a.csv").write_bytes(f"id,text\n{rows}".encode("gb18030"))
    pieces = [piece.to_pylist()[0] for piece in cut_file(asked_of(tmp_path, 3), ensemble(), "a.csv")]
    assert [piece["num_empty"] for piece in pieces] == [2, 0]
    [line] = pieces[0]["told"]
    assert "GB18030" in line.upper() and pieces[1]["told"] == []


def test_what_is_wrong_in_a_file_is_told(tmp_path):
    write_csv(tmp_path / "a.csv", [{"id": "1", "文": "一"}])
    with pytest.raises(CorpusError, match="text"):
        list(cut_file(asked_of(tmp_path, 3), ensemble(), "a.csv"))
