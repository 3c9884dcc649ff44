import csv
import tracemalloc
from pathlib import Path

import pytest

from raytrain.files.encodings import SHOWN_LINES
from raytrain.files.quoting import has_quoting
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


def test_a_tsv_that_swallows_a_blank_line_keeps_its_quotes_and_its_rows(tmp_path):
    text = 'text\tlabel\n甲甲\t0\n乙乙\t1\n"丙\t0\n\n丁"\t1\n戊\t0\n'
    rows, problems = read(tmp_path / "a.tsv", text)
    assert problems == []
    assert [row for _, row in rows] == [("甲甲", "0"), ("乙乙", "1"), ('"丙', "0"), ('丁"', "1"), ("戊", "0")]


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".tsv", "\t")])
@pytest.mark.parametrize("inside", ["", "戊,1,x\n", "戊,1,x\n\n庚\n", "\n戊,1\n"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_swallowed_rows_are_refused_whatever_lies_among_them(tmp_path, suffix, delimiter, inside, line_end):
    text = f'"text",label\n甲甲,0\n乙乙,1\n"丙,0\n{inside}丁",1\n戊,0\n'
    text = text.replace(",", delimiter).replace("\n", line_end)
    _, problems = read(tmp_path / f"a{suffix}", text)
    assert [(problem.kind, problem.row) for problem in problems] == [("quoting", 4)]
    assert f"down to row {5 + inside.count(chr(10))};" in problems[0].message


def test_rows_are_swallowed_whether_or_not_others_have_their_labels(tmp_path):
    text = 'title,text,label\na,甲甲,x\nb,"乙,z\nc,丙,w\nd,丁",y\ne,戊,y\nf,g,x\n'
    _, problems = read(tmp_path / "a.csv", text)
    assert [(problem.kind, problem.row) for problem in problems] == [("quoting", 3)]
    _, problems = read(tmp_path / "a.csv", 'label,text\n0,"甲\n1,乙\n0,丙"\n')
    assert [(problem.kind, problem.row) for problem in problems] == [("quoting", 2)]


@pytest.mark.parametrize(
    "review",
    [
        "很好,推荐\n下次还来",
        "很好\n服务,环境都好",
        "很好,推荐\n服务,满意\n下次还来",
        "很好,推荐\n\n房间,干净,明亮\n\n下次还来",
        "优点,多\n缺点,少\n价格,5\n总之,好",
        "很好\n",
        "\n很好,推荐\n",
    ],
)
@pytest.mark.parametrize("header", [("text", "label"), ("label", "text"), ("id", "text", "label")])
@pytest.mark.parametrize("labels", [("0", "1"), ("正面", "负面")])
def test_sound_reviews_over_lines_are_read_wherever_they_hold_separators(tmp_path, review, header, labels):
    texts = [review, *(f"第{number}条,不错" for number in range(40))]
    rows = [
        {"id": f"a{number}", "text": text, "label": labels[number % 2]} for number, text in enumerate(texts)
    ]
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *([row[name] for name in header] for row in rows)])
    problems = []
    found = [values["text"] for _, values in iter_rows(path, ("text",), problems)]
    assert (found, problems) == (texts, [])


def test_a_text_that_ends_a_line_as_other_rows_do_is_read(tmp_path):
    """A line in it that cannot be a row speaks for a text where quotes are proper elsewhere."""
    body = "".join(f'"这家店{number},味道不错",{"好差"[number % 2]}\n' for number in range(300))
    rows, problems = read(tmp_path / "a.csv", f'text,label\n{body}"服务态度,差\n太贵了\n总之不推荐",差\n')
    assert problems == [] and rows[-1] == (302, ("服务态度,差\n太贵了\n总之不推荐", "差"))


@pytest.mark.parametrize(
    ("text", "num_rows"),
    [
        ('text,label\n"味道好,便宜\n环境好,安静\n下次再来",正面\n差,负面\n', 2),
        (
            "text,label\n"
            + "".join(f"问题{number},回答{number}\n" for number in range(300))
            + '怎么退款,"先申请\n填写单号,原因\n等待审核,退款"\n',
            301,
        ),
    ],
)
def test_texts_whose_every_line_looks_like_a_row_of_two_are_read(tmp_path, text, num_rows):
    rows, problems = read(tmp_path / "a.csv", text)
    assert problems == [] and len(rows) == num_rows


def test_a_tsv_that_swallows_a_row_of_too_many_fields_is_refused(tmp_path):
    text = 'text\tlabel\n甲甲\t0\n乙乙\t1\n"丙\t0\n戊\t1\tx\n丁"\t1\n戊\t0\n'
    _, problems = read(tmp_path / "a.tsv", text)
    assert [(problem.kind, problem.row) for problem in problems] == [("quoting", 4)]


@pytest.mark.parametrize("row", ['"很好,推荐\n下次还来",好', '"很好,推荐\n服务,也好\n再来",好'])
def test_a_sound_review_is_read_in_a_short_file(tmp_path, row):
    """Quotes around separators elsewhere say that those of the longer one are proper, too."""
    rows, problems = read(tmp_path / "a.csv", f'text,label\n干净,坏\n{row}\n"不,好",坏\n')
    assert problems == [] and len(rows) == 3


def test_one_column_says_nothing_of_quotes(tmp_path):
    text = 'text\n"甲\n乙"\n丙\n'
    assert read(tmp_path / "a.csv", text, ["text"]) == ([(2, ("甲\n乙",)), (4, ("丙",))], [])
    _, problems = read(tmp_path / "a.tsv", text, ["text"])
    assert [(problem.kind, problem.row) for problem in problems] == [("quoting", 2)]


@pytest.mark.parametrize(
    ("delimiter", "row"),
    [
        (",", '"很好,推荐\n服务,也好\n再来",好\n'),  # may have swallowed rows
        ("\t", '"好"\t"坏"x\n'),  # cannot be read with quoting
    ],
)
def test_memory_does_not_grow_with_the_rows_that_are_looked_at(delimiter, row):
    def lines_of(num_rows):
        yield f"text{delimiter}label\n"
        for _ in range(num_rows):
            yield from row.splitlines(keepends=True)

    peaks = []
    for num_rows in (500, 2000):
        tracemalloc.start()
        has_quoting(lambda num_rows=num_rows: lines_of(num_rows), delimiter, [])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 50 * 1500


def test_of_many_rows_that_swallow_others_the_first_are_shown_and_the_rest_counted(tmp_path):
    text = "text,label\n干净,1\n" + '"清晰,1\n奇怪,0\n推荐",1\n' * (SHOWN_LINES + 5)
    _, problems = read(tmp_path / "a.csv", text)
    assert [problem.row for problem in problems] == [*range(3, 3 + 3 * SHOWN_LINES, 3), None]
    assert problems[-1].message.startswith("5 more rows")


@pytest.mark.skipif(not SWALLOW.exists(), reason="no shared cases")
def test_a_published_case():
    problems = []
    rows = list(iter_rows(SWALLOW, ("text", "label"), problems))
    num_lines = len(SWALLOW.read_text(encoding="utf-8").splitlines())
    assert (len(rows), problems) == (num_lines - 1, [])
