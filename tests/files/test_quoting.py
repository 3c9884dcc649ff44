import csv
from pathlib import Path

import pytest

from raytrain.files.tables import iter_rows

SWALLOW = Path(__file__).parents[3] / "shared/cases/05-tsv-leading-quotes/swallow.tsv"


def read(path, text, columns=("text", "label")):
    path.write_bytes(text.encode())
    problems = []
    return [(row, tuple(values.values())) for row, values in iter_rows(path, columns, problems)], problems


def test_a_tsv_without_quoting_keeps_its_quotes_and_its_rows(tmp_path):
    text = 'text\tlabel\n干净\t1\n"清晰，值得买\t1\n奇怪\t0\n推荐"\t1\n"甲"乙\t0\n'
    rows, problems = read(tmp_path / "a.tsv", text)
    assert problems == []
    assert rows == [
        (2, ("干净", "1")),
        (3, ('"清晰，值得买', "1")),
        (4, ("奇怪", "0")),
        (5, ('推荐"', "1")),
        (6, ('"甲"乙', "0")),
    ]


def test_a_tsv_with_one_unclosed_quote_keeps_it(tmp_path):
    rows, problems = read(tmp_path / "a.tsv", 'text\tlabel\n"清晰\t1\n奇怪\t0\n')
    assert (rows, problems) == ([(2, ('"清晰', "1")), (3, ("奇怪", "0"))], [])


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_fields_over_several_lines_in_proper_quotes_are_read(tmp_path, suffix, delimiter):
    rows = [("text", "label"), ("甲\n乙", "1"), (f'丙{delimiter}"丁"', "0"), ("戊\r\n\r\n己", "1")]
    path = tmp_path / f"a{suffix}"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)
    problems = []
    found = [tuple(values.values()) for _, values in iter_rows(path, ("text", "label"), problems)]
    assert (found, problems) == (rows[1:], [])


def test_a_text_whose_lines_hold_separators_is_no_suspect(tmp_path):
    rows, problems = read(tmp_path / "a.csv", 'label,text\n1,"甲\n乙,丙"\n0,丁\n')
    assert (rows, problems) == ([(2, ("甲\n乙,丙", "1")), (4, ("丁", "0"))], [])


def test_a_csv_whose_quotes_swallow_rows_is_refused_with_their_lines(tmp_path):
    _, problems = read(tmp_path / "a.csv", 'text,label\n干净,1\n"清晰,1\n奇怪,0\n推荐",1\n很差,0\n')
    assert [(problem.kind, problem.row) for problem in problems] == [("quoting", 3)]
    assert "down to row 5" in problems[0].message


def test_one_column_says_nothing_of_quotes(tmp_path):
    text = 'text\n"甲\n乙"\n丙\n'
    assert read(tmp_path / "a.csv", text, ["text"]) == ([(2, ("甲\n乙",)), (4, ("丙",))], [])
    _, problems = read(tmp_path / "a.tsv", text, ["text"])
    assert [(problem.kind, problem.row) for problem in problems] == [("quoting", 2)]


@pytest.mark.skipif(not SWALLOW.exists(), reason="no shared cases")
def test_a_published_case():
    problems = []
    rows = list(iter_rows(SWALLOW, ("text", "label"), problems))
    num_lines = len(SWALLOW.read_text(encoding="utf-8").splitlines())
    assert (len(rows), problems) == (num_lines - 1, [])
