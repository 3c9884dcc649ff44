import json

import pytest
from fake_run import change_summary, write_run
from tiny_run import silent_stages

from raytrain.files.separated import FIELD_LIMIT
from raytrain.report.facts import read_facts
from raytrain.report.rows import MOST_COLUMNS, MOST_SUSPECTS, read_suspects, rows_section
from raytrain.storage.directory import Directory


def section_of(run):
    return rows_section(read_facts(Directory(run), silent_stages()))


def plain(run):
    """Without near-duplicates and dropped rows."""
    change_summary(run, duplicates=None)
    path = run / "corpus.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"dropped": {}}), "utf-8")
    return run


def test_duplicates_and_dropped_rows_are_told(tmp_path):
    told = section_of(write_run(tmp_path))
    assert "4 rows are near-duplicates of others, in 2 groups; each group lies in one fold" in told
    assert "Of 1 group the texts are nearly the same" in told and "empty text" in told
    assert "may be wrong" not in told


def test_where_there_is_nothing_to_say_nothing_is_said(tmp_path):
    assert section_of(plain(write_run(tmp_path))) is None


def test_suspects_are_shown_as_text(tmp_path):
    run = plain(write_run(tmp_path))
    (run / "suspects.csv").write_text("\ufeffid,text\n1,<b>x\n", encoding="utf-8")
    told = section_of(run)
    assert "&lt;b&gt;x" in told and "Labels that may be wrong" in told


def test_suspects_without_rows_are_not_shown(tmp_path):
    run = plain(write_run(tmp_path))
    (run / "suspects.csv").write_text("id,text\n", encoding="utf-8")
    assert section_of(run) is None


def test_a_file_that_is_no_csv_is_not_shown(tmp_path):
    run = plain(write_run(tmp_path))
    (run / "suspects.csv").write_text(f"id,text\n1,{'x' * (FIELD_LIMIT + 1)}\n", encoding="utf-8")
    assert section_of(run) is None


def test_the_first_rows_and_columns_are_read_whatever_the_file_holds():
    lines = [",".join(str(column) for column in range(30))] * 40
    header, rows = read_suspects("\n".join(lines).encode())
    assert len(header) == MOST_COLUMNS and len(rows) == MOST_SUSPECTS
    assert all(len(row) == MOST_COLUMNS for row in rows)
    assert read_suspects(b"") == ([], [])


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-8-sig"])
def test_suspects_are_shown_as_a_spreadsheet_saved_them(tmp_path, encoding):
    run = plain(write_run(tmp_path))
    lines = "id,text,new_label\n1,网传明天停水，快转给家人,0\n2,记者核实不是真的,\n"
    (run / "suspects.csv").write_text(lines, encoding=encoding)
    assert "网传明天停水，快转给家人" in section_of(run)


def test_suspects_whose_encoding_cannot_be_told_are_left_out_with_a_word(tmp_path):
    run = plain(write_run(tmp_path))
    (run / "suspects.csv").write_bytes(b"\xff\xfei\0d\0,")
    assert "suspects.csv is not shown" in section_of(run)


def test_what_is_for_work_in_the_file_is_not_on_the_page(tmp_path):
    run = plain(write_run(tmp_path))
    lines = "id,text,label,proba_label,neighbours,new_label\n1,甲,a,0.01,2 (b),\n"
    (run / "suspects.csv").write_text(lines, encoding="utf-8")
    told = section_of(run)
    assert "甲" in told and "0.01" not in told and "neighbours" not in told and "new_label" not in told


def test_columns_that_a_person_moved_are_shown_as_far_as_they_go(tmp_path):
    run = plain(write_run(tmp_path))
    (run / "suspects.csv").write_text("new_label,id,text\nx\n", encoding="utf-8")
    assert "Labels that may be wrong" in section_of(run)
    (run / "suspects.csv").write_text("new_label\nx\n", encoding="utf-8")
    assert section_of(run) is None


def test_near_duplicates_of_folds_in_time_lie_in_several(tmp_path):
    run = write_run(tmp_path)
    path = run / "config.yaml"
    path.write_text(path.read_text("utf-8").replace("time: null", "time: day"), "utf-8")
    assert "no fold learns from a group that it is judged by" in section_of(run)
