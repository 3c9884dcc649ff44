import signal

import pytest

from raytrain.commands.program import main
from raytrain.config.load import load_config


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working folder, and the signal handler given back."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def done(monkeypatch):
    """Searches and trains nothing, the best config is of trial 3; what would have been done."""
    calls = []

    def run_sweep(config, console):
        calls.append(("search", config))
        return load_config(None, ["data.path=a.csv", f"name={config.name}-trial-0003", "storage=runs"])

    monkeypatch.setattr("raytrain.sweep.driver.run_sweep", run_sweep)
    monkeypatch.setattr(
        "raytrain.crossval.driver.train_run", lambda config, console: calls.append(("train", config))
    )
    monkeypatch.setattr("raytrain.commands.sweep.tell_report", lambda config, console: None)
    return calls


def run(*arguments):
    try:
        return main(["sweep", *arguments])
    except SystemExit as error:
        return error.code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.path=nowhere.csv"], "nowhere.csv"),
        (["data.path=x.csv", "sweep.search=luck"], "sweep.search"),
        (["data.path=x.csv", "sweep.num_trails=3"], "did you mean sweep.num_trials?"),
        (["data.path=x.csv", "task=tag", "sweep.metric=auc"], "sweep.metric: expected precision"),
        ([], "say e.g. data.path=FILE.csv"),
        (["--trials", "3"], "usage: raytrain sweep"),
    ],
)
def test_sweep_input_error_exits_2_with_one_message(capsys, arguments, message):
    assert run(*arguments) == 2
    said = capsys.readouterr().err
    assert message in said and "Traceback" not in said


def test_the_best_config_and_what_trains_it_are_said(done, capsys):
    assert run("data.path=a.csv", "name=search", "storage=/data/runs/", "sweep.num_trials=7") == 0
    [(what, config)] = done
    assert (what, config.sweep.num_trials) == ("search", 7)
    assert capsys.readouterr().out.splitlines() == [
        "best config: /data/runs/search/best.yaml",
        "train it in full: raytrain kfold --config /data/runs/search/best.yaml",
    ]


def test_the_best_config_is_trained_where_that_is_asked(done, capsys, folder):
    (folder / "a.yaml").write_text("data: {path: a.csv}\nname: search\nsweep: {then: kfold}\n")
    assert run("--config", "a.yaml") == 0
    assert [(what, config.name) for what, config in done] == [
        ("search", "search"),
        ("train", "search-trial-0003"),
    ]
    said = capsys.readouterr().out
    assert "train it in full" not in said
    assert "ensemble: runs/search-trial-0003/ensemble" in said
