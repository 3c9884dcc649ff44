import csv
import signal

import pytest
from tiny_run import make_rows, write_csv

from raytrain.commands.program import main

GIVEN = ["--encoder", "mini", "--input", "a.csv", "--output", "groups.csv"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, float32_again):
    before = signal.getsignal(signal.SIGTERM)
    write_csv(tmp_path / "a.csv", make_rows(60))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def run(*arguments):
    try:
        return main(["group", *arguments])
    except SystemExit as error:
        return error.code


def test_a_file_gets_its_groups_a_table_a_page_and_a_picture(folder, capsys):
    assert run(*GIVEN, "--groups", "2", "--id", "id", "--maxlen", "32") == 0
    with (folder / "groups.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == [f"row-{number}" for number in range(60)]
    assert {row["group"] for row in rows} == {"0", "1"}
    said = capsys.readouterr().out
    assert "groups.csv: 60 texts; groups.table.csv, groups.html: 2 groups" in said
    assert (folder / "groups.html").exists()
    assert (folder / "groups.png").exists() or "no groups.png: no font" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--output", "groups.parquet"], "ends in .csv"),
        (["--output", "a.csv"], "expected another file than the input"),
        (["--groups", "1"], "at least 2"),
        (["--groups", "3", "--method", "hdbscan"], "finds how many there are"),
        (["--least-size", "9"], "of --method hdbscan alone"),
        (["--ensemble", "x"], "not allowed with argument --encoder"),
        (["--column", "文"], "expected a column of this name"),
        (["--input", "absent.csv"], "absent.csv"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_grouped(folder, arguments, told, capsys):
    assert run(*GIVEN, *arguments) == 2
    assert told in capsys.readouterr().err and not (folder / "groups.csv").exists()


def test_more_groups_than_texts_that_differ_are_refused(folder, capsys):
    assert run(*GIVEN, "--groups", "61", "--maxlen", "32") == 2
    assert "cannot be grouped" in capsys.readouterr().err
