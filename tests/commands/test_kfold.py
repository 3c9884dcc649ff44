import csv
import signal

import pytest
from fake_run import write_run
from tiny_run import make_rows, silent_console, write_csv

from raytrain.commands.kfold import EXAMPLE, tell_ensemble, tell_report
from raytrain.commands.program import main
from raytrain.commands.shared import AS_PROGRAM, AS_SCRIPT
from raytrain.config.load import load_config
from raytrain.corpus.example import NUM_POSTS
from raytrain.report.page import write_report


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder, and the signal handler given back."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def trained(monkeypatch):
    """Trains nothing; the configs that would have been trained."""
    configs = []
    monkeypatch.setattr("raytrain.crossval.driver.train_run", lambda config, console: configs.append(config))
    monkeypatch.setattr("raytrain.commands.kfold.tell_report", lambda config, console: None)
    return configs


@pytest.mark.parametrize("command", ["kfold", "sweep", "pretrain"])
def test_overrides_may_stand_on_both_sides_of_the_config(folder, capsys, command):
    (folder / "my.yaml").write_text("data: {path: absent.csv}\n")
    assert main([command, "seeed=1", "--config", "my.yaml", "nmae=mine"]) == 2
    said = capsys.readouterr().err
    assert "seeed: unknown key" in said and "nmae: unknown key" in said


def run(*arguments):
    try:
        return main(["kfold", *arguments])
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.path=nowhere.csv"], "nowhere.csv"),
        (["data.pth=x.csv"], "did you mean data.path?"),
        (["data.label=y"], "say e.g. data.path=FILE.csv"),
        (["nonsense"], "expected key.path=value"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["data.path=x.csv", "folds.num_folds=1", "train.epochs=0"], "train.epochs"),
        (["--epochs", "3"], "usage: raytrain kfold"),
    ],
)
def test_kfold_input_error_exits_2_with_one_message(capsys, arguments, message):
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_without_data_the_bundled_example_is_written_and_trained(trained, folder):
    assert run("train.epochs=1", "name=mine") == 0
    [config] = trained
    assert config == load_config(EXAMPLE, ["train.epochs=1", "name=mine"])
    with (folder / config.data.path).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert (
        len(rows) == NUM_POSTS
        and {config.data.id, *config.data.text_columns, config.data.label} <= rows[0].keys()
    )


def test_with_data_of_ones_own_nothing_is_written(trained, folder):
    assert run("data.path=mine.csv") == 0
    (folder / "a.yaml").write_text("data: {path: other.csv}\n", encoding="utf-8")
    assert run("--config", "a.yaml", "seed=7") == 0
    assert [(config.data.path, config.seed, config.name) for config in trained] == [
        ("mine.csv", 42, "run"),
        ("other.csv", 7, "run"),
    ]
    assert [path.name for path in folder.iterdir()] == ["a.yaml"]


def test_what_predicts_is_said_at_the_end(trained, capsys):
    assert run("data.path=mine.csv", "name=a", "storage=s3://b/runs/") == 0
    assert capsys.readouterr().out.splitlines() == [
        "ensemble: s3://b/runs/a/ensemble",
        "predict with: raytrain predict --ensemble s3://b/runs/a/ensemble --input FILE --output FILE.csv",
    ]


@pytest.mark.parametrize(
    ("task", "named", "command", "output"),
    [
        ("classify", AS_PROGRAM, "raytrain predict", "FILE.csv"),
        ("tag", AS_SCRIPT, "python jobs/predict.py", "FILE.jsonl"),
    ],
)
def test_the_command_is_that_of_the_task_and_of_the_way_that_was_taken(task, named, command, output):
    console = silent_console()
    tell_ensemble(load_config(data__path="a", task=task, storage="[red]x"), console, named)
    said = console.file.getvalue()
    assert f"predict with: {command} --ensemble '[red]x/run/ensemble'" in said and said.endswith(
        f"{output}\n"
    )


def test_a_corpus_that_cannot_be_used_is_told_whole(folder, capsys):
    rows = make_rows(6)
    rows[1]["text"], rows[3]["label"] = "", ""
    write_csv(folder / "a.csv", rows)
    assert run("data.path=a.csv", "data.id=id", "folds.num_folds=2") == 2
    said = capsys.readouterr().err
    assert "row 3, column text" in said and "row 5, column label" in said


def config_of(run, **values):
    return load_config(data__path="a", storage=str(run.parent), name=run.name, **values)


def test_a_run_ends_with_its_report(tmp_path):
    console, run = silent_console(), write_run(tmp_path)
    tell_report(config_of(run), console)
    assert (run / "report.html").exists() and f"{run}/report.html" in console.file.getvalue()
    assert "raytrain report" in (run / "report.html").read_text(encoding="utf-8")


def test_the_words_are_asked_for_where_the_report_is_to_be_full(tmp_path, monkeypatch):
    options = []
    monkeypatch.setattr(
        "raytrain.report.page.write_report", lambda run, words, console: options.append(words)
    )
    for report in ("full", "plain", "none"):
        tell_report(config_of(tmp_path, report=report), silent_console())
    assert options == [True, False]


def test_a_fuller_report_stays(tmp_path):
    run = write_run(tmp_path)
    write_report(str(run), worst=1, words=False)
    before = (run / "report.html").read_bytes()
    tell_report(config_of(run), silent_console())
    assert (run / "report.html").read_bytes() == before


@pytest.mark.parametrize("damage", ["summary.json", "ensemble/oof.parquet"])
def test_a_run_does_not_fail_for_want_of_a_report(tmp_path, damage):
    console, run = silent_console(), write_run(tmp_path)
    (run / damage).write_bytes(b"nonsense")
    tell_report(config_of(run), console)
    assert "no report was written: " in console.file.getvalue()
    assert not (run / "report.html").exists()
