import csv
import signal

import pytest
from tiny_run import make_rows, write_csv

from raytrain.commands.program import main

HEADER = ["word", "count", "texts", "count_a", "count_b", "association", "tells", "keep", "class"]


@pytest.fixture(autouse=True)
def sigterm():
    """Gives this process its signal handler back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where files are named without their folder."""
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "texts.csv", make_rows(60))
    (tmp_path / "bad.txt").write_text("停水\n停水 三 n\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """Pictures are not drawn, for that searches the fonts of the machine; their paths."""
    paths = []
    monkeypatch.setattr("raytrain.keywords.report.draw_candidates", lambda _, path: paths.append(path))
    return paths


def run(*arguments):
    """As the user: a usage error leaves the parser as SystemExit."""
    try:
        return main(["keywords", *arguments])
    except SystemExit as error:
        return error.code


def read_rows(path):
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_keywords_go_from_texts_to_a_file_to_mark(folder, drawn, capsys):
    assert run("--input", "texts.csv", "--output", "out.csv", "--min-count", "1") == 0
    said = capsys.readouterr().out
    assert "texts.csv: 60 texts, labels: a, b" in said and "words.keywords=out.csv" in said
    rows = read_rows(folder / "out.csv")
    assert list(rows[0]) == HEADER and f"out.csv: {len(rows)} words\n" in said
    assert drawn == ["out.png"] and "out.png: the most telling words" in said


def test_marks_are_kept_and_several_files_count_side_by_side(folder, drawn, capsys):
    write_csv(folder / "test.csv", [{"text": row["text"]} for row in make_rows(10, seed=1)])
    given = ["--input", "texts.csv", "--input", "test.csv", "--output", "out.csv", "--min-count", "1"]
    assert run(*given) == 0
    rows = read_rows(folder / "out.csv")
    rows[0] |= {"keep": "x", "class": "b"}
    write_csv(folder / "out.csv", rows)
    capsys.readouterr()
    assert run(*given, "--picture", "words.svg") == 0
    said = capsys.readouterr().out
    assert "test.csv: 10 texts, labels: none" in said
    assert "the marks of the earlier file at 1 word are kept" in said
    assert {"in_texts", "in_test"} <= rows[0].keys()
    assert [row for row in read_rows(folder / "out.csv") if row["keep"]] == [rows[0]]
    assert drawn == ["out.png", "words.svg"]


def test_how_texts_are_read_may_be_said_and_is_told(folder, drawn, capsys):
    lines = [f"{row['text']}\t{'AaBb'[n % 4]}" for n, row in enumerate(make_rows(40))]
    (folder / "tabs.txt").write_text("\n".join(lines), "gb18030")
    given = ["--input", "tabs.txt", "--output", "out.csv", "--columns", "text,label"]
    assert run(*given) == 2 and "--merge-labels" in capsys.readouterr().err
    assert run(*given, "--merge-labels") == 0
    said = capsys.readouterr().out
    assert "40 texts, labels: A, B" in said and "read as GB18030" in said and "--encoding NAME" in said
    assert "also spelt 'a'" in said
    assert (
        run(*given, "--merge-labels", "--encoding", "gbk") == 0 and "read as" not in capsys.readouterr().out
    )


def test_rare_words_are_left_out(folder, drawn):
    for count, name in (("1", "all.csv"), ("4", "some.csv")):
        assert run("--input", "texts.csv", "--output", name, "--min-count", count) == 0
    every, some = read_rows(folder / "all.csv"), read_rows(folder / "some.csv")
    assert 0 < len(some) < len(every)
    assert {row["word"] for row in some} == {row["word"] for row in every if int(row["count"]) >= 4}


def test_why_there_is_no_picture_is_said(folder, monkeypatch, capsys):
    monkeypatch.setattr("raytrain.keywords.report.draw_candidates", lambda *_: "no font")
    assert run("--input", "texts.csv", "--output", "out.csv") == 0
    assert "out.png: not drawn: no font" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "nowhere.csv"], "nowhere.csv"),
        (["--column", "txet"], "did you mean 'text'?"),
        (["--label", "class"], "--label: expected a file with the column 'class'"),
        (["--drop", "bad_mood"], "--drop"),
        (["--pos", "名词"], "expected jieba's tags"),
        (["--user-dict", "bad.txt"], "line 2: expected `word [frequency] [tag]`"),
        (["--user-dict", "nowhere.txt"], "nowhere.txt"),
        (["--picture", "a.pdf"], ".png or .svg"),
        (["--output", "a.xlsx"], "ends in .csv"),
        (["--output", "nowhere/a.csv"], "does not exist"),
        (["--min-count", "0"], "--min-count: expected at least 1"),
        (["--workers", "-1"], "--workers: expected at least 1"),
        (["--workers", "many"], "--workers"),
    ],
)
def test_keywords_input_error_exits_2_with_one_message(folder, capsys, arguments, message):
    assert run("--input", "texts.csv", "--output", "out.csv", *arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
    assert not (folder / "out.csv").exists()


def test_a_file_that_is_none_of_ours_is_refused_before_anything_is_counted(folder, capsys):
    (folder / "out.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    assert run("--input", "texts.csv", "--output", "out.csv") == 2
    assert "texts, labels" not in capsys.readouterr().out
    assert (folder / "out.csv").read_text(encoding="utf-8") == "a,b\n1,2\n"


@pytest.mark.parametrize("missing", ["--input", "--output"])
def test_input_and_output_are_asked_for(folder, capsys, missing):
    given = {"--input": "texts.csv", "--output": "out.csv"}
    del given[missing]
    assert run(*next(iter(given.items()))) == 2
    assert f"required: {missing}" in capsys.readouterr().err


def test_what_is_advised_is_an_option_of_this_command(folder, drawn, capsys):
    (folder / "blank.csv").write_text("text,label\n好,1\n坏,0\n,0\n", encoding="utf-8")
    assert run("--input", "blank.csv", "--output", "out.csv") == 2
    said = capsys.readouterr().err
    assert "with --drop empty_text" in said and "data.drop" not in said
    assert run("--input", "blank.csv", "--drop", "empty_text", "--output", "out.csv") == 0
    assert "no word is in 2 texts or more; --min-count 1 lists all" in capsys.readouterr().out
    assert run("--input", "texts.csv", "--user-dict", "absent.txt", "--output", "out.csv") == 2
    said = capsys.readouterr().err
    assert "--user-dict: cannot read absent.txt" in said and "words.user_dict" not in said
