import pytest
from fake_run import write_run

from raytrain.commands.program import main
from raytrain.report import page


def run(*arguments):
    try:
        return main(["report", *arguments])
    except SystemExit as error:
        return error.code


@pytest.fixture
def asked(monkeypatch):
    """Writes nothing; what would have been written."""
    calls = []

    def write(place, output, worst, words, slices, console):
        calls.append((place, worst, words, slices, output))
        return output or f"{place}/report.html"

    monkeypatch.setattr(page, "write_report", write)
    return calls


@pytest.mark.parametrize(
    ("arguments", "options", "output"),
    [
        ([], (20, True, []), None),
        (["--no-words", "--worst", "3"], (3, False, []), None),
        (["--slice", "a", "--slice", "b", "--output", "x.html"], (20, True, ["a", "b"]), "x.html"),
    ],
)
def test_what_is_asked_for_is_told_and_where_it_lies(asked, capsys, arguments, options, output):
    assert run("runs/[red]mine", *arguments) == 0
    assert asked == [("runs/[red]mine", *options, output)]
    assert capsys.readouterr().out == f"report: {output or 'runs/[red]mine/report.html'}\n"


@pytest.mark.parametrize("count", ["-1", "many", "1000000"])
def test_a_number_of_mistakes_is_bounded(tmp_path, capsys, count):
    assert run(str(tmp_path), "--worst", count) == 2
    assert "--worst: " in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_directory_that_is_no_run_exits_2(tmp_path, capsys):
    assert run(str(tmp_path), "--no-words") == 2
    said = capsys.readouterr().err
    assert "summary.json is not there" in said and "Traceback" not in said


def test_a_column_that_is_not_there_exits_2(tmp_path, capsys):
    assert run(str(write_run(tmp_path)), "--no-words", "--slice", "sauce") == 2
    assert "--slice sauce: expected a column" in capsys.readouterr().err


def test_a_report_is_written(tmp_path, capsys):
    place = write_run(tmp_path)
    assert run(str(place), "--no-words") == 0
    assert "Calibration" in (place / "report.html").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == f"report: {place}/report.html"
