import signal

import pytest
from tiny_run import make_rows, write_csv

from raytrain.commands.program import main
from raytrain.ensemble.files import PredictedRows
from raytrain.files.reading import Reading

GIVEN = ["--ensemble", "runs/mine/ensemble", "--input", "posts.csv", "--output", "out.csv"]


@pytest.fixture(autouse=True)
def sigterm():
    """Gives this process its signal handler back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def asked(monkeypatch):
    """Predicts nothing: says of 1,200 rows that some have no text; what it was asked, call by call."""
    calls = []

    def predict_file(*arguments):
        calls.append(arguments)
        yield PredictedRows(0, 1200, predict_file.num_empty)
        yield PredictedRows(1200, 1200, predict_file.num_empty, 1002)

    predict_file.num_empty = 0
    monkeypatch.setattr("raytrain.ensemble.files.predict_file", predict_file)
    predict_file.calls = calls
    return predict_file


def run(*arguments):
    try:
        return main(["predict", *arguments])
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize(
    ("arguments", "columns", "id", "batch_size", "reject"),
    [
        ([], None, None, None, None),
        (["--column", "微博"], ["微博"], None, None, None),
        (["--column", "a", "--column", "b", "--id", "编号"], ["a", "b"], "编号", None, None),
        (["--batch-size", "1", "--reject", "0.6"], None, None, 1, 0.6),
    ],
)
def test_a_file_is_predicted_as_asked(asked, arguments, columns, id, batch_size, reject):
    assert run(*GIVEN, *arguments) == 0
    given = ("runs/mine/ensemble", "posts.csv", "out.csv", columns, id, batch_size, reject)
    assert asked.calls == [(*given, Reading(by_flags=True))]


def test_how_the_input_is_read_may_be_said(asked):
    assert run(*GIVEN, "--encoding", "big5", "--quoting", "none", "--columns", "text,label") == 0
    assert asked.calls[0][-1] == Reading("big5", "none", ("text", "label"), by_flags=True)


def test_how_the_input_was_read_is_told_before_anything_is_predicted(asked, monkeypatch, capsys):
    def predict_file(*_):
        yield PredictedRows(0, 2, told=("read as Big5",))
        assert capsys.readouterr().out == "posts.csv: read as Big5\n"
        yield PredictedRows(2, 2, told=("read as Big5",))

    monkeypatch.setattr("raytrain.ensemble.files.predict_file", predict_file)
    assert run(*GIVEN) == 0
    assert capsys.readouterr().out == "out.csv: 2 rows\n"


@pytest.mark.parametrize(
    "wrong", [["--encoding", "big6"], ["--encoding", "hex"], ["--quoting", "x"], ["--columns", "text,text"]]
)
def test_a_wrong_way_of_reading_is_a_usage_error(asked, wrong, capsys):
    assert run(*GIVEN, *wrong) == 2
    assert wrong[0] in capsys.readouterr().err and not asked.calls


@pytest.mark.parametrize(
    ("num_empty", "said"),
    [(0, "out.csv: 1,200 rows\n"), (1001, "out.csv: 1,200 rows, 1,001 of them with an empty text\n")],
)
def test_what_was_written_is_said_and_nothing_else_on_standard_output(asked, capsys, num_empty, said):
    asked.num_empty = num_empty
    assert run(*GIVEN) == 0
    assert capsys.readouterr().out == said


def test_how_many_rows_are_left_to_a_person_is_said(asked, capsys):
    assert run(*GIVEN, "--reject", "0.9") == 0
    assert capsys.readouterr().out == "out.csv: 1,200 rows; left to a person: 1,002\n"


@pytest.mark.parametrize("reject", ["0", "-0.1", "1.5", "nan", "half"])
def test_what_is_rejected_below_is_a_probability(asked, capsys, reject):
    assert run(*GIVEN, "--reject", reject) == 2
    assert "--reject" in capsys.readouterr().err and asked.calls == []


@pytest.mark.parametrize("size", ["0", "-3", "many", "1.5"])
def test_a_batch_has_at_least_a_text(asked, capsys, size):
    assert run(*GIVEN, "--batch-size", size) == 2
    assert "--batch-size" in capsys.readouterr().err and asked.calls == []


@pytest.mark.parametrize("missing", ["--ensemble", "--input", "--output"])
def test_what_is_missing_is_asked_for(asked, capsys, missing):
    place = GIVEN.index(missing)
    assert run(*GIVEN[:place], *GIVEN[place + 2 :]) == 2
    assert f"required: {missing}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda folder: (folder / "ensemble").mkdir(), "manifest.json"),
    ],
)
def test_an_ensemble_that_is_none_exits_2_and_writes_nothing(tmp_path, capsys, make, message):
    texts, output = write_csv(tmp_path / "texts.csv", make_rows(2)), tmp_path / "out.csv"
    make(tmp_path)
    assert run("--ensemble", str(tmp_path), "--input", str(texts), "--output", str(output)) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said
    assert not output.exists()


def test_an_output_in_no_folder_is_told(tmp_path, capsys):
    assert (
        run("--ensemble", str(tmp_path), "--input", "x.csv", "--output", str(tmp_path / "no" / "a.csv")) == 2
    )
    assert "folder does not exist" in capsys.readouterr().err


ON_CLUSTER = ["--cluster", "--ensemble", "runs/mine/ensemble", "--input", "posts", "--output", "out"]


def test_a_directory_is_predicted_on_the_cluster_as_asked(monkeypatch, capsys):
    from raytrain.bulk import driver, predict

    calls = []
    monkeypatch.setattr(predict, "ask", lambda *given: (calls.append(given), ("asked", ["a.csv"]))[1])
    predicted = driver.Predicted(files=1, kept=2, rows=1200, rows_now=400, num_rejected=7)
    monkeypatch.setattr(
        predict, "predict_all", lambda asked, names, workers, stages: (calls.append(workers), predicted)[1]
    )
    assert run(*ON_CLUSTER, "--format", "csv", "--column", "微博", "--gpus", "0.5", "--reject", "0.6") == 0
    given = ("runs/mine/ensemble", "posts", "out", ".csv", ("微博",), None, 0.6, Reading(by_flags=True))
    assert calls == [given, driver.Workers(None, 1.0, 0.5)]
    said = capsys.readouterr().out
    assert said == "out: 1,200 rows of 3 files, 2 of them before; left to a person: 7 of 400 predicted now\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*GIVEN, "--replicas", "2"], "--replicas: of --cluster alone"),
        ([*ON_CLUSTER, "--cpus", "0"], "--cpus: expected a number above 0"),
        ([*ON_CLUSTER, "--gpus", "-1"], "--gpus: expected a number above 0"),
        ([*ON_CLUSTER, "--batch-size", "8"], "not with --cluster"),
        ([*ON_CLUSTER, "--format", "xlsx"], "invalid choice"),
        (ON_CLUSTER, "posts: expected files of texts"),
    ],
)
def test_what_does_not_fit_a_cluster_is_told(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert told in capsys.readouterr().err
