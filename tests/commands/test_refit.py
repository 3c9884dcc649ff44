"""What the commands that make one model read of their arguments, and what they say at the end."""

from types import SimpleNamespace

import pytest

from raytrain.commands import distill, refit
from raytrain.refit import distill as distill_module
from raytrain.refit import driver as driver_module
from raytrain.refit import finished as finished_module


@pytest.fixture
def asked(monkeypatch):
    """What the drivers were asked for."""
    calls = []
    run = SimpleNamespace(config=SimpleNamespace(task="tag"))
    monkeypatch.setattr(finished_module, "read_finished", lambda location: run)
    monkeypatch.setattr(driver_module, "refit_run", lambda *arguments: calls.append(arguments[:-1]))
    monkeypatch.setattr(distill_module, "distill_run", lambda *arguments: calls.append(arguments[:-1]))
    return calls


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs/甲", "train.epochs=2", "seed=1", "--output", "甲"],
        ["runs/甲", "--output", "甲", "train.epochs=2", "seed=1"],
        ["--output", "甲", "runs/甲", "train.epochs=2", "seed=1"],
    ],
)
def test_options_may_stand_anywhere(asked, capsys, arguments):
    refit.main(arguments)
    assert asked == [("runs/甲", "甲", ["train.epochs=2", "seed=1"])]
    assert "--ensemble 甲 --input FILE --output FILE.jsonl" in capsys.readouterr().out


def test_by_default_the_artifact_lies_in_the_run(asked, capsys):
    refit.main(["runs/甲/"])
    distill.main(["runs/甲"])
    assert asked == [("runs/甲/", None, []), ("runs/甲", None, None, None, [])]
    told = capsys.readouterr().out
    assert "artifact: runs/甲/refit\n" in told and "artifact: runs/甲/distilled\n" in told


def test_texts_and_their_columns_are_the_students(asked):
    distill.main(["runs/甲", "--texts", "a.csv", "--column", "一", "--column", "二", "distill.hard=0"])
    assert asked == [("runs/甲", "a.csv", ["一", "二"], None, ["distill.hard=0"])]


def test_without_a_run_there_is_nothing_to_do(asked, capsys):
    with pytest.raises(SystemExit, match="2"):
        refit.main([])
    assert "RUN" in capsys.readouterr().err and not asked
